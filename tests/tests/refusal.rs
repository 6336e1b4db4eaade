//! Bad input: each gets a typed error, and the device boots what it booted before. What the first bytes show
//! costs no flash operation at all.

use dfu_target::image::mcuboot::HeaderError;
use dfu_target::session::SessionError;
use dfu_target::{Begun, DfuTarget, ErrorKind, Image, ImageKind, Request, Update};
use dfu_target_mcuboot::{Error, Mode, Refusal, TlvFault, Upgrade};
use dfu_testkit::device::{Board, Device, Failure, Release, Visit};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;

type Small = Device<4, 1024, 4>;

/// A device that was updated once.
fn device() -> Small {
    let device = Small::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8));
    device.install(&ImageBuilder::new().build());
    let second = ImageBuilder::new().version(1, 1, 0, 0).payload(3000).build();
    let _ = device.update(&Release::new(&second), &mut Visit::default()).unwrap();
    device.boot();
    device.confirm().unwrap();
    device
}

/// Feeds a file and asks for it to be run; where that ended.
fn feed(device: &Small, file: &[u8], request: Request, chunk: usize) -> Failure {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, request);
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("this was never stored") };
    for piece in file.chunks(chunk) {
        if let Err(error) = run(session.write(piece)) {
            // It stays refused, however often it is tried.
            assert!(run(session.write(piece)).is_err());
            return error;
        }
    }
    let staged = match run(session.finish()) {
        Err(failed) => return failed.into_error(),
        Ok(staged) => staged,
    };
    match staged.verify_self() {
        Err(failed) => failed.into_error(),
        Ok(_) => panic!("a bad file of {} bytes was taken", file.len()),
    }
}

/// A file of this name is refused for this reason, and no flash is touched.
fn costs_nothing(name: &str, file: &[u8], size: Option<u32>, expected: Failure) {
    let device = device();
    for chunk in [1, 63, 64, 65, 4096] {
        let before = snapshot(&device);
        let request = Request::new(dfu_target::ImageId::named(name));
        let request = size.into_iter().fold(request, Request::size);
        assert_eq!(feed(&device, file, request, chunk), expected, "{name}, in pieces of {chunk}");
        assert!(before == snapshot(&device), "{name} changed the flash");
        boots_as_before(&device, name);
    }
}

/// It is found out later.
fn costs_the_slot(name: &str, file: &[u8], size: Option<u32>, expected: impl Fn(&Failure) -> bool) {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let device = Small::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8).upgrade(upgrade));
        device.install(&ImageBuilder::new().version(1, 1, 0, 0).payload(3000).build());
        let request = Request::new(dfu_target::ImageId::named(name));
        let error = feed(&device, file, size.into_iter().fold(request, Request::size), 500);
        assert!(expected(&error), "{name}: {error:?}");
        boots_as_before(&device, name);
    }
}

/// All that is stored, and how many operations changed it so far.
fn snapshot(device: &Small) -> (Vec<u8>, u64) {
    let flash = device.chip().sim();
    (flash.bytes().to_vec(), flash.points())
}

fn boots_as_before(device: &Small, name: &str) {
    let boot = device.boot();
    assert_eq!((boot.asked, boot.refused), (None, None), "{name}");
    assert_eq!(boot.running.unwrap().version.minor, 1, "{name}");
}

fn good() -> dfu_testkit::image::ImageFile {
    ImageBuilder::new().version(2, 0, 0, 0).payload(2500).build()
}

#[test]
fn r17_what_is_no_image_is_refused_without_a_flash_operation() {
    costs_nothing("an empty file", b"", None, SessionError::Unknown);
    costs_nothing("one byte", &[0x3d], None, SessionError::Unknown);
    costs_nothing("one byte of a known size", &[0x3d], Some(1), SessionError::Unknown);
    let page = "<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>nginx</body></html>".repeat(9);
    costs_nothing("an error page", page.as_bytes(), None, SessionError::Unknown);
    costs_nothing("an error page of a known size", page.as_bytes(), Some(page.len() as u32), SessionError::Unknown);
    costs_nothing("erased flash", &[0xff; 3000], None, SessionError::Unknown);
    costs_nothing(
        "the magic alone",
        &good()[..4],
        None,
        SessionError::Target(Error::Refused(Refusal::Header(HeaderError::TooShort))),
    );
}

