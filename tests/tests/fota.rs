//! One update by one call: how it goes, how it is held and ended, and that it ends well in one case only.

use std::cell::Cell;
use std::future::Future as _;
use std::time::Duration;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::session::SessionError;
use dfu_target::{Applied, Digest, ImageId, ImageKind, ProgressLog};
use dfu_target_mcuboot::{Active, Config, Encryption, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::source::{Broken, FlakySource};
use dfu_testkit::time::Timeline;
use fota_download::{Backoff, Control, DownloadError, Event, Finished, FotaError, Job, Meta, Source, fota};

type Small = Device<4, 1024>;

fn device() -> Small {
    let device = Small::new(Board::new(Mode::SwapMove, 16 * 1024).sectors(16));
    device.install(&ImageBuilder::new().build());
    device
}

fn image() -> Vec<u8> {
    ImageBuilder::new().version(2, 0, 0, 0).total_size(9000).build().to_vec()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

type Ended = Result<Finished, String>;

/// One call, on a device that has just started; its end in words, and the events.
fn call(device: &Small, source: &mut FlakySource<'_>, job: &Job, control: &Control, on: impl FnMut(Event)) -> Ended {
    call_by(&Timeline::default(), device, source, job, control, on)
}

/// The same, by this clock.
fn call_by(
    time: &Timeline,
    device: &Small,
    source: &mut FlakySource<'_>,
    job: &Job,
    control: &Control,
    mut on: impl FnMut(Event),
) -> Ended {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut clock = time.clone();
    let (mut a, mut b) = ([0; 512], [0; 512]);
    time.run(fota(source, target, log, job, control, &mut clock, [&mut a, &mut b], &mut on))
        .map_err(|error| error.to_string())
}

#[test]
fn r21_an_update_goes_from_its_first_byte_to_the_request_through_breaks_and_cuts() {
    let image = image();
    let job = Job::of(sha256(&image)).kind(ImageKind::Mcuboot).max_size(9000);
    for point in (0..4000).step_by(53) {
        let device = device();
        let mut source = FlakySource::new(&image).seed(point).pieces(1..=600).breaks_after(300..=4000);
        device.chip().sim().cut_after(point, Cut::ALL[point as usize % Cut::ALL.len()]);
        let mut ended = call(&device, &mut source, &job, &Control::new(), |_| ());
        if !device.chip().sim().is_powered() {
            assert!(ended.is_err(), "it can't have ended well: {point}");
            device.boot();
            ended = call(&device, &mut source, &job, &Control::new(), |_| ());
        }
        match ended {
            Ok(done) => assert_eq!((done.applied, done.digest), (Applied::AtReset, sha256(&image))),
            // The cut came behind the request: it ran already.
            Err(text) => assert!(text.contains("applied before") || text.contains("not confirmed"), "{point}: {text}"),
        }
        device.boot();
        assert!(device.holds(device.primary(), &image), "{point}");
    }
}

#[test]
fn r21_it_is_told_step_by_step() {
    let (image, device) = (image(), device());
    let mut events = Vec::new();
    let mut source = FlakySource::new(&image).breaks_after(5000..=5000);
    let job = Job::of(sha256(&image));
    let done = call(&device, &mut source, &job, &Control::new(), |event| events.push(event)).unwrap();
    assert!(!done.was_staged);
    let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    assert!(matches!(events[0], Event::Opening(report) if report.offset == 0));
    assert_eq!(count(|event| matches!(event, Event::Waiting(_))), 1);
    assert!(count(|event| matches!(event, Event::Receiving(_))) > 10);
    assert!(
        matches!(events[events.len() - 2..], [Event::Verifying, Event::Verified(digest)] if digest == sha256(&image))
    );
    // Once more, before the reset: all of it is there, and nothing is asked of the source.
    let opened = source.opened();
    assert!(call(&device, &mut source, &job, &Control::new(), |_| ()).unwrap_err().contains("applied before"));
    let done = call(&device, &mut source, &job.clone().again(), &Control::new(), |_| ()).unwrap();
    assert!(done.was_staged && source.opened() == opened);
}

#[test]
fn r23_an_image_that_came_back_is_not_applied_for_ever() {
    let (image, device) = (image(), device());
    let job = Job::new(ImageId::named("the same job at each boot"));
    let _ = call(&device, &mut FlakySource::new(&image), &job, &Control::new(), |_| ()).unwrap();
    device.boot();
    assert!(device.holds(device.primary(), &image), "it runs on trial");
    device.boot(); // Nobody confirmed it.
    assert!(!device.holds(device.primary(), &image));
    let text = call(&device, &mut FlakySource::new(&image), &job, &Control::new(), |_| ()).unwrap_err();
    assert!(text.contains("applied before and came back"), "{text}");
    let _ = call(&device, &mut FlakySource::new(&image), &job.again(), &Control::new(), |_| ()).unwrap();
}

#[test]
fn r23_what_the_target_cannot_check_is_kept_for_a_job_that_knows_the_digest() {
    // The hash that an encrypted image carries is of the plain one.
    const SLOT: u32 = 16 * 1024;
    type Flash = Chip<4, 1024>;
    let config = Config::new(Mode::SwapMove).max_sectors(16).encryption(Encryption::Aes128);
    let slots = Slots::new::<Flash>(SLOT, config);
    let image = ImageBuilder::new().version(2, 0, 0, 0).flags(4).total_size(9000).build().to_vec();
    let chip = Flash::new(SimFlash::new(SLOT as usize + 2048));
    let mut source = FlakySource::new(&image);
    let mut call = |job: &Job| {
        let mut shared = Shared::new(chip.clone());
        let [slot, log] = shared.split(&Layout::checked([(0, SLOT), (SLOT, 2048)]).unwrap());
        let active = Active::new(RunningState::Confirmed, None);
        let mut target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), &slots, active).unwrap();
        let (log, control, time) = (ProgressLog::<_, 256>::new(log), Control::new(), Timeline::default());
        let (mut a, mut b, mut clock) = ([0; 512], [0; 512], time.clone());
        let update = fota(&mut source, &mut target, log, job, &control, &mut clock, [&mut a, &mut b], |_| ());
        (time.run(update).map_err(|error| error.to_string()), source.given())
    };
    let job = Job::new(ImageId::named("the job"));
    for _ in 0..3 {
        let (ended, given) = call(&job);
        let text = ended.unwrap_err();
        assert!(text.contains("digest"), "{text}");
        assert_eq!(given, 9000, "it was fetched again");
    }
    let (ended, given) = call(&job.digest(sha256(&image)));
    assert!(ended.unwrap().was_staged && given == 9000);
}

