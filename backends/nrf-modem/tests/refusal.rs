//! Bad input: what the wrapper or the head shows costs no flash operation and no call that changes the modem; what only
//! the segments show is found before the modem is touched.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, RegionError, Shared};
use dfu_target::progress::NoProgress;
use dfu_target::session::SessionError;
use dfu_target::{Begun, DfuTarget, Error, ErrorKind, ErrorType, Image, ImageId, ImageKind, Request, Update};
use dfu_target_nrf_modem::port::{Code, Fault, Offset, Uuid};
use dfu_target_nrf_modem::{
    DeltaError, DeltaPolicy, FullError, FullPolicy, ModemDelta, ModemFull, Program, Recovered, Start, Wrapper,
    WrapperError,
};
use dfu_testkit::flash::{Chip, SimError, SimFlash};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, Manifest, Settings, signed_wrapper, uuid};

type Flash = Chip<4, 1024>;
type Full<'a, 'p> = ModemFull<'a, Flash, SoftSha256, 256, &'p mut dyn FullPolicy>;
type Refused = FullError<RegionError<SimError>>;
type End<E> = Result<(), SessionError<E>>;

/// Feeds a file and asks for it to be run.
fn feed<T: DfuTarget>(target: T, file: &[u8], size: Option<u32>, chunk: usize) -> End<<T as ErrorType>::Error> {
    let request = size.into_iter().fold(Request::new(ImageId::named("a file")), Request::size);
    let mut update = Update::new(target, NoProgress, request);
    block_on(async {
        let Begun::Receiving(mut session) = update.begin().await? else { panic!("this was never stored") };
        for piece in file.chunks(chunk) {
            session.write(piece).await?;
        }
        let staged = session.finish().await.map_err(|failed| failed.into_error())?;
        let verified = staged.verify_self().map_err(|failed| failed.into_error())?;
        verified.apply().await.map_err(|failed| failed.into_error()).map(drop)
    })
}

/// A target on all of a flash.
fn staging<R>(chip: &Flash, policy: &mut dyn FullPolicy, run: impl FnOnce(Full<'_, '_>) -> R) -> R {
    let size = chip.sim().bytes().len() as u32;
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
    run(ModemFull::with(region, SoftSha256::default(), policy))
}

/// What becomes of a full update's file, the same in pieces of each size, and whether the flash was touched.
fn full(file: &[u8], size: Option<u32>) -> (End<Refused>, bool) {
    let mut first = None;
    for chunk in [1, 63, 64, 500, 4096] {
        let chip = Flash::new(SimFlash::new(16 * 1024));
        let result = staging(&chip, &mut (), |target| feed(target, file, size, chunk));
        let touched = chip.sim().points() > 0;
        assert_eq!(*first.get_or_insert((result, touched)), (result, touched), "in pieces of {chunk}");
        // Whatever it was, the boot finds nothing to do, unless all was well.
        let modem = FakeModem::default();
        let recovered = staging(&chip, &mut (), |mut target| {
            block_on(target.recover(&mut modem.bootloader(), Start::NotTried, &Program::new(), &mut [0; 512]))
        });
        assert_eq!(recovered, Ok(if result.is_ok() { Recovered::Programmed } else { Recovered::Nothing }));
        assert_eq!(modem.points() > 0, result.is_ok());
    }
    first.unwrap()
}

fn file() -> FullFile {
    FullFile::small(uuid(2))
}

/// A file whose manifest says this of the good segments.
fn told(change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let mut manifest = file().manifest();
    change(&mut manifest);
    [signed_wrapper(&manifest.encode()), file().blob()].concat()
}

#[test]
fn a_good_file_goes_all_the_way() {
    let good = file().build();
    for size in [None, Some(good.len() as u32)] {
        assert_eq!(full(&good, size).0, Ok(()));
    }
}

#[test]
fn r17_what_the_first_bytes_show_to_be_wrong_costs_nothing() {
    let good = file().build();
    let patched = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    let page = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body></body></html>";
    let table = [
        ("not CBOR", page.to_vec(), SessionError::Unknown),
        ("another tag", patched(0, 0xd1), SessionError::Unknown),
        ("another algorithm", patched(6, 0x26), SessionError::Unknown),
        ("an application image", ImageBuilder::new().build().to_vec(), SessionError::NotTaken(ImageKind::Mcuboot)),
        ("a delta", DeltaFile::new(uuid(1), uuid(2)).build(), SessionError::NotTaken(ImageKind::ModemDelta)),
    ];
    for (name, bad, expected) in table {
        assert_eq!(full(&bad, None), (Err(expected), false), "{name}");
    }
}

