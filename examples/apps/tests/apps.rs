//! Each app over the lives of a device: from power-on to the reset it asks for, and again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

use dfu_apps::{Event, Means, Next, delta, full, mcuboot};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::{DfuTarget, Digest, Image, ImageId, ImageKind, Sha256};
use dfu_target_mcuboot::{Mode, RunningState};
use dfu_target_nrf_modem::{FullError, ModemDelta, ModemFull, Outcome, Program, Recovered, Settled};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, uuid};
use dfu_testkit::source::FlakySource;
use dfu_testkit::store::RamStore;
use dfu_testkit::time::Timeline;
use fota_download::{Control, Job};

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
    let mut engine = SoftSha256::default();
    engine.start();
    engine.update(bytes);
    engine.finish()
}

/// One life of the application; the end of it in words.
fn life(
    device: &Small,
    source: &mut FlakySource<'_>,
    digest: Option<Digest>,
    mut tell: impl FnMut(Event),
) -> Result<Next, String> {
    let regions = [device.primary(), device.secondary(), device.log()].map(|range| (range.start, range.len() as u32));
    let mut shared = Shared::new(device.chip().clone());
    let regions = shared.split(&Layout::checked(regions).unwrap());
    let time = Timeline::default();
    let (mut clock, control) = (time.clone(), Control::new());
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let means = Means { file: source, clock: &mut clock, control: &control, buffers: [&mut a, &mut b] };
    let job = (digest.map_or(Job::new(ImageId::named("app")), Job::of), digest);
    time.run(mcuboot::run::<_, _, _, _, _, 256>(
        regions,
        device.slots(),
        (SoftSha256::default(), ()),
        job,
        means,
        &mut tell,
    ))
    .map_err(|error| error.to_string())
}

#[test]
fn an_application_updates_itself_confirms_itself_and_is_content() {
    let image = image();
    for digest in [None, Some(sha256(&image))] {
        let (device, mut source) = (device(), FlakySource::new(&image));
        let mut states = Vec::new();
        let mut told = |event| {
            if let Event::Runs(state) = event {
                states.push(state);
            }
        };
        assert_eq!(life(&device, &mut source, digest, &mut told), Ok(Next::Reset));
        device.boot();
        assert_eq!(life(&device, &mut source, digest, &mut told), Ok(Next::Nothing), "the self-test is passed");
        device.boot();
        assert!(device.holds(device.primary(), &image));
        if digest.is_some() {
            let opened = source.opened();
            assert_eq!(life(&device, &mut source, digest, &mut told), Ok(Next::Nothing));
            assert_eq!(source.opened(), opened, "what runs is what is wanted");
            assert_eq!(states, [RunningState::Factory, RunningState::Trial, RunningState::Confirmed]);
        }
    }
}

#[test]
fn r23_an_image_whose_server_is_gone_goes_back_and_is_not_asked_for_again() {
    let image = image();
    let (device, mut source) = (device(), FlakySource::new(&image));
    assert_eq!(life(&device, &mut source, Some(sha256(&image)), |_| ()), Ok(Next::Reset));
    device.boot();
    let mut unreached = FlakySource::new(&image).down();
    assert_eq!(life(&device, &mut unreached, Some(sha256(&image)), |_| ()), Ok(Next::Reset));
    device.boot();
    assert!(!device.holds(device.primary(), &image), "the old one is back");
    let text = life(&device, &mut source, Some(sha256(&image)), |_| ()).unwrap_err();
    assert!(text.contains("applied before and came back"), "{text}");
}

#[test]
fn r01_a_cut_anywhere_ends_in_the_same_device() {
    let image = image();
    for point in (0..4000).step_by(37) {
        let (device, mut source) = (device(), FlakySource::new(&image));
        device.chip().sim().cut_after(point, Cut::ALL[point as usize % Cut::ALL.len()]);
        let mut lives = 0;
        while !device.holds(device.primary(), &image) || device.state() != RunningState::Confirmed {
            let _ = life(&device, &mut source, Some(sha256(&image)), |_| ());
            device.boot();
            lives += 1;
            assert!(lives < 6, "{point}");
        }
    }
}

#[test]
fn r27_a_modem_gets_its_delta_and_the_area_is_cleared_behind_it() {
    let modem = FakeModem::default();
    modem.start_normal().unwrap();
    let file = DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(6000).build();
    let (mut store, time, control) = (RamStore::new(), Timeline::default(), Control::new());
    let mut life = |outcome: Option<u32>, events: &mut Vec<Event>| {
        let mut target = ModemDelta::new(modem.delta(), modem.delay(), SoftSha256::default());
        let (mut source, mut clock) = (FlakySource::new(&file).pieces(1..=900), time.clone());
        let (mut a, mut b) = ([0; 512], [0; 512]);
        let means = Means { file: &mut source, clock: &mut clock, control: &control, buffers: [&mut a, &mut b] };
        let job = Job::of(sha256(&file));
        let run = delta::run(&mut target, &mut store, outcome.map(Outcome::from_raw), Some(job), means, |event| {
            events.push(event);
        });
        time.run(run).unwrap()
    };
    let mut events = Vec::new();
    assert_eq!(life(None, &mut events), Next::Reset);
    assert_eq!(events.first(), Some(&Event::Settled(Settled::Nothing)));
    modem.shutdown().unwrap();
    let told = modem.start_normal().unwrap();
    assert_eq!(modem.running(), uuid(2));
    events.clear();
    assert_eq!(life(told, &mut events), Next::Nothing);
    assert_eq!(events, [Event::Settled(Settled::Updated)], "and nothing more is fetched");
}

