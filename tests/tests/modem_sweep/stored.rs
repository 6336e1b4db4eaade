//! A device with a modem that has the rest of another delta in its area, and its life under power cuts.

mod meter;

use core::cell::Cell;
use std::rc::Rc;

use dfu_target::ProgressStore;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::ProgressLog;
use dfu_target_nrf_modem::port::Offset;
use dfu_target_nrf_modem::{ModemDelta, Outcome, Settled};
use dfu_testkit::flash::{Chip, SimFlash};
use dfu_testkit::modem::{Content, Delay, DeltaFile, FakeModem, Mode, ModemState, Settings, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::scenario::Cutting;
use dfu_testkit::store::RamStore;

pub(crate) use self::meter::Meter;
use crate::Boot;
use crate::push::{Push, Until};

pub(crate) type Target = ModemDelta<Meter, Delay, SoftSha256>;

/// How many bytes of another delta lie in the area.
const REST: usize = 700;

pub(crate) struct Device {
    pub(crate) modem: FakeModem,
    chip: Chip<4, 512>,
    layout: Layout<Chip<4, 512>, 1>,
    pub(crate) before: ModemState,
    pub(crate) file: Vec<u8>,
    other: Vec<u8>,
    /// Whether the modem tells what became of an update, where it does.
    tells: bool,
    in_flash: bool,
    save_every: u32,
}

/// What is known of the past.
pub(crate) struct Life {
    pub(crate) store: Option<RamStore>,
    /// Bytes that the modem was given.
    pub(crate) given: Rc<Cell<u64>>,
    /// After so many writes that work, one that does nothing and says nothing.
    pub(crate) loses: Rc<Cell<Option<u32>>>,
    /// Bytes that may have to be given again.
    again: u64,
}

impl Device {
    pub(crate) fn new(payload: usize, tells: bool, in_flash: bool) -> Self {
        let modem = FakeModem::new(Settings::new().area(4096));
        let other = DeltaFile::new(FakeModem::FIRST, uuid(9)).seed(9).build();
        let content = Content::Bytes(other[..REST].to_vec());
        let before = ModemState { offset: REST as u32, content, ..modem.save() };
        let mut flash = SimFlash::new(1024);
        flash.checkpoint();
        let chip = Chip::new(flash);
        modem.share_supply(&chip);
        let file = DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(payload).build();
        let layout = Layout::checked([(0, 1024)]).unwrap();
        Self { modem, chip, layout, before, file, other, tells, in_flash, save_every: 512 }
    }

    pub(crate) fn push(&self) -> Push<'_> {
        Push { file: &self.file, chunk: 300, save_every: self.save_every, prepares: false }
    }

    /// Stores the progress each time so many more bytes are safe.
    pub(crate) fn save_every(self, save_every: u32) -> Self {
        Self { save_every, ..self }
    }

    pub(crate) fn is_new(&self) -> bool {
        self.modem.running() == uuid(2)
    }

    pub(crate) fn target(&self, life: &Life) -> Target {
        let meter = Meter { modem: self.modem.clone(), given: life.given.clone(), loses: life.loses.clone() };
        ModemDelta::new(meter, self.modem.delay(), SoftSha256::default()).chunk(256)
    }

    pub(crate) fn restore(&self) -> Life {
        self.chip.sim().rollback();
        self.modem.reload(&self.before);
        self.modem.forget_calls();
        Life { store: (!self.in_flash).then(RamStore::new), given: Rc::default(), loses: Rc::default(), again: 0 }
    }

    /// Lives on until the update is over, through all of these cuts; how many of them happened.
    pub(crate) fn live(&self, cuttings: &[Cutting]) -> u64 {
        let mut life = self.restore();
        let (mut left, mut cuts) = (cuttings.iter(), 0);
        let mut plan = || left.next().inspect(|next| self.modem.cut_after(next.point, next.cut));
        let mut coming = plan();
        for _ in 0..2 * cuttings.len() + 4 {
            let boot = self.boot(&mut life);
            self.check();
            if boot == Boot::Done {
                self.finished(&mut life);
                assert!(life.given.get() <= self.file.len() as u64 + life.again, "{} {}", life.given.get(), life.again);
                return cuts;
            }
            if self.modem.is_powered() {
                let _ = self.modem.shutdown();
                continue;
            }
            cuts += 1;
            self.modem.power_on();
            // What was torn is given again, as is what came before the first record. All else is not.
            let torn = coming.is_some_and(|cutting| matches!(cutting.cut, dfu_testkit::flash::Cut::Torn(_)));
            let saved = self.record(&mut life).is_some_and(|offset| offset > 0);
            life.again += if torn || !saved { self.file.len() as u64 } else { 0 };
            coming = plan();
        }
        panic!("no end of it after {cuttings:?}");
    }

    /// From the start of the modem to the reset.
    pub(crate) fn boot(&self, life: &mut Life) -> Boot {
        let told = match self.modem.start_normal() {
            Ok(told) => told.filter(|_| self.tells).map(Outcome::from_raw),
            Err(fault) => {
                assert!(!self.modem.is_powered(), "the modem does not start: {fault}");
                return Boot::Reset;
            }
        };
        let target = self.target(life);
        self.with_store(life, |store| self.boot_with(target, store, told))
    }

    fn boot_with(&self, mut target: Target, store: &mut impl ProgressStore, told: Option<Outcome>) -> Boot {
        match run(target.settle(store, told)) {
            Ok(Settled::Updated) => {
                assert!(self.is_new(), "it is said to be updated, and is not");
                return Boot::Done;
            }
            Ok(Settled::Nothing) if self.is_new() => return Boot::Done,
            Ok(Settled::Nothing | Settled::NotUpdated) => assert!(!self.is_new()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(!self.modem.is_powered(), "{error}");
                return Boot::Reset;
            }
        }
        let pushed = run(self.push().run(&mut target, store, Until::Applied));
        assert!(pushed.is_ok() || !self.modem.is_powered(), "{pushed:?}");
        drop(target);
        assert!(!self.modem.is_powered() || self.modem.write_resources() == 0);
        Boot::Reset
    }

    pub(crate) fn with_store<T>(&self, life: &mut Life, work: impl FnOnce(&mut StoreOf<'_>) -> T) -> T {
        if let Some(store) = &mut life.store {
            return work(&mut StoreOf::Ram(store));
        }
        let mut shared = Shared::new(self.chip.clone());
        let [log] = shared.split(&self.layout);
        work(&mut StoreOf::Flash(ProgressLog::new(log)))
    }

    fn record(&self, life: &mut Life) -> Option<u32> {
        self.with_store(life, |store| run(store.load())).map(|record| record.offset())
    }

    /// What holds at any time: the modem lives, and what counts of its area is of one file.
    pub(crate) fn check(&self) {
        assert!(self.modem.is_alive());
        let state = self.modem.save();
        let Content::Bytes(bytes) = state.content else { panic!("the area is bytes") };
        if !state.dirty {
            let is_other = bytes == self.other[..REST] && state.offset as usize == REST;
            assert!(is_other || self.file.starts_with(&bytes), "neither of the files");
            assert!(bytes.len() <= state.offset as usize);
        }
    }

    /// The new firmware stays whatever happens, and nothing is left to do.
    pub(crate) fn finished(&self, life: &mut Life) {
        assert_eq!(self.record(life), Some(0), "it was tried, and nothing of it is stored");
        assert_eq!((self.modem.stored(), self.modem.scheduled()), (Offset::At(0), None));
        assert_eq!(self.modem.save().content, Content::Bytes(vec![]));
        self.modem.power_on();
        self.modem.odd_reset();
        assert_eq!(self.modem.start_normal(), Ok(None));
        assert!(self.is_new() && self.modem.mode() == Mode::Normal);
        let mut target = self.target(life);
        let settled = self.with_store(life, |store| run(target.settle(store, None)));
        assert_eq!(settled, Ok(Settled::Nothing));
    }
}

/// A store in memory, or in flash.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
pub(crate) enum StoreOf<'a> {
    Ram(&'a mut RamStore),
    Flash(ProgressLog<'a, Chip<4, 512>>),
}

impl ProgressStore for StoreOf<'_> {
    async fn load(&mut self) -> Option<dfu_target::Progress> {
        match self {
            Self::Ram(store) => store.load().await,
            Self::Flash(store) => store.load().await,
        }
    }
    async fn save(&mut self, progress: &dfu_target::Progress) -> Result<(), dfu_target::progress::StoreError> {
        match self {
            Self::Ram(store) => store.save(progress).await,
            Self::Flash(store) => store.save(progress).await,
        }
    }
    async fn clear(&mut self) -> Result<(), dfu_target::progress::StoreError> {
        match self {
            Self::Ram(store) => store.clear().await,
            Self::Flash(store) => store.clear().await,
        }
    }
}