#[test]
fn r17_what_the_wrapper_shows_to_be_wrong_costs_nothing() {
    let table = [
        (told(|m| m.segments.clear()), WrapperError::NoSegments),
        (told(|m| m.segments.truncate(1)), WrapperError::NoSegments),
        (told(|m| m.segments = (0..129).map(|n| (n, 1)).collect()), WrapperError::TooManySegments),
        (told(|m| m.segments = (0..128).map(|n| (n * 0x10000, 0x10000)).collect()), WrapperError::TooLong),
        (told(|m| m.segments[1].1 = 0), WrapperError::SegmentEmpty(1)),
        (told(|m| m.segments[1] = (u32::MAX - 5, 7)), WrapperError::SegmentOverflow(1)),
        (told(|m| m.segments[3].0 = m.segments[2].0 + 1), WrapperError::SegmentOverlap(3)),
        (told(|m| m.segments = vec![(0, u32::MAX), (0x6000, 600)]), WrapperError::BlobOverflow),
        (
            [signed_wrapper(&[file().manifest().encode(), vec![0]].concat()), file().blob()].concat(),
            WrapperError::ManifestTrailing,
        ),
    ];
    for (bad, expected) in table {
        assert_eq!(full(&bad, None), (Err(SessionError::Target(FullError::Wrapper(expected))), false));
    }
}

#[test]
fn r16_lengths_that_do_not_add_up_or_do_not_fit_cost_nothing() {
    let bad = told(|m| m.segments[3].1 += 1);
    let offered = bad.len() as u32;
    let wrong = FullError::WrongSize { told: offered + 1, offered };
    assert_eq!(full(&bad, Some(offered)), (Err(SessionError::Target(wrong)), false));
    // More than there is room for: told by the source, or by the wrapper.
    let large = FullFile::small(uuid(2)).ranges(&[(0x6000, 20_000)]).build();
    let size = large.len() as u32;
    let too_large = SessionError::Target(FullError::TooLarge { size, max: 14 * 1024 });
    for known in [Some(size), None] {
        assert_eq!(full(&large, known), (Err(too_large), false));
    }
}

#[test]
fn r18_what_the_segments_show_to_be_wrong_is_found_before_the_modem_is_touched() {
    let good = file().build();
    let start = good.len() - file().blob().len();
    for at in [start, start + 255, start + 256, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(full(&bad, None).0, Err(SessionError::Target(FullError::BlobHash)), "a bit of byte {at}");
    }
    assert_eq!(full(&told(|m| m.blob_hash[31] ^= 1), None).0, Err(SessionError::Target(FullError::BlobHash)));
}

#[test]
fn r14_a_file_that_is_cut_at_any_boundary_is_not_taken() {
    let good = file().build();
    let start = good.len() - file().blob().len();
    let mut end = start;
    let mut boundaries = vec![64, start];
    for (_, len) in file().segments() {
        end += len as usize;
        boundaries.push(end);
    }
    for len in boundaries.into_iter().flat_map(|boundary| boundary - 1..=boundary + 1).filter(|len| *len < good.len()) {
        let have = len as u32;
        let (result, touched) = full(&good[..len], None);
        match result {
            Err(SessionError::Target(FullError::Truncated { have: told, .. })) if len >= start => {
                assert_eq!(told, have)
            }
            Err(SessionError::Target(FullError::Wrapper(WrapperError::Truncated))) => assert!(len < start),
            Err(SessionError::Unknown) => assert!(len < 64),
            other => panic!("{len} bytes: {other:?}"),
        }
        assert!(!touched || len >= start, "{len} bytes");
        let size = good.len() as u32;
        assert_eq!(full(&good[..len], Some(size)).0, Err(SessionError::Incomplete { have, size }));
    }
}

#[test]
fn r19_the_caller_may_refuse_an_update_by_its_manifest() {
    struct Only(u32);
    impl FullPolicy for Only {
        fn accepts(&mut self, wrapper: &Wrapper<'_>) -> bool {
            wrapper.version() == self.0
        }
    }
    let good = FullFile::small(uuid(2)).version(7, 1).build();
    for (version, expected) in [(7, Ok(())), (8, Err(SessionError::Target(FullError::Policy)))] {
        let chip = Flash::new(SimFlash::new(16 * 1024));
        assert_eq!(staging(&chip, &mut Only(version), |target| feed(target, &good, None, 100)), expected);
        assert_eq!(chip.sim().points() == 0, expected.is_err());
    }
}

