//! Images that imgtool made go the whole way: each is taken with the assurance it deserves, and MCUboot runs it.

use dfu_target::image::mcuboot::Header;
use dfu_target::image::sniff;
use dfu_target::target::Assurance;
use dfu_target::{Begun, Digest, ImageKind, Update};
use dfu_target_mcuboot::{Mode, RunningState};
use dfu_testkit::boot::Refusal;
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

#[test]
fn each_image_is_taken_and_checked_as_far_as_it_can_be() {
    let mut counts = [0; 2];
    for fixture in images() {
        let (name, device) = (fixture.name(), device(&fixture));
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let mut update = Update::new(target, log, Release::new(fixture.bytes()).request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
        for piece in fixture.bytes().chunks(1111) {
            run(session.write(piece)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let staged = run(session.finish()).unwrap_or_else(|failed| panic!("{name}: {failed}"));
        let checked = staged.checked();
        assert_eq!(Some(checked.digest), Digest::from_hex(fixture.field("sha256")), "{name}");
        // What is plain and carries a SHA-256 can be checked by that.
        let checkable = fixture.field("hash") == "SHA256" && fixture.number("flags") & 0xc == 0;
        assert_eq!(checked.assurance, if checkable { Assurance::Hash } else { Assurance::None }, "{name}");
        assert_eq!(staged.verify_self().is_ok(), checkable, "{name}");
        counts[usize::from(checkable)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 2), "{counts:?}");
}

#[test]
fn mcuboot_runs_each_image_that_it_can_run() {
    let mut ran = 0;
    for fixture in images() {
        let (name, device) = (fixture.name(), device(&fixture));
        let _ = device.update(&Release::new(fixture.bytes()).chunk(2000), &mut Visit::default()).unwrap();
        let boot = device.boot();
        // The model looks at SHA-256 alone, and has no keys.
        let refused = match (fixture.number("flags"), fixture.field("hash")) {
            (flags, _) if flags & 0x10 != 0 => Some(Refusal::NotBootable),
            (flags, _) if flags & 0xc != 0 => Some(Refusal::Encrypted),
            (flags, _) if flags & 0x600 != 0 => Some(Refusal::Compressed),
            (_, "SHA256") => None,
            _ => Some(Refusal::NoHash),
        };
        assert_eq!(boot.refused, refused, "{name}");
        assert!(boot.running.is_ok(), "{name}");
        if refused.is_none() {
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
