//! The modem's memory for writing: reserved when it is needed, and given back whatever happens.

use crate::port::{Delta, Errno, Fault};

/// A modem, and whether its memory for writing is reserved. Dropping this gives it back.
#[derive(Debug)]
pub(super) struct Reserved<P: Delta> {
    port: P,
    is_reserved: bool,
}

impl<P: Delta> Reserved<P> {
    pub(super) fn new(port: P) -> Self {
        Self { port, is_reserved: false }
    }

    pub(super) fn port(&mut self) -> &mut P {
        &mut self.port
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if !self.is_reserved {
            match self.port.write_init() {
                Ok(()) | Err(Fault::Errno(Errno::Already)) => self.is_reserved = true,
                Err(fault) => return Err(fault),
            }
        }
        self.port.write(bytes)
    }

    /// Gives the memory back, and says whether the modem has all that it was given.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        if core::mem::take(&mut self.is_reserved) { self.port.write_done() } else { Ok(()) }
    }

    /// Gives the memory back, after a failure of which more is known.
    pub(super) fn done(&mut self) {
        let _ = self.finish();
    }
}

impl<P: Delta> Drop for Reserved<P> {
    fn drop(&mut self) {
        self.done();
    }
}
