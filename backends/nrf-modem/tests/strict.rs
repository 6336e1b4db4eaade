//! A delta on a modem that is as strict as Nordic's header allows: while it erases it answers nothing but that, and what
//! cannot be gone on with is told by a code.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use core::cell::{Cell, RefCell};
use core::ops::ControlFlow;

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::session::SessionError;
use dfu_target::{Begun, DfuTarget, Digest, Image, ImageKind, Request, Sha256, Update};
use dfu_target_nrf_modem::port::{Code, Delta, Fault, Offset, Uuid};
use dfu_target_nrf_modem::{DeltaError, DeltaPolicy, ModemDelta, Settled};
use dfu_testkit::modem::{DeltaFile, FakeModem, ModemCall, Settings, Wait, uuid};
use dfu_testkit::store::RamStore;

/// The fake modem, but for what it answers while something is the matter with its area.
#[derive(Clone)]
struct Strict<'s> {
    modem: FakeModem,
    /// It erases, as far as it knows.
    erasing: &'s Cell<bool>,
    /// Until it erases, this call says that.
    spoiled: &'s RefCell<Option<(ModemCall, Code)>>,
}

impl Strict<'_> {
    fn answers(&mut self, call: ModemCall) -> Result<(), Fault> {
        if self.erasing.get() && self.modem.offset() == Ok(Offset::At(0)) {
            self.erasing.set(false);
        }
        match *self.spoiled.borrow() {
            _ if self.erasing.get() => Err(Fault::Code(Code::ErasePending)),
            Some((spoiled, code)) if spoiled == call => Err(Fault::Code(code)),
            _ => Ok(()),
        }
    }
}

impl Delta for Strict<'_> {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        self.answers(ModemCall::DeltaUuid)?;
        Delta::uuid(&mut self.modem)
    }
    fn area(&mut self) -> Result<u32, Fault> {
        self.answers(ModemCall::Area)?;
        self.modem.area()
    }
    fn offset(&mut self) -> Result<Offset, Fault> {
        self.answers(ModemCall::Offset)?;
        self.modem.offset()
    }
    fn write_init(&mut self) -> Result<(), Fault> {
        self.answers(ModemCall::WriteInit)?;
        self.modem.write_init()
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.answers(ModemCall::Write)?;
        Delta::write(&mut self.modem, bytes)
    }
    fn write_done(&mut self) -> Result<(), Fault> {
        self.modem.write_done()
    }
    fn erase(&mut self) -> Result<(), Fault> {
        self.answers(ModemCall::Erase)?;
        self.modem.erase()?;
        self.erasing.set(true);
        self.spoiled.replace(None);
        Ok(())
    }
    fn update(&mut self) -> Result<(), Fault> {
        self.answers(ModemCall::DeltaUpdate)?;
        Delta::update(&mut self.modem)
    }
    fn rollback(&mut self) -> Result<(), Fault> {
        self.modem.rollback()
    }
    fn is_scheduled(&self) -> bool {
        self.modem.is_scheduled()
    }
}

fn file() -> Vec<u8> {
    DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(20_000).build()
}

fn sha256(file: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(file);
    engine.finish()
}

/// Goes offline when the modem does not get round to erasing.
struct Offline<'o>(&'o FakeModem, &'o Cell<u32>);

impl DeltaPolicy for Offline<'_> {
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        self.1.set(waited_ms);
        if waited_ms >= 5000 {
            self.0.set_registered(false);
        }
        ControlFlow::Continue(())
    }
}

/// Feeds a file from where it is wanted to an offset, or to its end and the request to install it.
fn feed<P: Delta>(
    port: P,
    modem: &FakeModem,
    policy: impl DeltaPolicy,
    store: &mut RamStore,
    to: Option<usize>,
) -> Result<u32, DeltaError> {
    let file = file();
    let target = ModemDelta::with(port, modem.delay(), SoftSha256::default(), policy);
    let request = Request::of(sha256(&file)).size(file.len() as u32).save_every(1024);
    let mut update = Update::new(target, store, request);
    block_on(async {
        let begun = match update.begin().await {
            Err(SessionError::Target(error)) => return Err(error),
            begun => begun.unwrap(),
        };
        let Begun::Receiving(mut session) = begun else { panic!("it was never stored whole") };
        let from = session.offset();
        while (session.offset() as usize) < to.unwrap_or(file.len()) {
            let at = session.offset() as usize;
            match session.write(&file[at..to.unwrap_or(file.len()).min(at + 1000)]).await {
                Err(SessionError::Target(error)) => return Err(error),
                written => drop(written.unwrap()),
            }
        }
        if to.is_none() {
            let staged = session.finish().await.unwrap();
            let _ = staged.verify(&sha256(&file)).unwrap().apply().await.unwrap();
        }
        Ok(from)
    })
}

