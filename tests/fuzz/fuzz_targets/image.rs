//! Any bytes as an image, the whole way: first bytes, chunks, power cuts between them, reading back, the request
//! and MCUboot's next boot.
//!
//! What must hold: nothing panics, and the flash is used as it may be. An image is accepted exactly if it is well
//! formed by the plain reading of `plain`. What was accepted is what MCUboot runs at the next boot; after a refusal
//! the old image runs, and nothing is pending. With rules, what is accepted has what they ask for.
#![no_main]

use dfu_fuzz::{Board, Bytes, Ram, Toy};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::Shared;
use dfu_target::image::mcuboot::{Header, Version};
use dfu_target::target::{Assurance, DfuTarget, Written};
use dfu_target::{Image, ImageKind};
use dfu_target_mcuboot::{Active, McubootTarget, Rules, RunningState, Slots, Verify, VersionRule};
use dfu_testkit::boot::Slot;
use dfu_testkit::plain::{Plain, Wanted};
use dfu_testkit::poll::run;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256, Sha512};

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.byte() % 4 {
        0 => device::<1, 128, 1, 128>(bytes),
        1 => device::<4, 256, 4, 256>(bytes),
        2 => device::<8, 128, 8, 128>(bytes),
        _ => device::<32, 256, 32, 128>(bytes),
    }
});

/// How the bytes come.
#[derive(Clone, Copy, Debug)]
struct Course {
    chunks: [u8; 2],
    /// After so many chunks the power fails.
    cut: u8,
    knows_size: bool,
    /// What lies in the slot before.
    litter: u8,
}

const KEYS: [&[u8]; 2] = [b"key0", b"key1"];
const OTHERS: [(u8, Version); 1] = [(1, Version { major: 1, minor: 1, revision: 1, build: 1 })];
const UUID: [u8; 16] = *b"sixteen letters.";
const RUNNING: Version = Version { major: 1, minor: 0, revision: 0, build: 0 };

fn device<const W: usize, const E: usize, const R: usize, const N: usize>(mut bytes: Bytes<'_>) {
    let board = Board::new::<W, E, R>(&mut bytes);
    let [rules, options, first, second, cut] = bytes.array();
    let litter = [board.erased, 0x00, 0xff, 0x5a][usize::from(options >> 4) % 4];
    let course = Course { chunks: [first, second], cut, knows_size: options & 1 == 0, litter };
    let mut file = bytes.0.to_vec();
    if options & 2 == 0 {
        mend(&mut file, if rules & 4 == 0 { KEYS[0] } else { KEYS[1] }, rules % 8 == 3);
    }
    let asked = Rules::new(SoftSha256::default());
    let asked = match rules >> 4 & 3 {
        0 => asked,
        1 => asked.version(VersionRule::NewerOrEqual).counter(7),
        2 => asked.version(VersionRule::Newer).images(&OTHERS),
        _ => asked.vendor(&UUID).class(&UUID),
    };
    let accepted = match rules % 8 {
        0 | 4 => update::<W, E, R, N, _>(&board, course, &file, ()),
        1 | 5 => update::<W, E, R, N, _>(&board, course, &file, asked),
        2 | 6 => update::<W, E, R, N, _>(&board, course, &file, asked.signed(Toy::<false>::default(), &KEYS).unwrap()),
        3 => update::<W, E, R, N, _>(&board, course, &file, asked.signed(Toy::<true>::default(), &KEYS).unwrap()),
        _ => update::<W, E, R, N, _>(&board, course, &file, Rules::new(dfu_target_mcuboot::Sha512::default())),
    };
    let plain = Plain::of(&file);
    let wanted = Wanted {
        mode: board.mode,
        max: board.bootloader.max_image_size(board.primary, board.secondary),
        address: board.primary as u32,
        running: [1, 0, 0, 0],
        build_number: board.build_number,
        any_tlv: board.any_tlv,
        ram: board.ram,
    };
    let is_good = plain.as_ref().is_some_and(|plain| wanted.takes(&file, plain) && plain.is_hashed(&file));
    if rules % 4 == 0 {
        assert_eq!(accepted.is_some(), is_good, "{board:?} {course:?} {plain:?}");
    }
    let Some(assurance) = accepted else { return };
    assert!(is_good, "{board:?} {course:?} {plain:?}");
    if rules % 4 == 0 {
        assert_eq!(assurance, Assurance::Hash);
        return;
    }
    let plain = plain.unwrap();
    if rules % 8 != 7 {
        assert_eq!(assurance == Assurance::Signature, matches!(rules % 8, 2 | 3 | 6));
        check_rules(rules, &file, &plain);
    } else {
        let hash = Sha512::digest(&file[..plain.hashed]);
        assert!(plain.all(0x12).any(|tlv| file[tlv.value.clone()] == hash[..]));
    }
}

