//! While bytes are on the way the flash works: how much of the time that saves, in virtual time.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::progress::NoProgress;
use dfu_target::{Begun, ImageId, Request, Update};
use dfu_target_mcuboot::{Active, Config, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::flash::{Chip, SimFlash, Timing};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::time::{Slow, Timeline, Wire};
use fota_download::source::{Error, Retry};
use fota_download::{Backoff, Control, Job, Meta, Report, Source, Step, download, download_overlapped, fota};

const SLOT: u32 = 0x9_0000;
const SLOTS: Slots = Slots::new::<Slow<4, 4096>>(SLOT, Config::new(Mode::SwapMove).max_sectors(256));
const ACTIVE: Active =
    Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));

/// MX25R6435F in its fast mode, by its SFDP table: 48 ms a unit, 0.896 ms a page of 256 bytes and 0.26 ms to send it
/// at 8 MHz.
const SPI_NOR: Timing = Timing { word_ns: (896_000 + 260_000) / 64, erase_ns: 48_000_000, read_ns: 1_000 };

/// How bytes get into the slot.
#[derive(Clone, Copy)]
enum Loop {
    One(usize),
    Two(usize),
}

/// How long a download of 512 KiB takes, and how much of that the flash worked.
fn time(timing: Timing, rate: u32, window: usize, stalls: bool, mode: Loop) -> (f64, f64) {
    let timeline = Timeline::default();
    let chip = Chip::new(SimFlash::<4, 4096>::new(SLOT as usize).timing(timing));
    let image = ImageBuilder::new().version(2, 0, 0, 0).total_size(512 * 1024).build().to_vec();
    let mut shared = Shared::new(Slow::new(chip.clone(), timeline.clone(), stalls));
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
    let mut update = Update::new(target, NoProgress, Request::new(ImageId::named("a file")));
    let mut wire = Wire::new(timeline.clone(), image.clone(), rate, Duration::from_millis(100), window);
    timeline.run(async {
        let Ok(Begun::Receiving(mut session)) = update.begin().await else { panic!("nothing is stored") };
        let (backoff, on) = (Backoff::new(), |_| ControlFlow::Continue(()));
        let mut clock = timeline.clone();
        match mode {
            Loop::One(len) => {
                download(&mut wire, &mut session, backoff, &mut clock, &mut vec![0; len], on).await.unwrap();
            }
            Loop::Two(len) => {
                let (mut a, mut b) = (vec![0; len], vec![0; len]);
                let buffers = [&mut a[..], &mut b[..]];
                download_overlapped(&mut wire, &mut session, backoff, &mut clock, buffers, on).await.unwrap();
            }
        }
    });
    assert!(chip.sim().bytes().starts_with(&image));
    (timeline.now().as_secs_f64(), chip.sim().elapsed().as_secs_f64())
}

#[test]
fn the_slower_of_network_and_flash_is_all_that_is_waited_for() {
    println!(
        "512 KiB, 100 ms round trip; seconds of virtual time, E = (sequential - T) / (sequential - the slower alone)"
    );
    println!("flash      rate  sequential  slower   one buffer    E   two of 4 KiB    E   the same, stalled    E");
    for (name, timing) in [("nRF9160", Timing::NRF9160), ("SPI NOR", SPI_NOR)] {
        for rate in [30_000, 300_000] {
            // Before the first byte is there nothing can be done.
            let (first, network) = (0.1, 512.0 * 1024.0 / f64::from(rate));
            // With the least window there is, the network stands still while the flash works.
            let (one, flash) = time(timing, rate, 512, false, Loop::One(512));
            let (sequential, slower) = (first + network + flash, first + network.max(flash));
            let gain = |took: f64| (sequential - took) / (sequential - slower);
            let (two, _) = time(timing, rate, 2048, false, Loop::Two(4096));
            let (stalled, _) = time(timing, rate, 2048, true, Loop::Two(4096));
            println!(
                "{name}  {:>4} KB/s  {sequential:>6.2}  {slower:>8.2}  {one:>9.2}  {:>5.2}  {two:>10.2}  {:>5.2}  {stalled:>14.2}  {:>5.2}",
                rate / 1000,
                gain(one),
                gain(two),
                gain(stalled),
            );
            assert!(gain(two) >= 0.95, "{name} at {rate}: {:.3}", gain(two));
            assert!(two <= one && stalled <= one, "overlapping is never slower");
        }
    }
}

#[test]
fn a_slow_network_finds_all_of_the_slot_erased() {
    let timeline = Timeline::default();
    let chip = Chip::new(SimFlash::<4, 4096>::new(SLOT as usize).timing(Timing::NRF9160));
    let image = ImageBuilder::new().version(2, 0, 0, 0).total_size(512 * 1024).build().to_vec();
    let mut shared = Shared::new(Slow::new(chip.clone(), timeline.clone(), false));
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
    let mut update = Update::new(target, NoProgress, Request::new(ImageId::named("a file")));
    let mut wire = Wire::new(timeline.clone(), image.clone(), 3_000, Duration::from_millis(100), 2048);
    let (mut a, mut b) = (vec![0; 4096], vec![0; 4096]);
    let mut half = None;
    timeline.run(async {
        let Ok(Begun::Receiving(mut session)) = update.begin().await else { panic!("nothing is stored") };
        let mut clock = timeline.clone();
        let on = |report: fota_download::Report| {
            if report.offset > 256 * 1024 {
                half.get_or_insert_with(|| chip.sim().counts().erases);
            }
            ControlFlow::Continue(())
        };
        let buffers = [&mut a[..], &mut b[..]];
        download_overlapped(&mut wire, &mut session, Backoff::new(), &mut clock, buffers, on).await.unwrap();
    });
    assert!(chip.sim().bytes().starts_with(&image));
    // All that the image takes, when half of it has come; and no unit twice.
    assert!(half.is_some_and(|erases| erases >= 128), "{half:?}");
    assert_eq!(half, Some(chip.sim().counts().erases));
}

