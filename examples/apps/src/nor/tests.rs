//! Against a chip that is as strict as the real ones.
#![allow(clippy::arithmetic_side_effects, reason = "a test stops there")]

use core::convert::Infallible;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use dfu_target::blocking::block_on;
use embedded_hal_async::spi;

use super::*;

const ID: [u8; 3] = [0xc2, 0x28, 0x17];
const SIZE: u32 = 64 * 1024;

struct Memory {
    bytes: Vec<u8>,
    asleep: bool,
    enabled: bool,
    /// How often it says yet that it is busy.
    busy: u32,
    waited_ms: u32,
}

#[derive(Clone)]
struct Chip(Rc<RefCell<Memory>>);

impl Chip {
    fn new() -> Self {
        let bytes = std::vec![0x5a; SIZE as usize];
        Self(Rc::new(RefCell::new(Memory { bytes, asleep: true, enabled: false, busy: 3, waited_ms: 0 })))
    }

    fn opened(&self) -> Nor<Self, Self, SIZE> {
        block_on(Nor::new(self.clone(), self.clone(), ID)).unwrap()
    }
}

impl spi::ErrorType for Chip {
    type Error = Infallible;
}

impl SpiDevice for Chip {
    async fn transaction(&mut self, steps: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        let mut chip = self.0.borrow_mut();
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Operation::Write(bytes) => sent.extend_from_slice(bytes),
                Operation::Read(into) => {
                    let at = sent.get(1..4).map_or(0, |at| usize::from_be_bytes([0, 0, 0, 0, 0, at[0], at[1], at[2]]));
                    match sent[0] {
                        _ if chip.asleep => into.fill(0xff),
                        READ_STATUS => {
                            into[0] = BUSY * u8::from(chip.busy > 0);
                            chip.busy = chip.busy.saturating_sub(1);
                        }
                        _ if chip.busy > 0 => panic!("a busy chip was asked {:#x}", sent[0]),
                        READ_ID => into.copy_from_slice(&ID),
                        READ => into.copy_from_slice(&chip.bytes[at..at + into.len()]),
                        other => panic!("{other:#x} reads nothing"),
                    }
                    return Ok(());
                }
                _ => panic!("no step of this driver"),
            }
        }
        let at = sent.get(1..4).map_or(0, |at| usize::from_be_bytes([0, 0, 0, 0, 0, at[0], at[1], at[2]]));
        match sent[0] {
            WAKE_UP => chip.asleep = false,
            _ if chip.busy > 0 => panic!("a busy chip was told {:#x}", sent[0]),
            WRITE_ENABLE => chip.enabled = true,
            PAGE_PROGRAM => {
                assert!(chip.enabled, "writes are not enabled");
                for (nth, byte) in sent[4..].iter().enumerate() {
                    // Round and round in one page; and bits only fall.
                    chip.bytes[at / PAGE * PAGE + (at + nth) % PAGE] &= byte;
                }
                (chip.enabled, chip.busy) = (false, 2);
            }
            SECTOR_ERASE => {
                assert!(chip.enabled, "writes are not enabled");
                chip.bytes[at..at + SECTOR as usize].fill(0xff);
                (chip.enabled, chip.busy) = (false, 40);
            }
            other => panic!("no command: {other:#x}"),
        }
        Ok(())
    }
}

impl DelayNs for Chip {
    async fn delay_ns(&mut self, ns: u32) {
        self.0.borrow_mut().waited_ms += ns / 1_000_000;
    }
}

#[test]
fn what_is_written_over_the_ends_of_pages_reads_back() {
    let chip = Chip::new();
    let mut nor = chip.opened();
    let bytes: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
    block_on(nor.erase(0x1000, 0x3000)).unwrap();
    block_on(nor.write(0x1ffc, &bytes)).unwrap();
    let mut back = std::vec![0; 9000];
    block_on(nor.read(0x1000, &mut back)).unwrap();
    assert_eq!(back[0xffc..0xffc + 3000], bytes);
    assert!(back[..0xffc].iter().all(|byte| *byte == 0xff), "erased");
    assert_eq!(back[8192..], [0x5a; 808], "and not one byte more");
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_done() {
    let mut nor = Chip::new().opened();
    let mut byte = [0];
    assert_eq!(block_on(nor.read(SIZE, &mut byte)), Err(NorError::OutOfBounds));
    assert_eq!(block_on(nor.write(SIZE - 4, &[0; 8])), Err(NorError::OutOfBounds));
    assert_eq!(block_on(nor.write(u32::MAX - 3, &[0; 8])), Err(NorError::OutOfBounds));
    assert_eq!(block_on(nor.write(2, &[0; 4])), Err(NorError::NotAligned));
    assert_eq!(block_on(nor.write(4, &[0; 3])), Err(NorError::NotAligned));
    assert_eq!(block_on(nor.erase(0, SIZE + SECTOR)), Err(NorError::OutOfBounds));
    assert_eq!(block_on(nor.erase(0x1000, 0)), Err(NorError::OutOfBounds));
    assert_eq!(block_on(nor.erase(0x800, 0x1000)), Err(NorError::NotAligned));
    assert_eq!(block_on(nor.read(SIZE - 1, &mut byte)), Ok(()));
}

#[test]
fn a_chip_that_is_another_or_not_there_or_stuck_is_told() {
    let chip = Chip::new();
    let nor = block_on(Nor::<_, _, SIZE>::new(chip.clone(), chip.clone(), [1, 2, 3]));
    assert_eq!(nor.err(), Some(NorError::OtherChip(ID)));
    chip.0.borrow_mut().busy = u32::MAX;
    let nor = block_on(Nor::<_, _, SIZE>::new(chip.clone(), chip.clone(), ID));
    assert_eq!(nor.err(), Some(NorError::Busy));
    assert!((1000..1100).contains(&chip.0.borrow().waited_ms), "no longer than that");
}

#[test]
fn a_chip_that_is_still_at_work_is_waited_for() {
    let chip = Chip::new();
    let mut nor = chip.opened();
    chip.0.borrow_mut().busy = 100;
    let mut byte = [0];
    assert_eq!(block_on(nor.read(0, &mut byte)), Ok(()));
    assert_eq!(byte, [0x5a]);
}
