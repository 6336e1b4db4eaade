//! The library's suites on the chip: the same contract, the same simulated flash and the same sweep as on a PC, where
//! pointers are long, loads need no alignment and the compiler makes other code.
//!
//! One after the other; the first that fails ends it. Arguments, each `name=value`: `only`, a part of a test's name;
//! `stack`, how many bytes of it there are.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use dfu_qemu_m33::console::{self, Arguments};
use dfu_qemu_m33::{line, stack};
use dfu_target::blocking::{Blocking, block_on};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Region, RegionError, Shared};
use dfu_target::image::HEAD_LEN;
use dfu_target::image::mcuboot::Version;
use dfu_target::{Begun, DfuTarget, Digest, Progress, ProgressLog, ProgressStore, Request, Update};
use dfu_target_mcuboot::signature::Ed25519;
use dfu_target_mcuboot::{Active, Align, McubootTarget, Mode, Rules, RunningState, Slots, Upgrade, VersionRule};
use dfu_testkit::contract::{FlashRig, contract};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::{Chip, Cut, SimFlash, Tear};
use dfu_testkit::poll::run;
use dfu_testkit::record::Record;
use dfu_testkit::scenario::{Cutting, Scenario};
use embedded_alloc::LlffHeap;
use embedded_storage_async::nor_flash::NorFlash;

const TESTS: &[(&str, fn())] = &[
    ("an_mcuboot_target_keeps_the_contract_in_each_geometry", contract_in_each_geometry),
    ("an_mcuboot_target_keeps_the_contract_in_each_mode", contract_in_each_mode),
    ("one_of_two_targets_keeps_the_contract", contract_of_either),
    ("an_update_survives_a_cut_anywhere_when_slots_are_swapped", sweep_of_swaps),
    ("an_update_survives_a_cut_anywhere_where_the_bootloader_chooses", sweep_of_choices),
    ("an_update_survives_a_cut_anywhere_on_an_nrf9160", sweep_of_nrf9160),
    ("a_progress_log_gives_the_last_record_or_the_one_before", sweep_of_logs),
    ("a_region_reaches_nothing_outside", regions),
    ("a_flash_that_blocks_takes_an_update_without_an_executor", blocking),
    ("a_signature_is_checked_and_the_stack_stays_small", signed),
];

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: once, and before the first allocation; QEMU's PSRAM, where nothing else is.
    unsafe { HEAP.init(0x8000_0000, 16 << 20) };
    let arguments = Arguments::get();
    if let Some(bytes) = arguments.number("stack") {
        stack::limit(bytes);
    }
    let only = arguments.value("only").unwrap_or_default();
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(only)) {
        test();
        PASSED.fetch_add(1, Ordering::Relaxed);
        line!("test {name} ... ok");
    }
    result(0);
    console::exit(0)
}

fn result(failed: u32) {
    let (passed, verdict) = (PASSED.load(Ordering::Relaxed), if failed == 0 { "ok" } else { "FAILED" });
    line!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
}

// --- the contract ---------------------------------------------------------------------------------------------------

type Target<const W: usize, const E: usize, const R: usize> =
    McubootTarget<'static, Chip<W, E, R>, SoftSha256, &'static Slots, 256>;

/// The image that runs was confirmed long ago.
const ACTIVE: Active =
    Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));

fn target<const W: usize, const E: usize, const R: usize>(
    region: Region<'static, Chip<W, E, R>>,
    device: &'static Device<W, E, R>,
) -> Target<W, E, R> {
    McubootTarget::new(region, SoftSha256::default(), device.slots(), ACTIVE).unwrap()
}

const MOVE: Board = Board::new(Mode::SwapMove, 10 * 1024).sectors(10);

fn contract_in_each_geometry() {
    contract(&FlashRig::new(MOVE, target::<4, 1024, 4>));
    contract(&FlashRig::new(MOVE.sectors(20).upgrade(Upgrade::Permanent), target::<1, 512, 1>));
    contract(&FlashRig::new(MOVE.align(Align::A32).erased(0), target::<32, 1024, 32>));
    contract(&FlashRig::new(Board::new(Mode::SwapMove, 8 * 4096), target::<4, 4096, 1>));
}

fn contract_in_each_mode() {
    for mode in [Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert, Mode::RamLoad] {
        contract(&FlashRig::new(Board::new(mode, 8 * 1024).sectors(10), target::<4, 1024, 4>));
    }
}

fn contract_of_either() {
    static OTHER: Slots = Slots::new::<Chip<4, 1024, 4>>(
        10 * 1024,
        dfu_target_mcuboot::Config::new(Mode::SwapMove).max_sectors(10).index(1),
    );
    let other = || {
        let device: &'static Device<4, 1024, 4> = Box::leak(Box::new(Device::new(MOVE)));
        let shared = Box::leak(Box::new(device.share()));
        let [region] = shared.split(&Layout::checked([(device.secondary().start, 10 * 1024)]).unwrap());
        McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &OTHER, ACTIVE).unwrap()
    };
    contract(&FlashRig::new(MOVE, |region, device| other().or(target::<4, 1024, 4>(region, device))));
}

