//! A delta update's life: what is resumed and what is not, what became of it, and its end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::progress::State;
use dfu_target::session::SessionError;
use dfu_target::{Begun, Digest, Error, ErrorKind, ImageId, Request, Sha256, Update};
use dfu_target_nrf_modem::port::{Code, Fault, Offset};
use dfu_target_nrf_modem::{DeltaError, ModemDelta, Outcome, Settled};
use dfu_testkit::modem::{DeltaFile, FakeModem, ModemCall, uuid};
use dfu_testkit::store::RamStore;

/// An engine that cannot give its state, as many in hardware.
#[derive(Default)]
struct Opaque(SoftSha256);

impl Sha256 for Opaque {
    fn start(&mut self) {
        self.0.start();
    }
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&mut self) -> Digest {
        self.0.finish()
    }
}

fn modem() -> FakeModem {
    let modem = FakeModem::default();
    modem.start_normal().unwrap();
    modem
}

fn file(to: u32) -> Vec<u8> {
    DeltaFile::new(FakeModem::FIRST, uuid(to)).payload(20_000).seed(to).build()
}

fn sha256(file: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(file);
    engine.finish()
}

fn request(file: &[u8]) -> Request {
    Request::of(sha256(file)).size(file.len() as u32).save_every(1024)
}

/// Feeds a file from where it is wanted, up to an offset or to its end; where it began.
fn feed(
    modem: &FakeModem,
    engine: impl Sha256,
    store: &mut RamStore,
    file: &[u8],
    to: Option<usize>,
) -> Result<u32, DeltaError> {
    let target = ModemDelta::new(modem.clone(), modem.delay(), engine);
    let mut update = Update::new(target, store, request(file));
    block_on(async {
        let mut session = match update.begin().await.unwrap() {
            Begun::Receiving(session) => session,
            Begun::Staged(staged) => {
                let _ = staged.verify(&sha256(file)).unwrap().apply().await.unwrap();
                return Ok(file.len() as u32);
            }
        };
        let from = session.offset();
        let mut at = from as usize;
        let end = to.unwrap_or(file.len());
        while at < end {
            let piece = &file[at..end.min(at + 700)];
            match session.write(piece).await {
                Ok(_) => at = session.offset() as usize,
                Err(SessionError::Target(error)) => return Err(error),
                Err(other) => panic!("{other}"),
            }
        }
        if to.is_none() {
            let staged = session.finish().await.unwrap();
            let _ = staged.verify(&sha256(file)).unwrap().apply().await.unwrap();
        }
        Ok(from)
    })
}

/// The modem starts anew, and what became of the update.
fn restart(modem: &FakeModem, store: &mut RamStore, tell: bool) -> Settled {
    modem.power_on();
    let told = modem.start_normal();
    let outcome = modem.last_result().filter(|_| tell).map(Outcome::from_raw);
    if told.is_err() {
        modem.set_low_voltage(false);
    }
    let mut target = ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
    block_on(target.settle(store, outcome)).unwrap()
}

/// Whether the record only remembers that the update was tried.
fn is_over(store: &RamStore) -> bool {
    let record = store.record().unwrap();
    (record.state(), record.offset(), record.attempts()) == (State::Receiving, 0, 1)
}

#[test]
fn r23_a_delta_that_the_modem_refuses_is_fetched_once_more_and_then_no_byte_of_it() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    for _ in 0..2 {
        assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &file, None), Ok(0));
        modem.set_next_result(0x0440_0003);
        assert_eq!(restart(&modem, &mut store, true), Settled::Refused(Outcome::AuthError));
    }
    modem.forget_calls();
    let target = ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
    let mut update = Update::new(target, &mut store, request(&file));
    assert_eq!(block_on(update.begin()).map(|_| ()), Err(SessionError::Rejected));
    assert_eq!((modem.count(ModemCall::Erase), modem.count(ModemCall::Write)), (0, 0));
    // Another one is not held back by that.
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &self::file(4), None), Ok(0));
    assert_eq!((restart(&modem, &mut store, true), modem.running()), (Settled::Updated, uuid(4)));
}

#[test]
fn r11_an_update_goes_on_after_a_reset_and_writes_no_byte_twice() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    for stop in [3000, 5000, 5001, 12_345, 19_999] {
        let from = feed(&modem, SoftSha256::default(), &mut store, &file, Some(stop)).unwrap();
        if stop > 3000 {
            assert!(from > 0 && from.is_multiple_of(64), "it goes on, from {from}");
        }
        assert_eq!(modem.stored(), Offset::At(stop as u32), "the modem has all that came, once");
        modem.power_on();
        modem.start_normal().unwrap();
    }
    assert!(feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap() > 18_000);
    assert_eq!(modem.count(ModemCall::Erase), 0);
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
    assert_eq!((modem.running(), modem.stored(), is_over(&store)), (uuid(2), Offset::At(0), true));
}

