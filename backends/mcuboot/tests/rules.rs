//! What MCUboot can be built to ask of an image, asked before the reset: each refusal for its own reason.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::{Header, Version};
use dfu_target::image::{HEAD_LEN, Image, ImageKind};
use dfu_target::target::Assurance;
use dfu_target::{DfuTarget, Digest, Sha256, blocking::block_on};
use dfu_target_mcuboot::signature::{EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};
use dfu_target_mcuboot::{
    Active, Config, ConfigError, Encryption, Error, HashKind, ImageHash, McubootTarget, Mode, Refusal, Rules, Running,
    RunningState, Sha384, Sha512, Slots, TlvFault, Verify, VersionRule,
};
use dfu_testkit::fixture::Fixture;
use dfu_testkit::flash::{Chip, SimFlash};
use dfu_testkit::image::ImageBuilder;

type Flash = Chip<4, 4096, 4>;

const SLOT: u32 = 0x10000;
const MOVE: Config = Config::new(Mode::SwapMove).max_sectors(32);
const ED25519: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-ed25519.pub.der");
const P256: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-ecdsa-p256.pub.der");
const RSA_2048: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-rsa-2048.pub.der");
const RSA_3072: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-rsa-3072.pub.der");

const fn version(major: u8, minor: u8, revision: u16, build: u32) -> Version {
    Version { major, minor, revision, build }
}

/// What becomes of an image, and how many operations changed the flash.
fn judge(image: &[u8], config: Config, runs: Option<Version>, rules: impl Verify) -> (Result<Assurance, Refusal>, u64) {
    let chip = Flash::new(SimFlash::new(SLOT as usize));
    let slots = Slots::checked::<Flash, Flash>(SLOT, SLOT, config).unwrap();
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let active = Active::new(RunningState::Confirmed, runs);
    let engine = SoftSha256::default();
    let mut target = McubootTarget::<_, _, _, 512, _>::verifying(region, engine, &slots, active, rules).unwrap();
    let head = &image[..image.len().min(HEAD_LEN)];
    let image_of = Image { size: Some(image.len() as u32), head, ..Image::new(ImageKind::Mcuboot) };
    let result = block_on(async {
        target.init(&image_of, 0).await?;
        target.write(image).await?;
        let first = target.digest().await;
        assert_eq!(target.digest().await, first, "the same again");
        if let Ok(checked) = &first {
            assert_eq!(checked.digest, sha256(image), "all of the file");
        }
        first
    });
    let refused = |error| match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other}"),
    };
    let points = chip.sim().points();
    (result.map(|checked| checked.assurance).map_err(refused), points)
}

fn verdict(image: &[u8], rules: impl Verify) -> Result<Assurance, Refusal> {
    judge(image, MOVE, Some(version(1, 0, 0, 0)), rules).0
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    Sha256::update(&mut engine, bytes);
    Sha256::finish(&mut engine)
}

fn plain() -> Rules<'static, SoftSha256> {
    Rules::new(SoftSha256::default())
}

fn fixture(name: &str) -> Vec<u8> {
    Fixture::named(name).bytes().to_vec()
}

/// Whether a fault was found in a TLV of this type.
fn faulty(result: Result<Assurance, Refusal>, of: TlvFault, tlv: u16) -> bool {
    matches!(result, Err(Refusal::Tlv { fault, tlv: found, .. }) if fault == of && found == tlv)
}