#[test]
fn r17_what_the_job_does_not_want_is_refused_and_stored_nowhere() {
    let image = image();
    for (job, part) in [
        (Job::of(sha256(&image)).kind(ImageKind::ModemDelta), "an MCUboot image"),
        (Job::of(sha256(&image)).max_size(8999), "more than are allowed"),
        (Job::of(sha256(&image)).size(8999), "8999"),
    ] {
        let device = device();
        let before = device.chip().sim().points();
        let text = call(&device, &mut FlakySource::new(&image), &job, &Control::new(), |_| ()).unwrap_err();
        assert!(text.contains(part) || part == "an MCUboot image" && text.contains("MCUboot image"), "{text}");
        assert_eq!(device.chip().sim().points(), before, "{text}");
    }
    // Another file under the right name: it is stored, and never applied.
    let device = device();
    let job = Job::new(ImageId::named("the job")).digest(Digest([7; 32]));
    let text = call(&device, &mut FlakySource::new(&image), &job, &Control::new(), |_| ()).unwrap_err();
    assert!(!text.is_empty());
    device.boot();
    assert!(!device.holds(device.primary(), &image));
}

#[test]
fn another_task_holds_it_lets_it_go_on_and_ends_it() {
    let (image, device) = (image(), device());
    let job = Job::of(sha256(&image));
    let control = Control::new();
    let mut source = FlakySource::new(&image);
    let mut shared = device.share();
    let (_, mut target, mut log) = device.open(&mut shared);
    let time = Timeline::default();
    let (paused, received) = (Cell::new(0), Cell::new(0));
    let mut clock = time.clone();
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let update =
        fota(&mut source, &mut target, &mut log, &job, &control, &mut clock, [&mut a, &mut b], |event| match event {
            Event::Receiving(report) => {
                received.set(report.offset);
                if report.offset > 3000 && paused.get() == 0 {
                    control.pause();
                }
            }
            Event::Paused(_) => paused.set(paused.get() + 1),
            _ => (),
        });
    let mut update = std::pin::pin!(update);
    // It is held, and stays so.
    let held = time.run(async {
        let mut result = None;
        for _ in 0..20 {
            time.sleep(Duration::from_secs(1)).await;
            result = std::future::poll_fn(|context| {
                std::task::Poll::Ready(match update.as_mut().poll(context) {
                    std::task::Poll::Ready(result) => Some(result),
                    std::task::Poll::Pending => None,
                })
            })
            .await;
        }
        result
    });
    assert!(held.is_none() && paused.get() == 1 && received.get() < 5000, "{} {}", paused.get(), received.get());
    control.resume();
    let done = time.run(update).unwrap();
    assert_eq!((done.digest, paused.get()), (sha256(&image), 1));
}

