//! Targets without a session: calls out of order, bytes too many, beside calls of somebody else's. Each a typed error, and
//! a right update goes through afterwards.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::target::{Assurance, Checked, Proof};
use dfu_target::{Applied, DfuTarget, Digest, Image, ImageKind, Sha256};
use dfu_target_nrf_modem::port::{Delta, Offset};
use dfu_target_nrf_modem::{
    DeltaError, FullError, FullState, ModemDelta, ModemFull, Program, Recovered, Start, WrapperError,
};
use dfu_testkit::flash::{Chip, SimFlash};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, ModemCall, uuid};

fn sha256(bytes: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(bytes);
    engine.finish()
}

fn proof(digest: Digest) -> Proof {
    Checked { digest, assurance: Assurance::Hash }.assured().unwrap()
}

fn image(kind: ImageKind, file: &[u8], is_size_known: bool) -> Image<'_> {
    Image { size: is_size_known.then_some(file.len() as u32), head: &file[..64], ..Image::new(kind) }
}

/// The whole way.
fn update<T: DfuTarget>(target: &mut T, kind: ImageKind, file: &[u8]) -> Result<Applied, T::Error> {
    block_on(async {
        assert_eq!(target.init(&image(kind, file, true), 0).await?, 0);
        target.write(file).await?;
        let checked = target.digest().await?;
        target.apply(checked.matches(&sha256(file)).unwrap()).await
    })
}

const DELTA: ImageKind = ImageKind::ModemDelta;
const FULL: ImageKind = ImageKind::ModemFull;

fn started() -> FakeModem {
    let modem = FakeModem::default();
    modem.start_normal().unwrap();
    modem
}

fn delta(modem: &FakeModem) -> ModemDelta<FakeModem, dfu_testkit::modem::Delay, SoftSha256> {
    ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default())
}

fn delta_file() -> Vec<u8> {
    DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(3000).build()
}

#[test]
fn a_delta_is_not_written_checked_or_applied_out_of_order() {
    let (modem, file) = (started(), delta_file());
    let mut target = delta(&modem);
    block_on(async {
        let other = ImageBuilder::new().build();
        assert_eq!(target.init(&image(DELTA, &other, true), 0).await, Err(DeltaError::NotDelta));
        assert_eq!(target.write(&file).await, Err(DeltaError::Closed));
        assert_eq!(target.prepare().await, Ok(false), "nothing is to be erased for no image");
        assert_eq!(target.digest().await, Err(DeltaError::Truncated { have: 0, need: 1 }));
        assert_eq!(target.apply(proof(Digest([0; 32]))).await, Err(DeltaError::NotChecked));
        assert_eq!((modem.points(), modem.write_resources()), (0, 0));

        let size = file.len() as u32;
        target.init(&image(DELTA, &file, true), 0).await.unwrap();
        target.write(&file[..2000]).await.unwrap();
        assert_eq!(target.digest().await, Err(DeltaError::Truncated { have: 2000, need: size }));
        target.write(&file[2000..]).await.unwrap();
        assert_eq!(target.apply(proof(sha256(&file))).await, Err(DeltaError::NotChecked), "it was not asked for");
        // A byte too many ends the stream, and the modem has all of the file for all that.
        let too_large = DeltaError::TooLarge { size: size + 1, area: size };
        assert_eq!(target.write(&[0]).await, Err(too_large));
        assert_eq!(target.write(&[]).await, Err(DeltaError::Closed));
        assert_eq!(target.digest().await, Err(DeltaError::Closed));
    });
    assert_eq!((modem.write_resources(), modem.scheduled()), (0, None));
    assert_eq!(update(&mut target, DELTA, &file), Ok(Applied::AtReset));
    let other = proof(Digest([7; 32]));
    assert_eq!(block_on(target.apply(other)), Err(DeltaError::NotChecked), "of another file");
}

#[test]
fn a_target_from_before_the_modems_restart_takes_nothing_for_the_firmware_of_before() {
    let (modem, file) = (started(), delta_file());
    let mut target = delta(&modem);
    assert_eq!(update(&mut delta(&modem), DELTA, &file), Ok(Applied::AtReset));
    modem.shutdown().unwrap();
    modem.start_normal().unwrap();
    // It told the identity of a modem that runs another firmware.
    let before = target.identity(DELTA, 0);
    let next = DeltaFile::new(uuid(2), uuid(3)).build();
    assert_eq!(update(&mut target, DELTA, &next), Err(DeltaError::Closed));
    assert_ne!(target.identity(DELTA, 0), before);
    assert_eq!(update(&mut target, DELTA, &next), Ok(Applied::AtReset));
}

