use core::hint::black_box;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

const SIZE: usize = 0x1_0000;

/// 64 KiB of RAM as a flash of 4-byte words and 4 KiB erase units.
pub struct Flash;

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 0x1000;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        write(offset, bytes)
    }
}

/// The same with words of 16 bytes that are read in fours.
pub struct Coarse;

impl ErrorType for Coarse {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Coarse {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Coarse {
    const WRITE_SIZE: usize = 16;
    const ERASE_SIZE: usize = 0x1000;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        write(offset, bytes)
    }
}

#[inline(never)]
fn read(offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
    let from = window(offset, bytes.len())?;
    bytes.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    Ok(())
}

#[inline(never)]
fn write(offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
    if !offset.is_multiple_of(4) || !bytes.len().is_multiple_of(4) {
        return Err(NorFlashErrorKind::NotAligned);
    }
    let to = window(offset, bytes.len())?;
    to.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(())
}

#[inline(never)]
fn erase(from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
    if !from.is_multiple_of(0x1000) || !to.is_multiple_of(0x1000) {
        return Err(NorFlashErrorKind::NotAligned);
    }
    let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)?;
    window(from, length as usize)?.fill(0xff);
    Ok(())
}

#[inline(never)]
fn window(offset: u32, length: usize) -> Result<&'static mut [u8], NorFlashErrorKind> {
    static mut MEMORY: [u8; SIZE] = [0; SIZE];
    // SAFETY: these programs are linked and measured, never run; and they have one thread.
    let memory: &'static mut [u8] = unsafe { &mut *black_box(&raw mut MEMORY) };
    memory.get_mut(offset as usize..).and_then(|memory| memory.get_mut(..length)).ok_or(NorFlashErrorKind::OutOfBounds)
}
