//! A whole update over HTTP in virtual time: how long it takes, what breaks cost, and when it is tried again.

use std::time::Duration;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::{Digest, ProgressLog};
use dfu_target_mcuboot::{Active, Config, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::flash::{Chip, SimFlash, Timing};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::network::{Answer, Link, Network, Then, file, range};
use dfu_testkit::time::{Slow, Timeline};
use fota_download::{Control, Event, Http, Job, fota};

const SLOT: u32 = 0x4_0000;
const SLOTS: Slots = Slots::new::<Slow<4, 4096>>(SLOT, Config::new(Mode::SwapMove));
const ACTIVE: Active =
    Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn image(size: usize) -> ImageFile {
    ImageBuilder::new().version(2, 0, 0, 0).total_size(size).build()
}

/// The update over this network into this flash, in seconds up to the last byte and to the end; its pauses in
/// milliseconds.
fn update(time: &Timeline, network: &Network, image: &ImageFile, timing: Timing) -> (f64, f64, Vec<u32>) {
    let chip = Chip::new(SimFlash::<4, 4096>::new(SLOT as usize + 0x2000).timing(timing));
    let mut shared = Shared::new(Slow::new(chip.clone(), time.clone(), false));
    let [slot, log] = shared.split(&Layout::checked([(0, SLOT), (SLOT, 0x2000)]).unwrap());
    let mut target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
    let mut head = [0; 1024];
    let mut source = Http::new(network, "http://updates.example/app.bin", &mut head).unwrap();
    let (mut a, mut b) = ([0; 4096], [0; 4096]);
    let (control, mut clock) = (Control::new(), time.clone());
    let job = Job::of(Digest(<sha2::Sha256 as sha2::Digest>::digest(&**image).into()));
    let (mut came, mut pauses) = (0.0, Vec::new());
    let on = |event| match event {
        Event::Waiting(report) => {
            let fota_download::Step::Wait { ms, .. } = report.step else { panic!("{report:?}") };
            pauses.push(ms);
        }
        Event::Verifying => came = time.now().as_secs_f64(),
        _ => (),
    };
    let log: ProgressLog<'_, _, 192> = ProgressLog::new(log);
    let done = time.run(fota(&mut source, &mut target, log, &job, &control, &mut clock, [&mut a, &mut b], on));
    assert_eq!(Some(done.unwrap().digest), Some(Digest(<sha2::Sha256 as sha2::Digest>::digest(&**image).into())));
    assert!(chip.sim().bytes().starts_with(image));
    (came, time.now().as_secs_f64(), pauses)
}

#[test]
fn resets_cost_their_pauses_and_heads_and_no_byte_twice() {
    let image = image(200 * 1024);
    println!("200 KiB into an nRF9160, 100 ms round trip; seconds of virtual time");
    println!("    rate  a reset every  resets  fetched      to the last byte  to the end");
    for rate in [30_000, 300_000] {
        let mut undisturbed = 0.0;
        for resets in [None, Some(40_000), Some(8_000)] {
            let time = Timeline::default();
            let mut link = Link::new(rate, ms(100)).window(32 * 1024);
            if let Some(every) = resets {
                link = link.resets_after(every / 2..=every * 3 / 2);
            }
            let network = Network::new(&time, link, file(&image, "\"v2\""));
            let (came, ended, pauses) = update(&time, &network, &image, Timing::NRF9160);
            let record = network.record();
            println!(
                "{:>4} KB/s  {:>13}  {:>6}  {:>7} bytes  {came:>16.2}  {ended:>10.2}",
                rate / 1000,
                resets.map_or("never".into(), |every| format!("{} KB", every / 1000)),
                pauses.len(),
                record.given,
            );
            // Each head is less than 200 bytes; and the flash may keep up or not.
            assert!(record.given - image.len() <= 200 * record.attempts.len(), "{record:?}");
            assert_eq!((record.failures.len(), record.attempts.len()), (pauses.len(), pauses.len() + 1));
            assert!(pauses.iter().all(|pause| *pause == 1_000), "a new byte begins a new row: {pauses:?}");
            assert!(came >= 0.2 + image.len() as f64 / f64::from(rate));
            match resets {
                None => undisturbed = came,
                // A pause, a connection, a request and its head; and the erase under way, which the pause waits for.
                Some(_) => assert!(came - undisturbed <= 1.3 * pauses.len() as f64, "{}", came - undisturbed),
            }
        }
    }
}

#[test]
fn a_server_that_is_gone_is_asked_after_pauses_that_double() {
    let (time, image) = (Timeline::default(), image(60_000));
    let link = Link::new(30_000, ms(100)).down(ms(1_000)..ms(40_000));
    let network = Network::new(&time, link, file(&image, "\"v2\""));
    let (_, _, pauses) = update(&time, &network, &image, Timing::default());
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
    let record = network.record();
    // Reset when it went down; then each attempt takes a round trip, and comes after exactly the pause.
    assert_eq!(record.failures[0], ms(1_000));
    let mut expected = vec![ms(0)];
    let mut at = ms(1_000);
    for pause in pauses {
        at += ms(pause.into());
        expected.push(at);
        at += ms(100);
    }
    assert_eq!(record.attempts, expected);
    assert_eq!(record.failures.len(), 6);
    assert!(record.given - image.len() <= 2 * 200);
}

#[test]
fn a_busy_server_gets_the_time_it_asks_for() {
    let (time, image) = (Timeline::default(), image(20_000));
    let busy = || Answer::new("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    let file = image.to_vec();
    let mut requests = 0;
    let network = Network::new(&time, Link::new(30_000, ms(100)), move |request| {
        request.ends_with(b"\r\n\r\n").then(|| {
            requests += 1;
            if requests <= 2 { busy().then(Then::Close) } else { range(request, &file, b"\"v2\"") }
        })
    });
    let (_, _, pauses) = update(&time, &network, &image, Timing::default());
    assert_eq!(pauses, [7_000, 7_000]);
    let attempts = network.record().attempts;
    let gaps: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Two round trips, the bytes of the answer, and the pause.
    let answer = Duration::from_nanos((busy().bytes.len() as u64 * 1_000_000_000).div_ceil(30_000));
    assert_eq!(gaps, [ms(7_200) + answer; 2]);
}

#[test]
fn bytes_that_come_one_by_one_take_the_same_time() {
    let image = image(20_000);
    let took = |piece| {
        let time = Timeline::default();
        let network = Network::new(&time, Link::new(30_000, ms(50)).piece(piece), file(&image, "\"v2\""));
        (update(&time, &network, &image, Timing::NRF9160).0, network.record())
    };
    let ((whole, by_packets), (single, by_bytes)) = (took(usize::MAX), took(1));
    assert!((single - whole).abs() < 0.05, "{whole} {single}");
    assert_eq!((by_bytes.reads, by_bytes.given), (by_packets.given, by_packets.given));
    assert!(by_packets.reads < 100, "{}", by_packets.reads);
}

#[test]
fn a_lost_packet_costs_its_retransmission() {
    let image = image(60_000);
    let took = |lost| {
        let time = Timeline::default();
        let link = Link::new(30_000, ms(50)).window(8 * 1024).loses(lost, ms(500));
        let network = Network::new(&time, link, file(&image, "\"v2\""));
        let (came, _, pauses) = update(&time, &network, &image, Timing::NRF9160);
        assert!(pauses.is_empty(), "nobody but TCP sees it");
        (came, network.record())
    };
    let ((clean, none), (lossy, record)) = (took(0), took(100));
    assert_eq!((none.lost, none.given), (0, record.given));
    assert!((5..=25).contains(&record.lost), "of 118 packets: {}", record.lost);
    let most = 0.5 * record.lost as f64;
    assert!(lossy - clean > most - 0.6 && lossy - clean < most + 0.1, "{clean} {lossy} {}", record.lost);
}

#[test]
fn a_small_window_costs_a_round_trip_each_time() {
    let image = image(50_000);
    let took = |window| {
        let time = Timeline::default();
        let network = Network::new(&time, Link::new(300_000, ms(200)).window(window), file(&image, "\"v2\""));
        update(&time, &network, &image, Timing::NRF9160).0
    };
    // 2 KiB each 200 ms at most, against what the flash takes.
    let (small, large) = (took(2048), took(64 * 1024));
    assert!((4.5..6.5).contains(&small) && large < 3.0, "{small} {large}");
}