#[test]
fn memory_that_somebody_left_reserved_is_given_back_where_it_is_in_the_way() {
    let (mut modem, file) = (started(), delta_file());
    for call in [ModemCall::Erase, ModemCall::DeltaUpdate, ModemCall::Rollback] {
        let mut target = delta(&modem);
        if call == ModemCall::Erase {
            modem.write_init().unwrap();
            modem.write(&file[..700]).unwrap();
            assert_eq!(block_on(target.abort()), Ok(()));
            assert_eq!((modem.stored(), modem.write_resources()), (Offset::At(0), 0));
        } else if call == ModemCall::DeltaUpdate {
            block_on(async {
                target.init(&image(DELTA, &file, true), 0).await.unwrap();
                target.write(&file).await.unwrap();
                let checked = target.digest().await.unwrap();
                modem.write_init().unwrap();
                let proof = checked.matches(&sha256(&file)).unwrap();
                assert_eq!(target.apply(proof).await, Ok(Applied::AtReset));
            });
            modem.shutdown().unwrap();
            modem.start_normal().unwrap();
            assert_eq!(modem.running(), uuid(2));
        } else {
            modem.write_init().unwrap();
            assert_eq!(target.rollback(), Ok(Applied::AtReset));
        }
        assert_eq!((modem.count(call), modem.write_resources()), (2, 0), "{call:?}: refused, and taken");
    }
}

type Flash = Chip<4, 1024>;
type Full<'a> = ModemFull<'a, Flash, SoftSha256, 256>;

