//! What a caller may choose.

/// How to download: by default blocks of 1024 bytes, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings {
    pub(super) random: u64,
    pub(super) szx: u8,
    pub(super) window: u8,
    pub(super) retransmissions: u8,
}

/// The most blocks that may be asked for at a time.
pub const MAX_WINDOW: u8 = 8;

impl Settings {
    /// `random` makes message ids and tokens that nobody can guess, and no two downloads share: from the hardware's
    /// random numbers, another one each time.
    pub const fn new(random: u64) -> Self {
        Self { random, szx: 6, window: 1, retransmissions: 4 }
    }

    /// The largest block to ask for, in bytes: 16 to 1024, rounded down to a power of two. The server may choose a
    /// smaller one, and so does a small buffer.
    pub const fn block(mut self, bytes: u16) -> Self {
        self.szx = match bytes {
            1024.. => 6,
            512.. => 5,
            256.. => 4,
            128.. => 3,
            64.. => 2,
            32.. => 1,
            _ => 0,
        };
        self
    }

    /// How many blocks may be asked for at a time, at most: 1 to [`MAX_WINDOW`]. With more than one, a server must
    /// bear several requests of one client (RFC 7252, 4.7); their number is halved when one is lost.
    pub const fn window(mut self, blocks: u8) -> Self {
        self.window = match blocks {
            0 => 1,
            1..MAX_WINDOW => blocks,
            _ => MAX_WINDOW,
        };
        self
    }

    /// How often a request is sent again before the download fails: 4 by default.
    pub const fn retransmissions(mut self, times: u8) -> Self {
        self.retransmissions = if times > 20 { 20 } else { times };
        self
    }
}
