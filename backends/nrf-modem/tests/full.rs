//! A full update's life: staged, programmed at boot, and there again when it is needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, RegionError, Shared};
use dfu_target::{DfuTarget, Digest, Error, ErrorKind, Image, ImageKind, Sha256};
use dfu_target_nrf_modem::port::{Bootloader, Errno, Fault, MOST_RANGES, Range, Uuid};
use dfu_target_nrf_modem::{
    DirectError, FullError, FullPolicy, FullState, ModemFull, ModemFullDirect, Phase, Program, Recovered, Start,
};
use dfu_testkit::flash::{Chip, SimError, SimFlash};
use dfu_testkit::modem::{FakeModem, FullFile, ModemCall, uuid};

/// As external NOR has it.
type Flash = Chip<1, 4096>;
type Full<'a, V = ()> = ModemFull<'a, Flash, SoftSha256, 256, V>;
type Failed = FullError<RegionError<SimError>>;

fn on<V: FullPolicy, R>(chip: &Flash, policy: V, run: impl FnOnce(Full<'_, V>) -> R) -> R {
    let size = chip.sim().bytes().len() as u32;
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
    run(ModemFull::with(region, SoftSha256::default(), policy))
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(bytes);
    engine.finish()
}

/// Stages a file and asks for it to be programmed.
fn stage(chip: &Flash, file: &[u8]) {
    on(chip, (), |target| apply(target, file)).unwrap();
}

fn apply<T: DfuTarget>(mut target: T, file: &[u8]) -> Result<(), T::Error> {
    let image = Image { size: Some(file.len() as u32), head: &file[..64], ..Image::new(ImageKind::ModemFull) };
    block_on(async {
        target.init(&image, 0).await?;
        for piece in file.chunks(4096) {
            target.write(piece).await?;
        }
        let proof = target.digest().await?.matches(&sha256(file)).unwrap();
        target.apply(proof).await.map(drop)
    })
}

fn recover(chip: &Flash, modem: &FakeModem, start: Start, program: &Program<'_>) -> Result<Recovered, Failed> {
    on(chip, (), |mut target| block_on(target.recover(&mut modem.bootloader(), start, program, &mut [0; 4096])))
}

fn is_due(chip: &Flash) -> bool {
    on(chip, (), |mut target| block_on(target.is_due())).unwrap()
}

fn state(chip: &Flash) -> FullState {
    on(chip, (), |mut target| block_on(target.state())).unwrap()
}

const PLAIN: Program<'static> = Program::new();

#[test]
fn r28_a_file_of_real_size_with_a_real_signature_is_programmed_and_compared() {
    let file = FullFile::real();
    let (chip, modem) = (Flash::new(SimFlash::new(4 << 20)), FakeModem::default());
    let bytes = file.build();
    assert!(bytes.len() > 2_000_000, "{}", bytes.len());
    stage(&chip, &bytes);
    assert!(is_due(&chip));
    let (ranges, digest) = (file.digest_ranges(), file.digest());
    let mut seen = Vec::new();
    struct Seen<'s>(&'s mut Vec<(Phase, u32, u32)>);
    impl FullPolicy for Seen<'_> {
        fn progress(&mut self, phase: Phase, done: u32, total: u32) {
            self.0.push((phase, done, total));
        }
    }
    let program = PLAIN.expect(&ranges, digest);
    let recovered = on(&chip, Seen(&mut seen), |mut target| {
        block_on(target.recover(&mut modem.bootloader(), Start::NotTried, &program, &mut [0; 4096]))
    });
    assert_eq!(recovered, Ok(Recovered::Programmed));
    modem.power_on();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), FullFile::REAL));
    assert!(!is_due(&chip));
    // In bytes, in order, to the end.
    let size = bytes.len() as u32;
    let last = |phase| seen.iter().rfind(|(of, ..)| *of == phase).map(|(_, done, total)| (*done, *total));
    assert_eq!(last(Phase::Checking), Some((size, size)));
    assert_eq!(last(Phase::Programming), Some((size, size)));
    assert!(last(Phase::Loader).unwrap().0 < 10_000 && last(Phase::Verifying) == Some((1, 1)));
    let in_order = |phase| seen.iter().filter(move |(of, ..)| *of == phase).is_sorted_by_key(|(_, done, _)| *done);
    assert!([Phase::Checking, Phase::Loader, Phase::Programming].into_iter().all(in_order));
    // No piece is longer than the buffer: what lies between two calls is bounded.
    assert!(seen.windows(2).all(|two| two[0].0 != two[1].0 || two[1].1 - two[0].1 <= 4096));
}

