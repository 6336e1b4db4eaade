//! The modem while its firmware runs.

use core::ffi::c_int;

use nrf_modem::nrfxlib_sys as sys;

use crate::port::{Delta, Fault, Offset, Uuid};

/// The modem while its firmware runs: delta updates.
///
/// One a program, as it remembers what is scheduled. Before `nrf_modem::init` has succeeded, each call fails with
/// [`Errno::Perm`](crate::port::Errno::Perm).
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NormalMode {
    is_scheduled: bool,
}

impl NormalMode {
    /// The modem since its start, with nothing scheduled.
    pub const fn new() -> Self {
        Self { is_scheduled: false }
    }
}

impl Delta for NormalMode {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        let mut uuid = sys::nrf_modem_delta_dfu_uuid { data: [0; 36] };
        // SAFETY: the library fills the structure before it returns, and does not keep the pointer.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_uuid(&raw mut uuid) })?;
        Ok(Uuid(uuid.data))
    }

    fn area(&mut self) -> Result<u32, Fault> {
        // SAFETY: the library writes one word through the pointer, if any, before it returns.
        number(|size| unsafe { sys::nrf_modem_delta_dfu_area(size) })
    }

    fn offset(&mut self) -> Result<Offset, Fault> {
        // SAFETY: the library writes one word through the pointer, if any, before it returns.
        number(|offset| unsafe { sys::nrf_modem_delta_dfu_offset(offset) }).map(Offset::from_raw)
    }

    fn write_init(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; where the library is not initialized it says so.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_write_init() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        // The library takes no empty write.
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: so many bytes are there to be read until the call returns, and the library only reads them.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_write(bytes.as_ptr().cast(), bytes.len()) })
    }

    fn write_done(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; where the library is not initialized it says so.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_write_done() })
    }

    fn erase(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; where the library is not initialized it says so.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_erase() })?;
        self.is_scheduled = false;
        Ok(())
    }

    fn update(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; where the library is not initialized it says so.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_update() })?;
        self.is_scheduled = true;
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; where the library is not initialized it says so.
        Fault::check(unsafe { sys::nrf_modem_delta_dfu_rollback() })?;
        self.is_scheduled = true;
        Ok(())
    }

    fn is_scheduled(&self) -> bool {
        self.is_scheduled
    }
}

/// A number that the library writes to where it is told.
fn number(call: impl FnOnce(*mut usize) -> c_int) -> Result<u32, Fault> {
    let mut number = 0_usize;
    Fault::check(call(&raw mut number))?;
    // Both have 32 bits here.
    Ok(number as u32)
}
