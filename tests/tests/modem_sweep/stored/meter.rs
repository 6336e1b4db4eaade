//! The modem between the target and the fake.

use core::cell::Cell;
use std::rc::Rc;

use dfu_target_nrf_modem::port::{Delta, Fault, Offset, Uuid};
use dfu_testkit::modem::FakeModem;

/// The modem, with the bytes counted that it took, and one write that it may lose.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(super) modem: FakeModem,
    pub(super) given: Rc<Cell<u64>>,
    pub(super) loses: Rc<Cell<Option<u32>>>,
}

impl Delta for Meter {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        Delta::uuid(&mut self.modem)
    }
    fn area(&mut self) -> Result<u32, Fault> {
        self.modem.area()
    }
    fn offset(&mut self) -> Result<Offset, Fault> {
        self.modem.offset()
    }
    fn write_init(&mut self) -> Result<(), Fault> {
        self.modem.write_init()
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let left = self.loses.get();
        self.loses.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) {
            return Ok(());
        }
        self.modem.write(bytes).inspect(|()| self.given.set(self.given.get() + bytes.len() as u64))
    }
    fn write_done(&mut self) -> Result<(), Fault> {
        self.modem.write_done()
    }
    fn erase(&mut self) -> Result<(), Fault> {
        self.modem.erase()
    }
    fn update(&mut self) -> Result<(), Fault> {
        Delta::update(&mut self.modem)
    }
    fn rollback(&mut self) -> Result<(), Fault> {
        self.modem.rollback()
    }
    fn is_scheduled(&self) -> bool {
        self.modem.is_scheduled()
    }
}
