//! The modem's memory for writing: reserved when it is needed, and given back whatever happens.

use crate::port::{Code, Delta, Errno, Fault};

/// A modem, and what is known of its memory for writing. Dropping this gives it back.
#[derive(Debug)]
pub(super) struct Reserved<P: Delta> {
    port: P,
    memory: Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Free,
    Held,
    /// A call failed that reserves it or gives it back. While it is held the modem neither erases nor updates.
    Unknown,
}

impl<P: Delta> Reserved<P> {
    pub(super) fn new(port: P) -> Self {
        Self { port, memory: Memory::Free }
    }

    pub(super) fn port(&mut self) -> &mut P {
        &mut self.port
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.memory != Memory::Held {
            self.memory = Memory::Unknown;
            match self.port.write_init() {
                Ok(()) | Err(Fault::Errno(Errno::Already)) => self.memory = Memory::Held,
                Err(fault) => return Err(fault),
            }
        }
        self.port.write(bytes)
    }

    /// Gives the memory back, and says whether the modem has all that it was given.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        match core::mem::replace(&mut self.memory, Memory::Unknown) {
            Memory::Free => {}
            Memory::Held => self.port.write_done()?,
            // As a rule there is nothing to give back, and the modem says so.
            Memory::Unknown if self.port.write_done().is_err() => return Ok(()),
            Memory::Unknown => {}
        }
        self.memory = Memory::Free;
        Ok(())
    }

    /// Makes a call that the modem refuses while its memory for writing is held. Where it does, that may be by a target
    /// of before which could not give it back: then it is given back now, and the call made once more.
    pub(super) fn released(&mut self, call: fn(&mut P) -> Result<(), Fault>) -> Result<(), Fault> {
        match call(&mut self.port) {
            Err(Fault::Code(Code::InvalidOperation)) if self.port.write_done().is_ok() => {
                self.memory = Memory::Free;
                call(&mut self.port)
            }
            result => result,
        }
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
