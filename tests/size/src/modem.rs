use core::hint::black_box;

use dfu_target::Digest;
use dfu_target_nrf_modem::port::{Bootloader, Delta, Fault, Offset, Range, Uuid};

/// A modem of which the optimizer knows nothing. All calls are one function, so that they cost next to nothing here.
pub struct Modem;

#[inline(never)]
fn call(nth: u32, bytes: &[u8]) -> Result<u32, Fault> {
    let answer = black_box(nth);
    black_box(bytes);
    Fault::check(answer as i32).map(|()| answer)
}

#[inline(never)]
fn name(nth: u32) -> Result<Uuid, Fault> {
    call(nth, &[]).map(|_| black_box(Uuid([0; 36])))
}

impl Delta for Modem {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        name(0)
    }
    fn area(&mut self) -> Result<u32, Fault> {
        call(1, &[])
    }
    fn offset(&mut self) -> Result<Offset, Fault> {
        call(2, &[]).map(Offset::from_raw)
    }
    fn write_init(&mut self) -> Result<(), Fault> {
        call(3, &[]).map(drop)
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        call(4, bytes).map(drop)
    }
    fn write_done(&mut self) -> Result<(), Fault> {
        call(5, &[]).map(drop)
    }
    fn erase(&mut self) -> Result<(), Fault> {
        call(6, &[]).map(drop)
    }
    fn update(&mut self) -> Result<(), Fault> {
        call(7, &[]).map(drop)
    }
    fn rollback(&mut self) -> Result<(), Fault> {
        call(8, &[]).map(drop)
    }
    fn is_scheduled(&self) -> bool {
        black_box(false)
    }
}

impl Bootloader for Modem {
    fn start(&mut self) -> Result<(), Fault> {
        call(9, &[]).map(drop)
    }
    fn stop(&mut self) -> Result<(), Fault> {
        call(10, &[]).map(drop)
    }
    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        call(11, bytes).map(drop)
    }
    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        call(address, bytes).map(drop)
    }
    fn update(&mut self) -> Result<(), Fault> {
        call(12, &[]).map(drop)
    }
    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        call(13, wrapper).map(drop)
    }
    fn digest(&mut self, _: &[Range]) -> Result<Digest, Fault> {
        call(14, &[]).map(|_| black_box(Digest([0; 32])))
    }
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        name(15)
    }
}

/// One plain use of each call.
#[inline(never)]
pub(crate) fn raw(modem: &mut Modem) {
    black_box(Delta::uuid(modem).is_ok());
    black_box((modem.area().is_ok(), modem.offset().is_ok(), modem.is_scheduled()));
    for (nth, ok) in [modem.write_init(), modem.write(&[]), modem.write_done(), modem.erase()].iter().enumerate() {
        black_box((nth, ok.is_ok()));
    }
    black_box((Delta::update(modem).is_ok(), modem.rollback().is_ok(), modem.start().is_ok(), modem.stop().is_ok()));
    black_box((modem.bl_write(&[]).is_ok(), modem.fw_write(1, &[]).is_ok(), Bootloader::update(modem).is_ok()));
    black_box((modem.verify(&[]).is_ok(), modem.digest(&[]).is_ok(), Bootloader::uuid(modem).is_ok()));
}
