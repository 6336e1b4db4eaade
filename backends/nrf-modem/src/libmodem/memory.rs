//! The memory that the modem can reach.
#![forbid(unsafe_code)]

use core::fmt;

/// How much the modem's bootloader shares with the application: `NRF_MODEM_SHMEM_BOOTLOADER_SIZE`.
pub(super) const SIZE: u32 = 0x2018;
/// The RAM of the chip that the modem can be let into, its lower 128 KiB.
const START: u32 = 0x2000_0000;
const END: u32 = 0x2002_0000;

/// This memory is not in the lower 128 KiB of RAM, or not aligned to words: the modem cannot share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfReach {
    /// Where it begins.
    pub address: u32,
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the modem cannot share the memory at {:#010x}", self.address)
    }
}

impl core::error::Error for OutOfReach {}

/// Whether the modem can share the [`SIZE`] bytes from this address on.
pub(super) const fn check(address: u32) -> Result<(), OutOfReach> {
    match address.checked_add(SIZE) {
        Some(end) if address >= START && end <= END && address.is_multiple_of(4) => Ok(()),
        _ => Err(OutOfReach { address }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn only_words_of_the_lower_ram_can_be_shared() {
        for address in [START, START + 4, 0x2001_0000, END - SIZE] {
            assert_eq!(check(address), Ok(()));
        }
        for address in [0, 4, START - 4, START + 2, START + 1, END - SIZE + 4, END - 4, END, 0x2003_0000, u32::MAX - 3]
        {
            assert_eq!(check(address), Err(OutOfReach { address }));
        }
    }

    #[test]
    fn the_address_is_told() {
        assert_eq!(OutOfReach { address: 0x2002_0000 }.to_string(), "the modem cannot share the memory at 0x20020000");
    }
}