/// A link with frames of 100 bytes, a millisecond each. A frame is gone when it is damaged, or with the future that had
/// it, and the next `read` gives the next one.
struct Frames<'f> {
    file: &'f [u8],
    time: Timeline,
    at: usize,
    /// From here on one frame is damaged, or the link hangs once.
    damaged: Option<usize>,
    hangs: Option<usize>,
    opened: Vec<u32>,
}

#[derive(Debug)]
struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame is damaged")
    }
}

impl std::error::Error for Damaged {}

impl Error for Damaged {
    fn retry(&self) -> Retry {
        Retry::After(60)
    }
}

impl Source for Frames<'_> {
    type Error = Damaged;

    async fn open(&mut self, from: u32) -> Result<Meta, Damaged> {
        self.at = from as usize;
        self.opened.push(from);
        Ok(Meta { size: Some(self.file.len() as u32), tag: 7, start: from })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Damaged> {
        self.time.sleep(Duration::from_millis(1)).await;
        let frame = &self.file[self.at..];
        let frame = &frame[..frame.len().min(buf.len()).min(100)];
        let from = self.at;
        self.at += frame.len();
        if self.damaged.take_if(|at| from >= *at).is_some() {
            return Err(Damaged);
        }
        if self.hangs.take_if(|at| from >= *at).is_some() {
            std::future::pending::<()>().await;
        }
        buf[..frame.len()].copy_from_slice(frame);
        Ok(frame.len())
    }
}

/// A slot whose flash takes its time, and a file for it.
fn slot(timeline: &Timeline) -> (Chip<4, 4096>, Slow<4, 4096>, Vec<u8>) {
    let chip = Chip::new(SimFlash::<4, 4096>::new(SLOT as usize).timing(SPI_NOR));
    let image = ImageBuilder::new().version(2, 0, 0, 0).total_size(20_000).build().to_vec();
    (chip.clone(), Slow::new(chip, timeline.clone(), false), image)
}

#[test]
fn a_source_that_fails_amid_a_buffer_is_opened_before_it_is_read_from() {
    for damaged in (0..20_000).step_by(700) {
        let timeline = Timeline::default();
        let (chip, slow, image) = slot(&timeline);
        let mut shared = Shared::new(slow);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
        let mut update = Update::new(target, NoProgress, Request::new(ImageId::named("a file")));
        let (file, time, opened) = (&image[..], timeline.clone(), Vec::new());
        let mut source = Frames { file, time, at: 0, damaged: Some(damaged), hangs: None, opened };
        let pauses = RefCell::new(Vec::new());
        let on = |report: Report| {
            if let Step::Wait { ms, .. } = report.step {
                pauses.borrow_mut().push(ms);
            }
            ControlFlow::Continue(())
        };
        timeline.run(async {
            let Ok(Begun::Receiving(mut session)) = update.begin().await else { panic!("nothing is stored") };
            let (mut a, mut b, mut clock) = ([0; 1024], [0; 1024], timeline.clone());
            let buffers = [&mut a[..], &mut b[..]];
            download_overlapped(&mut source, &mut session, Backoff::new(), &mut clock, buffers, on).await.unwrap();
        });
        assert!(chip.sim().bytes().starts_with(&image), "{damaged}");
        // Nothing that came is fetched again, and the pause is the one that was asked for.
        assert_eq!(source.opened.len(), 2, "{damaged}");
        assert!(source.opened[1] as usize >= damaged, "{damaged}: {:?}", source.opened);
        assert_eq!(pauses.into_inner(), [60_000], "{damaged}");
    }
}

#[test]
fn a_source_that_hangs_amid_a_buffer_is_opened_before_it_is_read_from() {
    for hangs in (0..20_000).step_by(1_700) {
        let timeline = Timeline::default();
        let (chip, slow, image) = slot(&timeline);
        let mut shared = Shared::new(slow);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
        let (file, time, opened) = (&image[..], timeline.clone(), Vec::new());
        let mut source = Frames { file, time, at: 0, damaged: None, hangs: Some(hangs), opened };
        let (job, control) = (Job::new(ImageId::named("a file")).silence(5_000), Control::new());
        let (mut a, mut b, mut clock) = ([0; 1024], [0; 1024], timeline.clone());
        let buffers = [&mut a[..], &mut b[..]];
        let update = fota(&mut source, target, NoProgress, &job, &control, &mut clock, buffers, |_| ());
        let _ = timeline.run(update).unwrap();
        assert!(chip.sim().bytes().starts_with(&image), "{hangs}");
        assert_eq!(source.opened.len(), 2, "{hangs}");
    }
}
