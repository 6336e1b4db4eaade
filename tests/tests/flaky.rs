//! Downloads over bad connections, into a device that loses power.

use core::ops::ControlFlow;

use dfu_target::{Begun, Digest, Request, Update};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::Cut;
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;
use dfu_testkit::source::FlakySource;
use fota_download::{Backoff, download, download_overlapped};

/// A clock on which no time passes.
struct Clock;

impl embedded_hal_async::delay::DelayNs for Clock {
    async fn delay_ns(&mut self, _: u32) {}
}

const CHUNK: usize = 512;
const ERASE: usize = 4096;

/// Takes the file up to its end, or up to a power cut, by the loop with one buffer or by that with two; whether it came
/// to its end.
fn visit(two: bool, device: &Device<4, ERASE>, source: &mut FlakySource<'_>, request: Request) -> bool {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, request);
    run(async {
        let Ok(begun) = update.begin().await else { return false };
        let Begun::Receiving(mut session) = begun else { return true };
        // More than any of the connections here breaks in a row.
        let backoff = Backoff::new().attempts(3);
        let (mut chunk, mut other) = (Aligned([0; CHUNK]), Aligned([0; CHUNK]));
        let observer = |_| ControlFlow::Continue(());
        let came = if two {
            let buffers = [&mut chunk.0[..], &mut other.0];
            download_overlapped(source, &mut session, backoff, &mut Clock, buffers, observer).await
        } else {
            download(source, &mut session, backoff, &mut Clock, &mut chunk.0, observer).await
        };
        came.is_ok() && session.finish().await.is_ok()
    })
}

#[repr(align(4))]
struct Aligned([u8; CHUNK]);

fn stored(device: &Device<4, ERASE>, image: &[u8]) -> bool {
    device.holds(device.secondary(), image)
}

#[test]
fn r11_a_power_cut_costs_at_most_an_erase_unit_and_a_chunk() {
    for two in [false, true] {
        let image = ImageBuilder::new().total_size(60_007).build();
        let request = || Request::of(Digest(image.digest()));
        let mut worst = 0;
        for seed in 0..200 {
            let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
            let mut source = FlakySource::new(&image).seed(seed).pieces(1..=CHUNK).breaks_after(600..=20_000);
            // Words and erases: somewhere in the middle of the image.
            let words = 500 + seed as usize * 70;
            device.chip().sim().cut_after(words as u64, Cut::ALL[seed as usize % Cut::ALL.len()]);
            assert!(!visit(two, &device, &mut source, request()), "the power was to fail: {seed}");
            device.boot();
            assert!(visit(two, &device, &mut source, request()), "{seed}");
            assert!(stored(&device, &image), "{seed}");
            worst = worst.max(source.given() - image.len());
        }
        // A cut in a save shows with the next piece only: the source gives one to a device that is dead.
        let most = ERASE + CHUNK + if two { 2 * CHUNK } else { CHUNK };
        println!("fetched twice after a cut: {worst} bytes at most, of {most}");
        assert!(worst <= most, "{worst} bytes came twice");
        assert!(worst > CHUNK, "no cut cost anything: was there one?");
    }
}

#[test]
fn r24_connections_that_break_cost_no_byte_twice() {
    for two in [false, true] {
        let image = ImageBuilder::new().total_size(40_001).build();
        for seed in 0..50 {
            let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
            let mut source = FlakySource::new(&image).seed(seed).pieces(1..=CHUNK).breaks_after(1..=5000);
            assert!(visit(two, &device, &mut source, Request::of(Digest(image.digest()))), "{seed}");
            assert!(stored(&device, &image) && source.opened() > 5, "{seed}");
            assert_eq!(source.given(), image.len(), "{seed}");
        }
    }
}

#[test]
fn r10_a_file_that_changes_is_never_put_together_from_two() {
    for two in [false, true] {
        let old = ImageBuilder::new().seed(1).total_size(40_000).build();
        let new = ImageBuilder::new().seed(2).version(2, 0, 0, 0).total_size(40_000).build();
        let job = || Request::new(dfu_target::ImageId::named("latest"));
        for at in (0..40_000).step_by(997) {
            for cut in [None, Some(3000)] {
                let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
                let mut source = FlakySource::new(&old).seed(at as u64).pieces(1..=CHUNK).changes_after(at, &new);
                if let Some(words) = cut {
                    device.chip().sim().cut_after(words, Cut::Before);
                    if !visit(two, &device, &mut source, job()) {
                        device.boot();
                        visit(two, &device, &mut source, job());
                    }
                } else {
                    assert!(visit(two, &device, &mut source, job()));
                }
                assert!(stored(&device, &new), "changed at {at}, cut {cut:?}");
            }
        }
    }
}

#[test]
fn r24_a_server_without_ranges_gives_the_file_from_its_start_and_nothing_is_written_twice() {
    for two in [false, true] {
        let image = ImageBuilder::new().total_size(30_000).build();
        let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
        device.chip().sim().cut_after(4000, Cut::After);
        let request = || Request::of(Digest(image.digest()));
        assert!(!visit(two, &device, &mut FlakySource::new(&image).without_ranges(), request()));
        device.boot();
        let erases = device.chip().sim().counts().erases;
        let mut source = FlakySource::new(&image).without_ranges();
        assert!(visit(two, &device, &mut source, request()));
        assert!(stored(&device, &image));
        assert_eq!(source.given(), image.len());
        // What lay there before the cut was left alone: less was erased than the whole image takes.
        assert!(device.chip().sim().counts().erases - erases < 8);
    }
}

#[test]
fn r10_without_a_digest_and_without_a_tag_nothing_is_resumed() {
    for two in [false, true] {
        let image = ImageBuilder::new().total_size(30_000).build();
        let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
        device.chip().sim().cut_after(4000, Cut::After);
        let job = || Request::new(dfu_target::ImageId::named("job 1"));
        let mut source = FlakySource::new(&image).without_tags();
        assert!(!visit(two, &device, &mut source, job()));
        device.boot();
        let before = source.given();
        assert!(visit(two, &device, &mut source, job()));
        assert_eq!(source.given() - before, image.len());
        assert!(stored(&device, &image));
    }
}

#[test]
fn the_last_report_says_that_all_bytes_came() {
    let image = ImageBuilder::new().total_size(5000).build();
    let device = Device::<4, ERASE>::new(Board::new(Mode::SwapMove, 20 * ERASE as u32));
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::of(Digest(image.digest())));
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is there") };
    let mut chunk = Aligned([0; CHUNK]);
    let mut last = None;
    let observer = |report: fota_download::Report| {
        last = Some((report.offset, report.size));
        // It came: there is nothing to end any more.
        if report.size == Some(report.offset) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut source = FlakySource::new(&image);
    run(download(&mut source, &mut session, Backoff::new(), &mut Clock, &mut chunk.0, observer)).unwrap();
    assert_eq!(last, Some((5000, Some(5000))));
}
