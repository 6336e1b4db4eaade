//! What a device did in an update, power cuts and bad connections among it, is done again from its trace.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Digest, ProgressLog};
use dfu_target_mcuboot::{McubootTarget, Mode};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::{Cut, Fault, SimFlash, Timing};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::network::{Link, Network, file};
use dfu_testkit::time::{Slow, Timeline};
use dfu_testkit::trace::{
    Channel, Diverged, Event, Geometry, Recorder, Replay, Rewritten, Sink, Trace, TraceError, Traced, Unfit, Violation,
};
use embedded_storage_async::nor_flash::NorFlash;
use fota_download::{Connect, Control, Http, Job, fota};

type Small = Device<4, 1024>;

/// A file that all runs of the program write to.
#[derive(Clone, Default)]
struct File(Rc<RefCell<Vec<u8>>>);

impl Sink for File {
    fn put(&mut self, event: &[u8]) -> bool {
        self.0.borrow_mut().extend(event);
        true
    }
}

fn device() -> Small {
    let device = Small::new(Board::new(Mode::SwapMove, 16 * 1024).sectors(16));
    device.install(&ImageBuilder::new().build());
    device
}

fn image() -> ImageFile {
    ImageBuilder::new().version(2, 0, 0, 0).total_size(9000).build()
}

fn job() -> Job {
    Job::of(Digest(<sha2::Sha256 as sha2::Digest>::digest(&*image()).into())).save_every(1024)
}

/// The update, on a device that has just started: this is all that a program has to do with it.
fn update(device: &Small, flash: impl NorFlash, net: &impl Connect, job: &Job, time: &Timeline) -> Result<(), String> {
    let windows = [device.target(), device.log()].map(|range| (range.start, range.end - range.start));
    let mut shared = Shared::new(flash);
    let [slot, log] = shared.split(&Layout::checked(windows).unwrap());
    let target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), device.slots(), device.active());
    let mut target = target.unwrap();
    let log: ProgressLog<'_, _, 192> = ProgressLog::new(log);
    let mut head = [0; 1024];
    let mut source = Http::new(net, "http://updates.example/app.bin", &mut head).unwrap();
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let (control, mut clock) = (Control::new(), time.clone());
    let done = time.run(fota(&mut source, &mut target, log, job, &control, &mut clock, [&mut a, &mut b], |_| ()));
    done.map(|_| ()).map_err(|error| error.to_string())
}

/// An update through this cut and over connections that break, and its trace.
fn record(cut: Option<(u64, Cut)>, flash_bytes: bool) -> (Small, Vec<u8>) {
    let (device, time, trace) = (device(), Timeline::default(), File::default());
    let link = Link::new(30_000, Duration::from_millis(100)).resets_after(1_500..=4_000).piece(300);
    let network = Network::new(&time, link, file(&image(), "\"v2\""));
    let slow = || Slow::new(device.chip().clone(), time.clone(), false);
    if let Some((point, cut)) = cut {
        device.chip().sim().cut_after(point, cut);
    }
    loop {
        let recorder = Recorder::new(trace.clone(), Geometry::of(&slow()));
        let recorder = recorder.received_bytes(true).flash_bytes(flash_bytes);
        let (flash, net) = (Traced::new(slow(), &recorder), Traced::new(network.clone(), &recorder));
        let done = update(&device, flash, &net, &job(), &time);
        if device.chip().sim().is_powered() {
            done.unwrap();
            let trace = trace.0.borrow().clone();
            return (device, trace);
        }
        device.chip().sim().power_on();
    }
}

/// The same once more, from the trace alone.
fn replay(bytes: &[u8], cut: Option<(u64, Cut)>, job: &Job) -> (Small, Result<(), Diverged>) {
    let device = device();
    if let Some((point, cut)) = cut {
        device.chip().sim().cut_after(point, cut);
    }
    let verdict = replay_on(&device, Replay::new(&Trace::parse(bytes).unwrap()).unwrap(), job);
    (device, verdict)
}

fn replay_on(device: &Small, replay: Replay<'_>, job: &Job) -> Result<(), Diverged> {
    loop {
        let flash = replay.flash(device.chip().clone());
        let _ = update(device, flash, &replay.net(), job, &Timeline::default());
        device.chip().sim().power_on();
        if !replay.reset() {
            return replay.verdict();
        }
    }
}

fn bytes(device: &Small) -> Vec<u8> {
    device.chip().sim().bytes().to_vec()
}

