//! A NOR flash of the 25 series at an SPI bus: for what the chip's own flash has no room for.

mod error;
#[cfg(test)]
mod tests;

pub use error::NorError;

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{Operation, SpiDevice};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// A flash of `SIZE` bytes, 16 MiB at most, with pages of 256 bytes and sectors of 4 KiB, as such chips have them.
///
/// Each wait for the chip has a limit, so that one that is not there, or not routed to these pins, is an error.
///
/// # Cancellation
///
/// A dropped `write` leaves whole pages and at most one that is written in part; a dropped `erase` whole sectors and at
/// most one that is neither. The chip ends what it is at, and the next operation waits for that.
#[derive(Debug)]
pub struct Nor<S, D, const SIZE: u32> {
    spi: S,
    clock: D,
}

/// What is programmed at once.
const PAGE: usize = 256;
/// What is erased at once.
const SECTOR: u32 = 4096;
/// How long the chip is waited for, in milliseconds. It takes 10 for a page at the most and 400 for a sector.
const LIMIT_MS: u32 = 1000;

const READ: u8 = 0x03;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const PAGE_PROGRAM: u8 = 0x02;
const SECTOR_ERASE: u8 = 0x20;
const READ_ID: u8 = 0x9f;
const WAKE_UP: u8 = 0xab;
/// In the status: the chip is at work.
const BUSY: u8 = 1;

impl<S: SpiDevice, D: DelayNs, const SIZE: u32> Nor<S, D, SIZE> {
    /// Wakes the chip up, lets it end what it may be at since before a reset, and compares its JEDEC id.
    pub async fn new(spi: S, clock: D, id: [u8; 3]) -> Result<Self, NorError<S::Error>> {
        const { assert!(SIZE <= 1 << 24 && SIZE.is_multiple_of(SECTOR), "addresses have 24 bits, sectors are whole") }
        let mut this = Self { spi, clock };
        this.spi.write(&[WAKE_UP]).await.map_err(NorError::Spi)?;
        this.clock.delay_us(50).await;
        this.ready().await?;
        let mut found = [0; 3];
        this.receive(&[READ_ID], &mut found).await?;
        if found == id { Ok(this) } else { Err(NorError::OtherChip(found)) }
    }

    /// Waits until the chip has done what it was told.
    async fn ready(&mut self) -> Result<(), NorError<S::Error>> {
        for _ in 0..LIMIT_MS {
            let mut status = [0];
            self.receive(&[READ_STATUS], &mut status).await?;
            if status[0] & BUSY == 0 {
                return Ok(());
            }
            self.clock.delay_ms(1).await;
        }
        Err(NorError::Busy)
    }

    async fn receive(&mut self, command: &[u8], into: &mut [u8]) -> Result<(), NorError<S::Error>> {
        let mut steps = [Operation::Write(command), Operation::Read(into)];
        self.spi.transaction(&mut steps).await.map_err(NorError::Spi)
    }

    /// One command that changes the flash, and its end.
    async fn change(&mut self, command: u8, at: u32, bytes: &[u8]) -> Result<(), NorError<S::Error>> {
        self.spi.write(&[WRITE_ENABLE]).await.map_err(NorError::Spi)?;
        let command = addressed(command, at);
        let mut steps = [Operation::Write(&command), Operation::Write(bytes)];
        self.spi.transaction(&mut steps).await.map_err(NorError::Spi)?;
        self.ready().await
    }

    /// Refuses what is not made of whole units or reaches beyond the end.
    fn check(from: u32, to: u32, unit: u32) -> Result<(), NorError<S::Error>> {
        if from > to || to > SIZE {
            Err(NorError::OutOfBounds)
        } else if !from.is_multiple_of(unit) || !to.is_multiple_of(unit) {
            Err(NorError::NotAligned)
        } else {
            Ok(())
        }
    }
}

fn addressed(command: u8, at: u32) -> [u8; 4] {
    let [_, high, middle, low] = at.to_be_bytes();
    [command, high, middle, low]
}

/// Where so many bytes end; too far where that is beyond all addresses.
fn end(at: u32, bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).map_or(u32::MAX, |len| at.saturating_add(len))
}

impl<S: SpiDevice, D: DelayNs, const SIZE: u32> ErrorType for Nor<S, D, SIZE> {
    type Error = NorError<S::Error>;
}

impl<S: SpiDevice, D: DelayNs, const SIZE: u32> ReadNorFlash for Nor<S, D, SIZE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        Self::check(offset, end(offset, bytes), 1)?;
        self.ready().await?;
        // An SPI master takes so many bytes at once, and others are to have a turn.
        for (nth, piece) in (0_u32..).zip(bytes.chunks_mut(SECTOR as usize)) {
            let at = offset.saturating_add(nth.saturating_mul(SECTOR));
            self.receive(&addressed(READ, at), piece).await?;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl<S: SpiDevice, D: DelayNs, const SIZE: u32> NorFlash for Nor<S, D, SIZE> {
    /// The chip takes single bytes; whole words cost nothing and suit those who write.
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        Self::check(offset, end(offset, bytes), Self::WRITE_SIZE as u32)?;
        self.ready().await?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            // Up to the end of its page: the chip would go on at the page's start.
            let room = PAGE.saturating_sub(at as usize % PAGE);
            let (page, more) = rest.split_at(room.min(rest.len()));
            self.change(PAGE_PROGRAM, at, page).await?;
            (at, rest) = (end(at, page), more);
        }
        Ok(())
    }

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        Self::check(from, to, SECTOR)?;
        self.ready().await?;
        for at in (from..to).step_by(SECTOR as usize) {
            self.change(SECTOR_ERASE, at, &[]).await?;
        }
        Ok(())
    }
}