#[test]
fn r23_a_wrong_signature_leaves_the_modem_as_it_was_and_is_not_tried_again() {
    let mut bytes = FullFile::small(uuid(2)).build();
    let wrapper = FullFile::small(uuid(2)).wrapper().len();
    bytes[wrapper - 1] ^= 1;
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &bytes);
    let refused = FullError::Refused(Fault::Errno(Errno::Perm));
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Err(refused));
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(modem.count(ModemCall::FwWrite), 0);
    modem.power_on();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), FakeModem::FIRST));
    assert!(!is_due(&chip));
    for start in [Start::NotTried, Start::Worked] {
        assert_eq!(recover(&chip, &modem, start, &PLAIN), Ok(Recovered::Nothing));
    }
    assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), Ok(Recovered::NoRemedy));
    // Another one is taken.
    stage(&chip, &FullFile::small(uuid(3)).build());
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Programmed));
    // Where the signature is not asked about, the modem alone knows.
    stage(&chip, &bytes);
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN.skip_prevalidation()), Ok(Recovered::Programmed));
}

#[test]
fn r28_nothing_is_done_where_nothing_is_staged() {
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    let half = FullFile::small(uuid(2)).build();
    for written in [0, 700] {
        on(&chip, (), |mut target| {
            let image = Image { head: &half[..64], ..Image::new(ImageKind::ModemFull) };
            block_on(target.init(&image, 0)).unwrap();
            block_on(target.write(&half[..written])).unwrap();
        });
        for (start, wanted) in [
            (Start::NotTried, Recovered::Nothing),
            (Start::Worked, Recovered::Nothing),
            (Start::Failed, Recovered::NoRemedy),
        ] {
            assert_eq!(recover(&chip, &modem, start, &PLAIN), Ok(wanted));
        }
    }
    assert!(modem.calls().is_empty());
}

#[test]
fn r28_a_modem_that_dies_later_is_programmed_again_from_what_still_lies_there_three_times() {
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &FullFile::small(uuid(2)).build());
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Programmed));
    for round in 1..=4 {
        modem.power_on();
        assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Nothing));
        modem.kill();
        assert!(modem.start_normal().is_err());
        let wanted = if round < 3 { Recovered::Programmed } else { Recovered::GaveUp };
        assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), Ok(wanted), "round {round}");
        assert_eq!(modem.is_alive(), round < 3);
    }
    // Another file begins with a clean slate.
    stage(&chip, &FullFile::small(uuid(3)).build());
    assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), Ok(Recovered::Programmed));
    assert_eq!(modem.running(), uuid(3));
}

#[test]
fn r28_a_modem_that_reads_back_differently_is_programmed_again_three_times() {
    let file = FullFile::small(uuid(2));
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &file.build());
    let ranges = file.digest_ranges();
    let wrong = PLAIN.expect(&ranges, Digest([7; 32]));
    for _ in 0..3 {
        assert!(is_due(&chip));
        assert_eq!(recover(&chip, &modem, Start::NotTried, &wrong), Err(FullError::Mismatch));
        modem.power_on();
    }
    assert!(!is_due(&chip), "the modem is to be started now, whatever it is");
    assert_eq!(recover(&chip, &modem, Start::NotTried, &wrong), Ok(Recovered::Nothing));
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
    assert_eq!(recover(&chip, &modem, Start::Worked, &wrong), Ok(Recovered::Nothing));
    assert_eq!(recover(&chip, &modem, Start::Failed, &wrong), Ok(Recovered::GaveUp));
}

#[test]
fn r28_a_digest_that_the_modem_does_not_tell_is_no_reason_to_program_it_for_ever() {
    let file = FullFile::small(uuid(2));
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &file.build());
    let ranges = file.digest_ranges();
    let compared = PLAIN.expect(&ranges, file.digest());
    let fault = Fault::Errno(Errno::NoExec);
    for _ in 0..3 {
        assert!(is_due(&chip));
        modem.fail(ModemCall::Digest, 0, fault);
        assert_eq!(recover(&chip, &modem, Start::NotTried, &compared), Err(FullError::Modem(fault)));
        modem.power_on();
    }
    assert!(!is_due(&chip));
    assert_eq!(recover(&chip, &modem, Start::NotTried, &compared), Ok(Recovered::Nothing));
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
}