#[test]
fn r17_an_image_for_somebody_else_is_refused_without_a_flash_operation() {
    let mut delta = vec![7; 2000];
    delta[4..8].copy_from_slice(b"meDu");
    costs_nothing("a modem delta", &delta, None, SessionError::NotTaken(ImageKind::ModemDelta));
    let mut full = vec![7; 2000];
    full[..9].copy_from_slice(&[0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, 0x59]);
    costs_nothing("a full modem update", &full, Some(2000), SessionError::NotTaken(ImageKind::ModemFull));

    let device = device();
    let points = device.chip().sim().points();
    let request = Release::new(&good()).request().index(1);
    assert_eq!(feed(&device, &good(), request, 500), SessionError::NotTaken(ImageKind::Mcuboot));
    assert_eq!(device.chip().sim().points(), points);
}

#[test]
fn r17_a_header_that_cannot_be_is_refused_without_a_flash_operation() {
    let header = |error| SessionError::Target(Error::Refused(Refusal::Header(error)));
    let table = [
        ("a payload of 4 GiB", good().patched(12, &u32::MAX.to_le_bytes()), header(HeaderError::Overflow)),
        (
            "a payload of 4 GiB less the header",
            good().patched(12, &0xffff_fe00_u32.to_le_bytes()),
            header(HeaderError::Overflow),
        ),
        ("a header of 31 bytes", good().patched(8, &[31, 0]), header(HeaderError::HeaderSize(31))),
        ("a header of no bytes", good().patched(8, &[0, 0]), header(HeaderError::HeaderSize(0))),
    ];
    for (name, file, expected) in table {
        costs_nothing(name, &file, None, expected);
        costs_nothing(name, &file, Some(file.len() as u32), expected);
    }
}

#[test]
fn r16_an_image_that_does_not_fit_is_refused_without_a_flash_operation() {
    let max = device().slots().max_image();
    let large = ImageBuilder::new().total_size(max as usize + 1).build();
    costs_nothing(
        "one byte too many",
        &large,
        Some(max + 1),
        SessionError::Target(Error::Refused(Refusal::TooLarge { size: max + 1, max })),
    );
    let larger = ImageBuilder::new().total_size(20_000).build();
    let too_large = |error: &Failure| matches!(error, SessionError::Target(Error::Refused(Refusal::TooLarge { .. })));
    let device = device();
    let points = device.chip().sim().points();
    let request = Request::new(dfu_target::ImageId::named("large"));
    let error = feed(&device, &larger, request, 100);
    assert!(too_large(&error) && error.kind() == ErrorKind::TooLarge, "{error:?}");
    assert_eq!(device.chip().sim().points(), points);
    // Its header does not show it.
    costs_the_slot("bytes behind the image, without end", &good().extended(&[0xff; 9000]), None, too_large);
}

#[test]
fn r16_after_a_piece_that_is_too_long_nothing_is_taken_until_the_target_is_asked_again() {
    let (device, file) = (device(), good());
    let mut shared = device.share();
    let (_, mut target, _) = device.open(&mut shared);
    let size = file.len() as u32;
    let image = Image { size: Some(size), head: &file, ..Image::new(ImageKind::Mcuboot) };
    assert_eq!(run(target.init(&image, 0)), Ok(0));
    run(target.write(&file[..100])).unwrap();
    let long = [&file[100..], &[0]].concat();
    assert_eq!(run(target.write(&long)), Err(Error::Refused(Refusal::TooLarge { size: size + 1, max: size })));
    assert_eq!(run(target.write(&file[100..])), Err(Error::Closed));
    assert!(!target.take(&file[100..110]));
    assert_eq!(run(target.init(&image, 0)), Ok(0));
    run(target.write(&file)).unwrap();
    assert!(run(target.digest()).is_ok());
}