/// What becomes of a delta's file, the same in pieces of each size, and whether the modem's area was touched.
fn delta(file: &[u8], size: Option<u32>, policy: impl DeltaPolicy + Copy) -> (End<DeltaError>, bool) {
    let mut first = None;
    for chunk in [1, 63, 64, 500, 4096] {
        let modem = FakeModem::new(Settings::new().area(8192));
        modem.start_normal().unwrap();
        let target = ModemDelta::with(modem.clone(), modem.delay(), SoftSha256::default(), policy);
        let result = feed(target, file, size, chunk);
        let touched = modem.stored() != Offset::At(0) || modem.points() > 0;
        assert_eq!(*first.get_or_insert((result, touched)), (result, touched), "in pieces of {chunk}");
        assert_eq!(modem.write_resources(), 0, "the modem's memory is given back");
        modem.shutdown().unwrap();
        assert!(modem.start_normal().is_ok() && modem.is_alive());
    }
    first.unwrap()
}

#[test]
fn r17_a_delta_that_does_not_belong_here_is_refused() {
    let good = DeltaFile::new(FakeModem::FIRST, uuid(2)).build();
    assert_eq!(delta(&good, None, ()).0, Ok(()));
    assert_eq!(delta(&good, Some(good.len() as u32), ()).0, Ok(()));
    let large = DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(8192).build();
    let size = large.len() as u32;
    let too_large = DeltaError::TooLarge { size, area: 8192 };
    assert_eq!(delta(&large, Some(size), ()), (Err(SessionError::Target(too_large)), false));
    let image = ImageBuilder::new().build();
    assert_eq!(delta(&image, None, ()), (Err(SessionError::NotTaken(ImageKind::Mcuboot)), false));
    assert_eq!(delta(&file().build(), None, ()), (Err(SessionError::NotTaken(ImageKind::ModemFull)), false));
    assert_eq!(delta(&[0xff; 4000], None, ()), (Err(SessionError::Unknown), false));
    // For another firmware: the modem says so at its first bytes.
    let other = DeltaFile::new(uuid(5), uuid(6)).build();
    let invalid = DeltaError::Modem(Fault::Code(Code::InvalidUuid));
    assert_eq!(delta(&other, None, ()).0, Err(SessionError::Target(invalid)));
    assert_eq!(invalid.kind(), ErrorKind::Refused);
    assert!(invalid.to_string().contains("not for the firmware that this modem runs"));
    // Not whole.
    let truncated = DeltaError::Modem(Fault::Code(Code::IncompleteData));
    assert_eq!(delta(&good[..good.len() - 1], None, ()).0, Err(SessionError::Target(truncated)));
}

#[test]
fn r19_the_caller_may_refuse_a_delta_by_the_firmware_that_runs() {
    #[derive(Clone, Copy)]
    struct For(u32);
    impl DeltaPolicy for For {
        fn accepts(&mut self, base: &Uuid, image: &Image<'_>) -> bool {
            assert_eq!(image.kind, ImageKind::ModemDelta);
            *base == uuid(self.0)
        }
    }
    let good = DeltaFile::new(FakeModem::FIRST, uuid(2)).build();
    assert_eq!(delta(&good, None, For(1)).0, Ok(()));
    assert_eq!(delta(&good, None, For(3)), (Err(SessionError::Target(DeltaError::Policy)), false));
}

#[test]
fn r27_a_modem_that_does_not_answer_leaves_other_targets_alone_and_takes_its_remedy() {
    let modem = FakeModem::default();
    modem.kill();
    assert!(modem.start_normal().is_err());
    let delta = ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
    let chip = Flash::new(SimFlash::new(16 * 1024));
    staging(&chip, &mut (), |full| {
        let mut chain = delta.or(full);
        let good = DeltaFile::new(FakeModem::FIRST, uuid(2)).build();
        let error = feed(&mut chain, &good, None, 500).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert_eq!(feed(&mut chain, &file().build(), None, 500), Ok(()));
        let (mut port, program) = (modem.bootloader(), Program::new());
        let recovered = block_on(chain.second().recover(&mut port, Start::Failed, &program, &mut [0; 512]));
        assert_eq!(recovered, Ok(Recovered::Programmed));
    });
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
}