#[test]
fn what_is_compared_is_as_many_ranges_as_a_modem_takes() {
    let file = FullFile::small(uuid(2));
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &file.build());
    let many = [file.digest_ranges()[0]; MOST_RANGES + 1];
    let tried = recover(&chip, &modem, Start::NotTried, &PLAIN.expect(&many, file.digest()));
    assert_eq!(tried, Err(FullError::Ranges));
    assert!(modem.calls().is_empty());
    // None: nothing is known, and nothing compared.
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN.expect(&[], Digest([7; 32]))), Ok(Recovered::Programmed));
    assert_eq!(modem.count(ModemCall::Digest), 0);
}

#[test]
fn r28_a_file_that_cannot_be_programmed_keeps_no_modem_off_for_ever() {
    let io = Fault::Errno(Errno::Io);
    for call in [ModemCall::Start, ModemCall::BlWrite, ModemCall::BootloaderUpdate, ModemCall::Verify] {
        let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
        stage(&chip, &FullFile::small(uuid(2)).build());
        // Too low a voltage is nobody's fault.
        for fault in [io, Fault::Errno(Errno::Again), io, Fault::Errno(Errno::Again), io] {
            assert!(is_due(&chip));
            modem.fail(call, 0, fault);
            assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Err(FullError::Modem(fault)), "{call:?}");
            modem.power_on();
        }
        assert_eq!(state(&chip), FullState::Refused);
        assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Nothing));
        assert_eq!((modem.start_normal(), modem.running()), (Ok(None), FakeModem::FIRST));
        assert_eq!(modem.count(ModemCall::FwWrite), 0);
        // Whoever wants it all the same may apply it once more, and it is as good as ever afterwards.
        modem.shutdown().unwrap();
        stage(&chip, &FullFile::small(uuid(2)).build());
        modem.fail(call, 0, io);
        assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Err(FullError::Modem(io)));
        for start in [Start::NotTried, Start::Failed, Start::Failed] {
            assert_eq!(recover(&chip, &modem, start, &PLAIN), Ok(Recovered::Programmed), "{call:?}");
        }
        assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), Ok(Recovered::GaveUp));
    }
}

#[test]
fn r28_a_file_that_does_not_help_either_is_given_up() {
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &FullFile::small(uuid(2)).build());
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Programmed));
    for _ in 0..2 {
        modem.fail(ModemCall::BlWrite, 0, Fault::Errno(Errno::Inval));
        let failed = Err(FullError::Modem(Fault::Errno(Errno::Inval)));
        assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), failed);
    }
    assert_eq!(recover(&chip, &modem, Start::Failed, &PLAIN), Ok(Recovered::GaveUp));
}

/// A modem's bootloader that notes where it is to program how much.
struct Noted<'n, B>(B, &'n mut Vec<(u32, usize)>);

impl<B: Bootloader> Bootloader for Noted<'_, B> {
    fn start(&mut self) -> Result<(), Fault> {
        self.0.start()
    }
    fn stop(&mut self) -> Result<(), Fault> {
        self.0.stop()
    }
    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.bl_write(bytes)
    }
    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.1.push((address, bytes.len()));
        self.0.fw_write(address, bytes)
    }
    fn update(&mut self) -> Result<(), Fault> {
        self.0.update()
    }
    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        self.0.verify(wrapper)
    }
    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault> {
        self.0.digest(ranges)
    }
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        self.0.uuid()
    }
}

#[test]
fn a_segment_is_programmed_in_whole_words_whatever_the_buffer() {
    let file = FullFile::small(uuid(2));
    for len in [64, 65, 66, 67, 101, 255, 4096] {
        let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
        stage(&chip, &file.build());
        let mut noted = Vec::new();
        let recovered = on(&chip, (), |mut target| {
            let mut modem = Noted(modem.bootloader(), &mut noted);
            block_on(target.recover(&mut modem, Start::NotTried, &PLAIN, &mut vec![0; len]))
        });
        assert_eq!(recovered, Ok(Recovered::Programmed));
        assert!(noted.iter().all(|(address, count)| address % 4 == 0 && *count <= len), "{len}: {noted:x?}");
        let ends = noted.iter().filter(|(_, count)| count % 4 != 0).count();
        assert!(ends <= file.segments().len(), "{len}: {noted:x?}");
        modem.power_on();
        assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
    }
}

#[test]
fn r28_what_is_staged_is_looked_at_once_more_before_the_modem_is_touched() {
    let bytes = FullFile::small(uuid(2)).build();
    for at in [0, 8, 400, bytes.len() - 1] {
        let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
        stage(&chip, &bytes);
        chip.sim().load(at as u32, &[bytes[at] ^ 0x10]);
        assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Err(FullError::Damaged), "byte {at}");
        assert!(modem.calls().is_empty());
        // It can be given up.
        on(&chip, (), |mut target| block_on(target.abort())).unwrap();
        assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Nothing));
    }
}