#[test]
fn r16_an_image_that_is_smaller_than_its_header_says_is_refused_without_a_flash_operation() {
    let file = good().truncated(2000);
    let need = 0x200 + 2500 + 4;
    costs_nothing(
        "a file cut short",
        &file,
        Some(2000),
        SessionError::Target(Error::Refused(Refusal::Truncated { have: 2000, need })),
    );
}

#[test]
fn r18_a_file_that_is_cut_short_is_found_out() {
    let (file, size) = (good(), good().len() as u32);
    for have in [65, 700, 2000, size - 1] {
        costs_the_slot("cut short of a known size", &file[..have as usize], Some(size), |error| {
            *error == SessionError::Incomplete { have, size }
        });
        costs_the_slot("cut short of an unknown size", &file[..have as usize], None, |error| match error {
            SessionError::Target(Error::Refused(Refusal::Truncated { .. })) => error.kind() == ErrorKind::Refused,
            SessionError::Target(Error::Refused(Refusal::Tlv { .. })) => error.kind() == ErrorKind::Corrupt,
            _ => false,
        });
    }
}

#[test]
fn r18_bytes_behind_the_image_are_found_out() {
    let size = good().len() as u32;
    let file = good().extended(&[0]);
    costs_the_slot(
        "one byte behind it",
        &file,
        Some(size + 1),
        |error| matches!(error, SessionError::Target(Error::Refused(Refusal::Tlv { fault: TlvFault::Damaged, offset, .. })) if *offset == size),
    );
    costs_the_slot("one byte behind the size", &file, Some(size), |error| *error == SessionError::TooLong { size });
}

#[test]
fn r18_any_flipped_bit_is_found_out() {
    let size = good().len();
    let mut rng = fastrand::Rng::with_seed(11);
    for at in (64..size).step_by(53).chain(size - 40..size) {
        let file = good().flipped(at, rng.u8(0..8));
        costs_the_slot(&format!("a flipped bit in byte {at}"), &file, Some(size as u32), |error| {
            // A hash whose type is spoilt is no hash, or something that does not belong there.
            let SessionError::Target(Error::Refused(refusal)) = error else { return false };
            matches!(refusal, Refusal::Hash | Refusal::Tlv { .. } | Refusal::NoHash)
        });
    }
}

#[test]
fn r18_an_image_that_is_not_the_one_wanted_is_never_pending() {
    let other = ImageBuilder::new().version(2, 0, 0, 0).payload(2500).seed(9).build();
    let third = ImageBuilder::new().version(2, 0, 0, 0).payload(2500).seed(10).build();
    for (file, wanted) in [(&other[..], good()), (&other[..], third)] {
        let device = device();
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let mut update = Update::new(target, log, Release::new(&wanted).request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("this was never stored") };
        run(session.write(file)).unwrap();
        let staged = run(session.finish()).unwrap();
        let failed = staged.verify(Release::new(&wanted).digest()).unwrap_err();
        assert_eq!(*failed.error(), SessionError::Mismatch);
        assert_eq!(failed.error().kind(), ErrorKind::Corrupt);
        // The same update can start over with the right file.
        let mut session = failed.into_inner().into_session();
        session.restart();
        run(session.write(&wanted)).unwrap();
        let staged = run(session.finish()).unwrap();
        assert!(staged.verify(Release::new(&wanted).digest()).is_ok());
        drop(update);
        boots_as_before(&device, "another image");
    }
}

#[test]
fn r18_an_image_without_a_hash_is_one_that_mcuboot_would_not_run() {
    let file = ImageBuilder::new().version(2, 0, 0, 0).without_hash().build();
    costs_the_slot("an image without a hash", &file, Some(file.len() as u32), |error| {
        *error == SessionError::Target(Error::Refused(Refusal::NoHash))
    });
}
