//! [`Network`]: a server behind a link of some rate and latency that loses packets and connections, in virtual time.

mod conn;
mod web;

pub use conn::Conn;
pub use web::{Answer, Then, file, range};

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;

use embedded_io_async::ErrorKind;
use fota_download::connect::{Connect, Server};

use crate::time::Timeline;

/// What lies between a device and its server.
///
/// Bytes come in packets of 512, one behind the other. A packet that gets lost comes a retransmission later, and what
/// is behind it waits. The server sends as much as the receive window has room for, and learns of more room half a
/// round trip after the device has read.
#[derive(Clone, Debug)]
pub struct Link {
    rate: u32,
    round_trip: Duration,
    window: usize,
    piece: usize,
    lost: u32,
    retransmission: Duration,
    resets: Option<RangeInclusive<usize>>,
    outages: Vec<Range<Duration>>,
    timeout: Duration,
    seed: u64,
}

impl Link {
    /// A link of so many bytes a second, with a receive window of 4 KiB.
    pub fn new(rate: u32, round_trip: Duration) -> Self {
        Self {
            rate,
            round_trip,
            window: 4096,
            piece: usize::MAX,
            lost: 0,
            retransmission: Duration::from_secs(1),
            resets: None,
            outages: Vec::new(),
            timeout: Duration::from_secs(60),
            seed: 1,
        }
    }

    /// How many bytes may be on their way or unread.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// The most bytes that one read gives: 1 gives byte by byte.
    #[must_use]
    pub fn piece(mut self, bytes: usize) -> Self {
        self.piece = bytes;
        self
    }

    /// Of 1000 packets, so many get lost, and come `later`.
    #[must_use]
    pub fn loses(mut self, of_1000: u32, later: Duration) -> Self {
        (self.lost, self.retransmission) = (of_1000, later);
        self
    }

    /// Each connection is reset after as many bytes as chance says, from this range.
    #[must_use]
    pub fn resets_after(mut self, bytes: RangeInclusive<usize>) -> Self {
        self.resets = Some(bytes);
        self
    }

    /// There is no server in this time: connections are reset, and none can be opened, which takes a round trip.
    #[must_use]
    pub fn down(mut self, time: Range<Duration>) -> Self {
        self.outages.push(time);
        self
    }

    /// A read that waits for so long fails: 60 seconds without.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Other losses and resets.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn time_of(&self, bytes: usize) -> Duration {
        Duration::from_nanos((bytes as u64 * 1_000_000_000).div_ceil(self.rate.into()))
    }
}

/// What a server does with the bytes that came since its last answer; `None`: it waits for more.
type Serve = Box<dyn FnMut(&[u8]) -> Option<Answer>>;

/// A server behind a [`Link`], for `Http` and `CoapTcp`. Clones are the same.
///
/// ```
/// use core::time::Duration;
/// use dfu_testkit::network::{Link, Network, file};
/// use dfu_testkit::time::Timeline;
/// use fota_download::{Http, Source};
///
/// let time = Timeline::default();
/// let image = vec![7; 30_000];
/// let network = Network::new(&time, Link::new(30_000, Duration::from_millis(100)), file(&image, "\"v1\""));
/// let mut head = [0; 1024];
/// let mut source = Http::new(&network, "http://server/app.bin", &mut head).unwrap();
/// time.run(async {
///     source.open(0).await.unwrap();
///     while source.read(&mut [0; 512]).await.unwrap() > 0 {}
/// });
/// // Two round trips, and a second for the file.
/// assert!((1.200..1.210).contains(&time.now().as_secs_f64()));
/// ```
#[derive(Clone)]
pub struct Network {
    time: Timeline,
    link: Link,
    serve: Rc<RefCell<Serve>>,
    random: Rc<RefCell<fastrand::Rng>>,
    record: Rc<RefCell<Record>>,
}

/// What came to pass.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When each connection was asked for.
    pub attempts: Vec<Duration>,
    /// When each connection was reset, or refused.
    pub failures: Vec<Duration>,
    /// How many bytes were read.
    pub given: usize,
    /// And by how many reads.
    pub reads: usize,
    /// How many bytes were sent.
    pub taken: usize,
    /// How many packets got lost.
    pub lost: usize,
}

impl Network {
    /// A server that `serve` is; [`file()`] and [`Answer`] make some.
    pub fn new(time: &Timeline, link: Link, serve: impl FnMut(&[u8]) -> Option<Answer> + 'static) -> Self {
        let random = Rc::new(RefCell::new(fastrand::Rng::with_seed(link.seed)));
        let serve = Rc::new(RefCell::new(Box::new(serve) as Serve));
        Self { time: time.clone(), link, serve, random, record: Rc::default() }
    }

    /// A server that gives one answer after the other, each to an HTTP request. After the last it says nothing more.
    pub fn script(time: &Timeline, link: Link, answers: impl IntoIterator<Item = Answer, IntoIter: 'static>) -> Self {
        let mut answers = answers.into_iter();
        Self::new(time, link, move |request| if request.ends_with(b"\r\n\r\n") { answers.next() } else { None })
    }

    /// What came to pass up to now.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// The outage that begins within this time, or began before and is not over.
    fn outage(&self, from: Duration, to: Duration) -> Option<Duration> {
        let meets = |outage: &&Range<Duration>| outage.start <= to && from < outage.end;
        self.link.outages.iter().filter(meets).map(|outage| outage.start.max(from)).min()
    }

    fn failed(&self, kind: ErrorKind) -> ErrorKind {
        self.record.borrow_mut().failures.push(self.time.now());
        kind
    }
}

impl Connect for Network {
    type Error = ErrorKind;
    type Conn<'c> = Conn<'c>;
    const TLS: bool = false;

    async fn connect<'c>(&'c self, _: Server<'_>) -> Result<Conn<'c>, ErrorKind> {
        let from = self.time.now();
        self.record.borrow_mut().attempts.push(from);
        self.time.sleep(self.link.round_trip).await;
        if self.outage(from, self.time.now()).is_some() {
            return Err(self.failed(ErrorKind::ConnectionRefused));
        }
        let left = self.link.resets.clone().map_or(usize::MAX, |range| self.random.borrow_mut().usize(range));
        Ok(Conn::new(self, left))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("link", &self.link).field("record", &self.record).finish_non_exhaustive()
    }
}