#[test]
fn cancelling_ends_even_a_long_wait_and_a_later_call_goes_on() {
    let (image, device) = (image(), device());
    let job = Job::of(sha256(&image)).save_every(1024).backoff(Backoff::new().first_ms(100_000));
    let control = Control::new();
    let mut source = FlakySource::new(&image).breaks_after(4000..=4000);
    let mut waits = 0;
    let text = call(&device, &mut source, &job, &control, |event| {
        if let Event::Waiting(_) = event {
            waits += 1;
            control.cancel();
        }
    });
    assert_eq!((text.unwrap_err().as_str(), waits), ("the update was cancelled", 1));
    let given = source.given();
    control.resume();
    let _ = call(&device, &mut source, &job, &control, |_| ()).unwrap();
    assert!(source.given() - given < 7000, "what was there was not fetched again");
}

#[test]
fn a_server_that_says_nothing_is_opened_anew_and_ends_it_if_that_does_not_help() {
    let image = image();
    let (first, time) = (device(), Timeline::default());
    let job = Job::of(sha256(&image)).silence(30_000);
    let mut source = FlakySource::new(&image).breaks_after(4000..=4000).silent(1);
    let mut paid = 0;
    let done = call_by(&time, &first, &mut source, &job, &Control::new(), |event| {
        if let Event::Receiving(report) = event {
            paid = report.paid;
        }
    });
    assert_eq!(done.unwrap().digest, sha256(&image));
    assert!((30..40).contains(&time.now().as_secs()), "{:?}", time.now());
    assert_eq!(paid as usize, source.given(), "what was fetched twice is paid twice");
    // As often as the back-off allows, and not for ever.
    let (second, time) = (device(), Timeline::default());
    let mut source = FlakySource::new(&image).breaks_after(0..=0).silent(usize::MAX);
    let job = job.backoff(Backoff::new().attempts(3));
    let text = call_by(&time, &second, &mut source, &job, &Control::new(), |_| ()).unwrap_err();
    assert!(text.contains("the server says nothing"), "{text}");
    assert_eq!(source.opened(), 4, "three times again");
}

