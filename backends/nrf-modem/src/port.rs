//! The modem as this crate sees it: two small traits, for the modem library or a fake.
//!
//! Every call blocks until the modem has answered, as those of the modem library do; the targets bound what they ask of
//! one call and yield in between. The names and the order of the calls are those of `nrf_modem_delta_dfu.h` and
//! `nrf_modem_bootloader.h`.

mod fault;

pub use fault::{Code, Errno, Fault};

use core::fmt;

use dfu_target::Digest;

/// The modem in normal operation, for delta updates.
///
/// ```text
///   offset ─► (erase, offset until it is 0) ─► write_init ─► write ... write ─► write_done ─► update ─► restart
/// ```
pub trait Delta {
    /// Which firmware runs.
    fn uuid(&mut self) -> Result<Uuid, Fault>;
    /// How many bytes a delta may have.
    fn area(&mut self) -> Result<u32, Fault>;
    /// How much of a delta the modem holds. [`Code::ErasePending`] while it erases, which any other call may say then, too.
    fn offset(&mut self) -> Result<Offset, Fault>;
    /// Reserves the memory that [`write`](Self::write) needs; [`Errno::Already`] where it is reserved.
    fn write_init(&mut self) -> Result<(), Fault>;
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    /// Gives the memory back. What was written stays, and can be gone on with.
    fn write_done(&mut self) -> Result<(), Fault>;
    /// Begins to erase what is stored, the way back included, and returns at once: ask for the offset until it is 0.
    fn erase(&mut self) -> Result<(), Fault>;
    /// Has the modem install what it holds when it starts next.
    fn update(&mut self) -> Result<(), Fault>;
    /// Has the modem go back to the firmware of before when it starts next.
    fn rollback(&mut self) -> Result<(), Fault>;
    /// Whether an update or a rollback was asked for since the modem started and was not withdrawn by an erase. The
    /// modem does not tell; the port remembers.
    fn is_scheduled(&self) -> bool;
}

/// The modem's bootloader, for full updates. Nothing of the modem's firmware is needed for it, nor asked.
///
/// ```text
///   start ─► bl_write ... ─► update ─► verify ─► fw_write ... ─► update ─► digest ─► stop
/// ```
pub trait Bootloader {
    /// Ends whatever the modem does, and has it wait for a loader.
    fn start(&mut self) -> Result<(), Fault>;
    /// Ends it. The modem starts anew with the next reset of the chip.
    fn stop(&mut self) -> Result<(), Fault>;
    /// Appends bytes of the loader, the first segment of an update.
    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    /// Programs bytes at an address of the modem's flash.
    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault>;
    /// Starts the loader that was written, or programs what is still buffered.
    fn update(&mut self) -> Result<(), Fault>;
    /// Has the loader check the signature of the wrapper, a tagged COSE_Sign1. It may take minutes.
    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault>;
    /// SHA-256 over ranges of the modem's flash, in clear: one of them at least, and [`MOST_RANGES`] at most.
    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault>;
    /// Which firmware is programmed.
    fn uuid(&mut self) -> Result<Uuid, Fault>;
}

/// How much of a delta the modem holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Offset {
    /// So many bytes; writing goes on behind them.
    At(u32),
    /// Something that cannot be gone on with: it has to be erased.
    Dirty,
}

impl Offset {
    /// What the modem says for [`Dirty`](Self::Dirty): `NRF_MODEM_DELTA_DFU_OFFSET_DIRTY`.
    pub const DIRTY: u32 = 0x28_0000;

    /// What an offset of the modem's means.
    pub const fn from_raw(offset: u32) -> Self {
        if offset == Self::DIRTY { Self::Dirty } else { Self::At(offset) }
    }
}

/// How many ranges one digest can have.
pub const MOST_RANGES: usize = 32;

/// Addresses of the modem's flash, both of them inside, as in `firmware.update.image.digest.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Range {
    /// The first byte's.
    pub start: u32,
    /// The last byte's.
    pub end: u32,
}

/// The name of a modem firmware, 36 characters; `AT%XMODEMUUID` tells the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 36]);

impl Uuid {
    /// As text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b' '..=b'~' => write!(f, "{}", char::from(*byte)),
            _ => f.write_str("?"),
        })
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Uuid {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

impl<T: Delta> Delta for &mut T {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        T::uuid(self)
    }
    fn area(&mut self) -> Result<u32, Fault> {
        T::area(self)
    }
    fn offset(&mut self) -> Result<Offset, Fault> {
        T::offset(self)
    }
    fn write_init(&mut self) -> Result<(), Fault> {
        T::write_init(self)
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        T::write(self, bytes)
    }
    fn write_done(&mut self) -> Result<(), Fault> {
        T::write_done(self)
    }
    fn erase(&mut self) -> Result<(), Fault> {
        T::erase(self)
    }
    fn update(&mut self) -> Result<(), Fault> {
        T::update(self)
    }
    fn rollback(&mut self) -> Result<(), Fault> {
        T::rollback(self)
    }
    fn is_scheduled(&self) -> bool {
        T::is_scheduled(self)
    }
}

impl<T: Bootloader> Bootloader for &mut T {
    fn start(&mut self) -> Result<(), Fault> {
        T::start(self)
    }
    fn stop(&mut self) -> Result<(), Fault> {
        T::stop(self)
    }
    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        T::bl_write(self, bytes)
    }
    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        T::fw_write(self, address, bytes)
    }
    fn update(&mut self) -> Result<(), Fault> {
        T::update(self)
    }
    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        T::verify(self, wrapper)
    }
    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault> {
        T::digest(self, ranges)
    }
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        T::uuid(self)
    }
}
