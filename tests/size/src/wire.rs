use core::hint::black_box;

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use fota_download::Connect;
use fota_download::coap::{Datagram, Datagrams, Security};
use fota_download::connect::{Failure, Server};

/// A connection about which the optimizer knows nothing.
pub struct Wire;

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        receive(bytes)
    }
}

impl Write for Wire {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        send(bytes)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[inline(never)]
fn receive(bytes: &mut [u8]) -> Result<usize, ErrorKind> {
    let length = bytes.len();
    black_box(bytes);
    black_box(Ok(length))
}

#[inline(never)]
fn send(bytes: &[u8]) -> Result<usize, ErrorKind> {
    black_box(bytes);
    black_box(Ok(bytes.len()))
}

/// Opens a [`Wire`] to wherever.
pub struct Net;

impl Connect for Net {
    type Error = ErrorKind;
    type Conn<'c> = Wire;

    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Wire, ErrorKind> {
        connect(server).map(|()| Wire)
    }

    fn failure(error: &ErrorKind) -> Failure {
        failure(*error)
    }
}

#[inline(never)]
fn connect(server: Server<'_>) -> Result<(), ErrorKind> {
    black_box(server);
    black_box(Ok(()))
}

#[inline(never)]
fn failure(error: ErrorKind) -> Failure {
    black_box(error);
    black_box(Failure::Network)
}

/// Datagrams over the same wire.
impl Datagrams for Net {
    type Error = ErrorKind;
    type Socket<'c> = Wire;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Wire, ErrorKind> {
        black_box(security);
        connect(Server { host, port, tls: false }).map(|()| Wire)
    }
}

impl Datagram for Wire {
    type Error = ErrorKind;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), ErrorKind> {
        send(datagram).map(|_| ())
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, ErrorKind> {
        wait(timeout_ms);
        receive(buf).map(|count| black_box(Some(count)))
    }

    fn now_ms(&self) -> u32 {
        black_box(0)
    }
}

/// A clock that stands still.
#[derive(Clone, Copy)]
pub struct Clock;

impl DelayNs for Clock {
    async fn delay_ns(&mut self, ns: u32) {
        wait(ns);
    }
    async fn delay_ms(&mut self, ms: u32) {
        wait(ms);
    }
}

#[inline(never)]
fn wait(time: u32) {
    black_box(time);
}
