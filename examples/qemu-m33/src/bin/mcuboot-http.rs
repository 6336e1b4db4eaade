//! `dfu_apps::mcuboot` on the chip: the next image from a server, over embassy-net, into the slots of a simulated
//! nRF9160. From power-on to the next reset; each start is another run of QEMU.
//!
//! Arguments, each `name=value`: `url`; `digest`, the file's SHA-256; `cut`, after how many words and erases the power
//! fails; `rules=1`, to ask for a signature by the tests' Ed25519 key and for no older version; `window`, of CoAP;
//! `random`, as there is nothing in the machine to draw from; `stack`, how many bytes of it there are; `starve`, after
//! how many ticks of its work the program forgets the watchdog.
#![no_std]
#![no_main]

use core::fmt::Display;
use core::panic::PanicInfo;
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering};

use defmt::{Display2Format, error, info, warn};
use defmt_semihosting as _;
use dfu_apps::{Event, Means, Next, mcuboot};
use dfu_qemu_m33::console::{self, Arguments};
use dfu_qemu_m33::ethernet::Ethernet;
use dfu_qemu_m33::executor;
use dfu_qemu_m33::flash::{self, Cut, Flash, Timed};
use dfu_qemu_m33::stack::{self, Measured};
use dfu_qemu_m33::watchdog;
use dfu_target::ImageId;
use dfu_target::digest::{Digest, SoftSha256};
use dfu_target::flash::{Layout, Shared};
use dfu_target_mcuboot::signature::Ed25519;
use dfu_target_mcuboot::{Config, Mode, Rules, Slots, VersionRule};
use embassy_executor::Spawner;
use embassy_net::udp::PacketMetadata;
use embassy_net::{Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_time::{Delay, Duration, Instant, Ticker, Timer};
use fota_connectors::embassy_net::{Tcp, Udp};
use fota_download::coap::{self, Settings};
use fota_download::source::{Call, Meta};
use fota_download::{Control, Job, Remote, Source};
use static_cell::{ConstStaticCell, StaticCell};

#[cortex_m_rt::entry]
fn main() -> ! {
    static ARGUMENTS: StaticCell<Arguments> = StaticCell::new();
    let arguments: &'static Arguments = ARGUMENTS.init(Arguments::get());
    if let Some(bytes) = arguments.number("stack") {
        stack::limit(bytes);
    }
    watchdog::start();
    executor::run(|spawner| start(spawner, arguments))
}

// What it makes is on the stack as long as it runs, and not below all that the tasks do.
#[inline(never)]
fn start(spawner: Spawner, arguments: &'static Arguments) {
    static RESOURCES: StaticCell<StackResources<4>> = StaticCell::new();
    let address = StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24),
        gateway: Some(Ipv4Address::new(10, 0, 2, 2)),
        dns_servers: Default::default(),
    };
    let config = embassy_net::Config::ipv4_static(address);
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(Ethernet::start(), config, resources, random(arguments));
    let tasks = (network(runner), work(arguments), awake(), update(stack, arguments));
    let (Ok(network), Ok(work), Ok(awake), Ok(update)) = tasks else { defmt::panic!("each task is there once") };
    spawner.spawn(network);
    spawner.spawn(work);
    spawner.spawn(awake);
    spawner.spawn(update);
}

#[embassy_executor::task]
async fn network(mut runner: embassy_net::Runner<'static, Ethernet>) -> ! {
    runner.run().await
}

/// What the device is there for: goes on while it is updated, and when that fails. The watchdog sees to it.
#[embassy_executor::task]
async fn work(arguments: &'static Arguments) {
    let starve = arguments.number("starve").unwrap_or(u32::MAX);
    let mut ticker = Ticker::every(Duration::from_millis(100));
    loop {
        ticker.next().await;
        if TICKS.fetch_add(1, Ordering::Relaxed) < starve {
            watchdog::feed();
        }
    }
}

/// QEMU's network looks at what was sent when something else wakes it.
#[embassy_executor::task]
async fn awake() {
    loop {
        Timer::after_millis(2).await;
    }
}

