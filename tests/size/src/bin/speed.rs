//! How many instructions an image takes on its way into flash, on a simulated Cortex-M33: by a bare loop, by a session
//! with the MCUboot target, and by embassy-boot's updater; by what is below the session alone, in bare
//! loops; then what reading it back takes beyond its SHA-256.
//! speed.sh runs it. The flash is memory: what is written is copied, what is erased is filled.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::fmt::Write as _;
use core::hint::black_box;

use dfu_size::host::{Count, Host, exit};
use dfu_size::least::Least;
use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::image::mcuboot::MAGIC;
use dfu_target::progress::{ProgressStore, StoreError};
use dfu_target::target::Assurance;
use dfu_target::{Begun, Digest, Progress, ProgressLog, Request, Sha256, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};
use embassy_boot::{BlockingFirmwareUpdater, FirmwareUpdater, FirmwareUpdaterConfig};
use embassy_embedded_hal::flash::partition::{BlockingPartition, Partition};
use embassy_sync::blocking_mutex::Mutex as BlockingMutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// The image's length, and the flash: a slot for it, and a log, or embassy-boot's state, behind.
const IMAGE: usize = 0x2_0000;
const SLOT: u32 = 0x2_8000;
const STATE: u32 = 0x2000;
const SECTOR: usize = 0x1000;

/// The slots as a type, with the look at what is there before an image goes on, or without.
struct Board<const RECALL: bool>;

impl<const RECALL: bool> AsRef<Slots> for Board<RECALL> {
    fn as_ref(&self) -> &Slots {
        const { &Slots::new::<Flash>(SLOT, Config::new(Mode::SwapMove).recall(RECALL)) }
    }
}
const MAP: Layout<Flash, 2> = Layout::new([(0, SLOT), (SLOT, STATE)]);
/// The rows of `write`, by the bytes of a call.
const CHUNKS: [usize; 3] = [4096, 512, 64];

/// The target's buffer, in which it reads the image back.
const BUFFER: usize = 512;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let digest = make(image());
    let mut table = Table { raw: [0; CHUNKS.len()], good: true };
    let _ = writeln!(Host, "{:24} {:>6} {:>11} {:>9}", "write", "chunk", "instr./KiB", "over raw");
    table.row("memcpy", |chunk| {
        let count = Count::start();
        let mut to = memory().chunks_exact_mut(chunk);
        image().chunks_exact(chunk).zip(&mut to).for_each(|(from, to)| to.copy_from_slice(from));
        Some(count.instructions())
    });
    table.row("raw", raw);
    table.row("raw async", |chunk| block_on(straight(Flash(0), chunk)));
    table.row("region", |chunk| {
        let mut shared = Shared::new(Flash(0));
        let [slot, _] = shared.split(&MAP);
        block_on(straight(slot, chunk))
    });
    table.row("region+buffer", |chunk| {
        let mut shared = Shared::new(Flash(0));
        let [slot, _] = shared.split(&MAP);
        block_on(gathered(slot, chunk))
    });
    table.row("least", |chunk| {
        let flash = RefCell::new(Flash(0));
        block_on(by_hand(Least::new(&flash, 0, IMAGE as u32), chunk))
    });
    let mut finish = None;
    for (name, recall, logs) in
        [("session", false, false), ("session+log", false, true), ("session+recall", true, false)]
    {
        table.row(name, |chunk| {
            let mut shared = Shared::new(Flash(0));
            let [slot, log] = shared.split(&MAP);
            let store = Store(logs.then(|| ProgressLog::new(log)));
            let cost = if recall {
                block_on(session(slot, store, Board::<true>, &digest, chunk))
            } else {
                block_on(session(slot, store, Board::<false>, &digest, chunk))
            };
            finish = cost.as_ref().map(|cost| cost.finish);
            cost.map(|cost| cost.write)
        });
    }
    table.row("embassy", |chunk| {
        let config = FirmwareUpdaterConfig { dfu: Flash(0), state: Flash(SLOT) };
        blocking_updater(BlockingFirmwareUpdater::new(config, &mut [0; 4]), chunk)
    });
    table.row("embassy+partition", |chunk| {
        let flash = BlockingMutex::<NoopRawMutex, _>::new(RefCell::new(Flash(0)));
        let (dfu, state) = (BlockingPartition::new(&flash, 0, SLOT), BlockingPartition::new(&flash, SLOT, STATE));
        blocking_updater(BlockingFirmwareUpdater::new(FirmwareUpdaterConfig { dfu, state }, &mut [0; 4]), chunk)
    });
    table.row("embassy-async", |chunk| {
        let config = FirmwareUpdaterConfig { dfu: Flash(0), state: Flash(SLOT) };
        block_on(updater(FirmwareUpdater::new(config, &mut [0; 4]), chunk))
    });
    table.row("embassy-async+partition", |chunk| {
        let flash = Mutex::<NoopRawMutex, _>::new(Flash(0));
        let (dfu, state) = (Partition::new(&flash, 0, SLOT), Partition::new(&flash, SLOT, STATE));
        block_on(updater(FirmwareUpdater::new(FirmwareUpdaterConfig { dfu, state }, &mut [0; 4]), chunk))
    });

    let mut engine = SoftSha256::default();
    let count = Count::start();
    engine.start();
    image().chunks_exact(black_box(BUFFER)).for_each(|bytes| engine.update(bytes));
    let bare = engine.finish();
    let sha = count.instructions();
    let finish = finish.unwrap_or(0);
    let _ = writeln!(Host, "\n{:24} {:>6} {:>11} {:>9}", "read back", "buffer", "instr./KiB", "over SHA");
    let _ = writeln!(Host, "{:24} {BUFFER:6} {:11} {:9}", "sha256", kib(sha), 0);
    let _ = writeln!(Host, "{:24} {BUFFER:6} {:11} {:9}", "finish", kib(finish), kib(finish.saturating_sub(sha)));
    exit(if table.good && bare == digest { 0 } else { 1 })
}