#[test]
fn an_update_through_a_power_cut_is_done_again_bit_by_bit() {
    let (mut sizes, mut resets) = (Vec::new(), 0);
    for point in (0..2300).step_by(173) {
        let cut = Some((point, Cut::ALL[point as usize % Cut::ALL.len()]));
        let (device, trace) = record(cut, false);
        let (again, verdict) = replay(&trace, cut, &job());
        assert_eq!(verdict, Ok(()), "{cut:?}");
        assert!(bytes(&device) == bytes(&again), "{cut:?}");
        let trace = (trace.len(), Trace::parse(&trace).unwrap());
        let failed = |event: &Option<Event<'_>>| matches!(event, Some(Event::Broken { .. }));
        assert!(trace.1.starts == 2, "the power was cut");
        resets += trace.1.of(Channel::Network).filter(|operation| failed(&operation.came)).count();
        sizes.push(trace.0);
    }
    println!(
        "an update of 9,000 bytes with a cut: traces of {:?} to {:?} bytes",
        sizes.iter().min(),
        sizes.iter().max()
    );
    assert!(resets > 20, "{resets} connections broke");
}

#[test]
fn a_trace_from_the_field_tells_where_the_power_failed() {
    for point in [5, 700, 1501, 2250] {
        let (device, trace) = record(Some((point, Cut::Before)), false);
        // The trace has the operation. What it had done is told by what was read after the reset.
        let fits = (0..=128).find_map(|words| {
            let again = self::device();
            let verdict =
                replay_on(&again, Replay::new(&Trace::parse(&trace).unwrap()).unwrap().cut_behind(words), &job());
            verdict.is_ok().then_some(again)
        });
        assert!(fits.is_some_and(|again| bytes(&again) == bytes(&device)), "{point}");
    }
}

#[test]
fn a_flash_that_fails_once_does_so_again() {
    let (device, time, trace) = (device(), Timeline::default(), File::default());
    let network = Network::new(&time, Link::new(30_000, Duration::from_millis(10)), file(&image(), "\"v2\""));
    device.chip().sim().fault_after(20, Fault::FailedWrite);
    let recorder = Recorder::new(trace.clone(), Geometry::of(device.chip())).received_bytes(true);
    let flash = Traced::new(device.chip().clone(), &recorder);
    update(&device, flash, &Traced::new(network.clone(), &recorder), &job(), &time).unwrap();
    assert!(!device.chip().sim().fault_is_due());
    let (again, verdict) = replay(&trace.0.borrow(), None, &job());
    assert_eq!(verdict, Ok(()));
    assert!(bytes(&device) == bytes(&again));
}

#[test]
fn a_program_that_does_something_else_is_told_by_its_first_operation() {
    let (_, bytes) = record(None, false);
    let trace = Trace::parse(&bytes).unwrap();
    // Progress is stored later, so that more is written at once.
    let (device, verdict) = replay(&bytes, None, &job().save_every(4096));
    let diverged = verdict.unwrap_err();
    let operation = trace.operations.iter().find(|operation| Some(operation.event) == diverged.event).unwrap();
    let Event::Write { at, .. } = operation.asked else { panic!("{diverged}") };
    assert!(device.target().contains(&at), "{diverged}");
    assert_eq!(diverged.traced, Some(operation.asked.to_string()));
    assert_ne!(diverged.traced, diverged.replayed);
    println!("{diverged}");
    // And the network is served to the end nevertheless.
    assert!(device.stores(&image()));
}

#[test]
fn a_flash_that_held_something_else_is_told_by_its_first_read() {
    let (_, bytes) = record(None, false);
    let device = device();
    let replay = Replay::new(&Trace::parse(&bytes).unwrap()).unwrap();
    device.chip().sim().load(device.log().start, &[0x5a; 64]);
    let flash = replay.flash(device.chip().clone());
    let _ = update(&device, flash, &replay.net(), &job(), &Timeline::default());
    let diverged = replay.verdict().unwrap_err();
    assert!(diverged.traced.as_ref().is_some_and(|came| came.starts_with("read, sum")), "{diverged}");
}

#[test]
fn a_trace_that_ends_anywhere_is_replayed_up_to_there() {
    let (_, bytes) = record(Some((1500, Cut::Before)), false);
    let mut ends = Vec::new();
    let mut events = dfu_testkit::trace::Events::new(&bytes).unwrap();
    while let Some(event) = events.next() {
        event.unwrap();
        ends.push(events.offset());
    }
    for ends in ends.windows(2).step_by(41) {
        let trace = Trace::parse(&bytes[..ends[0]]).unwrap();
        // Amid the next event nothing more is known.
        let (whole, error) = Trace::whole_of(&bytes[..ends[1] - 1]).unwrap();
        assert_eq!(whole.operations.len(), trace.operations.len());
        assert!(matches!(error, None | Some(TraceError::Truncated { .. })), "{error:?}");
        match Replay::new(&trace) {
            Ok(_) => {
                let (_, verdict) = replay(&bytes[..ends[0]], Some((1500, Cut::Before)), &job());
                // What differs is what comes behind the end.
                assert!(
                    verdict.is_ok() || verdict.as_ref().is_err_and(|diverged| diverged.event.is_none()),
                    "{verdict:?}"
                );
            }
            // It ends amid the bytes that came.
            Err(unfit) => assert!(matches!(unfit, Unfit::NoBytes(_)), "{unfit}"),
        }
    }
}