fn full<R>(chip: &Flash, run: impl FnOnce(Full<'_>) -> R) -> R {
    let size = chip.sim().bytes().len() as u32;
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
    run(ModemFull::new(region, SoftSha256::default()))
}

fn chip(units: usize) -> Flash {
    Flash::new(SimFlash::new(units * 1024))
}

#[test]
fn a_full_update_is_not_written_checked_or_applied_out_of_order() {
    let (chip, file) = (chip(16), FullFile::small(uuid(2)).build());
    full(&chip, |mut target| {
        block_on(async {
            let other = ImageBuilder::new().build();
            assert_eq!(target.init(&image(FULL, &other, true), 0).await, Err(FullError::NotFull));
            assert_eq!(target.write(&file).await, Err(FullError::Closed));
            assert_eq!(target.prepare().await, Ok(false));
            let nothing = Err(FullError::Wrapper(WrapperError::Truncated));
            assert_eq!(target.digest().await, nothing);
            assert_eq!(target.apply(proof(Digest([0; 32]))).await, Err(FullError::NotChecked));
            assert_eq!(chip.sim().points(), 0);

            let size = file.len() as u32;
            target.init(&image(FULL, &file, false), 0).await.unwrap();
            target.write(&file[..1500]).await.unwrap();
            assert_eq!(target.digest().await, Err(FullError::Truncated { have: 1500, need: size }));
            target.write(&file[1500..]).await.unwrap();
            assert_eq!(target.apply(proof(sha256(&file))).await, Err(FullError::NotChecked));
            // A byte too many ends the stream.
            let too_large = FullError::TooLarge { size: size + 1, max: size };
            assert_eq!(target.write(&[0]).await, Err(too_large));
            assert_eq!(target.write(&[]).await, Err(FullError::Closed));
            assert_eq!(target.digest().await, Err(FullError::Closed));
            assert_eq!(target.state().await, Ok(FullState::None));
        });
        assert_eq!(update(&mut target, FULL, &file), Ok(Applied::AtReset));
        assert_eq!(block_on(target.state()), Ok(FullState::Verified));
    });
}

#[test]
fn a_region_takes_files_up_to_its_markers() {
    let file = FullFile::small(uuid(2)).build();
    let size = file.len() as u32;
    let units = file.len().div_ceil(1024);
    for (units, fits) in [(1, false), (2, false), (units + 1, false), (units + 2, true)] {
        full(&chip(units), |mut target| {
            let capacity = units.saturating_sub(2) as u32 * 1024;
            assert_eq!(target.capacity(), capacity);
            let refused = Err(FullError::TooLarge { size, max: capacity });
            assert_eq!(update(&mut target, FULL, &file), if fits { Ok(Applied::AtReset) } else { refused });
        });
    }
}

#[test]
fn a_short_file_with_bytes_behind_it_is_refused_before_an_erase() {
    let chip = chip(16);
    let short = FullFile::small(uuid(2)).ranges(&[(0x6000, 40)]).build();
    assert!(short.len() < 1024, "all of it is gathered as if it were the wrapper");
    let (long, size) = ([&short[..], &[0]].concat(), short.len() as u32);
    full(&chip, |mut target| {
        block_on(target.init(&image(FULL, &long, false), 0)).unwrap();
        let too_large = FullError::TooLarge { size: size + 1, max: size };
        assert_eq!(block_on(target.write(&long)), Err(too_large));
    });
    assert_eq!(chip.sim().points(), 0);
}

#[test]
fn prepare_erases_ahead_unit_by_unit_and_no_more_than_the_file_needs() {
    let (chip, file) = (chip(16), FullFile::small(uuid(2)).ranges(&[(0x6000, 7000)]).build());
    let units = file.len().div_ceil(1024) as u64;
    chip.sim().load(0, &[0x5a; 16 * 1024]);
    full(&chip, |mut target| {
        block_on(async {
            target.init(&image(FULL, &file, true), 0).await.unwrap();
            assert_eq!(target.prepare().await, Ok(false), "how much it needs is in the wrapper");
            target.write(&file[..600]).await.unwrap();
            let before = chip.sim().counts().erases;
            let mut steps = 0;
            while target.prepare().await.unwrap() {
                steps += 1;
                assert!(steps < units, "there is no end of it");
                assert_eq!(chip.sim().counts().erases, before + steps, "a unit a call");
            }
            let erased = chip.sim().counts().erases;
            target.write(&file[600..]).await.unwrap();
            assert_eq!((chip.sim().counts().erases, erased), (erased, units), "none is erased twice");
            let checked = target.digest().await.unwrap();
            assert!(checked.matches(&sha256(&file)).is_some());
            // Nor where a piece that was too long has ended the stream.
            target.init(&image(FULL, &file, true), 0).await.unwrap();
            target.write(&file[..600]).await.unwrap();
            assert!(target.write(&[0; 20_000]).await.is_err());
            assert_eq!((target.prepare().await, chip.sim().counts().erases), (Ok(false), erased + 1));
        });
    });
    assert!(chip.sim().bytes()[units as usize * 1024..].iter().all(|byte| *byte == 0x5a));
}

#[test]
fn a_wrapper_that_the_flash_spoils_is_found_when_it_is_read_back_and_not_gone_on_from() {
    let (chip, file) = (chip(16), FullFile::small(uuid(2)).build());
    let wrapper = FullFile::small(uuid(2)).wrapper().len();
    let mut found = [0; 4];
    for bit in (0..wrapper * 8).step_by(5) {
        chip.sim().load(0, &[0xff; 16 * 1024]);
        full(&chip, |mut target| {
            block_on(async {
                target.init(&image(FULL, &file, true), 0).await.unwrap();
                target.write(&file).await.unwrap();
                chip.sim().flip((bit / 8) as u32, (bit % 8) as u8);
                match target.digest().await {
                    Err(FullError::Wrapper(_)) => {
                        found[0] += 1;
                        let from = target.init(&image(FULL, &file, true), 3000).await;
                        assert_eq!(from, Ok(0), "bit {bit}: it does not show where the segments begin");
                    }
                    Err(FullError::WrongSize { .. }) => found[1] += 1,
                    Err(FullError::BlobHash) => found[2] += 1,
                    // The signature's bytes, which the modem alone can check.
                    Ok(checked) => {
                        found[3] += 1;
                        assert!(checked.matches(&sha256(&file)).is_none(), "bit {bit}");
                    }
                    other => panic!("bit {bit}: {other:?}"),
                }
            });
        });
    }
    assert!(found.iter().all(|count| *count > 5), "{found:?}");
}

#[test]
fn without_a_word_the_modem_checks_the_signature_before_its_flash_is_touched() {
    let (chip, modem) = (chip(16), FakeModem::default());
    let mut file = FullFile::small(uuid(2)).build();
    file[FullFile::small(uuid(2)).wrapper().len() - 1] ^= 1;
    full(&chip, |mut target| {
        assert_eq!(update(&mut target, FULL, &file), Ok(Applied::AtReset));
        let mut recover = |program: Program<'_>| {
            block_on(target.recover(&mut &mut modem.bootloader(), Start::NotTried, &program, &mut [0; 512]))
        };
        assert!(matches!(recover(Program::default()), Err(FullError::Refused(_))));
        assert_eq!((modem.count(ModemCall::FwWrite), recover(Program::default())), (0, Ok(Recovered::Nothing)));
        assert_eq!(block_on(target.state()), Ok(FullState::Refused));
    });
}