#[test]
fn r28_the_only_remedy_is_not_thrown_away_by_mistake() {
    let bytes = FullFile::small(uuid(2)).build();
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &bytes);
    // The link to the modem breaks amid the segments.
    modem.fail(ModemCall::FwWrite, 1, Fault::Errno(Errno::TimedOut));
    let broken = FullError::Modem(Fault::Errno(Errno::TimedOut));
    let small = on(&chip, (), |mut target| {
        block_on(target.recover(&mut modem.bootloader(), Start::NotTried, &PLAIN, &mut [0; 512]))
    });
    assert_eq!(small, Err(broken));
    assert_eq!(modem.mode(), dfu_testkit::modem::Mode::Off, "the bootloader mode was ended");
    let other = FullFile::small(uuid(3)).build();
    assert_eq!(on(&chip, (), |target| apply(target, &other)), Err(FullError::Incomplete));
    assert_eq!(on(&chip, (), |mut target| block_on(target.abort())), Err(FullError::Incomplete));
    assert_eq!(FullError::<()>::Incomplete.kind(), ErrorKind::Pending);
    assert!(is_due(&chip));
    assert_eq!(recover(&chip, &modem, Start::NotTried, &PLAIN), Ok(Recovered::Programmed));
    assert_eq!(modem.running(), uuid(2));
    // On purpose it is.
    stage(&chip, &bytes);
    modem.fail(ModemCall::FwWrite, 1, Fault::Errno(Errno::TimedOut));
    let _ = on(&chip, (), |mut target| {
        block_on(target.recover(&mut modem.bootloader(), Start::NotTried, &PLAIN, &mut [0; 512]))
    });
    on(&chip, (), |mut target| block_on(target.discard())).unwrap();
    assert_eq!(on(&chip, (), |target| apply(target, &other)), Ok(()));
}

#[test]
fn a_buffer_that_is_no_buffer_is_refused() {
    let (chip, modem) = (Flash::new(SimFlash::new(64 << 10)), FakeModem::default());
    stage(&chip, &FullFile::small(uuid(2)).build());
    for (len, wanted) in [(0, Err(FullError::Buffer)), (63, Err(FullError::Buffer)), (64, Ok(Recovered::Programmed))] {
        let recovered = on(&chip, (), |mut target| {
            block_on(target.recover(&mut modem.bootloader(), Start::NotTried, &PLAIN, &mut vec![0; len]))
        });
        assert_eq!(recovered, wanted);
    }
}

#[test]
fn without_staging_an_update_goes_straight_into_the_modem() {
    let bytes = FullFile::small(uuid(2)).build();
    let modem = FakeModem::default();
    let target = || ModemFullDirect::new(modem.bootloader(), [SoftSha256::default(), SoftSha256::default()]);
    for chunk in [1, 64, 500, 4096] {
        let mut target = target();
        let image = Image { size: Some(bytes.len() as u32), head: &bytes[..64], ..Image::new(ImageKind::ModemFull) };
        block_on(async {
            assert_eq!(target.init(&image, 700).await, Ok(0), "always from the start");
            for piece in bytes.chunks(chunk) {
                target.write(piece).await.unwrap();
            }
            assert!(target.write(&[0]).await.is_err(), "nothing follows the end");
        });
        assert_eq!(apply(&mut target, &bytes), Ok(()));
        assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
        modem.shutdown().unwrap();
    }
    // A bad signature: before the modem's flash is touched. A bad byte: after, and the whole of it is needed again.
    let mut forged = bytes.clone();
    forged[FullFile::small(uuid(2)).wrapper().len() - 1] ^= 1;
    assert_eq!(apply(target(), &forged), Err(DirectError::Refused(Fault::Errno(Errno::Perm))));
    modem.power_on();
    assert!(modem.is_alive());
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(apply(target(), &damaged), Err(DirectError::BlobHash));
    modem.power_on();
    assert!(!modem.is_alive());
    assert_eq!(apply(target(), &bytes), Ok(()));
    modem.power_on();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
    // What the wrapper shows costs nothing.
    modem.shutdown().unwrap();
    modem.forget_calls();
    assert!(matches!(apply(target(), &bytes[..bytes.len() - 1]), Err(DirectError::WrongSize { .. })));
    assert!(modem.calls().is_empty());
}
