//! TCP connections, which end by themselves when nothing comes.

use core::marker::PhantomData;

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use fota_download::connect::{Connect, Failure, Server};

use super::{Error, Limits, Step, resolve};
use crate::timely::within;

/// Opens TCP connections through a stack, its DNS and a delay. There is no TLS: `https` is refused.
#[derive(Clone, Debug)]
pub struct Tcp<T, R, D> {
    stack: T,
    dns: R,
    delay: D,
    limits: Limits,
}

impl<T: TcpConnect, R: Dns, D: DelayNs + Clone> Tcp<T, R, D> {
    /// 10 s to connect, 30 s of silence. The stack and its DNS may be references, to the same one for instance.
    pub const fn new(stack: T, dns: R, delay: D) -> Self {
        Self { stack, dns, delay, limits: Limits::DEFAULT }
    }

    /// How many milliseconds each step of opening a connection may take: the name, the connection.
    pub const fn connect_limit(mut self, ms: u32) -> Self {
        self.limits.opening = ms;
        self
    }

    /// How many milliseconds a connection waits for the server before it ends, with [`Step::Data`].
    pub const fn idle_limit(mut self, ms: u32) -> Self {
        self.limits.idle = ms;
        self
    }

    /// Which addresses of a name will do; either, where nothing is said. DNS gives one, and no other is tried.
    pub fn addresses(mut self, addresses: AddrType) -> Self {
        self.limits.addresses = addresses;
        self
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves open what the stack's leaves open.
impl<T, R, D> Connect for Tcp<T, R, D>
where
    T: TcpConnect,
    T::Error: 'static,
    R: Dns,
    R::Error: 'static,
    D: DelayNs + Clone,
{
    type Error = Error<T::Error, R::Error>;
    type Conn<'c>
        = Conn<T::Connection<'c>, D, R::Error>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Self::Conn<'c>, Self::Error> {
        if server.tls {
            return Err(Error::NotSecure);
        }
        let mut delay = self.delay.clone();
        let address = resolve(&self.dns, &mut delay, &self.limits, server.host, server.port).await?;
        let conn = within(self.stack.connect(address), delay.delay_ms(self.limits.opening)).await;
        let conn = conn.ok_or(Error::TimedOut(Step::Connect))?.map_err(Error::Connect)?;
        Ok(Conn { conn, delay, idle: self.limits.idle, dns: PhantomData })
    }

    fn failure(error: &Self::Error) -> Failure {
        if matches!(error, Error::NotSecure) { Failure::Tls } else { Failure::Network }
    }
}

/// An open connection. Dropping it closes it.
///
/// # Cancellation
///
/// That of the stack's connection.
#[derive(Debug)]
pub struct Conn<C, D, R> {
    conn: C,
    delay: D,
    idle: u32,
    /// The error is that of `Tcp`, which has this in it.
    dns: PhantomData<fn() -> R>,
}

impl<C: ErrorType, D, R: core::fmt::Debug> ErrorType for Conn<C, D, R>
where
    C::Error: 'static,
{
    type Error = Error<C::Error, R>;
}

impl<C: Read, D: DelayNs, R: core::fmt::Debug> Read for Conn<C, D, R>
where
    C::Error: 'static,
{
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        timely(within(self.conn.read(buf), self.delay.delay_ms(self.idle)).await)
    }
}

impl<C: Write, D: DelayNs, R: core::fmt::Debug> Write for Conn<C, D, R>
where
    C::Error: 'static,
{
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        timely(within(self.conn.write(bytes), self.delay.delay_ms(self.idle)).await)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        timely(within(self.conn.flush(), self.delay.delay_ms(self.idle)).await)
    }
}

fn timely<T, E, R>(result: Option<Result<T, E>>) -> Result<T, Error<E, R>> {
    result.ok_or(Error::TimedOut(Step::Data))?.map_err(Error::Io)
}
