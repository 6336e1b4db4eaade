//! What the marker says, read without the code under test, and a modem that is looked after.

use dfu_target::Digest;
use dfu_target_nrf_modem::port::{Bootloader, Fault, Range, Uuid};

use super::{Device, PROGRAMMING};

/// A device's modem. It panics where it is programmed and the marker does not say that it is, or the file is not there.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'d, const W: usize, const E: usize, const R: usize>(pub(super) &'d Device<W, E, R>);

impl<const W: usize, const E: usize, const R: usize> Bootloader for Watched<'_, W, E, R> {
    fn start(&mut self) -> Result<(), Fault> {
        self.0.modem.bootloader().start()
    }
    fn stop(&mut self) -> Result<(), Fault> {
        self.0.modem.bootloader().stop()
    }
    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.modem.bootloader().bl_write(bytes)
    }
    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        assert_eq!(self.0.staged(), (true, Some(PROGRAMMING)), "programmed, and the marker does not say so");
        self.0.modem.bootloader().fw_write(address, bytes)
    }
    fn update(&mut self) -> Result<(), Fault> {
        self.0.modem.bootloader().update()
    }
    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        self.0.modem.bootloader().verify(wrapper)
    }
    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault> {
        self.0.modem.bootloader().digest(ranges)
    }
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        self.0.modem.bootloader().uuid()
    }
}

/// The count and the stage of a marker that is whole, read without the code under test.
pub(super) fn marker(unit: &[u8], digest: &[u8; 32]) -> Option<(u32, u32)> {
    let word = |at: usize| u32::from_le_bytes(unit[at..at + 4].try_into().unwrap());
    let crc = !unit[..48].iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    (word(48) == crc).then(|| {
        assert_eq!(unit[16..48], *digest);
        (word(4), word(0))
    })
}