#[test]
fn r10_another_image_at_the_same_offset_starts_over_with_an_erase() {
    let (modem, mut store) = (modem(), RamStore::new());
    let (first, second) = (file(2), file(3));
    feed(&modem, SoftSha256::default(), &mut store, &first, Some(10_000)).unwrap();
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &second, None), Ok(0));
    assert_eq!(modem.count(ModemCall::Erase), 1);
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
    assert_eq!(modem.running(), uuid(3));
}

#[test]
fn r11_without_a_midstate_an_update_starts_over() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    feed(&modem, Opaque::default(), &mut store, &file, Some(10_000)).unwrap();
    assert_eq!(feed(&modem, Opaque::default(), &mut store, &file, None), Ok(0));
    // What an engine with one had stored helps no other.
    let (modem, mut store) = (self::modem(), RamStore::new());
    feed(&modem, SoftSha256::default(), &mut store, &file, Some(10_000)).unwrap();
    assert_eq!(feed(&modem, Opaque::default(), &mut store, &file, None), Ok(0));
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
}

#[test]
fn r11_a_modem_that_is_behind_its_record_starts_over() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    feed(&modem, SoftSha256::default(), &mut store, &file, Some(10_000)).unwrap();
    // Somebody erased it and wrote less of it.
    let mut other = RamStore::new();
    feed(&modem, SoftSha256::default(), &mut other, &file, Some(5000)).unwrap();
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &file, None), Ok(0));
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
}

#[test]
fn an_update_that_is_whole_comes_back_staged_without_a_byte() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap();
    assert_eq!(store.record().unwrap().state(), State::Applied);
    // The application starts again, the modem does not.
    modem.forget_calls();
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &file, None), Ok(file.len() as u32));
    assert_eq!((modem.count(ModemCall::Write), modem.count(ModemCall::DeltaUpdate)), (0, 0));
}

#[test]
fn r21_what_became_of_an_update_is_told_by_the_modem_or_by_its_name() {
    for tell in [true, false] {
        let done = |set: &dyn Fn(&FakeModem)| {
            let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
            feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap();
            assert_eq!(
                block_on(ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default()).settle(&mut store, None)),
                Ok(Settled::Waiting)
            );
            set(&modem);
            let settled = restart(&modem, &mut store, tell);
            (settled, modem, store)
        };
        let (settled, modem, store) = done(&|_| ());
        assert_eq!((settled, modem.running(), modem.stored()), (Settled::Updated, uuid(2), Offset::At(0)));
        assert!(is_over(&store));
        // An odd reset finds nothing to go back to.
        modem.power_on();
        modem.odd_reset();
        assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));

        for (raw, outcome) in [(0x0440_0003, Outcome::AuthError), (0x0440_0004, Outcome::UuidError)] {
            let (settled, modem, mut store) = done(&|modem| modem.set_next_result(raw));
            let wanted = if tell { Settled::Refused(outcome) } else { Settled::NotUpdated };
            assert_eq!((settled, modem.running()), (wanted, FakeModem::FIRST));
            assert_eq!((modem.stored() == Offset::At(0), is_over(&store)), (tell, tell));
            // And the next update is taken in any case.
            let next = file(4);
            assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &next, None), Ok(0));
            assert_eq!((restart(&modem, &mut store, tell), modem.running()), (Settled::Updated, uuid(4)));
        }

        // Too low a voltage puts it off, to the next start.
        let (settled, modem, mut store) = done(&|modem| modem.set_low_voltage(true));
        assert_eq!((settled, modem.running()), (Settled::Waiting, FakeModem::FIRST));
        assert_eq!((restart(&modem, &mut store, tell), modem.running()), (Settled::Updated, uuid(2)));
    }
    for (raw, outcome) in [(0x0440_0001, Outcome::InternalError), (0x0440_0002, Outcome::HardwareError)] {
        let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
        feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap();
        modem.set_next_result(raw);
        assert_eq!(restart(&modem, &mut store, true), Settled::Dead(outcome));
        assert!(!modem.is_alive() && is_over(&store));
    }
}

#[test]
fn nothing_is_settled_where_nothing_was_asked_for() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    feed(&modem, SoftSha256::default(), &mut store, &file, Some(9000)).unwrap();
    assert_eq!(restart(&modem, &mut store, false), Settled::Nothing);
    assert!(feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap() > 8000, "and nothing is lost by it");
}