#[test]
fn what_the_flash_holds_is_told_by_the_writes_alone() {
    let (device, bytes) = record(None, true);
    let trace = Trace::parse(&bytes).unwrap();
    let mut flash = self::device().chip().sim().clone();
    assert_eq!(trace.rewrite(&mut flash), Ok(Rewritten::default()));
    assert!(flash.bytes() == device.chip().sim().bytes());
    // A device that held something else when it began.
    let mut flash = self::device().chip().sim().clone();
    flash.flip(device.log().start, 0);
    assert!(!trace.rewrite(&mut flash).unwrap().unlike.is_empty());
    // A trace of another flash, and one without bytes.
    assert_eq!(trace.rewrite(&mut SimFlash::<4, 1024>::new(1024)), Err(Unfit::Geometry(trace.geometry)));
    let (_, bytes) = record(None, false);
    let unfit = Trace::parse(&bytes).unwrap().rewrite(&mut flash);
    assert!(matches!(unfit, Err(Unfit::NoBytes(_))), "{unfit:?}");
}

#[test]
fn what_no_flash_allows_is_found_and_named() {
    let file = File::default();
    // A driver that forgives everything.
    struct Any;
    impl embedded_storage_async::nor_flash::ErrorType for Any {
        type Error = core::convert::Infallible;
    }
    impl embedded_storage_async::nor_flash::ReadNorFlash for Any {
        const READ_SIZE: usize = 1;
        async fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), Self::Error> {
            Ok(())
        }
        fn capacity(&self) -> usize {
            8192
        }
    }
    impl NorFlash for Any {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 4096;
        async fn erase(&mut self, _: u32, _: u32) -> Result<(), Self::Error> {
            Ok(())
        }
        async fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let recorder = Recorder::new(file.clone(), Geometry::of(&Any)).flash_bytes(true);
    let mut flash = Traced::new(Any, &recorder);
    dfu_testkit::poll::run(async {
        flash.write(16, &[0x0f; 8]).await.unwrap(); // Events 1 to 3.
        flash.write(20, &[0xf0; 4]).await.unwrap(); // 4 to 6: once more.
        flash.write(33, &[0; 4]).await.unwrap(); // 7 to 9.
        flash.write(8188, &[0; 8]).await.unwrap(); // 10 to 12.
        flash.erase(4096, 12_288).await.unwrap(); // 13, 14.
        flash.erase(0, 100).await.unwrap(); // 15, 16.
        flash.erase(0, 4096).await.unwrap();
        flash.write(20, &[0xf0; 4]).await.unwrap(); // After an erase.
    });
    let mut sim = SimFlash::<4, 4096>::new(8192);
    let found = Trace::parse(&file.0.borrow()).unwrap().rewrite(&mut sim).unwrap();
    assert_eq!(
        found.violations,
        [
            (4, Violation::Twice { at: 20 }),
            (7, Violation::Unaligned),
            (10, Violation::OutOfBounds),
            (13, Violation::OutOfBounds),
            (15, Violation::Unaligned),
        ]
    );
    // The addresses alone tell as much.
    assert_eq!(Trace::parse(&file.0.borrow()).unwrap().violations(), found.violations);
    assert_eq!(sim.bytes()[16..28], [[0xff; 4], [0xf0; 4], [0xff; 4]].concat());
}

#[test]
fn what_a_cut_left_is_unknown_until_it_is_erased() {
    let (device, bytes) = record(Some((1500, Cut::Before)), true);
    let trace = Trace::parse(&bytes).unwrap();
    let mut flash = self::device().chip().sim().clone();
    let mut first = trace.clone();
    first.operations.retain(|operation| operation.start == 0);
    let unknown = first.rewrite(&mut flash).unwrap().unknown;
    let [cut] = &unknown[..] else { panic!("one write was cut: {unknown:x?}") };
    assert!(device.target().contains(&cut.start) && flash.is_erased(cut.clone()), "{cut:x?}");
    // Once it was erased and written again, all is known, and right.
    let mut flash = self::device().chip().sim().clone();
    assert_eq!(trace.rewrite(&mut flash), Ok(Rewritten::default()));
    assert!(flash.bytes() == self::bytes(&device));
}

#[test]
fn recording_costs_the_update_no_operation_and_no_time() {
    let run = |traced: bool| {
        let (device, time, trace) = (device(), Timeline::default(), File::default());
        let network = Network::new(&time, Link::new(30_000, Duration::from_millis(10)), file(&image(), "\"v2\""));
        let sim = device.chip().sim().clone().timing(Timing::NRF9160);
        *device.chip().sim() = sim;
        let slow = Slow::new(device.chip().clone(), time.clone(), false);
        if traced {
            let recorder = Recorder::new(trace, Geometry::of(&slow));
            update(&device, Traced::new(slow, &recorder), &Traced::new(network.clone(), &recorder), &job(), &time)
                .unwrap();
        } else {
            update(&device, slow, &network, &job(), &time).unwrap();
        }
        let counts = device.chip().sim().counts();
        (counts, time.now())
    };
    assert_eq!(run(true), run(false));
}