#[embassy_executor::task]
async fn update(network: Stack<'static>, arguments: &'static Arguments) {
    let measured = pin!(Measured::new(run(network, arguments), |bytes| STACK.store(bytes as u32, Ordering::Relaxed)));
    let state = size_of_val(&*measured);
    let done = measured.await;
    let ticks = TICKS.load(Ordering::Relaxed);
    if done.is_err() {
        Timer::after_secs(1).await;
    }
    let ticks = (ticks, TICKS.load(Ordering::Relaxed));
    costs();
    info!("ram {} bytes of stack, {} of the future", STACK.load(Ordering::Relaxed), state);
    info!("stack limit {} bytes", stack::size());
    info!("work {} ticks, {} after that; longest turn {} us", ticks.0, ticks.1 - ticks.0, executor::longest_turn());
    match done {
        Ok(Next::Reset) => info!("reset"),
        Ok(Next::Nothing) => info!("nothing to do"),
        Err(Failed) => console::exit(1),
    }
    console::exit(0)
}

/// From power-on to the next reset.
async fn run(stack: Stack<'static>, arguments: &'static Arguments) -> Result<Next, Failed> {
    let url = arguments.value("url").unwrap_or_default();
    let digest = arguments.value("digest").and_then(hex).map(Digest);
    let cut = arguments.number("cut").map(|after| Cut { after, last: power_fails });
    let mut shared = Shared::new(Timed(Flash::new(cut)));
    let regions = shared.split(const { &Layout::<Timed, 3>::new([flash::PRIMARY, flash::SECONDARY, flash::LOG]) });

    let buffers = BUFFERS.take();
    let Buffers { network, file: buffer, chunks: [one, two] } = buffers;
    let mut sockets = None;
    let sockets = connect(&mut sockets, stack, network);
    let mut file = None;
    let file = open(&mut file, sockets, arguments, buffer)?;

    let job = digest.map_or_else(|| Job::new(ImageId::named(url)), Job::of);
    let control = Control::new();
    let means = Means { file, clock: &mut Delay, control: &control, buffers: [&mut one.0, &mut two.0] };
    let (mut engine, mut rules) = (SoftSha256::default(), None);
    if arguments.value("rules").is_some() {
        demand(&mut rules)?;
    }
    let checks = (&mut engine, rules.as_mut());
    let done = mcuboot::run::<_, _, _, _, _, 256>(regions, &SLOTS, checks, (job, digest), means, tell()).await;
    done.map_err(|reason| failed("update", &reason))
}

type File<'f> = Metered<Remote<'f, 'static, Tcp<'static>, Udp<'static>>>;

type Sockets = (Tcp<'static>, Udp<'static>);

/// The sockets. Like what follows, they are put where they stay: what is only moved there takes stack all the time.
#[inline(never)]
fn connect<'p>(place: &'p mut Option<Sockets>, stack: Stack<'static>, network: &'static mut Network) -> &'p Sockets {
    let Network { tcp_received, sent, meta_received, udp_received, meta_sent, udp_sent } = network;
    let tcp = Tcp::new(stack, tcp_received, sent);
    place.insert((tcp, Udp::new(stack, meta_received, udp_received, meta_sent, udp_sent)))
}

/// The file of the URL.
#[inline(never)]
fn open<'p, 'f>(
    place: &'p mut Option<File<'f>>,
    (tcp, udp): &'f Sockets,
    arguments: &'static Arguments,
    buffer: &'static mut [u8],
) -> Result<&'p mut File<'f>, Failed> {
    let url = arguments.value("url").unwrap_or_default();
    let window = arguments.number("window").unwrap_or(1).min(WINDOW as u32) as u8;
    let settings = Settings::new(random(arguments)).window(window);
    let file = Remote::new(tcp, udp, url, settings, buffer).map_err(|reason| failed(url, &reason))?;
    Ok(place.insert(Metered(file)))
}

/// What is demanded of an image with `rules=1`: no older one, signed by the bootloader's key.
#[inline(never)]
fn demand(place: &mut Option<Rules<'static, SoftSha256, Ed25519>>) -> Result<(), Failed> {
    let rules = Rules::new(SoftSha256::default()).version(VersionRule::NewerOrEqual);
    *place = Some(rules.signed(Ed25519, &[KEY]).map_err(|reason| failed("the key", &reason))?);
    Ok(())
}

