//! UDP sockets.

use core::marker::PhantomData;

use embedded_hal_async::delay::DelayNs;
use embedded_nal_async::{AddrType, ConnectedUdp, Dns, UdpStack};
use fota_download::coap::{Datagram, Datagrams, Security};

use super::{Error, Limits, Step, resolve};
use crate::timely::within;

/// Opens UDP sockets through a stack, its DNS, a delay and a clock: the time in milliseconds, from any moment on. There
/// is no DTLS: `coaps` is refused.
#[derive(Debug)]
pub struct Udp<'s, U, R, D, N> {
    stack: &'s U,
    dns: R,
    delay: D,
    now_ms: N,
    limits: Limits,
}

impl<'s, U: UdpStack, R: Dns, D: DelayNs + Clone, N: Fn() -> u32> Udp<'s, U, R, D, N> {
    /// 10 s to open a socket, 30 s for a datagram to go. DNS may be a reference, to the same
    /// stack for instance. After the largest
    /// number of milliseconds, the clock's next is 0.
    pub const fn new(stack: &'s U, dns: R, delay: D, now_ms: N) -> Self {
        Self { stack, dns, delay, now_ms, limits: Limits::DEFAULT }
    }

    /// How many milliseconds each step of opening a socket may take: the name, the socket.
    pub const fn connect_limit(mut self, ms: u32) -> Self {
        self.limits.opening = ms;
        self
    }

    /// How many milliseconds it may take to send a datagram. How long a socket waits for one is said to it each time.
    pub const fn idle_limit(mut self, ms: u32) -> Self {
        self.limits.idle = ms;
        self
    }

    /// Which addresses of a name will do; either, where nothing is said.
    pub fn addresses(mut self, addresses: AddrType) -> Self {
        self.limits.addresses = addresses;
        self
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves open what the stack's leaves open.
impl<U, R, D, N> Datagrams for Udp<'_, U, R, D, N>
where
    U: UdpStack,
    U::Error: 'static,
    R: Dns,
    R::Error: 'static,
    D: DelayNs + Clone,
    N: Fn() -> u32,
{
    type Error = Error<U::Error, R::Error>;
    type Socket<'c>
        = Socket<'c, U::Connected, D, N, R::Error>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Self::Socket<'c>, Self::Error> {
        if security != Security::None {
            return Err(Error::NotSecure);
        }
        let mut delay = self.delay.clone();
        let address = resolve(&self.dns, &mut delay, &self.limits, host, port).await?;
        let opened = within(self.stack.connect(address), delay.delay_ms(self.limits.opening)).await;
        let (_, socket) = opened.ok_or(Error::TimedOut(Step::Connect))?.map_err(Error::Connect)?;
        Ok(Socket { socket, delay, now_ms: &self.now_ms, idle: self.limits.idle, dns: PhantomData })
    }
}

/// A UDP socket that talks to one server; the stack leaves out what comes from elsewhere.
///
/// # Cancellation
///
/// That of the stack's socket.
#[derive(Debug)]
pub struct Socket<'c, S, D, N, R> {
    socket: S,
    delay: D,
    now_ms: &'c N,
    idle: u32,
    dns: PhantomData<fn() -> R>,
}

impl<S: ConnectedUdp, D: DelayNs, N: Fn() -> u32, R> Datagram for Socket<'_, S, D, N, R> {
    type Error = Error<S::Error, R>;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error> {
        let sent = within(self.socket.send(datagram), self.delay.delay_ms(self.idle)).await;
        sent.ok_or(Error::TimedOut(Step::Data))?.map_err(Error::Io)
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Self::Error> {
        let len = buf.len();
        // Some stacks see what is there once they were given a moment.
        match within(self.socket.receive_into(buf), self.delay.delay_ms(timeout_ms.max(1))).await {
            None => Ok(None),
            // It tells how long the datagram was, not how much of it there is.
            Some(Ok(count)) => Ok(Some(count.min(len))),
            Some(Err(error)) => Err(Error::Io(error)),
        }
    }

    fn now_ms(&self) -> u32 {
        (self.now_ms)()
    }
}