#[test]
fn the_deadline_ends_it_wherever_it_waits_and_a_later_call_goes_on() {
    let image = image();
    let job = Job::of(sha256(&image)).save_every(1024).deadline(20_000);
    let silent = FlakySource::new(&image).breaks_after(4000..=4000).silent(1);
    let broken = FlakySource::new(&image).breaks_after(4000..=4000);
    let patient = Backoff::new().first_ms(1_000_000);
    for (mut source, job, pauses) in [
        (silent, job.clone(), false),
        (broken, job.clone().backoff(patient), false),
        (FlakySource::new(&image), job, true),
    ] {
        let (device, time, control) = (device(), Timeline::default(), Control::new());
        let text = call_by(&time, &device, &mut source, &job, &control, |event| {
            if matches!(event, Event::Receiving(report) if pauses && report.offset > 3000) {
                control.pause();
            }
        });
        assert_eq!(text.unwrap_err(), "the update was not there by its deadline");
        assert!((20_000..20_200).contains(&time.now().as_millis()), "{:?}", time.now());
        assert_eq!(source.closed(), 1, "what nobody reads is not kept open");
        let given = source.given();
        control.resume();
        let job = job.deadline(u32::MAX).backoff(Backoff::new());
        let _ = call(&device, &mut source, &job, &control, |_| ()).unwrap();
        assert!(source.given() - given < 7000, "what was there was not fetched again");
    }
}

#[test]
fn a_clock_that_does_not_wait_does_no_harm() {
    #[derive(Clone)]
    struct Blocking;
    impl embedded_hal_async::delay::DelayNs for Blocking {
        async fn delay_ns(&mut self, _: u32) {}
    }
    let (image, device, control, mut clock) = (image(), device(), Control::new(), Blocking);
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let mut source = FlakySource::new(&image).breaks_after(4000..=4000);
    let job = Job::of(sha256(&image));
    let update = fota(&mut source, target, log, &job, &control, &mut clock, [&mut a, &mut b], |_| ());
    assert_eq!(dfu_target::blocking::block_on(update).unwrap().digest, sha256(&image));
}

/// A server that gives a byte a second.
struct Trickle<'f>(FlakySource<'f>, Timeline);

impl Source for Trickle<'_> {
    type Error = Broken;
    async fn open(&mut self, from: u32) -> Result<Meta, Broken> {
        self.0.open(from).await
    }
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        self.1.sleep(Duration::from_secs(1)).await;
        self.0.read(&mut buf[..1]).await
    }
}

#[test]
fn a_byte_a_second_is_not_silence_and_ends_by_the_deadline() {
    let (image, device, time, control) = (image(), device(), Timeline::default(), Control::new());
    let job = Job::of(sha256(&image)).silence(2_000);
    for (job, ends) in [(job.clone().deadline(600_000), false), (job, true)] {
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let (mut clock, began) = (time.clone(), time.now());
        let mut source = Trickle(FlakySource::new(&image), time.clone());
        let (mut a, mut b) = ([0; 512], [0; 512]);
        let update = fota(&mut source, target, log, &job, &control, &mut clock, [&mut a, &mut b], |_| ());
        let ended = time.run(update);
        let took = (time.now() - began).as_secs();
        match ended {
            Ok(done) => assert!(ends && done.digest == sha256(&image) && (8_900..9_100).contains(&took), "{took}"),
            Err(error) => {
                assert!(!ends && error == FotaError::Deadline && (600..=602).contains(&took), "{error} {took}")
            }
        }
    }
}

#[test]
fn cancelling_does_not_wait_for_a_server_that_says_nothing() {
    let (image, device, time, control) = (image(), device(), Timeline::default(), Control::new());
    let mut source = FlakySource::new(&image).breaks_after(4000..=4000).silent(1);
    let job = Job::of(sha256(&image));
    let cancels = async {
        time.sleep(Duration::from_secs(5)).await;
        control.cancel();
    };
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut clock = time.clone();
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let update = fota(&mut source, target, log, &job, &control, &mut clock, [&mut a, &mut b], |_| ());
    let (mut cancels, mut update) = (std::pin::pin!(cancels), std::pin::pin!(update));
    let ended = time.run(std::future::poll_fn(|context| {
        let _ = cancels.as_mut().poll(context);
        update.as_mut().poll(context)
    }));
    assert_eq!(ended.unwrap_err(), FotaError::Cancelled);
    assert!(time.now().as_millis() <= 5100, "{:?}", time.now());
}