struct Table {
    /// What the bare loop takes for each chunk.
    raw: [u32; CHUNKS.len()],
    good: bool,
}

impl Table {
    /// One line for each chunk: what `write` took for the whole image; and that the image is then there.
    fn row(&mut self, name: &str, mut write: impl FnMut(usize) -> Option<u32>) {
        for (raw, chunk) in self.raw.iter_mut().zip(CHUNKS) {
            memory().fill(0xff);
            memory()[..IMAGE].fill(0xa5);
            let count = write(black_box(chunk));
            let good = count.is_some() && memory()[..IMAGE] == *image();
            let count = count.unwrap_or(0);
            if name == "raw" {
                *raw = count;
            }
            let over = if *raw == 0 { 0 } else { count.saturating_sub(*raw) };
            let verdict = if good { "" } else { "  WRONG" };
            let _ = writeln!(Host, "{name:24} {chunk:6} {:11} {:9}{verdict}", kib(count), kib(over));
            self.good &= good;
        }
    }
}

/// The least anyone would write by hand.
#[inline(never)]
fn raw(chunk: usize) -> Option<u32> {
    let count = Count::start();
    let mut flash = Flash(0);
    let mut at = 0;
    for bytes in image().chunks_exact(chunk) {
        if at % SECTOR == 0 {
            blocking::NorFlash::erase(&mut flash, at as u32, (at + SECTOR) as u32).ok()?;
        }
        blocking::NorFlash::write(&mut flash, at as u32, bytes).ok()?;
        at += chunk;
    }
    Some(count.instructions())
}

/// The same by a flash that is waited for.
#[inline(never)]
async fn straight<F: NorFlash>(mut flash: F, chunk: usize) -> Option<u32> {
    let count = Count::start();
    let mut at = 0;
    for bytes in image().chunks_exact(chunk) {
        if at % SECTOR == 0 {
            flash.erase(at as u32, (at + SECTOR) as u32).await.ok()?;
        }
        flash.write(at as u32, bytes).await.ok()?;
        at += chunk;
    }
    Some(count.instructions())
}

/// The same, where small pieces are gathered in a buffer.
#[inline(never)]
async fn gathered<F: NorFlash>(mut flash: F, chunk: usize) -> Option<u32> {
    let count = Count::start();
    let (mut buffer, mut filled, mut at) = ([0; BUFFER], 0, 0);
    for bytes in image().chunks_exact(chunk) {
        if filled == 0 && at % SECTOR == 0 {
            flash.erase(at as u32, (at + SECTOR) as u32).await.ok()?;
        }
        let whole = if bytes.len() < BUFFER {
            buffer.get_mut(filled..filled + bytes.len())?.copy_from_slice(bytes);
            filled += bytes.len();
            if filled < BUFFER {
                continue;
            }
            filled = 0;
            &buffer[..]
        } else {
            bytes
        };
        flash.write(at as u32, whole).await.ok()?;
        at += whole.len();
    }
    Some(count.instructions())
}

/// The same by a writer of its own, with a call for each piece.
#[inline(never)]
async fn by_hand(mut writer: Least<'_, Flash>, chunk: usize) -> Option<u32> {
    let count = Count::start();
    for bytes in image().chunks_exact(chunk) {
        writer.write(bytes).await?;
    }
    Some(count.instructions())
}

struct Cost {
    write: u32,
    finish: u32,
}

/// All of the image through a session: from its beginning on, and its end, where it is read back. There is one of it,
/// as in a firmware: of several the compiler makes slower ones.
#[inline(never)]
async fn session(
    slot: Region<'_, Flash>,
    store: Store<'_>,
    place: impl AsRef<Slots>,
    digest: &Digest,
    chunk: usize,
) -> Option<Cost> {
    let count = Count::start();
    let engine = SoftSha256::default();
    let mut target = McubootTarget::<_, _, _, BUFFER>::new(slot, engine, place, dfu_size::active()).ok()?;
    let mut update = Update::new(&mut target, store, Request::of(*digest).size(IMAGE as u32));
    let Begun::Receiving(mut session) = update.begin().await.ok()? else { return None };
    for bytes in image().chunks_exact(chunk) {
        session.write(bytes).await.ok()?;
    }
    let write = count.instructions();
    let count = Count::start();
    let staged = session.finish().await.ok()?;
    let finish = count.instructions();
    let is_checked = staged.checked().assurance == Assurance::Hash;
    let _ = staged.verify(digest).ok()?;
    is_checked.then_some(Cost { write, finish })
}

