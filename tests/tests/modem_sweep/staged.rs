//! A device with a modem and a flash where full updates are staged, and its life under power cuts.

mod watch;

use std::ops::Range;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::progress::ProgressLog;
use dfu_target::{Digest, ProgressStore};
use dfu_target_nrf_modem::port::{Range as Segment, Uuid};
use dfu_target_nrf_modem::{ModemFull, Program, Recovered, Start};
use dfu_testkit::flash::{Chip, SimFlash};
use dfu_testkit::modem::{FakeModem, FullFile, ModemState, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::scenario::Cutting;
use dfu_testkit::store::RamStore;

pub(crate) use self::watch::Watched;
use self::watch::marker;
use crate::Boot;
use crate::push::{Push, Until};

pub(crate) const NEW: u32 = 7;

/// What the marker says, by the table in the target.
pub(crate) const VERIFIED: u32 = 0x0ff0_3cc3;
pub(crate) const PROGRAMMING: u32 = 0xf00f_3cc3;
pub(crate) const DONE: u32 = 0x0ff0_c33c;
pub(crate) const REFUSED: u32 = 0xf00f_c33c;
/// Programmed, and its digest was not told.
const MISMATCH: u32 = 0xa55a_9669;

/// ```text
///  │ foreign │ file ... │ marker │ marker │ log │ log │ foreign │   each of a unit, but for the file
/// ```
pub(crate) struct Device<const W: usize, const E: usize, const R: usize = 1> {
    pub(crate) chip: Chip<W, E, R>,
    pub(crate) modem: FakeModem,
    layout: Layout<Chip<W, E, R>, 2>,
    staging: u32,
    pub(crate) file: Vec<u8>,
    next: Vec<u8>,
    digest: [u8; 32],
    expected: (Vec<Segment>, Digest),
    before: ModemState,
    chunk: usize,
    /// How much of the next update comes.
    ahead: u32,
    save_every: u32,
    prepares: bool,
    /// The record at the beginning, where it is not kept in the flash.
    pub(crate) record: Option<RamStore>,
}

/// What is known of the past.
pub(crate) struct Life {
    pub(crate) store: Option<RamStore>,
    /// The new firmware ran, so the update is over: nothing is programmed any more.
    ran: bool,
    pub(crate) refused: bool,
}

pub(crate) type Target<'a, const W: usize, const E: usize, const R: usize> =
    ModemFull<'a, Chip<W, E, R>, SoftSha256, 256>;

impl<const W: usize, const E: usize, const R: usize> Device<W, E, R> {
    /// With progress in the flash.
    pub(crate) fn new(file: &FullFile, chunk: usize) -> Self {
        Self::erased_to(0xff, file, chunk)
    }

    /// The same in flash that is erased to this value.
    pub(crate) fn erased_to(erased: u8, file: &FullFile, chunk: usize) -> Self {
        let expected = (file.digest_ranges(), file.digest());
        let (file, next) = (file.build(), FullFile::small(uuid(8)).version(2, 2).build());
        let units = file.len().max(next.len()).div_ceil(E) + 2;
        let staging = (units * E) as u32;
        let mut flash = SimFlash::<W, E, R>::new((units + 4) * E).erased_value(erased);
        let old: Vec<u8> = (0..(units + 4) * E).map(|at| (at / 3) as u8).collect();
        flash.load(0, &old);
        flash.checkpoint();
        let chip = Chip::new(flash);
        let modem = FakeModem::default();
        modem.share_supply(&chip);
        let layout = Layout::checked([(E as u32, staging), (E as u32 + staging, 2 * E as u32)]).unwrap();
        let before = modem.save();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&file).into();
        let (ahead, save_every, prepares, record) = (1200, 512, false, None);
        Self {
            chip,
            modem,
            layout,
            staging,
            file,
            next,
            digest,
            expected,
            before,
            chunk,
            ahead,
            save_every,
            prepares,
            record,
        }
    }

    /// With the progress in memory, and the file stored and verified already.
    pub(crate) fn verified(mut self) -> Self {
        let mut store = RamStore::new();
        self.with(|target, _| run(self.push(&self.file).run(target, &mut store, Until::Verified)).unwrap());
        self.record = Some(store);
        self.ahead = 400;
        self.chip.sim().checkpoint();
        self
    }

    /// And applied: the next boot programs the modem.
    pub(crate) fn applied(self) -> Self {
        let mut device = self.verified();
        let mut store = device.record.take().unwrap();
        device.with(|target, _| run(device.push(&device.file).run(target, &mut store, Until::Applied)).unwrap());
        device.record = Some(store);
        device.chip.sim().checkpoint();
        device
    }

    pub(crate) fn new_firmware(&self) -> Uuid {
        uuid(NEW)
    }

    pub(crate) fn push<'f>(&self, file: &'f [u8]) -> Push<'f> {
        Push { file, chunk: self.chunk, save_every: self.save_every, prepares: self.prepares }
    }

    /// Stores the progress each time so many more bytes are safe.
    pub(crate) fn save_every(self, save_every: u32) -> Self {
        Self { save_every, ..self }
    }

    /// Has the application erase ahead before each piece.
    pub(crate) fn preparing(self) -> Self {
        Self { prepares: true, ..self }
    }

    /// Where the file, the markers and the log lie.
    pub(crate) fn ours(&self) -> Range<u32> {
        let start = E as u32;
        start..start + self.staging + 2 * start
    }

    /// What lies where the file is staged, with the markers.
    pub(crate) fn region(&self) -> Vec<u8> {
        self.chip.sim().bytes()[E..E + self.staging as usize].to_vec()
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(Target<'_, W, E, R>, Region<'_, Chip<W, E, R>>) -> T) -> T {
        let mut shared = Shared::new(self.chip.clone());
        let [staging, log] = shared.split(&self.layout);
        work(ModemFull::new(staging, SoftSha256::default()), log)
    }

    /// How the modem is programmed.
    pub(crate) fn program(&self) -> Program<'_> {
        let (ranges, digest) = &self.expected;
        Program::new().expect(ranges, *digest)
    }

    pub(crate) fn restore(&self) -> Life {
        self.chip.sim().rollback();
        self.modem.reload(&self.before);
        self.modem.forget_calls();
        Life { store: self.record.clone(), ran: false, refused: false }
    }

    /// Lives on until the new firmware runs and the next update has begun, through all of these cuts; how many of
    /// them happened.
    pub(crate) fn live(&self, cuttings: &[Cutting]) -> u64 {
        let mut life = self.restore();
        self.go_on(&mut life, cuttings)
    }

    pub(crate) fn go_on(&self, life: &mut Life, cuttings: &[Cutting]) -> u64 {
        let (mut left, mut cuts) = (cuttings.iter(), 0);
        let mut plan = || left.next().into_iter().for_each(|next| self.modem.cut_after(next.point, next.cut));
        plan();
        for _ in 0..2 * cuttings.len() + 6 {
            let boot = self.boot(life);
            self.check(life);
            if boot == Boot::Done {
                self.finished(life);
                return cuts;
            }
            if self.modem.is_powered() {
                let _ = self.modem.shutdown();
            } else {
                cuts += 1;
                self.modem.power_on();
                plan();
            }
        }
        panic!("no end of it after {cuttings:?}");
    }

    /// From a reset to the next.
    pub(crate) fn boot(&self, life: &mut Life) -> Boot {
        self.with(|target, log| match life.store.take() {
            Some(mut store) => {
                let boot = self.boot_with(life, target, &mut store);
                life.store = Some(store);
                boot
            }
            None => self.boot_with(life, target, &mut ProgressLog::<_, 192>::new(log)),
        })
    }

    fn boot_with<S: ProgressStore>(&self, life: &mut Life, mut target: Target<'_, W, E, R>, store: &mut S) -> Boot {
        let (_, marked) = self.staged();
        let mut buffer = [0; 200];
        let recovered = run(target.recover(&mut self.bootloader(), Start::NotTried, &self.program(), &mut buffer));
        match recovered {
            Ok(Recovered::Programmed) => {
                assert!(!life.ran, "it was over");
                assert!(matches!(marked, Some(VERIFIED | PROGRAMMING | MISMATCH)), "{marked:x?}");
                return Boot::Reset;
            }
            Ok(Recovered::Nothing) => assert!(matches!(marked, None | Some(DONE | REFUSED)), "{marked:x?}"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(!self.modem.is_powered(), "{error:?}");
                return Boot::Reset;
            }
        }
        if let Err(fault) = self.modem.start_normal() {
            panic!("a dead modem, and nothing says so: {fault}");
        }
        if self.modem.running() == self.new_firmware() {
            life.ran = true;
            let begun = run(self.push(&self.next).run(&mut target, store, Until::Received(self.ahead)));
            assert!(begun.is_ok() || !self.modem.is_powered(), "{begun:?}");
            return if begun.is_ok() { Boot::Done } else { Boot::Reset };
        }
        let pushed = run(self.push(&self.file).run(&mut target, store, Until::Applied));
        assert!(pushed.is_ok() || !self.modem.is_powered(), "{pushed:?}");
        Boot::Reset
    }

    /// What holds at any time.
    pub(crate) fn check(&self, life: &Life) {
        let (staged, newest) = self.staged();
        let dead = !self.modem.is_alive();
        let fresh = !dead && self.modem.running() == self.new_firmware();
        assert!(!dead || newest == Some(PROGRAMMING), "dead, and the marker says {newest:x?}");
        assert!(newest.is_none() || staged, "{newest:x?} of another file");
        match newest {
            Some(DONE) => assert!(fresh),
            Some(VERIFIED) => assert!(!fresh && !dead || life.refused),
            Some(REFUSED) => assert!(life.refused && !fresh && !dead),
            None => assert!(!fresh || life.ran, "programmed, and nothing says that it was to be"),
            _ => {}
        }
    }

    /// Whether the file is there, and the stage in the marker that counts.
    fn staged(&self) -> (bool, Option<u32>) {
        let sim = self.chip.sim();
        let bytes = &sim.bytes()[E..E + self.staging as usize];
        let copies = [2, 1].map(|behind| marker(&bytes[bytes.len() - behind * E..], &self.digest));
        if let [Some((a, stage)), Some((b, other))] = copies {
            assert!(a != b || stage == other, "which of them counts?");
            assert!(a.abs_diff(b) <= 1);
        }
        let newest = copies.into_iter().flatten().max_by_key(|(count, _)| *count).map(|(_, stage)| stage);
        (bytes.starts_with(&self.file), newest)
    }

    /// The modem's bootloader, whose flash is only to be programmed where the marker says so.
    pub(crate) fn bootloader(&self) -> Watched<'_, W, E, R> {
        Watched(self)
    }

    /// The modem stays as it is, and nothing was touched that belongs to others.
    pub(crate) fn finished(&self, life: &mut Life) {
        self.modem.power_on();
        self.with(|mut target, _| {
            let modem = &mut self.bootloader();
            let recovered = run(target.recover(modem, Start::NotTried, &self.program(), &mut [0; 64]));
            assert_eq!(recovered, Ok(Recovered::Nothing));
        });
        assert_eq!(self.modem.start_normal(), Ok(None));
        assert_eq!(self.modem.running(), self.new_firmware());
        self.check(life);
        assert_eq!(self.chip.sim().bytes()[E..E + 256], self.next[..256], "the next file has begun");
        let bytes = self.chip.sim().bytes().to_vec();
        let end = bytes.len() - E;
        assert!((0..E).chain(end..bytes.len()).all(|at| bytes[at] == (at / 3) as u8), "foreign bytes");
    }
}
