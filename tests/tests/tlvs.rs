//! Headers and TLVs, right ones and wrong ones: the library accepts exactly what a plain reading accepts, and MCUboot
//! runs all of that and nothing else.

use dfu_target::image::mcuboot::{Header, HeaderError};
use dfu_target::target::{Assurance, DfuTarget};
use dfu_target::{Image, ImageKind};
use dfu_target_mcuboot::{Active, Error, Mode, Refusal, RunningState, Side, State, Status, View};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::image::{ImageBuilder, SEC_CNT, SHA256};
use dfu_testkit::plain::{Plain, Wanted};
use dfu_testkit::poll::run;
use fastrand::Rng;
use sha2::{Digest, Sha256};

type Small = Device<4, 256, 4>;

/// Slots of 2 KiB, an image that runs, and garbage where the next one goes.
fn device() -> Small {
    let device = Small::new(Board::new(Mode::SwapMove, 2048).sectors(8));
    device.install(&ImageBuilder::new().header_size(32).payload(100).build());
    let slot = device.secondary();
    device.chip().sim().edit(slot, |slot| Rng::with_seed(3).fill(slot));
    device.chip().sim().checkpoint();
    device
}

/// What becomes of a file: with what assurance it is accepted. What the plain reading says has to be the same, and
/// MCUboot's next boot, too.
fn judge(device: &Small, file: &[u8], size: Option<u32>) -> Result<Assurance, Refusal> {
    device.chip().sim().rollback();
    let verdict = run(async {
        let mut shared = device.share();
        let (_, mut target, _) = device.open(&mut shared);
        let head = &file[..file.len().min(64)];
        target.init(&Image { size, head, ..Image::new(ImageKind::Mcuboot) }, 0).await?;
        for chunk in file.chunks(200) {
            target.write(chunk).await?;
        }
        let checked = target.digest().await?;
        let _ = target.apply(checked.assured().expect("a hash that was checked")).await?;
        Ok(checked.assurance)
    });
    let wanted = Wanted {
        mode: Mode::SwapMove,
        max: device.bootloader().max_image_size(2048, 2048),
        address: device.secondary().start,
        running: [1, 0, 0, 0],
        build_number: false,
        any_tlv: false,
        ram: (0, u32::MAX),
    };
    let plain = Plain::of(file);
    let is_good = plain.as_ref().is_some_and(|plain| wanted.takes(file, plain) && plain.is_hashed(file));
    assert_eq!(verdict.is_ok(), is_good, "{verdict:?} {plain:?} {:x?}", &file[..file.len().min(32)]);
    let boot = device.boot();
    assert_eq!((boot.swapped.is_some(), boot.refused), (is_good, None), "{plain:?}");
    if is_good {
        assert!(device.holds(device.primary(), file));
    }
    verdict.map_err(|error| match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other}"),
    })
}

fn is_refused(device: &Small, what: &str, file: &[u8]) {
    for size in [Some(file.len() as u32), None] {
        assert!(judge(device, file, size).is_err(), "{what}");
    }
}

/// An image with both areas, with what MCUboot lists and with what the hash covers.
fn image() -> Vec<u8> {
    let builder = ImageBuilder::new().header_size(32).payload(40).version(2, 0, 0, 0).signature(70);
    builder.protected(SEC_CNT, &[7, 0, 0, 0]).protected(0xa0, b"custom").unprotected(0x01, &[5; 32]).build().to_vec()
}

/// The image with its hash made right again, where there is still one.
fn mended(mut file: Vec<u8>) -> Vec<u8> {
    if let Some(plain) = Plain::of(&file) {
        let hash = Sha256::digest(&file[..plain.hashed]);
        for tlv in plain.all(SHA256).filter(|tlv| !tlv.protected && tlv.value.len() == hash.len()) {
            file[tlv.value.clone()].copy_from_slice(&hash);
        }
    }
    file
}

/// Where the lengths lie: of header, protected area and payload; of each area; of each entry.
fn lengths() -> (Vec<(usize, usize)>, usize) {
    let image = image();
    let mut lengths = vec![(8, 2), (10, 2), (12, 4)];
    let (first, protected) = (32 + 40, 4 + 4 + 4 + 4 + 6);
    lengths.extend([(first + 2, 2), (first + protected + 2, 2)]);
    let plain = Plain::of(&image).unwrap();
    lengths.extend(plain.tlvs.iter().map(|tlv| (tlv.value.start - 2, 2)));
    (lengths, first)
}