#[test]
fn r22_the_firmware_of_before_comes_back_on_request_until_the_update_is_settled() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    let target = || ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
    feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap();
    modem.power_on();
    modem.start_normal().unwrap();
    assert_eq!(modem.running(), uuid(2));
    let _ = target().rollback().unwrap();
    assert_eq!((restart(&modem, &mut store, false), modem.running()), (Settled::NotUpdated, FakeModem::FIRST));
    // Where the modem tells of it, that is an update like any other: what runs tells which.
    let mut target = target();
    let told = modem.last_result().map(Outcome::from_raw);
    assert_eq!(block_on(target.settle(&mut store, told)), Ok(Settled::RolledBack));
    assert_eq!((modem.stored(), is_over(&store)), (Offset::At(0), true));
    drop(target);
    let target = || ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());

    let mut store = RamStore::new();
    feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap();
    assert_eq!(restart(&modem, &mut store, false), Settled::Updated);
    assert_eq!(target().rollback(), Err(DeltaError::Modem(Fault::Code(Code::NotAllowed))));
}

#[test]
fn r21_what_was_told_of_an_update_before_takes_none_away_that_is_to_come() {
    let (modem, mut store) = (modem(), RamStore::new());
    feed(&modem, SoftSha256::default(), &mut store, &file(2), None).unwrap();
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
    let next = DeltaFile::new(uuid(2), uuid(3)).payload(20_000).build();
    feed(&modem, SoftSha256::default(), &mut store, &next, None).unwrap();
    let mut target = ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
    let told = modem.last_result().map(Outcome::from_raw);
    assert_eq!((told, block_on(target.settle(&mut store, told))), (Some(Outcome::Updated), Ok(Settled::Waiting)));
    drop(target);
    assert_eq!((restart(&modem, &mut store, true), modem.running()), (Settled::Updated, uuid(3)));
}

#[test]
fn r27_low_voltage_is_a_matter_of_time() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    feed(&modem, SoftSha256::default(), &mut store, &file, Some(9000)).unwrap();
    modem.set_low_voltage(true);
    let error = feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap_err();
    assert_eq!((error, error.kind()), (DeltaError::Modem(Fault::Code(Code::LowVoltage)), ErrorKind::Busy));
    assert!(error.to_string().contains("try again later"), "{error}");
    assert_eq!(modem.write_resources(), 0);
    modem.set_low_voltage(false);
    assert!(feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap() > 8000);
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
}

#[test]
fn r27_an_area_that_is_not_blank_starts_the_download_over_and_not_for_ever() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    modem.soil_area(9000);
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &file, None), Ok(0));
    assert_eq!(modem.count(ModemCall::Erase), 1);
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
    // One that is never blank.
    let (modem, mut store) = (self::modem(), RamStore::new());
    for nth in 0..200 {
        modem.fail(ModemCall::Write, nth, Fault::Code(Code::AreaNotBlank));
    }
    let error = feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap_err();
    assert_eq!(error, DeltaError::Modem(Fault::Code(Code::AreaNotBlank)));
    assert!(modem.count(ModemCall::Erase) <= 3);
}

#[test]
fn r27_chunks_shrink_to_what_the_modem_has_room_for() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    modem.take_memory(8192 - 100);
    assert_eq!(feed(&modem, SoftSha256::default(), &mut store, &file, None), Ok(0));
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
    let (modem, mut store) = (self::modem(), RamStore::new());
    modem.take_memory(8192 - 60);
    let error = feed(&modem, SoftSha256::default(), &mut store, &file, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert_eq!(modem.write_resources(), 0);
}

#[test]
fn names_of_files_are_no_digests_and_resume_all_the_same() {
    let (modem, mut store, file) = (modem(), RamStore::new(), file(2));
    for stop in [8000, file.len()] {
        let target = ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default());
        let mut update = Update::new(target, &mut store, Request::new(ImageId::named("mfw_1_to_2.bin")));
        block_on(async {
            let Begun::Receiving(mut session) = update.begin().await.unwrap() else { panic!("not whole yet") };
            let from = session.offset() as usize;
            assert_eq!(from > 0, stop > 8000);
            session.write(&file[from..stop]).await.unwrap();
            if stop == file.len() {
                // The modem will check its signature: that is enough where no digest is known.
                let _ = session.finish().await.unwrap().verify_self().unwrap().apply().await.unwrap();
            }
        });
    }
    assert_eq!(restart(&modem, &mut store, true), Settled::Updated);
}
