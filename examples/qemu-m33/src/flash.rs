//! The flash of a simulated nRF9160, in memory that QEMU keeps in a file.
//!
//! ```text
//!  0x80000000  1 MiB   the flash
//!  0x80100000  32 KiB  a bit for each word that was programmed since its last erase
//! ```
//!
//! So a word that is programmed twice is found also where the power failed in between.

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_time::Timer;
use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// The flash: words of 4 bytes, each programmed once between two erases of its 4 KiB. There is one: make one of these.
///
/// What is against its rules panics.
pub struct Flash {
    cut: Option<Cut>,
}

/// When the power fails.
pub struct Cut {
    /// How many words and erases still work.
    pub after: u32,
    /// What is to be done then, last of all.
    pub last: fn() -> !,
}

/// Where everything is, each from its offset on for so many bytes: the map of `dfu-host`.
pub const PRIMARY: (u32, u32) = (0xc000, SLOT);
/// The slot that takes the new image.
pub const SECONDARY: (u32, u32) = (PRIMARY.0 + SLOT, SLOT);
/// The progress of an update.
pub const LOG: (u32, u32) = (SECONDARY.0 + SLOT, 2 * PAGE);

const SLOT: u32 = 0x6_9000;
const SIZE: u32 = 0x10_0000;
const PAGE: u32 = 0x1000;
const WORD: u32 = 4;

impl Flash {
    /// All of it. `cut`: where the power fails.
    pub fn new(cut: Option<Cut>) -> Self {
        Self { cut }
    }

    /// Half of the operation at which the power fails is done.
    fn point(&mut self, half: impl FnOnce()) {
        let Some(cut) = &mut self.cut else { return };
        if cut.after == 0 {
            half();
            (cut.last)();
        }
        cut.after -= 1;
    }

    fn program(&mut self, offset: u32, word: u32) {
        assert!(!is_used(offset), "the word at {offset:#x} was programmed since its last erase");
        let before = get(offset);
        assert_eq!(before, u32::MAX, "the word at {offset:#x} was not erased");
        self.point(|| {
            put(offset, before & (word | 0xffff_0000));
            set_used(offset, get(offset) != u32::MAX);
        });
        put(offset, before & word);
        set_used(offset, true);
        count(&WORDS);
    }

    fn clear(&mut self, page: u32) {
        let wipe = |from: u32, to: u32| {
            for offset in (from..to).step_by(WORD as usize) {
                put(offset, u32::MAX);
                set_used(offset, false);
            }
        };
        self.point(|| wipe(page, page + PAGE / 2));
        wipe(page, page + PAGE);
        count(&PAGES);
    }
}

fn check(what: &str, offset: u32, length: usize, unit: u32) {
    let aligned = offset.is_multiple_of(unit) && (length as u32).is_multiple_of(unit);
    assert!(aligned, "{what} of {length} bytes at {offset:#x} is not aligned to {unit}");
    let inside = offset as usize <= SIZE as usize && length <= (SIZE - offset) as usize;
    assert!(inside, "{what} of {length} bytes at {offset:#x} is out of the flash");
}

impl blocking::ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl blocking::ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check("read", offset, bytes.len(), 1);
        for (at, byte) in (offset..).zip(bytes) {
            *byte = get(at & !3).to_le_bytes()[at as usize & 3];
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl blocking::NorFlash for Flash {
    const WRITE_SIZE: usize = WORD as usize;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check("erase", from, to.wrapping_sub(from) as usize, PAGE);
        for page in (from..to).step_by(PAGE as usize) {
            self.clear(page);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check("write", offset, bytes.len(), WORD);
        assert!(bytes.as_ptr().addr().is_multiple_of(4), "a write at {offset:#x} from an odd address");
        for (at, word) in (offset..).step_by(WORD as usize).zip(bytes.chunks_exact(4)) {
            self.program(at, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        Ok(())
    }
}

/// The flash, with the time that the nRF9160's takes, by its data sheet. Others run meanwhile.
pub struct Timed(pub Flash);

impl ErrorType for Timed {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Timed {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        blocking::ReadNorFlash::read(&mut self.0, offset, bytes)
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Timed {
    const WRITE_SIZE: usize = WORD as usize;
    const ERASE_SIZE: usize = PAGE as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        Timer::after_micros(ERASE_US * u64::from(to.saturating_sub(from) / PAGE)).await;
        blocking::NorFlash::erase(&mut self.0, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        Timer::after_micros(WORD_US * bytes.len() as u64 / u64::from(WORD)).await;
        blocking::NorFlash::write(&mut self.0, offset, bytes)
    }
}

/// Of a word and of a page.
const WORD_US: u64 = 41;
const ERASE_US: u64 = 85_000;

/// How many words were programmed and pages erased since the start.
pub fn counts() -> (u32, u32) {
    (WORDS.load(Ordering::Relaxed), PAGES.load(Ordering::Relaxed))
}

static WORDS: AtomicU32 = AtomicU32::new(0);
static PAGES: AtomicU32 = AtomicU32::new(0);

fn count(what: &AtomicU32) {
    what.fetch_add(1, Ordering::Relaxed);
}

fn is_used(offset: u32) -> bool {
    let (place, bit) = mark(offset);
    get(place) & bit != 0
}

fn set_used(offset: u32, on: bool) {
    let (place, bit) = mark(offset);
    put(place, if on { get(place) | bit } else { get(place) & !bit });
}

/// The word's bit.
fn mark(offset: u32) -> (u32, u32) {
    let word = offset / WORD;
    (SIZE + word / 32 * WORD, 1 << (word % 32))
}

fn get(offset: u32) -> u32 {
    // SAFETY: a word of the PSRAM, where nothing else is: the callers stay below 1 MiB and 32 KiB.
    unsafe { ((MEMORY + offset) as *const u32).read_volatile() }
}

fn put(offset: u32, word: u32) {
    // SAFETY: as above.
    unsafe { ((MEMORY + offset) as *mut u32).write_volatile(word) };
}

const MEMORY: u32 = 0x8000_0000;