#[test]
fn r14_a_good_image_is_taken_and_cut_off_anywhere_it_is_not() {
    let (device, file) = (device(), image());
    for size in [Some(file.len() as u32), None] {
        assert_eq!(judge(&device, &file, size), Ok(Assurance::Hash));
        for length in 0..file.len() {
            let short = &file[..length];
            let known = size.map(|_| length as u32);
            let refusal = judge(&device, short, known).unwrap_err();
            match length {
                0..32 => assert_eq!(refusal, Refusal::Header(HeaderError::TooShort), "{length}"),
                _ => assert!(matches!(refusal, Refusal::Truncated { .. } | Refusal::Tlv { .. }), "{length}: {refusal}"),
            }
        }
    }
    for more in 1..20 {
        is_refused(&device, "bytes behind the end", &[&file[..], &vec![0xff; more]].concat());
    }
}

#[test]
fn r14_no_length_that_cannot_be_is_taken_anywhere() {
    let (device, file) = (device(), image());
    let (lengths, areas) = lengths();
    assert!(lengths.len() > 8);
    let odd = |size| if size == 2 { [0, 1, 3, 4, 0x7fff, 0xffff].as_slice() } else { &[0, 1, 0x7fff_ffff, u32::MAX] };
    for &(at, size) in &lengths {
        let right = u32::from(file[at]) | u32::from(file[at + 1]) << 8;
        for &length in odd(size).iter().chain(&[right - 1, right + 1, right + 4]) {
            let mut bad = file.clone();
            bad[at..at + size].copy_from_slice(&length.to_le_bytes()[..size]);
            if at < areas + 4 {
                is_refused(&device, &format!("{length:#x} at {at}"), &mended(bad));
            } else {
                // What was a value may look like an entry.
                let _ = judge(&device, &mended(bad), None);
            }
        }
    }
    // Each pair of them.
    let extremes = |size| if size == 2 { [0, 0xffff] } else { [0, u32::MAX] };
    for (nth, one) in lengths.iter().enumerate() {
        for other in &lengths[nth + 1..] {
            for (first, second) in extremes(one.1).into_iter().flat_map(|a| extremes(other.1).map(|b| (a, b))) {
                let mut bad = file.clone();
                bad[one.0..one.0 + one.1].copy_from_slice(&first.to_le_bytes()[..one.1]);
                bad[other.0..other.0 + other.1].copy_from_slice(&second.to_le_bytes()[..other.1]);
                let _ = judge(&device, &mended(bad), None);
            }
        }
    }
}

#[test]
fn r14_tlvs_that_overlap_or_leave_their_area_or_the_slot_are_not_taken() {
    let (device, file) = (device(), image());
    let (lengths, areas) = lengths();
    // An entry that swallows the next ones, up to the end of its area, is another image, and judged as such.
    for &(at, _) in lengths.iter().filter(|(at, _)| *at > areas + 4) {
        for length in 0..300_u16 {
            let mut bad = file.clone();
            bad[at..at + 2].copy_from_slice(&length.to_le_bytes());
            let _ = judge(&device, &mended(bad), Some(file.len() as u32));
        }
    }
    // A payload that reaches up to the slot's end and beyond, and the areas behind it.
    for payload in (0..2048_u32).step_by(7).chain(1400..1500).chain(2000..2100) {
        for claimed in [payload, payload + 1, payload.saturating_sub(1)] {
            let mut long = ImageBuilder::new().header_size(32).payload(payload as usize).build().to_vec();
            long[12..16].copy_from_slice(&claimed.to_le_bytes());
            let _ = judge(&device, &mended(long), None);
        }
    }
    // The second area inside of the first one.
    let mut bad = file.clone();
    bad[10..12].copy_from_slice(&4_u16.to_le_bytes());
    bad[areas + 2..areas + 4].copy_from_slice(&4_u16.to_le_bytes());
    is_refused(&device, "an area in the other one", &mended(bad));
}

