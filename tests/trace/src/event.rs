//! [`Event`]: what is in a trace.

use embedded_io_async::ErrorKind;
use embedded_storage::nor_flash::NorFlashErrorKind;
use embedded_storage_async::nor_flash::NorFlash;

/// The version of the format.
pub const VERSION: u8 = 1;

/// What was asked of the flash or the connection, or what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'t> {
    /// The trace begins, or the program does once more after a reset.
    Start(Geometry),
    /// The flash is to be read.
    Read {
        /// From this address on.
        at: u32,
        /// So many bytes.
        len: u32,
    },
    /// The flash is to be programmed.
    Write {
        /// From this address on.
        at: u32,
        /// So many bytes.
        len: u32,
        /// Their CRC-32.
        sum: u32,
    },
    /// The flash is to be erased.
    Erase {
        /// From this address on.
        at: u32,
        /// So many bytes.
        len: u32,
    },
    /// It was read; the CRC-32 of what it gave.
    Fetched {
        /// The CRC-32 of the bytes.
        sum: u32,
    },
    /// It was written, or erased.
    Done,
    /// The flash failed.
    Failed(NorFlashErrorKind),
    /// A connection is to be opened.
    Open {
        /// With TLS.
        tls: bool,
        /// To this port.
        port: u16,
        /// Of this host: the first 64 bytes of its name.
        host: &'t [u8],
    },
    /// Bytes are to be sent.
    Send {
        /// So many are offered.
        len: u32,
        /// Their CRC-32.
        sum: u32,
    },
    /// What was sent is to leave.
    Flush,
    /// Bytes are waited for.
    Receive {
        /// There is room for so many.
        len: u32,
    },
    /// The connection is open, or flushed.
    Ready,
    /// Of the bytes offered, so many were taken.
    Sent {
        /// The first so many.
        len: u32,
    },
    /// Bytes came.
    Received {
        /// So many; 0: the peer has closed.
        len: u32,
        /// Their CRC-32.
        sum: u32,
    },
    /// The connection failed, or could not be opened.
    Broken {
        /// How.
        kind: ErrorKind,
        /// Where.
        about: About,
    },
    /// The connection was closed by who opened it.
    Close,
    /// Some of the bytes of the event before: up to 64.
    Data(&'t [u8]),
    /// The program's own: [`Recorder::mark`](crate::Recorder::mark).
    Mark(u32),
    /// The sink did not take so many events here.
    Lost(u32),
}

/// A flash's sizes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// What is programmed at once, at least.
    pub write: u32,
    /// What is erased at once, at least.
    pub erase: u32,
    /// What is read at once, at least.
    pub read: u32,
    /// All of it.
    pub capacity: u32,
}

impl Geometry {
    /// A flash's own.
    pub fn of<F: NorFlash>(flash: &F) -> Self {
        let [write, erase, read, capacity] = [F::WRITE_SIZE, F::ERASE_SIZE, F::READ_SIZE, flash.capacity()].map(length);
        Self { write, erase, read, capacity }
    }
}

/// What a connection's error is about; `fota_download::connect::Failure` has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The network or the server.
    Network,
    /// TLS.
    Tls,
    /// A TLS record that is too long.
    TooBig,
}

/// A length as it is written down.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The numbers of the flash's errors are their places here.
pub(crate) const FLASH_ERRORS: [NorFlashErrorKind; 3] =
    [NorFlashErrorKind::Other, NorFlashErrorKind::NotAligned, NorFlashErrorKind::OutOfBounds];

/// The numbers of what a connection's errors are about.
pub(crate) const ABOUT: [About; 3] = [About::Network, About::Tls, About::TooBig];

/// The numbers of a connection's errors are their places here.
pub(crate) const ERRORS: [ErrorKind; 18] = [
    ErrorKind::Other,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::ConnectionAborted,
    ErrorKind::NotConnected,
    ErrorKind::AddrInUse,
    ErrorKind::AddrNotAvailable,
    ErrorKind::BrokenPipe,
    ErrorKind::AlreadyExists,
    ErrorKind::InvalidInput,
    ErrorKind::InvalidData,
    ErrorKind::TimedOut,
    ErrorKind::Interrupted,
    ErrorKind::Unsupported,
    ErrorKind::OutOfMemory,
    ErrorKind::WriteZero,
];
