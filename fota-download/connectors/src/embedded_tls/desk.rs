//! Where the handle of a connection and the connection itself meet: one asks, the other answers.
//!
//! ```text
//!   Handle ── ask ──► op ──────► Session
//!          ◄───────── answer ◄──
//!                     bytes, there or back
//! ```

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use heapless::String;

use super::error::Error;

/// As many bytes pass at a time.
pub(super) const CHUNK: usize = 512;

pub(super) type Host = String<64>;

pub(super) struct Desk<E> {
    driven: bool,
    /// Counts connections: a handle knows its own.
    number: u32,
    /// Whether the last one's handle is there.
    held: bool,
    op: Option<Op>,
    answer: Option<Result<usize, Error<E>>>,
    answered: bool,
    bytes: [u8; CHUNK],
    waits: Option<Waker>,
}

pub(super) enum Op {
    Open(Host, u16),
    /// So many bytes, at most.
    Read(usize),
    /// So many of the bytes.
    Write(usize),
    Flush,
}

impl<E> Desk<E> {
    pub(super) const fn new() -> Self {
        Self {
            driven: false,
            number: 0,
            held: false,
            op: None,
            answer: None,
            answered: false,
            bytes: [0; CHUNK],
            waits: None,
        }
    }

    pub(super) fn take_answered(&mut self) -> bool {
        core::mem::take(&mut self.answered)
    }

    pub(super) fn take_op(&mut self) -> Option<Op> {
        self.op.take()
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn is_held(&self, number: u32) -> bool {
        self.held && self.number == number
    }

    /// The bytes that are to be written, or room for those that were read.
    pub(super) fn bytes(&mut self, count: usize) -> &mut [u8] {
        self.bytes.get_mut(..count).unwrap_or_default()
    }

    pub(super) fn give(&mut self, answer: Result<usize, Error<E>>) {
        self.answer = Some(answer);
        self.answered = true;
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

/// While it is there, somebody answers.
pub(super) struct Driven<'d, E>(&'d RefCell<Desk<E>>);

impl<'d, E> Driven<'d, E> {
    pub(super) fn new(desk: &'d RefCell<Desk<E>>) -> Self {
        desk.borrow_mut().driven = true;
        Self(desk)
    }
}

impl<E> Drop for Driven<'_, E> {
    fn drop(&mut self) {
        let mut desk = self.0.borrow_mut();
        // A handle that is left has nothing at its other end.
        desk.driven = false;
        desk.held = false;
        desk.op = None;
    }
}

/// A connection over TLS. Dropping it closes it.
pub struct Handle<'c, E> {
    desk: &'c RefCell<Desk<E>>,
    number: u32,
    /// An answer is outstanding.
    busy: bool,
}

impl<'c, E> Handle<'c, E> {
    pub(super) async fn open(desk: &'c RefCell<Desk<E>>, host: Host, port: u16) -> Result<Self, Error<E>> {
        let number = {
            let mut desk = desk.borrow_mut();
            desk.number = desk.number.wrapping_add(1);
            desk.held = true;
            desk.number
        };
        let mut handle = Self { desk, number, busy: false };
        handle.ask(Op::Open(host, port)).await.map(|_| handle)
    }

    pub(super) async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error<E>> {
        let most = buf.len().min(CHUNK);
        if most == 0 {
            return Ok(0);
        }
        let count = self.ask(Op::Read(most)).await?;
        let mut desk = self.desk.borrow_mut();
        buf.iter_mut().zip(desk.bytes(count)).for_each(|(to, byte)| *to = *byte);
        Ok(count)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error<E>> {
        let count = bytes.len().min(CHUNK);
        if count == 0 {
            return Ok(0);
        }
        if !self.busy {
            let mut desk = self.desk.borrow_mut();
            desk.bytes(count).iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
        }
        self.ask(Op::Write(count)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), Error<E>> {
        self.ask(Op::Flush).await.map(|_| ())
    }

    async fn ask(&mut self, op: Op) -> Result<usize, Error<E>> {
        if self.busy {
            return Err(Error::Dropped);
        }
        {
            let mut desk = self.desk.borrow_mut();
            if !desk.driven || !desk.is_held(self.number) {
                return Err(Error::NotDriven);
            }
            desk.op = Some(op);
            desk.answer = None;
        }
        self.busy = true;
        let answer = poll_fn(|cx| {
            let mut desk = self.desk.borrow_mut();
            match desk.answer.take() {
                Some(answer) => Poll::Ready(answer),
                None if !desk.driven => Poll::Ready(Err(Error::NotDriven)),
                None => {
                    desk.waits = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        self.busy = false;
        answer
    }
}

impl<E> Drop for Handle<'_, E> {
    fn drop(&mut self) {
        let mut desk = self.desk.borrow_mut();
        if desk.number == self.number {
            desk.held = false;
            desk.op = None;
            desk.answer = None;
        }
    }
}