// --- power cuts -----------------------------------------------------------------------------------------------------

/// Cuts at every point of an update, in these ways; says how many that were.
fn sweep<const W: usize, const E: usize, const R: usize>(name: &str, cuts: &[Cut], scenario: Scenario) {
    let world = scenario.build::<W, E, R>();
    let mut points = 0;
    for cut in cuts {
        for point in 0.. {
            if world.live(&[Cutting { point, cut: *cut }]) == 0 {
                assert!(point > 300, "an update has more points than {point}");
                break;
            }
            points += 1;
        }
    }
    line!("fault points: {points} ({name})");
}

fn sweep_of_swaps() {
    let board = Board::new(Mode::SwapMove, 8 * 1024).sectors(8);
    sweep::<4, 1024, 4>("swap by move, words of 4", &Cut::ALL, Scenario::new(board).sizes(1500, 2600));
    let board = Board::new(Mode::SwapScratch, 3 * 2048).sectors(8).upgrade(Upgrade::Permanent);
    sweep::<8, 2048, 1>("swap by scratch, words of 8, largest image", &Cut::ALL, Scenario::new(board).maximal(1000));
    let board = Board::new(Mode::SwapOffset, 6 * 1024).sectors(8);
    sweep::<4, 1024, 4>("swap by offset, words of 4, pieces of 33", &TWO, Scenario::new(board).fetching(33, 1050));
}

/// Half of the word or the erase is done, or all of it and no more.
const TWO: [Cut; 2] = [Cut::Torn(Tear::Front), Cut::After];

fn sweep_of_nrf9160() {
    let scenario = Scenario::new(Board::new(Mode::SwapMove, 8 * 4096)).sizes(4200, 6100);
    sweep::<4, 4096, 4>("swap by move, words of 4, sectors of 4096", &TWO[..1], scenario);
}

fn sweep_of_choices() {
    let board = Board::new(Mode::DirectXipRevert, 5 * 1024).align(Align::A16).sectors(8);
    sweep::<16, 1024, 1>("direct-XIP with revert, words of 16", &Cut::ALL, Scenario::new(board).maximal(2002));
}

/// Power fails at each word of the record after this many, and of the erase that comes with it now and then.
fn sweep_of_logs() {
    const E: usize = 1024;
    let record = |n: u32| -> Progress {
        let head = alloc::vec![n as u8; HEAD_LEN];
        Record { size: Some(100_000), identity: 0x1234, offset: n * 1000, head, ..Record::default() }.progress()
    };
    let chip = Chip::new(SimFlash::<4, E, 4>::new(4 * E).aligned_sources(true));
    let units = E as u32..3 * E as u32;
    chip.sim().guard(core::slice::from_ref(&units));
    let with = |work: &mut dyn FnMut(&mut ProgressLog<'_, Chip<4, E, 4>, 192>)| {
        let mut shared = Shared::new(chip.clone());
        let [region] = shared.split(&Layout::checked([(E as u32, 2 * E as u32)]).unwrap());
        work(&mut ProgressLog::new(region));
    };
    let mut points = 0;
    for n in 0..20 {
        chip.sim().checkpoint();
        for cut in Cut::ALL {
            for point in 0.. {
                chip.sim().rollback();
                chip.sim().cut_after(point, cut);
                let mut saved = false;
                with(&mut |log| saved = run(log.save(&record(n))).is_ok());
                if chip.sim().is_powered() {
                    assert!(saved);
                    break;
                }
                points += 1;
                chip.sim().power_on();
                with(&mut |log| {
                    let found = run(log.load());
                    let before = n.checked_sub(1).map(record);
                    assert!(found == Some(record(n)) || found == before, "{cut:?} at {point} of record {n}");
                    run(log.save(&record(n))).unwrap();
                    assert_eq!(run(log.load()), Some(record(n)));
                });
            }
        }
        chip.sim().rollback();
        chip.sim().commit();
        with(&mut |log| run(log.save(&record(n))).unwrap());
    }
    line!("fault points: {points} (progress log)");
}

// --- the rest -------------------------------------------------------------------------------------------------------

fn regions() {
    const MAP: Layout<Chip<4, 1024, 4>, 2> = Layout::new([(0x1000, 0x800), (0x2000, 0x400)]);
    let chip = Chip::new(SimFlash::new(0x4000));
    chip.sim().load(0, &[0x5a; 0x4000]);
    let mut shared = Shared::new(chip.clone());
    let [mut a, mut b] = shared.split(&MAP);
    chip.sim().guard(&[0x1400..0x1800, 0x2000..0x2400]);
    run(a.erase(0x400, 0x800)).unwrap();
    run(a.write(0x7fc, &[1, 2, 3, 4])).unwrap();
    run(b.erase(0, 0x400)).unwrap();
    assert_eq!(chip.sim().bytes()[0x17fc..0x1804], [1, 2, 3, 4, 0x5a, 0x5a, 0x5a, 0x5a]);
    let before = chip.sim().counts();
    // Sums of these leave the 32 bits that an address has here.
    for at in [0x7fc, 0x800, 0x804, u32::MAX - 3, u32::MAX] {
        assert_eq!(run(a.write(at, &[0; 8])), Err(RegionError::OutOfBounds), "{at:#x}");
    }
    for (from, to) in [(0, 0xc00), (0x800, 0xc00), (0xffff_f000, 0), (0x400, 0), (0, u32::MAX)] {
        assert_eq!(run(a.erase(from, to)), Err(RegionError::OutOfBounds), "{from:#x}..{to:#x}");
    }
    assert_eq!(chip.sim().counts(), before, "and nothing was asked of the flash");
}

