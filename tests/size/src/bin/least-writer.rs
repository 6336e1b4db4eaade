//! The least that does by hand what the `writer` was first asked for: a shared flash, any pieces, whole words, each
//! sector erased just before its first byte, a resume, the file's SHA-256 read back, the mark written last and read back. It
//! checks the header's size and nothing else of an image.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash};
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::image::mcuboot::Header;
use dfu_target::{Digest, Sha256};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(writer().await);
    })
}

const MAP: Layout<Flash, 1> = Layout::new([(0x2000, 0x8000)]);
const SECTOR: u32 = Flash::ERASE_SIZE as u32;
const SLOT: u32 = 0x8000;
const TRAILER: u32 = SLOT - SECTOR;
const MAGIC: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
const BUFFER: usize = 128;

struct Slot<'a> {
    flash: Region<'a, Flash>,
    buffer: [u8; BUFFER],
    filled: usize,
    at: u32,
    open: bool,
}

impl Slot<'_> {
    async fn init(&mut self, head: &[u8], size: u32, offset: u32) -> Option<u32> {
        let header = Header::parse(head).ok()?;
        if header.hashed_len() > size || size > TRAILER {
            return None;
        }
        self.flash.read(SLOT - 40, self.buffer.get_mut(..40)?).await.ok()?;
        if self.buffer.get(..40)?.iter().any(|byte| *byte != 0xff) {
            self.flash.erase(TRAILER, SLOT).await.ok()?;
        }
        self.at = offset & !(SECTOR - 1);
        self.filled = 0;
        self.open = true;
        Some(self.at)
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let room = BUFFER.checked_sub(self.filled)?.min(bytes.len());
            let (now, rest) = bytes.split_at_checked(room)?;
            self.buffer.get_mut(self.filled..)?.get_mut(..room)?.copy_from_slice(now);
            self.filled = self.filled.wrapping_add(room);
            bytes = rest;
            if self.filled == BUFFER {
                self.flush().await?;
            }
        }
        Some(())
    }

    async fn flush(&mut self) -> Option<()> {
        if !core::mem::take(&mut self.open) {
            return None;
        }
        if self.at.is_multiple_of(SECTOR) {
            self.flash.erase(self.at, self.at.wrapping_add(SECTOR)).await.ok()?;
        }
        let len = self.filled.next_multiple_of(4);
        self.buffer.get_mut(self.filled..len)?.fill(0xff);
        self.flash.write(self.at, self.buffer.get(..len)?).await.ok()?;
        self.at = self.at.wrapping_add(len as u32);
        self.filled = 0;
        self.open = true;
        Some(())
    }

    async fn digest(&mut self, engine: &mut Engine, size: u32) -> Option<Digest> {
        self.flush().await?;
        engine.start();
        let mut at = 0;
        while at < size {
            let len = size.wrapping_sub(at).min(BUFFER as u32);
            let bytes = self.buffer.get_mut(..len as usize)?;
            self.flash.read(at, bytes).await.ok()?;
            engine.update(bytes);
            at = at.wrapping_add(len);
        }
        Some(engine.finish())
    }

    async fn apply(&mut self) -> Option<()> {
        self.buffer.get_mut(..MAGIC.len())?.copy_from_slice(&MAGIC);
        self.flash.write(SLOT - 40, &[2, 0xff, 0xff, 0xff]).await.ok()?;
        self.flash.write(SLOT - 16, self.buffer.get(..16)?).await.ok()?;
        self.flash.read(SLOT - 16, self.buffer.get_mut(..16)?).await.ok()?;
        (self.buffer.get(..16)? == MAGIC).then_some(())
    }
}

async fn writer() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [flash] = shared.split(&MAP);
    let mut slot = Slot { flash, buffer: [0; BUFFER], filled: 0, at: 0, open: false };
    let from = slot.init(dfu_size::bytes(), black_box(0x7000), black_box(0)).await?;
    for _ in black_box(from)..64 {
        slot.write(dfu_size::bytes()).await?;
    }
    if slot.digest(&mut Engine, black_box(0x7000)).await? != black_box(Digest([0; 32])) {
        return None;
    }
    slot.apply().await
}
