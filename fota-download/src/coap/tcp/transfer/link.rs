//! A connection: what is known of it, and what its end means.

use super::{Next, Transfer};
use crate::coap::Fault;
use crate::coap::tcp::settings::BASE;
use crate::connect::Failure;

/// What is known of a connection.
#[derive(Clone, Copy, Default)]
pub(super) struct Link {
    /// Our settings were sent; the server's came.
    pub(super) greeted: bool,
    pub(super) known: bool,
    /// By those, it knows blocks, and takes long messages.
    pub(super) blocks: bool,
    pub(super) long: bool,
    /// Something was answered over it.
    pub(super) answered: bool,
    /// The server may have closed it before it saw what is asked for now.
    pub(super) keep: bool,
    /// It wants no more requests over it, and for so many seconds no other one.
    pub(super) released: bool,
    pub(super) hold_off: u32,
}

impl Transfer<'_> {
    /// What to make of a failure of the connection; `None`: it is gone on after, as if it had been closed.
    pub(in crate::coap::tcp) fn failed(&mut self, failure: Failure) -> Option<Failure> {
        let mut failure = failure;
        if failure == Failure::TooBig && self.settings.message > BASE && self.step != Next::Connect {
            self.settings.message = BASE;
            self.link.keep = true;
            failure = Failure::Network;
        }
        if self.dying || failure == Failure::Network && self.may_reconnect() {
            return None;
        }
        self.step = Next::Begin;
        Some(failure)
    }

    /// Begins a connection.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.at = self.split;
        self.end = self.split;
        self.out = 0;
        self.out_end = 0;
        self.skip = 0;
        self.left = 0;
        self.link = Link::default();
        self.forget();
    }

    /// Whether the end of the connection is no error.
    fn may_reconnect(&self) -> bool {
        self.step != Next::Connect && (self.link.keep || self.may_move()) && self.knows_again()
    }

    /// Whether the server wants another connection, and that may be opened at once.
    pub(super) fn may_move(&self) -> bool {
        self.link.released && self.link.answered && self.link.hold_off == 0
    }

    /// Whether another file over another connection would be told from this one. A server that was started again may
    /// have one of the same length, and under the same name if that is a number.
    pub(super) fn knows_again(&self) -> bool {
        self.opening || self.meta.tag != 0
    }

    /// The connection is over.
    pub(super) fn closed(&mut self) -> Option<()> {
        if self.dying {
            return None;
        }
        if !self.may_reconnect() {
            let hold_off = self.link.hold_off;
            return self.fail(if self.link.released { Fault::Released { hold_off } } else { Fault::Closed });
        }
        self.connected = false;
        Some(())
    }
}
