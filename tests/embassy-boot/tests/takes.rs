//! What is not an image, or not all of it, and a reset amid a page: what each of the two makes of that.

use dfu_beside_embassy_boot as embassy;
use dfu_target::{Begun, Update};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;
use embassy_boot::State;

/// A device of this library, on which an image runs.
fn device() -> Device<4, 1024> {
    let device = Device::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8));
    device.install(&ImageBuilder::new().payload(3000).build());
    device
}

fn new_image() -> ImageBuilder {
    ImageBuilder::new().version(2, 0, 0, 0)
}

#[test]
fn an_image_that_is_too_long() {
    let [old, new] = embassy::images();
    let theirs = embassy::Device::new(&old);
    let longer = [new.as_slice(), &[0x77; 100]].concat();
    // Its place has one page more than what runs: that page is for the swap.
    assert!(theirs.update(&longer).is_ok());
    assert_eq!(theirs.boot(), Ok(State::Swap));
    assert!(theirs.runs(&new), "the end is lost, and nobody said so");

    let ours = device();
    let before = ours.chip().sim().counts();
    let image = new_image().payload(8000).build();
    assert!(ours.update(&Release::new(&image), &mut Visit::default()).is_err());
    let after = ours.chip().sim().counts();
    assert_eq!((after.writes, after.erases), (before.writes, before.erases));
}

#[test]
fn a_request_for_what_was_never_stored() {
    let [old, _] = embassy::images();
    let theirs = embassy::Device::new(&old);
    assert!(theirs.updater(|updater| updater.mark_updated()).is_ok());
    assert_eq!(theirs.boot(), Ok(State::Swap));
    assert!(theirs.runs(&[0xff; 4 * embassy::PAGE]), "nothing runs");

    // `apply` takes what `verify` gives, and that needs what `finish` gives.
    let ours = device();
    let image = new_image().build();
    let mut shared = ours.share();
    let (_, target, log) = ours.open(&mut shared);
    let mut update = Update::new(target, log, Release::new(&image).request());
    let Ok(Begun::Receiving(session)) = run(update.begin()) else { panic!("it was stored") };
    assert!(run(session.finish()).is_err());
}

#[test]
fn an_image_without_its_end() {
    let [old, new] = embassy::images();
    let theirs = embassy::Device::new(&old);
    assert!(theirs.update(&new[..2048]).is_ok());
    assert_eq!(theirs.boot(), Ok(State::Swap));
    assert!(!theirs.runs(&old) && !theirs.runs(&new), "a part of it runs");

    let ours = device();
    let image = new_image().payload(3000).build();
    assert!(ours.update(&Release::new(&image[..2048]), &mut Visit::default()).is_err());
    assert!(ours.boot().swapped.is_none());
}

#[test]
fn a_reset_amid_a_page() {
    let [old, new] = embassy::images();
    let theirs = embassy::Device::new(&old);
    let (first, rest) = new.split_at(512);
    theirs.updater(|updater| updater.write_firmware(0, first)).unwrap();
    theirs.flash(|flash| flash.power_on());
    theirs.updater(|updater| updater.write_firmware(512, rest)).unwrap();
    assert_ne!(theirs.stored()[..512], *first, "the page was erased again, and its beginning with it");

    let ours = device();
    let image = new_image().payload(3000).build();
    let release = Release::new(&image).chunk(512);
    ours.chip().sim().cut_after(600, dfu_testkit::flash::Cut::Before);
    assert!(ours.update(&release, &mut Visit::default()).is_err());
    ours.boot();
    let mut visit = Visit::default();
    let _ = ours.update(&release, &mut visit).unwrap();
    assert!(visit.from > Some(0), "it went on");
    assert!(ours.boot().swapped.is_some() && ours.holds(ours.primary(), &image));
}