#[test]
fn r19_versions_are_compared_as_mcuboot_compares_them() {
    let runs = version(2, 3, 4, 5);
    let image = |(major, minor, revision, build)| ImageBuilder::new().version(major, minor, revision, build).build();
    // Version offered; wanted where it must be newer, newer or equal; the same with the build number.
    for (offered, newer, newer_or_equal, with_build) in [
        ((2, 3, 4, 5), false, true, [false, true]),
        ((2, 3, 4, 6), false, true, [true, true]),
        ((2, 3, 4, 4), false, true, [false, false]),
        ((2, 3, 5, 0), true, true, [true, true]),
        ((2, 4, 0, 0), true, true, [true, true]),
        ((3, 0, 0, 0), true, true, [true, true]),
        ((2, 3, 3, 9), false, false, [false, false]),
        ((2, 2, 0xffff, 0), false, false, [false, false]),
        ((1, 255, 0, 0), false, false, [false, false]),
    ] {
        let rules = [
            (VersionRule::Any, true, true),
            (VersionRule::Newer, newer, with_build[0]),
            (VersionRule::NewerOrEqual, newer_or_equal, with_build[1]),
        ];
        for (rule, wanted, wanted_with_build) in rules {
            for (rules, wanted) in
                [(plain().version(rule), wanted), (plain().version(rule).with_build_number(), wanted_with_build)]
            {
                let (result, points) = judge(&image(offered), MOVE, Some(runs), rules.clone());
                let offered = version(offered.0, offered.1, offered.2, offered.3);
                let expected =
                    if wanted { Ok(Assurance::Hash) } else { Err(Refusal::Version { running: runs, offered }) };
                assert_eq!(result, expected, "{rule:?} {offered}");
                assert_eq!(points == 0, !wanted, "a refusal by version costs nothing");
                assert!(judge(&image((0, 0, 1, 0)), MOVE, None, rules).0.is_ok(), "with nothing to compare");
            }
        }
    }
}

#[test]
fn r19_a_bootloader_that_chooses_the_higher_version_gets_no_other() {
    let runs = Some(version(2, 0, 0, 7));
    for mode in [Mode::DirectXip, Mode::DirectXipRevert] {
        let config = Config::new(mode).max_sectors(32);
        for (offered, taken) in
            [((2, 0, 1, 0), true), ((2, 0, 0, 7), false), ((2, 0, 0, 8), false), ((1, 9, 0, 0), false)]
        {
            let image = ImageBuilder::new().version(offered.0, offered.1, offered.2, offered.3).build();
            let (result, points) = judge(&image, config, runs, ());
            assert_eq!(result.is_ok(), taken, "{mode:?} {offered:?}");
            let with_build = judge(&image, config.compares_build_number(true), runs, ()).0;
            assert_eq!(with_build.is_ok(), taken || offered == (2, 0, 0, 8), "{mode:?} {offered:?}");
            assert_eq!(points == 0, !taken);
            if !taken {
                assert!(matches!(result, Err(Refusal::Outranked { .. })), "{result:?}");
            }
        }
    }
}

#[test]
fn r17_flags_that_the_bootloader_was_not_built_for_are_refused_before_an_erase() {
    const LZMA: u32 = 0x400;
    let offer = |flags| ImageBuilder::new().flags(flags).load_addr(0x2000_0000).build();
    let aes128 = MOVE.encryption(Encryption::Aes128);
    let ram = Config::new(Mode::RamLoad).max_sectors(32);
    for (flags, config, refused) in [
        (0x4, MOVE, Some(Refusal::Flags(0x4))),
        (0x8, MOVE, Some(Refusal::Flags(0x8))),
        (0x8, aes128, Some(Refusal::Flags(0x8))),
        (0xc, aes128, Some(Refusal::Flags(0x8))),
        (0x10, MOVE, Some(Refusal::Flags(0x10))),
        (LZMA, MOVE, Some(Refusal::Flags(LZMA))),
        (0x20, MOVE, None),
        (0x1, MOVE, None),
        (0x100, MOVE, None),
        (0x20, ram, None),
        (0, ram, Some(Refusal::NotForRam)),
        (0x20, ram.ram(0x2000_0000, 0x10000), None),
        (0x20, ram.ram(0x2000_0001, 0x10000), Some(Refusal::Ram { image: 0x2000_0000, size: 1552 })),
        (0x20, ram.ram(0x2000_0000, 1551), Some(Refusal::Ram { image: 0x2000_0000, size: 1552 })),
        (0x20, ram.ram(0x2000_0000, 1552), None),
    ] {
        let image = offer(flags);
        assert_eq!(image.len(), 1552);
        let (result, points) = judge(&image, config, Some(version(0, 0, 1, 0)), ());
        assert_eq!(result.err(), refused, "{flags:#x}");
        assert_eq!(points == 0, refused.is_some(), "{flags:#x}");
    }
    let taken = judge(&offer(LZMA), MOVE.compressed(true), None, ());
    assert_eq!(taken.0, Ok(Assurance::Hash), "its hash is over the compressed file");
}