/// With a log or without one.
struct Store<'a>(Option<ProgressLog<'a, Flash>>);

impl ProgressStore for Store<'_> {
    async fn load(&mut self) -> Option<Progress> {
        self.0.as_mut()?.load().await
    }

    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(log) => log.save(progress).await,
            None => Ok(()),
        }
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[inline(never)]
fn blocking_updater<D: blocking::NorFlash, S: blocking::NorFlash>(
    mut updater: BlockingFirmwareUpdater<'_, D, S>,
    chunk: usize,
) -> Option<u32> {
    let count = Count::start();
    let mut at = 0;
    for bytes in image().chunks_exact(chunk) {
        updater.write_firmware(at, bytes).ok()?;
        at += chunk;
    }
    Some(count.instructions())
}

#[inline(never)]
async fn updater<D: NorFlash, S: NorFlash>(mut updater: FirmwareUpdater<'_, D, S>, chunk: usize) -> Option<u32> {
    let count = Count::start();
    let mut at = 0;
    for bytes in image().chunks_exact(chunk) {
        updater.write_firmware(at, bytes).await.ok()?;
        at += chunk;
    }
    Some(count.instructions())
}

fn kib(instructions: u32) -> u32 {
    instructions / (IMAGE as u32 / 1024)
}

/// An MCUboot image: a header, a payload that does not repeat, and its hash. Returns the digest of the whole.
fn make(file: &mut [u8]) -> Digest {
    const HEADER: usize = 32;
    const TLVS: usize = 4 + 4 + 32;
    let mut random = 0x2545_f491_u32;
    for word in file.chunks_exact_mut(4) {
        random = random.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        word.copy_from_slice(&random.to_le_bytes());
    }
    let (image, tlvs) = file.split_at_mut(IMAGE - TLVS);
    image[..HEADER].fill(0);
    image[..4].copy_from_slice(&MAGIC);
    image[8] = HEADER as u8;
    image[12..16].copy_from_slice(&((IMAGE - HEADER - TLVS) as u32).to_le_bytes());
    image[20] = 2; // Its version: 2.0.0.
    let mut engine = SoftSha256::default();
    engine.start();
    engine.update(image);
    tlvs[..4].copy_from_slice(&[0x07, 0x69, TLVS as u8, 0]);
    tlvs[4..8].copy_from_slice(&[0x10, 0, 32, 0]);
    tlvs[8..].copy_from_slice(&engine.finish().0);
    engine.start();
    engine.update(file);
    engine.finish()
}

fn image() -> &'static mut [u8] {
    #[repr(align(8))]
    struct Aligned([u8; IMAGE]);
    static mut FILE: Aligned = Aligned([0; IMAGE]);
    // SAFETY: one thread; written by `make` alone, before anything else looks at it.
    unsafe { &mut (*black_box(&raw mut FILE)).0 }
}

fn memory() -> &'static mut [u8] {
    #[repr(align(8))]
    struct Aligned([u8; (SLOT + STATE) as usize]);
    static mut MEMORY: Aligned = Aligned([0; (SLOT + STATE) as usize]);
    // SAFETY: one thread, and nobody keeps it.
    unsafe { &mut (*black_box(&raw mut MEMORY)).0 }
}

/// The memory from this address on, as a flash.
struct Flash(u32);

#[inline(never)]
fn read(offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
    let length = bytes.len();
    bytes.copy_from_slice(window(offset, length)?);
    Ok(())
}

#[inline(never)]
fn write(offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
    window(offset, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

#[inline(never)]
fn erase(from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
    window(from, to.wrapping_sub(from) as usize)?.fill(0xff);
    Ok(())
}

fn window(offset: u32, length: usize) -> Result<&'static mut [u8], NorFlashErrorKind> {
    let rest = memory().get_mut(offset as usize..);
    rest.and_then(|rest| rest.get_mut(..length)).ok_or(NorFlashErrorKind::OutOfBounds)
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        read(self.0 + offset, bytes)
    }

    fn capacity(&self) -> usize {
        memory().len() - self.0 as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        erase(self.0 + from, self.0 + to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        write(self.0 + offset, bytes)
    }
}

impl blocking::ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        read(self.0 + offset, bytes)
    }

    fn capacity(&self) -> usize {
        memory().len() - self.0 as usize
    }
}

impl blocking::NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        erase(self.0 + from, self.0 + to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        write(self.0 + offset, bytes)
    }
}