const FIXTURE: &[u8] = include_bytes!("../../../../tests/fixtures/sig-ed25519.bin");
const KEY: &[u8] = include_bytes!("../../../../tests/fixtures/keys/test-only-ed25519.pub.der");
const SLOT: u32 = 8 * 4096;

fn blocking() {
    type Flash = Blocking<SimFlash<4, 4096, 1>>;
    const SLOTS: Slots = Slots::new::<Flash>(SLOT, dfu_target_mcuboot::Config::new(Mode::SwapMove));
    // Pieces of every length up to 70, from addresses of every kind.
    for length in (1..=70).chain([4096, 5000]) {
        let mut shared = Shared::new(Blocking(SimFlash::new(0xa000).aligned_sources(true)));
        let [slot, log] = shared.split(const { &Layout::<Flash, 2>::new([(0, SLOT), (SLOT, 0x2000)]) });
        let target = McubootTarget::<_, _, _, 128>::new(slot, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
        let request = Request::of(sha256(FIXTURE)).size(FIXTURE.len() as u32);
        let mut update = Update::new(target, ProgressLog::<_>::new(log), request);
        let applied = block_on(async {
            let Begun::Receiving(mut session) = update.begin().await? else { panic!("nothing is there yet") };
            for piece in FIXTURE.chunks(length) {
                session.write(piece).await?;
            }
            let staged = session.finish().await.map_err(|failed| failed.into_error())?;
            let verified = staged.verify(&sha256(FIXTURE)).map_err(|failed| failed.into_error())?;
            verified.apply().await.map_err(|failed| failed.into_error())
        });
        assert!(applied.is_ok(), "pieces of {length}: {applied:?}");
        let _ = update;
        assert_eq!(shared.into_inner().0.bytes()[..FIXTURE.len()], *FIXTURE, "pieces of {length}");
    }
}

fn signed() {
    type Flash = Blocking<SimFlash<4, 4096, 1>>;
    const SLOTS: Slots = Slots::new::<Flash>(SLOT, dfu_target_mcuboot::Config::new(Mode::SwapMove));
    let push = |image: &[u8]| -> Result<[usize; 4], ()> {
        let mut shared = Shared::new(Blocking(SimFlash::new(0xa000).aligned_sources(true)));
        let [slot, log] = shared.split(const { &Layout::<Flash, 2>::new([(0, SLOT), (SLOT, 0x2000)]) });
        let keys = [KEY];
        let rules = Rules::new(SoftSha256::default()).version(VersionRule::Newer).signed(Ed25519, &keys).unwrap();
        let target =
            McubootTarget::<_, _, _, 256, _>::verifying(slot, SoftSha256::default(), &SLOTS, ACTIVE, rules).unwrap();
        let mut update = Update::new(target, ProgressLog::<_>::new(log), Request::of(sha256(image)));
        let (begun, begin) = stack::measured(|| block_on(update.begin()));
        let Ok(Begun::Receiving(mut session)) = begun else { panic!("nothing is there yet") };
        let mut write = 0;
        for piece in image.chunks(512) {
            let (result, used) = stack::measured(|| block_on(session.write(piece)));
            result.map_err(|_| ())?;
            write = write.max(used);
        }
        let (staged, finish) = stack::measured(|| block_on(session.finish()));
        let verified = staged.map_err(|_| ())?.verify(&sha256(image)).map_err(|_| ())?;
        let (applied, apply) = stack::measured(|| block_on(verified.apply()));
        let _ = applied.map_err(|_| ())?;
        Ok([begin, write, finish, apply])
    };
    let [begin, write, finish, apply] = push(FIXTURE).expect("it is signed");
    line!("stack: begin {begin}, write {write}, finish with Ed25519 {finish}, apply {apply} bytes, futures in it");
    let mut image = FIXTURE.to_vec();
    for at in (600..FIXTURE.len()).step_by(977).chain([FIXTURE.len() - 1]) {
        image[at] ^= 4;
        assert!(push(&image).is_err(), "a bit at {at} is wrong");
        image[at] ^= 4;
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

// --------------------------------------------------------------------------------------------------------------------

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
static PASSED: AtomicU32 = AtomicU32::new(0);

dfu_qemu_m33::silent_defmt!();

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line!("{info}");
    result(1);
    console::exit(101)
}
