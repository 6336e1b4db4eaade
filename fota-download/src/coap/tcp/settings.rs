//! What a caller may choose.

/// How to download: by default messages of up to 8 blocks of 1024 bytes, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settings {
    pub(super) random: u32,
    pub(super) message: u32,
    pub(super) szx: u8,
    pub(super) window: u8,
}

/// The most requests that may be open at a time.
pub const MAX_WINDOW: u8 = 8;

/// What counts as the longest message where nothing is said (RFC 8323, 5.3.1). Only who takes longer ones takes BERT.
pub(super) const BASE: u32 = 1152;

impl Settings {
    /// `random` makes tokens that no two downloads share: from the hardware's random numbers, another one each time.
    pub const fn new(random: u32) -> Self {
        // What else a message has fits beside 8 blocks.
        Self { random, message: 8 * 1024 + 128, szx: 6, window: 1 }
    }

    /// What a file's settings say of other transports, too.
    #[cfg(feature = "remote")]
    pub(crate) const fn of(settings: crate::coap::Settings) -> Self {
        let new = Self::new(settings.random as u32).window(settings.window);
        Self { szx: settings.szx, ..new }
    }

    /// The largest block to ask for, in bytes: 16 to 1024, rounded down to a power of two. The server may choose a
    /// smaller one. Below 1024 there is no BERT.
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

    /// The longest message that the server may send, in bytes (Max-Message-Size): 1152 at least, which is also how
    /// BERT is done without, and 8320 by default. It costs no memory. A longer one saves round trips, as far as the
    /// connection can have so many bytes on their way, and over TLS makes longer records, which some modems can't
    /// receive: where [`Connect::failure`](crate::Connect::failure) says `TooBig`, the source comes down to 1152 by
    /// itself.
    ///
    /// A server may hold it against us and send more: that works, too.
    pub const fn message(mut self, bytes: u32) -> Self {
        self.message = if bytes < BASE { BASE } else { bytes };
        self
    }

    /// How many requests may be open at a time, at most: 1 to [`MAX_WINDOW`], 1 by default. With more than one, the
    /// next messages are asked for while one is on its way, which hides the round trips. A server must bear several
    /// requests of one client. One that refuses those, or answers them in another order, is asked for one at a time
    /// from then on.
    pub const fn window(mut self, requests: u8) -> Self {
        self.window = match requests {
            0 => 1,
            1..MAX_WINDOW => requests,
            _ => MAX_WINDOW,
        };
        self
    }
}