#[test]
fn r17_an_image_that_runs_at_one_address_goes_to_no_other() {
    let config = Config::new(Mode::DirectXip).max_sectors(32);
    for (address, refused) in [(0, None), (0x10000, Some(Refusal::Address { image: 0x10000, slot: 0 }))] {
        let image = ImageBuilder::new().flags(0x100).load_addr(address).build();
        let (result, points) = judge(&image, config, Some(version(0, 0, 1, 0)), ());
        assert_eq!(result.err(), refused);
        assert_eq!(points == 0, refused.is_some());
    }
}

#[test]
fn an_encrypted_image_is_stored_and_said_to_be_unchecked() {
    let image = fixture("flag-encrypted");
    for rules in [false, true] {
        let config = MOVE.encryption(Encryption::Aes128);
        let result = if rules {
            judge(&image, config, None, plain().signed(Ed25519, &[ED25519]).unwrap())
        } else {
            judge(&image, config, None, ())
        };
        assert_eq!(result.0, Ok(Assurance::None));
    }
    // A signature over the image itself is over the plain bytes.
    let mut image = fixture("sig-ed25519-pure");
    image[16] |= 0x4;
    let config = MOVE.hash(HashKind::Pure).encryption(Encryption::Aes128);
    let pure = Rules::new(Sha512::default()).signed(Ed25519Pure::default(), &[ED25519]).unwrap();
    assert_eq!(judge(&image, config, None, pure).0, Ok(Assurance::None));
    // So is a wide hash.
    let mut image = fixture("sig-ed25519-sha512");
    image[16] |= 0x4;
    let config = MOVE.hash(HashKind::Sha512).encryption(Encryption::Aes128);
    assert_eq!(judge(&image, config, None, Rules::new(Sha512::default())).0, Ok(Assurance::None));
}

#[test]
fn r15_the_security_counter_is_that_of_the_hashed_part_and_there_once() {
    let image = |counters: &[&[u8]]| {
        let image = ImageBuilder::new();
        counters.iter().fold(image, |image, counter| image.protected(0x50, counter)).build()
    };
    let rules = || plain().counter(7);
    assert_eq!(verdict(&image(&[&[7, 0, 0, 0]]), rules()), Ok(Assurance::Hash));
    assert_eq!(verdict(&image(&[&[0, 1, 0, 0]]), rules()), Ok(Assurance::Hash));
    assert_eq!(verdict(&image(&[&[6, 0, 0, 0]]), rules()), Err(Refusal::Counter { least: 7, offered: 6 }));
    assert_eq!(verdict(&image(&[]), rules()), Err(Refusal::NoCounter));
    assert_eq!(verdict(&image(&[]), plain()), Ok(Assurance::Hash));
    // MCUboot would take these, store the first one, and refuse to boot from then on.
    assert!(faulty(verdict(&image(&[&[9, 0, 0, 0], &[8, 0, 0, 0]]), rules()), TlvFault::Twice, 0x50));
    assert!(faulty(verdict(&image(&[&[9, 0, 0, 0], &[9, 0, 0, 0]]), plain()), TlvFault::Twice, 0x50));
    assert!(faulty(verdict(&image(&[&[9, 0, 0]]), rules()), TlvFault::Damaged, 0x50));
    assert!(faulty(verdict(&image(&[&[]]), rules()), TlvFault::Damaged, 0x50));
    // Where the hash does not cover it, anyone may have written it.
    let bare = ImageBuilder::new().unprotected(0x50, &[9, 0, 0, 0]).build();
    assert!(faulty(verdict(&bare, rules()), TlvFault::Unprotected, 0x50));
    let lax = MOVE.any_tlv(true);
    assert_eq!(judge(&bare, lax, None, rules()).0, Err(Refusal::NoCounter), "it decides nothing");
    assert_eq!(verdict(&fixture("tlv-counter"), rules()), Ok(Assurance::Hash), "imgtool's own");
    assert_eq!(verdict(&fixture("tlv-counter"), plain().counter(8)), Err(Refusal::Counter { least: 8, offered: 7 }));
}