#[test]
fn what_is_cancelled_or_held_is_not_applied_however_far_it_came() {
    let image = image();
    let job = Job::of(sha256(&image)).save_every(1024);
    for at in [Event::Verifying, Event::Verified(sha256(&image))] {
        let (device, control) = (device(), Control::new());
        let mut source = FlakySource::new(&image);
        let ended = call(&device, &mut source, &job, &control, |event| {
            if event == at {
                control.cancel();
            }
        });
        assert_eq!(ended.unwrap_err(), "the update was cancelled", "{at:?}");
        assert_eq!(source.closed(), 1, "what nobody reads is not kept open");
        device.boot();
        assert!(!device.holds(device.primary(), &image), "{at:?}");
        // All of it is there, which changes nothing.
        let given = source.given();
        let ended = call(&device, &mut source, &job, &control, |_| ());
        assert_eq!(ended.unwrap_err(), "the update was cancelled", "{at:?}");
        control.pause();
        let ended = call(&device, &mut source, &job.clone().deadline(5_000), &control, |_| ());
        assert_eq!(ended.unwrap_err(), "the update was not there by its deadline", "{at:?}");
        device.boot();
        assert!(!device.holds(device.primary(), &image), "{at:?}");
        control.resume();
        let done = call(&device, &mut source, &job, &control, |_| ()).unwrap();
        assert!(done.was_staged);
        assert_eq!(source.given(), given, "what is stored stays");
        device.boot();
        assert!(device.holds(device.primary(), &image), "{at:?}");
    }
}

#[test]
fn a_pause_after_the_last_byte_holds_it_until_it_is_resumed() {
    let (image, device, time, control) = (image(), device(), Timeline::default(), Control::new());
    let job = Job::of(sha256(&image));
    let resumes = async {
        time.sleep(Duration::from_secs(60)).await;
        control.resume();
    };
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let (mut clock, mut source) = (time.clone(), FlakySource::new(&image));
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let on = |event| {
        if let Event::Verifying = event {
            control.pause();
        }
    };
    let update = fota(&mut source, target, log, &job, &control, &mut clock, [&mut a, &mut b], on);
    let (mut resumes, mut update) = (std::pin::pin!(resumes), std::pin::pin!(update));
    let mut is_resumed = false;
    let ended = time.run(std::future::poll_fn(|context| {
        is_resumed = is_resumed || resumes.as_mut().poll(context).is_ready();
        update.as_mut().poll(context)
    }));
    assert_eq!(ended.unwrap().digest, sha256(&image));
    assert!((60..62).contains(&time.now().as_secs()), "{:?}", time.now());
}

#[test]
fn an_error_keeps_its_layer_and_its_cause() {
    // More breaks in a row than the job waits out: the download's error, not another.
    let (image, device) = (image(), device());
    let mut shared = device.share();
    let (_, mut target, mut log) = device.open(&mut shared);
    let mut source = FlakySource::new(&image).breaks_after(0..=0);
    let job = Job::of(sha256(&image)).backoff(Backoff::new().attempts(2));
    let time = Timeline::default();
    let (mut clock, control) = (time.clone(), Control::new());
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let update = fota(&mut source, &mut target, &mut log, &job, &control, &mut clock, [&mut a, &mut b], |_| ());
    assert!(matches!(time.run(update), Err(FotaError::Download(DownloadError::Source(_)))));
    // A file that is not the wanted one, by the session's word.
    let mut source = FlakySource::new(&image);
    let job = Job::new(ImageId::named("another")).digest(Digest([7; 32]));
    let update = fota(&mut source, &mut target, &mut log, &job, &control, &mut clock, [&mut a, &mut b], |_| ());
    assert_eq!(time.run(update), Err(FotaError::Session(SessionError::Mismatch)));
}