/// It was told why.
struct Failed;

fn failed(what: &str, reason: &dyn Display) -> Failed {
    error!("{}: {}", what, Display2Format(reason));
    Failed
}

/// Writes down how it goes, once for each 64 KiB.
fn tell() -> impl FnMut(Event) {
    let mut next = 0;
    move |event| match event {
        Event::Runs(state) => info!("boot {}", state),
        Event::Goes(fota_download::Event::Opening(report)) => info!("open from {}", report.offset),
        Event::Goes(fota_download::Event::Receiving(report)) => {
            if report.offset >= next {
                info!("receive {} of {}, {} safe", report.offset, report.size, report.durable);
                next = (report.offset / 65_536 + 1) * 65_536;
            }
        }
        Event::Goes(fota_download::Event::Waiting(report)) => {
            warn!("{} at {} ms", report.step, Instant::now().as_millis())
        }
        Event::Goes(event) => info!("{}", event),
        event => info!("{}", event),
    }
}

/// What it took, up to here.
fn costs() {
    let (words, pages) = flash::counts();
    info!("flash {} words programmed, {} pages erased", words, pages);
    info!("fetched {} bytes", FETCHED.load(Ordering::Relaxed));
}

fn power_fails() -> ! {
    costs();
    info!("power fails");
    console::exit(3)
}

/// A source whose bytes are counted.
struct Metered<S>(S);

impl<S: Source> Source for Metered<S> {
    type Error = S::Error;

    async fn open(&mut self, from: u32) -> Result<Meta, S::Error> {
        self.0.open(from).await
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, S::Error> {
        let count = self.0.read(buf).await?;
        FETCHED.fetch_add(count as u32, Ordering::Relaxed);
        Ok(count)
    }

    fn paid(&self) -> u32 {
        self.0.paid()
    }

    fn close(&mut self) {
        self.0.close();
    }

    async fn call(&mut self, call: Call<'_>) -> Result<(), S::Error> {
        match call {
            Call::Open(from, meta) => *meta = self.open(from).await?,
            Call::Read(buf, count) => *count = self.read(buf).await?,
        }
        Ok(())
    }
}

/// What the bootloader was built with.
const SLOTS: Slots = Slots::new::<Timed>(flash::PRIMARY.1, Config::new(Mode::SwapMove));
/// The bootloader's key.
const KEY: &[u8] = include_bytes!("../../../../tests/fixtures/keys/test-only-ed25519.pub.der");
/// The most blocks of CoAP that may be on their way.
const WINDOW: usize = 4;

/// What is on its way, not in the future, which is moved while it is made.
struct Buffers {
    network: Network,
    /// For a request, the head of an answer, blocks before their turn.
    file: [u8; coap::space(1024, WINDOW as u8)],
    chunks: [Aligned; 2],
}

struct Network {
    tcp_received: [u8; 4096],
    sent: [u8; 1024],
    meta_received: [PacketMetadata; WINDOW],
    udp_received: [u8; WINDOW * 1200],
    meta_sent: [PacketMetadata; WINDOW],
    udp_sent: [u8; 512],
}

/// For a flash driver that wants whole words.
#[repr(align(4))]
struct Aligned([u8; 1024]);

static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers {
    network: Network {
        tcp_received: [0; _],
        sent: [0; _],
        meta_received: [PacketMetadata::EMPTY; _],
        udp_received: [0; _],
        meta_sent: [PacketMetadata::EMPTY; _],
        udp_sent: [0; _],
    },
    file: [0; _],
    chunks: [Aligned([0; _]), Aligned([0; _])],
});

fn random(arguments: &Arguments) -> u64 {
    u64::from(arguments.number("random").unwrap_or(4)) << 32 | Instant::now().as_ticks()
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

static FETCHED: AtomicU32 = AtomicU32::new(0);
static STACK: AtomicU32 = AtomicU32::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    error!("{}", Display2Format(info));
    console::exit(101)
}