#[test]
fn r15_what_the_hash_does_not_cover_decides_nothing() {
    let verdict = |tlv, value: &[u8], rules: Rules<'_, SoftSha256>| {
        let image = ImageBuilder::new().unprotected(tlv, value).build();
        judge(&image, MOVE.any_tlv(true), None, rules).0
    };
    let dependency = [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(verdict(0x40, &dependency, plain().images(&[])), Ok(Assurance::Hash));
    assert_eq!(verdict(0x74, &[7; 16], plain().vendor(&[7; 16])), Err(Refusal::Vendor));
    assert_eq!(verdict(0x75, &[9; 16], plain().class(&[9; 16])), Err(Refusal::Class));
}

#[test]
fn dependencies_are_compared_with_what_will_run() {
    let needed = dfu_testkit::image::Version { major: 2, ..Default::default() };
    let image = ImageBuilder::new().needs(1, needed).build();
    for (others, has) in [
        (&[][..], None),
        (&[(0, version(9, 0, 0, 0))], None),
        (&[(1, version(1, 255, 0, 0))], Some(version(1, 255, 0, 0))),
    ] {
        let refusal = Refusal::Dependency { image: 1, needs: version(2, 0, 0, 0), has };
        assert_eq!(verdict(&image, plain().images(others)), Err(refusal));
    }
    for others in [[(1, version(2, 0, 0, 0))], [(1, version(2, 0, 1, 0))]] {
        assert_eq!(verdict(&image, plain().images(&others)), Ok(Assurance::Hash));
    }
    assert_eq!(verdict(&image, plain()), Ok(Assurance::Hash), "nobody asked");
    let imgtool = fixture("tlv-dependency");
    assert_eq!(verdict(&imgtool, plain().images(&[(1, version(2, 0, 0, 0))])), Ok(Assurance::Hash));
    let twice = ImageBuilder::new().needs(1, needed).needs(1, needed).build();
    assert!(faulty(verdict(&twice, plain()), TlvFault::Twice, 0x40));
    let short = ImageBuilder::new().protected(0x40, &[1, 0, 0, 0, 2, 0, 0, 0]).build();
    assert!(faulty(verdict(&short, plain()), TlvFault::Damaged, 0x40));
}

#[test]
fn r17_an_image_for_another_vendor_or_class_is_refused() {
    let (vendor, class) = ([7; 16], [9; 16]);
    let image = ImageBuilder::new().protected(0x74, &vendor).protected(0x75, &class).build();
    let rules = || plain().vendor(&[7; 16]).class(&[9; 16]);
    assert_eq!(verdict(&image, rules()), Ok(Assurance::Hash));
    assert_eq!(verdict(&image, plain().vendor(&[8; 16])), Err(Refusal::Vendor));
    assert_eq!(verdict(&image, plain().class(&[8; 16])), Err(Refusal::Class));
    let bare = ImageBuilder::new().build();
    assert_eq!(verdict(&bare, plain().vendor(&[7; 16])), Err(Refusal::Vendor), "it does not say");
    assert_eq!(verdict(&bare, plain().class(&[9; 16])), Err(Refusal::Class));
    let second = ImageBuilder::new().protected(0x74, &vendor).protected(0x74, &[8; 16]).build();
    assert_eq!(verdict(&second, plain().vendor(&[7; 16])), Err(Refusal::Vendor), "each of them must match");
}

