//! A web server that follows a script, a target in RAM, a clock that only writes down.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dfu_target::target::{Assurance, Checked, Proof};
use dfu_target::{Applied, Digest, DfuTarget, ErrorKind, ErrorType, Image, ImageKind, Written};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorKind as IoError, Read, Write};
use fota_download::Connect;

pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Polls a few times, then drops the future.
pub fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
    }
    None
}

/// What a server sends, and what its connection does then.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    Keep,
    Close,
    Fail,
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self { bytes: text.into(), then: Then::Close }
    }
}

type Handler<'a> = Box<dyn FnMut(&str) -> Answer + 'a>;

/// A server: a function from a request to an answer.
pub struct Server<'a> {
    handler: RefCell<Handler<'a>>,
    pub requests: RefCell<Vec<String>>,
    /// Where each connection went.
    pub connections: RefCell<Vec<(String, u16)>>,
    /// The most bytes that a read gives.
    pub piece: Cell<usize>,
    /// Each read and write is pending once.
    pub slow: Cell<bool>,
    /// How many of the next connections can't be opened.
    pub down: Cell<usize>,
}

impl<'a> Server<'a> {
    pub fn new(handler: impl FnMut(&str) -> Answer + 'a) -> Self {
        Self {
            handler: RefCell::new(Box::new(handler)),
            requests: RefCell::default(),
            connections: RefCell::default(),
            piece: Cell::new(usize::MAX),
            slow: Cell::new(false),
            down: Cell::new(0),
        }
    }

    /// One answer after the other; after the last, connections fail.
    pub fn script(answers: impl IntoIterator<Item = Answer>) -> Server<'static> {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        Server::new(move |_| answers.pop_front().unwrap_or(Answer { bytes: Vec::new(), then: Then::Fail }))
    }

    pub fn request(&self, nth: usize) -> String {
        self.requests.borrow()[nth].clone()
    }
}

pub struct Conn<'s> {
    server: &'s Server<'s>,
    request: Vec<u8>,
    answer: VecDeque<u8>,
    then: Then,
}

impl Connect for Server<'_> {
    type Error = IoError;
    type Conn<'c>
        = Conn<'c>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, host: &str, port: u16) -> Result<Conn<'c>, IoError> {
        self.connections.borrow_mut().push((host.into(), port));
        if let Some(left) = self.down.get().checked_sub(1) {
            self.down.set(left);
            return Err(IoError::ConnectionRefused);
        }
        // A shorter lifetime for the handler's sake: it is behind a cell.
        let server: &'c Server<'c> = unsafe_free(self);
        Ok(Conn { server, request: Vec::new(), answer: VecDeque::new(), then: Then::Keep })
    }
}