#[test]
fn r28_a_modem_is_programmed_at_the_next_start_and_comes_back_from_the_dead() {
    const REGION: u32 = 0x8000;
    let (modem, file) = (FakeModem::default(), FullFile::small(uuid(2)));
    let (bytes, ranges) = (file.build(), file.digest_ranges());
    let mut shared = Shared::new(Chip::<4, 4096>::new(SimFlash::new(REGION as usize)));
    let (mut store, time, control) = (RamStore::new(), Timeline::default(), Control::new());
    let program = Program::new().expect(&ranges, file.digest());
    let boot = |shared: &mut Shared<Chip<4, 4096>>| {
        let [region] = shared.split(&Layout::checked([(0, REGION)]).unwrap());
        let mut target = ModemFull::<_, _, 256>::new(region, SoftSha256::default());
        let (mut buffer, mut seen) = ([0; 4096], None);
        let start = async || modem.start_normal().is_ok();
        let tell = |event| seen = Some(event);
        let next = time.run(full::boot(&mut target, &mut modem.bootloader(), start, &program, &mut buffer, tell));
        let _ = modem.shutdown();
        (next.unwrap(), seen)
    };
    assert_eq!(boot(&mut shared), (Next::Nothing, Some(Event::Recovered(Recovered::Nothing))));
    {
        let [region] = shared.split(&Layout::checked([(0, REGION)]).unwrap());
        let mut target = ModemFull::<_, _, 256>::new(region, SoftSha256::default());
        let (mut source, mut clock) = (FlakySource::new(&bytes).breaks_after(3000..=3000), time.clone());
        let (mut a, mut b) = ([0; 512], [0; 512]);
        let means = Means { file: &mut source, clock: &mut clock, control: &control, buffers: [&mut a, &mut b] };
        let job = Job::of(sha256(&bytes));
        assert_eq!(time.run(full::run(&mut target, &mut store, job, means, |_| ())), Ok(Next::Reset));
    }
    assert_eq!(modem.running(), FakeModem::FIRST, "it is not touched before the start");
    assert_eq!(boot(&mut shared), (Next::Reset, Some(Event::Recovered(Recovered::Programmed))));
    assert_eq!(boot(&mut shared), (Next::Nothing, Some(Event::Recovered(Recovered::Nothing))));
    assert_eq!(modem.running(), uuid(2));
    modem.kill();
    assert_eq!(boot(&mut shared), (Next::Reset, Some(Event::Recovered(Recovered::Programmed))), "the file still helps");
    assert_eq!(boot(&mut shared), (Next::Nothing, Some(Event::Recovered(Recovered::Nothing))));
}

#[test]
fn a_full_update_that_cannot_be_programmed_leaves_no_modem_off() {
    let (modem, file) = (FakeModem::default(), FullFile::small(uuid(2)));
    let bytes = file.build();
    let chip = Chip::<4, 4096>::new(SimFlash::new(0x8000));
    let mut shared = Shared::new(chip.clone());
    let layout = Layout::checked([(0, 0x8000)]).unwrap();
    let time = Timeline::default();
    time.run(async {
        let [region] = shared.split(&layout);
        let mut target = ModemFull::<_, _, 256>::new(region, SoftSha256::default());
        let image = Image { head: &bytes[..64], ..Image::new(ImageKind::ModemFull) };
        target.init(&image, 0).await.unwrap();
        target.write(&bytes).await.unwrap();
        let proof = target.digest().await.unwrap().assured().unwrap();
        let _ = target.apply(proof).await.unwrap();
    });
    // A bit of it is lost since.
    chip.sim().load(900, &[bytes[900] ^ 1]);
    for nth in 0..5 {
        modem.power_on();
        let [region] = shared.split(&layout);
        let mut target = ModemFull::<_, _, 256>::new(region, SoftSha256::default());
        let start = async || modem.start_normal().is_ok();
        let (program, mut buffer) = (Program::new(), [0; 4096]);
        let next = time.run(full::boot(&mut target, &mut modem.bootloader(), start, &program, &mut buffer, |_| ()));
        let wanted = if nth < 3 { Err(FullError::Damaged) } else { Ok(Next::Nothing) };
        assert_eq!((next, modem.mode()), (wanted, dfu_testkit::modem::Mode::Normal));
    }
}