#[test]
fn r18_each_kind_of_signature_is_verified() {
    fn one<D: ImageHash + Clone, S: Scheme>(name: &str, config: Config, hash: D, scheme: impl Fn() -> S, key: &[u8]) {
        let image = fixture(name);
        let header = Header::parse(&image).unwrap();
        let rules = |key: &[&[u8]]| -> Result<Assurance, Refusal> {
            let rules = Rules::new(hash.clone()).signed(scheme(), key).unwrap();
            judge(&image, config, None, rules).0
        };
        assert_eq!(rules(&[key]), Ok(Assurance::Signature), "{name}");
        assert_eq!(rules(&[key, key]), Ok(Assurance::Signature), "{name}");
        let judged = |image: &[u8]| {
            let keys = [key];
            let rules = Rules::new(hash.clone()).signed(scheme(), &keys).unwrap();
            judge(image, config, None, rules).0
        };
        // The signature is the last TLV.
        let mut bad = image.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert_eq!(judged(&bad), Err(Refusal::Signature), "{name}");
        let mut bad = image.clone();
        bad[usize::from(header.header_size) + 5] ^= 0x10;
        let expected = if S::PURE { Refusal::Signature } else { Refusal::Hash };
        assert_eq!(judged(&bad), Err(expected), "{name}");
        assert_eq!(
            judged(&fixture("sig-none")).map_err(|error| error == Refusal::NoHash || error == Refusal::Unsigned),
            Err(true),
            "{name}"
        );
    }
    let sha256 = SoftSha256::default;
    one("sig-ecdsa-p256", MOVE, sha256(), || EcdsaP256, P256);
    one("sig-ed25519", MOVE, sha256(), || Ed25519, ED25519);
    one("sig-ed25519-sha512", MOVE.hash(HashKind::Sha512), Sha512::default(), || Ed25519, ED25519);
    one("sig-ed25519-pure", MOVE.hash(HashKind::Pure), Sha512::default(), Ed25519Pure::default, ED25519);
    one("sig-rsa-2048", MOVE, sha256(), || Rsa2048::new(sha256()), RSA_2048);
    one("sig-rsa-3072", MOVE, sha256(), || Rsa3072::new(sha256()), RSA_3072);
}