#[test]
fn r14_mutated_images_are_read_as_the_plain_reading_reads_them() {
    let (device, file) = (device(), image());
    let mut rng = Rng::with_seed(20);
    let mut taken = 0;
    for round in 0..6000 {
        let mut bad = file.clone();
        for _ in 0..rng.usize(1..4) {
            // In the header and behind the payload, mostly.
            let at = if rng.bool() { rng.usize(..32) } else { rng.usize(72.min(bad.len() - 1)..bad.len()) };
            match rng.u8(..8) {
                0 => bad[at] ^= 1 << rng.u8(..8),
                1 => bad[at] = rng.u8(..),
                2 => bad[at] = [0, 1, 4, 7, 8, 0x10, 0x69, 0xff][rng.usize(..8)],
                3 => bad.truncate(at.max(40)),
                4 => bad.insert(at, rng.u8(..)),
                5 => drop(bad.remove(at)),
                6 => {
                    let from = rng.usize(..bad.len());
                    let piece = bad[from..bad.len().min(from + rng.usize(..40))].to_vec();
                    bad.splice(at..at, piece);
                }
                _ => bad.extend(std::iter::repeat_with(|| rng.u8(..)).take(at % 5)),
            }
        }
        let known = rng.bool().then_some(bad.len() as u32);
        let bad = if rng.u8(..4) > 0 { mended(bad) } else { bad };
        match Header::parse(&bad) {
            Ok(header) => {
                let bytes: [u8; 32] = bad[..32].try_into().unwrap();
                assert_eq!(header.load_addr.to_le_bytes(), bytes[4..8]);
                assert_eq!(header.header_size.to_le_bytes(), bytes[8..10]);
                assert_eq!(header.image_size.to_le_bytes(), bytes[12..16]);
                let hashed = u64::from(header.header_size) + u64::from(header.image_size);
                assert_eq!(u64::from(header.tlv_offset()), hashed);
                assert_eq!(u64::from(header.hashed_len()), hashed + u64::from(header.protected_size));
            }
            Err(error) => assert_eq!(judge(&device, &bad, known), Err(Refusal::Header(error)), "{round}"),
        }
        taken += u32::from(judge(&device, &bad, known).is_ok());
    }
    assert!((300..3000).contains(&taken), "{taken} of 6000");
}

#[test]
fn r20_a_slot_full_of_anything_is_looked_at_and_taken() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        let device = Small::new(Board::new(mode, 2048).sectors(8));
        let old = ImageBuilder::new().header_size(32).payload(100).build();
        let new = ImageBuilder::new().header_size(32).payload(150).version(2, 0, 0, 0).build();
        device.install(&old);
        device.chip().sim().checkpoint();
        let mut rng = Rng::with_seed(4);
        for fill in [Some(0x00), Some(0xff)].into_iter().chain(std::iter::repeat_n(None, 200)) {
            device.chip().sim().rollback();
            device.set_runs(Side::Primary);
            let slot = device.target();
            device.chip().sim().edit(slot, |slot| match fill {
                Some(byte) => slot.fill(byte),
                None => rng.fill(slot),
            });
            let mut shared = device.share();
            let (mut running, mut target, _) = device.open(&mut shared);
            let active = run(running.active()).unwrap();
            assert_eq!(active, Active::new(device.active().state, device.active().version));
            assert_ne!(active.state, RunningState::Trial);
            let size = new.len() as u32;
            let image = Image { size: Some(size), head: &new[..64], ..Image::new(ImageKind::Mcuboot) };
            run(async {
                // As if all of it were there.
                if target.init(&image, size).await.unwrap() == size {
                    assert!(target.digest().await.is_err());
                }
                target.abort().await.unwrap();
                assert_eq!(target.init(&image, 0).await, Ok(0));
                target.write(&new).await.unwrap();
                let checked = target.digest().await.unwrap();
                let _ = target.apply(checked.assured().unwrap()).await.unwrap();
            });
            let layout = [device.primary(), device.secondary()].map(|slot| (slot.start, slot.end - slot.start));
            let layout = dfu_target::flash::Layout::checked(layout).unwrap();
            let mut shared = device.share();
            let [mut first, mut second] = shared.split(&layout);
            let status = run(async {
                let first = View::read(&mut first, device.slots(), Side::Primary).await.unwrap();
                let second = View::read(&mut second, device.slots(), Side::Secondary).await.unwrap();
                Status::of(device.slots(), &first, &second, Side::Primary)
            });
            assert_eq!(status.state, State::PendingTest);
            assert_eq!(device.boot().running.unwrap().version.major, 2, "{mode:?} {fill:?}");
        }
    }
}