#[test]
fn r27_an_erase_of_before_is_waited_for_whatever_the_modem_answers_meanwhile() {
    let modem = FakeModem::new(Settings::new().erase(Wait::Polls(2), Wait::Forever));
    modem.start_normal().unwrap();
    modem.set_registered(true);
    // Something else lies there, and an application of before began to erase it.
    modem.clone().write_init().unwrap();
    Delta::write(&mut modem.clone(), &DeltaFile::new(FakeModem::FIRST, uuid(9)).build()[..500]).unwrap();
    modem.clone().write_done().unwrap();
    let (erasing, spoiled, waited) = (Cell::new(false), RefCell::new(None), Cell::new(0));
    let mut port = Strict { modem: modem.clone(), erasing: &erasing, spoiled: &spoiled };
    port.erase().unwrap();
    let mut store = RamStore::new();
    // What the modem runs was not known, so it begins once more.
    let first = feed(port.clone(), &modem, Offline(&modem, &waited), &mut store, None);
    assert_eq!((first, erasing.get()), (Err(DeltaError::Closed), false));
    assert!(waited.get() >= 5000, "{}", waited.get());
    assert_eq!(feed(port, &modem, (), &mut store, None), Ok(0));
    assert_eq!((modem.count(ModemCall::Erase), modem.is_scheduled()), (1, true));
}

#[test]
fn r27_waiting_for_an_erase_of_before_has_an_end() {
    let modem = FakeModem::new(Settings::new().erase(Wait::Forever, Wait::Forever));
    modem.start_normal().unwrap();
    modem.clone().write_init().unwrap();
    Delta::write(&mut modem.clone(), &file()[..500]).unwrap();
    modem.clone().write_done().unwrap();
    let (erasing, spoiled) = (Cell::new(false), RefCell::new(None));
    let mut port = Strict { modem: modem.clone(), erasing: &erasing, spoiled: &spoiled };
    port.erase().unwrap();
    let mut target = ModemDelta::new(port, modem.delay(), SoftSha256::default()).erase_limit_ms(300);
    let timeout = Err(DeltaError::EraseTimeout { waited_ms: 300 });
    let file = file();
    let image = Image { head: &file[..64], ..Image::new(ImageKind::ModemDelta) };
    for _ in 0..2 {
        assert_eq!(block_on(target.init(&image, 0)), timeout.map(|()| 0));
        assert_eq!(block_on(target.settle(&mut RamStore::new(), None)), timeout.map(|()| Settled::Nothing));
    }
}

#[test]
fn r21_what_became_of_an_update_is_told_behind_an_erase() {
    let modem = FakeModem::new(Settings::new().erase(Wait::Polls(20), Wait::Polls(20)));
    modem.start_normal().unwrap();
    let (erasing, spoiled) = (Cell::new(false), RefCell::new(None));
    let port = Strict { modem: modem.clone(), erasing: &erasing, spoiled: &spoiled };
    let mut store = RamStore::new();
    assert_eq!(feed(port.clone(), &modem, (), &mut store, None), Ok(0));
    modem.power_on();
    modem.start_normal().unwrap();
    port.clone().erase().unwrap();
    let mut target = ModemDelta::new(port, modem.delay(), SoftSha256::default());
    assert_eq!(block_on(target.settle(&mut store, None)), Ok(Settled::Updated));
    assert_eq!((modem.running(), modem.stored()), (uuid(2), Offset::At(0)));
}

#[test]
fn r20_what_the_modem_cannot_go_on_with_is_erased() {
    let codes = [
        Code::AreaNotBlank,
        Code::InvalidFileOffset,
        Code::ProgressLogInvalid,
        Code::InvalidResume,
        Code::InterruptedWrite,
    ];
    for call in [ModemCall::Offset, ModemCall::WriteInit, ModemCall::Write] {
        for code in codes {
            let modem = FakeModem::default();
            modem.start_normal().unwrap();
            let mut store = RamStore::new();
            assert_eq!(feed(modem.clone(), &modem, (), &mut store, Some(10_000)), Ok(0));
            let (erasing, spoiled) = (Cell::new(false), RefCell::new(Some((call, code))));
            let port = Strict { modem: modem.clone(), erasing: &erasing, spoiled: &spoiled };
            // Bytes behind what it was told of are another matter: that is for the sender to know.
            let wanted = if (call, code) == (ModemCall::Write, Code::InvalidFileOffset)
                || (call, code) == (ModemCall::WriteInit, Code::InvalidFileOffset)
            {
                Err(DeltaError::Modem(Fault::Code(code)))
            } else {
                Ok(())
            };
            let fed = feed(port, &modem, (), &mut store, None);
            assert_eq!(fed.map(drop), wanted, "{call:?} {code:?}");
            if wanted.is_ok() {
                assert_eq!(modem.count(ModemCall::Erase), 1);
                modem.power_on();
                modem.start_normal().unwrap();
                assert_eq!(modem.running(), uuid(2), "{call:?} {code:?}");
            }
        }
    }
}