#[test]
fn rules_may_be_left_out_at_run_time() {
    let rules = |name: &str, key: Option<&[u8]>| {
        let keys = [key.unwrap_or_default()];
        let newer = plain().version(VersionRule::Newer);
        verdict(&fixture(name), key.map(|_| newer.signed(Ed25519, &keys).unwrap()))
    };
    assert_eq!(rules("sig-ed25519", Some(ED25519)), Ok(Assurance::Signature));
    assert_eq!(rules("sig-ed25519", None), Ok(Assurance::Hash));
    assert!(rules("sig-ecdsa-p256", Some(ED25519)).is_err());
    assert_eq!(rules("sig-ecdsa-p256", None), Ok(Assurance::Hash));
    // The header and each byte that the hash covers are seen by them, too.
    let older = ImageBuilder::new().version(0, 9, 0, 0).build();
    assert!(matches!(verdict(&older, Some(plain().version(VersionRule::Newer))), Err(Refusal::Version { .. })));
    assert_eq!(verdict(&older, None::<Rules<'_, SoftSha256>>), Ok(Assurance::Hash));
    let pure = || Rules::new(Sha512::default()).signed(Ed25519Pure::default(), &[ED25519]).unwrap();
    let (image, config) = (fixture("sig-ed25519-pure"), MOVE.hash(HashKind::Pure));
    assert_eq!(judge(&image, config, None, Some(pure())).0, Ok(Assurance::Signature));
    assert_eq!(judge(&image, config, None, Some(&mut pure())).0, Ok(Assurance::Signature), "lent");
}

#[test]
fn nobody_vouches_for_a_hash_that_nobody_checks() {
    let pure = || Rules::new(Sha512::default()).signed(Ed25519Pure::default(), &[ED25519]).unwrap();
    // With a SHA-256 that is wrong, and that this bootloader does not look at.
    let image = ImageBuilder::new().version(2, 0, 0, 0).total_size(9000).build().flipped(5000, 1);
    for kind in [HashKind::Sha512, HashKind::Pure] {
        let config = MOVE.hash(kind);
        let judged = match kind {
            HashKind::Pure => judge(&image, config, None, Some(pure()).filter(|_| false)).0,
            _ => judge(&image, config, None, None::<Rules<'_, Sha512>>).0,
        };
        assert_eq!(judged, Ok(Assurance::None), "{kind:?}");
    }
    assert_eq!(judge(&image, MOVE, None, None::<Rules<'_, SoftSha256>>).0, Err(Refusal::Hash));
}

#[test]
fn a_verifier_that_looks_at_no_signature_is_given_none() {
    struct Unlooked<const PURE: bool>;
    impl<const PURE: bool> Verify for Unlooked<PURE> {
        const PURE: bool = PURE;

        fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
            Ok(Some((40, 8)))
        }
        fn finish(&mut self, _: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
            Ok(!signature.is_empty())
        }
    }
    let image = ImageBuilder::new().build();
    assert_eq!(verdict(&image, Unlooked::<false>), Ok(Assurance::Hash));
    assert_eq!(verdict(&image, Unlooked::<true>), Ok(Assurance::Hash));
}

#[test]
fn a_hash_of_another_kind_is_none() {
    let sha384 = MOVE.hash(HashKind::Sha384);
    let p384 = fixture("sig-ecdsa-p384");
    assert_eq!(judge(&p384, sha384, None, Rules::new(Sha384::default())).0, Ok(Assurance::Hash));
    assert_eq!(verdict(&p384, ()), Err(Refusal::NoHash));
    assert_eq!(judge(&fixture("sig-none"), sha384, None, Rules::new(Sha384::default())).0, Err(Refusal::NoHash));
    let mut bad = p384;
    bad[0x300] ^= 1;
    assert_eq!(judge(&bad, sha384, None, Rules::new(Sha384::default())).0, Err(Refusal::Hash));
    // It is whole, and none that would have to cover itself.
    let p384 = fixture("sig-ecdsa-p384");
    let hash = &p384[Header::parse(&p384).unwrap().hashed_len() as usize + 8..][..48];
    let judged = |image: &[u8]| judge(image, sha384, None, Rules::new(Sha384::default())).0;
    assert_eq!(judged(&with_tlvs(&p384, &[(0x11, hash)])), Ok(Assurance::Hash));
    for other in [&[], &hash[..1], &hash[..47], &[hash, &[0]].concat()] {
        let image = with_tlvs(&p384, &[(0x11, other)]);
        assert!(faulty(judged(&image), TlvFault::Damaged, 0x11), "{} bytes", other.len());
    }
    let protected = ImageBuilder::new().protected(0x11, hash).build();
    assert!(faulty(judged(&protected), TlvFault::Damaged, 0x11));
    // A target without the engine for it is not made.
    let chip = Flash::new(SimFlash::new(SLOT as usize));
    let slots = Slots::checked::<Flash, Flash>(SLOT, SLOT, sha384).unwrap();
    let mut shared = Shared::new(chip);
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let active = Active::new(RunningState::Confirmed, None);
    let made = McubootTarget::<_, _, _, 512>::new(region, SoftSha256::default(), &slots, active);
    assert_eq!(made.map(|_| ()), Err(ConfigError::Hash));
}

/// Type and value.
type Tlv<'a> = (u16, &'a [u8]);

/// An image of imgtool's with its TLVs behind the hashed part in another order, or others among them.
fn with_tlvs(image: &[u8], tlvs: &[Tlv<'_>]) -> Vec<u8> {
    let hashed = Header::parse(image).unwrap().hashed_len() as usize;
    let mut area = Vec::new();
    for (tlv, value) in tlvs {
        area.extend(tlv.to_le_bytes());
        area.extend((value.len() as u16).to_le_bytes());
        area.extend_from_slice(value);
    }
    let len = (area.len() as u16 + 4).to_le_bytes();
    [&image[..hashed], &[0x07, 0x69], &len, &area].concat()
}

#[test]
fn the_last_signature_behind_a_known_key_decides_as_in_mcuboot() {
    let image = fixture("sig-ed25519");
    let tail = &image[Header::parse(&image).unwrap().hashed_len() as usize + 4..];
    // Hash, KEYHASH, signature: 4 bytes before each.
    let (hash, key, good) = (&tail[4..36], &tail[40..72], &tail[76..140]);
    let (other_key, bad) = ([1; 32], [2; 64]);
    const H: u16 = 0x10;
    let [k, unknown, s, b]: [Tlv<'_>; 4] = [(1, key), (1, &other_key), (0x24, good), (0x24, &bad)];
    let verdict = |tlvs: &[Tlv<'_>]| {
        let tlvs = [&[(H, hash)], tlvs].concat();
        self::verdict(&with_tlvs(&image, &tlvs), plain().signed(Ed25519, &[ED25519]).unwrap())
    };
    for tlvs in [&[k, s][..], &[unknown, b, k, s], &[k, s, unknown, b], &[k, s, b], &[k, b, k, s], &[unknown, k, s]] {
        assert_eq!(verdict(tlvs), Ok(Assurance::Signature), "{:x?}", tlvs.iter().map(|tlv| tlv.0).collect::<Vec<_>>());
    }
    for tlvs in [&[k, b, s][..], &[k, s, k, b]] {
        assert_eq!(verdict(tlvs), Err(Refusal::Signature));
    }
    let short: Tlv<'_> = (1, &key[..31]);
    for tlvs in [&[s][..], &[s, k], &[k, unknown, s], &[k, short, s], &[(2, ED25519), s], &[]] {
        assert_eq!(verdict(tlvs), Err(Refusal::Unsigned));
    }
    // MCUboot compares as many bytes as there are, be it none: nobody but an attacker writes such.
    for short in [0, 1, 31] {
        assert_eq!(verdict(&[(1, &key[..short]), s]), Err(Refusal::Unsigned), "{short}");
    }
    assert_eq!(verdict(&[(1, &[key, &[0]].concat()), s]), Err(Refusal::Unsigned));
    assert!(faulty(verdict(&[k, (0x24, &[good, &[0]].concat())]), TlvFault::Damaged, 0x24));
    let unasked = with_tlvs(&image, &[(H, hash), short, b]);
    assert_eq!(self::verdict(&unasked, plain()), Ok(Assurance::Hash), "no signature is asked for");
}

#[test]
fn the_least_buffer_that_a_target_is_made_with_will_do() {
    fn verdict<const R: usize, const N: usize>(image: &[u8], rules: impl Verify) -> Assurance {
        let chip = Chip::<4, 4096, R>::new(SimFlash::new(SLOT as usize));
        let slots = Slots::new::<Chip<4, 4096, R>>(SLOT, MOVE);
        let mut shared = Shared::new(chip);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let (engine, active) = (SoftSha256::default(), Active::new(RunningState::Confirmed, None));
        let mut target = McubootTarget::<_, _, _, N, _>::verifying(region, engine, &slots, active, rules).unwrap();
        let image_of = Image { head: &image[..HEAD_LEN], ..Image::new(ImageKind::Mcuboot) };
        block_on(target.init(&image_of, 0)).unwrap();
        block_on(target.write(image)).unwrap();
        block_on(target.digest()).unwrap().assurance
    }
    let image = fixture("sig-rsa-2048");
    let tail = &image[Header::parse(&image).unwrap().hashed_len() as usize + 4..];
    let (hash, key, signature) = (&tail[4..36], &tail[40..72], &tail[76..]);
    for shift in 0..4 {
        // The signature begins and ends anywhere in what is read at once.
        let image = with_tlvs(&image, &[(2, &[0; 4][..shift]), (0x10, hash), (1, key), (0x20, signature)]);
        let rules = || plain().signed(Rsa2048::new(SoftSha256::default()), &[RSA_2048]).unwrap();
        assert_eq!(verdict::<1, 256>(&image, rules()), Assurance::Signature, "{shift}");
        assert_eq!(verdict::<4, 264>(&image, rules()), Assurance::Signature, "{shift}");
        assert_eq!(verdict::<128, 128>(&image, ()), Assurance::Hash, "{shift}");
    }
}

#[test]
fn keys_that_cannot_be_are_a_mistake_of_whoever_set_them() {
    assert!(plain().signed(Ed25519, &[]).is_err());
    assert!(plain().signed(Ed25519, &[P256]).is_err());
    assert!(plain().signed(EcdsaP256, &[P256, ED25519]).is_err());
    assert!(plain().signed(EcdsaP256, &[P256]).is_ok());
}

#[test]
fn r19_the_running_images_counter_is_what_the_next_one_is_compared_with() {
    let counter = |image: &[u8], flash: SimFlash<4, 4096, 4>| {
        let chip = Flash::new(flash);
        let slots = Slots::checked::<Flash, Flash>(SLOT, SLOT, MOVE).unwrap();
        chip.sim().load(0, image);
        let mut shared = Shared::new(chip);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        block_on(Running::new(region, &slots).unwrap().security_counter()).unwrap()
    };
    let of = |image: &[u8]| counter(image, SimFlash::new(SLOT as usize));
    assert_eq!(of(&fixture("tlv-counter")), Some(7));
    assert_eq!(of(&fixture("tlv-all")), Some(7));
    assert_eq!(of(&fixture("sig-none")), None);
    assert_eq!(of(&[]), None);
    for payload in 1000..1140 {
        // The TLVs lie anywhere in what is read at once.
        let image = ImageBuilder::new().payload(payload).protected(0xa0, &[1; 90]).protected(0x50, &[4, 3, 2, 1]);
        assert_eq!(of(&image.build()), Some(0x0102_0304), "{payload}");
    }
    let first = ImageBuilder::new().protected(0x50, &[8, 0, 0, 0]).protected(0x50, &[9, 0, 0, 0]).build();
    assert_eq!(of(&first), Some(8), "MCUboot takes the first one");
    assert_eq!(of(&ImageBuilder::new().protected(0x50, &[8, 0]).build()), None);
    assert_eq!(of(&ImageBuilder::new().unprotected(0x50, &[8, 0, 0, 0]).build()), None);
    let image = ImageBuilder::new().protected(0x50, &[8, 0, 0, 0]).build();
    for len in 0..image.len() {
        let _ = of(&image[..len]);
    }
    assert_eq!(of(&image.patched(12, &0xffff_0000_u32.to_le_bytes())), None, "beyond the slot");
}

#[test]
fn the_running_files_digest_is_that_of_its_bytes_and_of_no_others() {
    let of = |slot: &[u8]| {
        let chip = Flash::new(SimFlash::new(SLOT as usize));
        let slots = Slots::checked::<Flash, Flash>(SLOT, SLOT, MOVE).unwrap();
        chip.sim().load(0, slot);
        let mut shared = Shared::new(chip);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        block_on(Running::new(region, &slots).unwrap().digest(&mut SoftSha256::default())).unwrap()
    };
    for name in ["tlv-all", "sig-none", "sig-rsa-3072", "app-v1"] {
        let image = fixture(name);
        assert_eq!(
            of(&image[..image.len().min(SLOT as usize)]),
            (image.len() < SLOT as usize).then(|| sha256(&image)),
            "{name}"
        );
    }
    for payload in 1000..1140 {
        // The end lies anywhere in what is read at once, and what comes behind it does not count.
        let image = ImageBuilder::new().payload(payload).protected(0xa0, &[1; 90]).build().to_vec();
        let digest = Some(sha256(&image));
        assert_eq!(of(&image), digest, "{payload}");
        assert_eq!(of(&[&image[..], &[0x5a; 300]].concat()), digest, "{payload}");
    }
    let image = ImageBuilder::new().payload(1000).build().to_vec();
    for byte in 0..32 {
        let mut other = image.clone();
        other[byte] ^= 0x55;
        assert_ne!(of(&other), Some(sha256(&image)), "{byte}");
    }
    // Sizes that no slot has room for, TLVs that are none.
    let mut long = image.clone();
    long[12..16].copy_from_slice(&(SLOT - 40).to_le_bytes());
    let mut endless = image.clone();
    let info = endless.len() - 40;
    assert_eq!(endless[info..info + 2], [0x07, 0x69]);
    endless[info + 2..info + 4].copy_from_slice(&[0xff, 0xff]);
    let mut short = image.clone();
    short[info + 2..info + 4].copy_from_slice(&[3, 0]);
    let mut none = image;
    none[info] = 8;
    for slot in [&long[..], &endless, &short, &none, &[]] {
        assert_eq!(of(slot), None);
    }
}