/// What is accepted by rules has what they ask for.
fn check_rules(rules: u8, file: &[u8], plain: &Plain) {
    let values = |kind| plain.all(kind).filter(|tlv| tlv.protected).map(|tlv| &file[tlv.value.clone()]);
    let version = plain.version;
    match rules >> 4 & 3 {
        0 => {}
        1 => {
            let counters: Vec<&[u8]> = values(0x50).collect();
            let [counter] = counters[..] else { panic!("{} counters", counters.len()) };
            assert!(u32::from_le_bytes(counter.try_into().unwrap()) >= 7);
            assert!(version[..3] >= [1, 0, 0][..]);
        }
        2 => {
            assert!(version[..3] > [1, 0, 0][..]);
            for need in values(0x40) {
                assert_eq!((need.len(), need[0]), (12, 1));
                let revision = u16::from_le_bytes([need[6], need[7]]);
                assert!((need[4], need[5], revision) <= (1, 1, 1));
            }
        }
        _ => {
            for kind in [0x74, 0x75] {
                assert!(values(kind).count() > 0 && values(kind).all(|value| value == UUID));
            }
        }
    }
    if rules % 8 == 1 || rules % 8 == 5 {
        return;
    }
    let (hash, image) = (Sha256::digest(&file[..plain.hashed]), &file[..plain.hashed]);
    let is_signed = plain.all(0x21).any(|tlv| {
        KEYS.iter().any(|key| {
            let known = Sha256::digest(key);
            let signature = match rules % 8 {
                3 => Toy::<true>::sign(key, &hash, image),
                _ => Toy::<false>::sign(key, &hash, image),
            };
            let before = plain.all(0x01).filter(|hash| hash.value.end <= tlv.value.start);
            file[tlv.value.clone()] == signature
                && before.last().is_some_and(|key| file[key.value.clone()] == known[..])
        })
    });
    assert!(is_signed);
}

/// Makes the hash, the key's hash and the signature right where there seems to be one, as a fuzzer never would: also
/// in an image that is wrong otherwise.
fn mend(file: &mut [u8], key: &[u8], pure: bool) {
    let Ok(header) = Header::parse(file) else { return };
    let Some((image, rest)) = file.split_at_mut_checked(header.hashed_len() as usize) else { return };
    let (hash, wide) = (Sha256::digest(&*image), Sha512::digest(&*image));
    let signature = if pure { Toy::<true>::sign(key, &hash, image) } else { Toy::<false>::sign(key, &hash, image) };
    let right: [(u16, &[u8]); 4] = [(0x01, &Sha256::digest(key)), (0x10, &hash), (0x12, &wide), (0x21, &signature)];
    let mut at = 0;
    while let Some((head, values)) = rest[at..].split_first_chunk_mut::<4>() {
        let found = right.iter().find(|(kind, value)| {
            let [low, high] = kind.to_le_bytes();
            *head == [low, high, value.len() as u8, 0] && values.len() >= value.len()
        });
        at += 1;
        if let Some((_, value)) = found {
            values[..value.len()].copy_from_slice(value);
            at += 3 + value.len();
        }
    }
}

/// The whole update and the next boot; with what assurance it was accepted.
fn update<const W: usize, const E: usize, const R: usize, const N: usize, V: Verify + Clone>(
    board: &Board,
    course: Course,
    file: &[u8],
    verify: V,
) -> Option<Assurance> {
    let mut flash = board.flash::<W, E, R>();
    let old = board.image(1, 40);
    board.install(&mut flash.cells[..board.primary], &old);
    flash.cells[board.primary..].fill(course.litter);
    let accepted = run(receive::<W, E, R, N, V>(board, course, file, verify, &mut flash));

    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    let asked = board.bootloader.asked(primary, secondary);
    let boot = board.bootloader.boot(primary, secondary);
    let running = boot.running.expect("a device that boots");
    if accepted.is_some() {
        assert_eq!((boot.refused, boot.asked), (None, asked), "{board:?}");
        assert!(board.mode.chooses() || boot.swapped.is_some(), "{board:?} {boot:?}");
        assert_eq!(running.slot, if board.mode.chooses() { Slot::Secondary } else { Slot::Primary });
        assert_eq!(running.size, file.len());
        let stored = if board.mode.chooses() { secondary } else { primary };
        assert_eq!(stored[..file.len()], *file);
    } else {
        assert_eq!((boot.swapped, running.slot, running.size), (None, Slot::Primary, old.len()), "{board:?}");
        assert_eq!(asked, None, "{board:?}");
    }
    accepted
}

async fn receive<const W: usize, const E: usize, const R: usize, const N: usize, V: Verify + Clone>(
    board: &Board,
    course: Course,
    file: &[u8],
    verify: V,
    flash: &mut Ram<W, E, R>,
) -> Option<Assurance> {
    let size = course.knows_size.then_some(file.len() as u32);
    let head = &file[..file.len().min(64)];
    let offer = Image { size, head, ..Image::new(ImageKind::Mcuboot) };
    let active = Active::new(RunningState::Confirmed, Some(RUNNING));
    let (mut at, mut chunks) = (0, 0_u32);
    loop {
        // Again after a cut, without what was in RAM.
        let mut shared = Shared::new(&mut *flash);
        let [_, region] = shared.split(&board.layout());
        let mut target: McubootTarget<'_, _, SoftSha256, &Slots, N, V> =
            McubootTarget::verifying(region, SoftSha256::default(), &board.slots, active, verify.clone()).unwrap();
        let wanted = target.init(&offer, at).await.ok()?;
        assert!(wanted <= at, "{wanted} is wanted after {at}");
        at = wanted;
        let mut is_cut = false;
        while (at as usize) < file.len() {
            let len = 1 + usize::from(course.chunks[chunks as usize % 2]) % 160;
            let end = file.len().min(at as usize + len);
            if chunks % 3 == 1 {
                target.prepare().await.ok()?;
            }
            let Written::Committed(safe) = target.write(&file[at as usize..end]).await.ok()? else {
                panic!("nothing was pending");
            };
            assert!(safe as usize <= end);
            at = end as u32;
            chunks += 1;
            if course.cut > 0 && chunks == u32::from(course.cut) {
                (at, is_cut) = (safe, true);
                break;
            }
        }
        if is_cut {
            continue;
        }
        let checked = target.digest().await.ok()?;
        let again = target.digest().await.expect("what was accepted once");
        assert_eq!((checked, checked.digest.0), (again, Sha256::digest(file).into()));
        let _ = target.apply(checked.assured().expect("a hash")).await.expect("a request that is kept");
        return Some(checked.assurance);
    }
}
