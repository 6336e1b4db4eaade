//! Images that imgtool made go the whole way: each is taken with the assurance it deserves, and MCUboot runs it.

use dfu_target::image::mcuboot::Header;
use dfu_target::image::sniff;
use dfu_target::session::SessionError;
use dfu_target::{Begun, Digest, ImageKind, Update};
use dfu_target_mcuboot::{Error, Mode, Refusal, RunningState};
use dfu_testkit::boot::Refusal as Refused;
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::fixture::Fixture;
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;

/// The images, without the slots that hold one.
fn images() -> impl Iterator<Item = Fixture> {
    let images: Vec<Fixture> = Fixture::all().into_iter().filter(|image| image.field("marked") == "none").collect();
    assert!(images.len() > 20, "{}", images.len());
    images.into_iter()
}

fn device(fixture: &Fixture) -> Device<4, 4096, 4> {
    let device = Device::new(Board::new(Mode::SwapMove, fixture.number("slot").max(0x10000)).sectors(128));
    device.install(&ImageBuilder::new().payload(5000).build());
    device
}

#[test]
fn headers_are_read_as_imgtool_reads_them() {
    for fixture in Fixture::all() {
        let name = fixture.name();
        assert_eq!(sniff(fixture.bytes()), Some(ImageKind::Mcuboot), "{name}");
        let header = Header::parse(fixture.bytes()).unwrap();
        assert_eq!(header.version.to_string(), fixture.field("version"), "{name}");
        assert_eq!(u32::from(header.header_size), fixture.number("header_size"), "{name}");
        assert_eq!(header.image_size, fixture.number("payload_size"), "{name}");
        assert_eq!(u32::from(header.protected_size), fixture.number("protected_size"), "{name}");
        assert_eq!(header.flags, fixture.number("flags"), "{name}");
        let end = header.hashed_len() + fixture.number("tlv_size");
        assert!(fixture.field("marked") != "none" || end == fixture.number("size"), "{name}");
    }
}

/// What a bootloader that checks a SHA-256, and has no keys to decrypt with, thinks of an image.
fn refusal(fixture: &Fixture) -> Option<(Refused, Refusal)> {
    match (fixture.number("flags"), fixture.field("hash")) {
        (flags, _) if flags & 0x10 != 0 => Some((Refused::NotBootable, Refusal::Flags(0x10))),
        (flags, _) if flags & 0xc != 0 => Some((Refused::Encrypted, Refusal::Flags(flags & 0xc))),
        (flags, _) if flags & 0xe00 != 0 => Some((Refused::Compressed, Refusal::Flags(flags & 0xe00))),
        (_, "SHA256") => None,
        _ => Some((Refused::NoHash, Refusal::NoHash)),
    }
}

#[test]
fn r17_each_image_is_taken_and_checked_or_refused_for_its_reason() {
    let mut counts = [0; 2];
    for fixture in images() {
        let (name, device) = (fixture.name(), device(&fixture));
        let mut visit = Visit::default();
        let result = device.update(&Release::new(fixture.bytes()).chunk(1111), &mut visit);
        match refusal(&fixture) {
            None => assert!(result.is_ok(), "{name}: {result:?}"),
            Some((_, Refusal::NoHash)) if fixture.field("hash") == "SHA512" && name.ends_with("pure") => {
                assert!(matches!(result, Err(SessionError::Target(Error::Refused(_)))), "{name}: {result:?}");
            }
            Some((_, refusal)) => {
                assert_eq!(result, Err(SessionError::Target(Error::Refused(refusal))), "{name}");
                // What the header shows costs nothing.
                let touched = !matches!(refusal, Refusal::Flags(_));
                assert_eq!(device.chip().sim().points() > 0, touched, "{name}");
            }
        }
        counts[usize::from(result.is_ok())] += 1;
    }
    assert!(counts.iter().all(|count| *count > 2), "{counts:?}");
}

#[test]
fn mcuboot_runs_each_image_that_was_taken_and_would_have_run_no_other() {
    let mut ran = 0;
    for fixture in images() {
        let (name, device) = (fixture.name(), device(&fixture));
        let taken = device.update(&Release::new(fixture.bytes()).chunk(2000), &mut Visit::default()).is_ok();
        if !taken {
            // As if nothing had been checked: the file as it is, with MCUboot's own mark.
            let erased = device.bootloader().erased();
            device.chip().sim().edit(device.secondary(), |slot| {
                slot.fill(erased);
                slot[..fixture.bytes().len()].copy_from_slice(fixture.bytes());
                device.bootloader().mark_pending(slot, false).unwrap();
            });
        }
        let boot = device.boot();
        assert_eq!(boot.refused, refusal(&fixture).map(|(refused, _)| refused), "{name}");
        assert_eq!(boot.refused.is_none(), taken, "{name}");
        assert!(boot.running.is_ok(), "{name}");
        if taken {
            let running = boot.running.unwrap();
            assert_eq!(Some(Digest(running.hash)), Digest::from_hex(fixture.field("digest")), "{name}");
            assert_eq!(running.size, fixture.bytes().len(), "{name}");
            assert_eq!(device.state(), RunningState::Trial, "{name}");
            device.confirm().unwrap();
            assert_eq!(device.boot().asked, None, "{name}");
            assert!(device.holds(device.primary(), fixture.bytes()), "{name}");
            ran += 1;
        }
    }
    assert!(ran > 15, "{ran}");
}

#[test]
fn a_release_is_followed_by_the_next_one() {
    let (first, second) = (Fixture::named("app-v1"), Fixture::named("app-v2"));
    let device = device(&first);
    for release in [&first, &second, &first] {
        let _ =
            device.update(&Release::new(release.bytes()).chunk(1024).save_every(4096), &mut Visit::default()).unwrap();
        assert_eq!(device.boot().refused, None);
        device.confirm().unwrap();
        device.boot();
        assert!(device.holds(device.primary(), release.bytes()));
    }
}

#[test]
fn a_slot_that_is_marked_already_is_no_image_to_send() {
    // `imgtool sign --pad`: the file would bring its own request along.
    for fixture in Fixture::all().iter().filter(|fixture| fixture.field("marked") != "none") {
        for known in [true, false] {
            let device = device(fixture);
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let request = dfu_target::Request::new(dfu_target::ImageId::named(fixture.name()));
            let request = if known { request.size(fixture.bytes().len() as u32) } else { request };
            let mut update = Update::new(target, log, request);
            let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
            let fed = run(session.write(fixture.bytes()));
            assert!(fed.is_err() || run(session.finish()).is_err(), "{}", fixture.name());
            assert_eq!(device.boot().asked, None, "{}", fixture.name());
        }
    }
}
