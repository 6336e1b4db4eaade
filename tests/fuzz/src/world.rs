//! A device with a modem, the files that come to it, and what must hold at each of its resets.

mod file;

use std::rc::Rc;

use dfu_target::digest::SoftSha256;
use dfu_target::image::ImageKind;
use dfu_target_mcuboot::{Align, ConfirmError, Mode, RunningState, Upgrade};
use dfu_target_nrf_modem::ModemDelta;
use dfu_target_nrf_modem::port::{Delta, Offset};
use dfu_testkit::boot::Refusal;
use dfu_testkit::device::{Board, Device, MODES};
use dfu_testkit::flash::{Cut, Fault};
use dfu_testkit::modem::{Delay, FakeModem, ModemCall, Settings, uuid};

pub use self::file::File;
use crate::Bytes;

/// A device in front of updates, and what is known of its past.
pub struct World<const W: usize, const E: usize, const R: usize> {
    pub device: Device<W, E, R>,
    pub modem: FakeModem,
    board: Board,
    files: Rc<[File]>,
    /// Which file runs, and which one a swap put aside.
    runs: u8,
    aside: Option<u8>,
    /// Which file somebody wanted to be run since the last reset, and whether that was done.
    asked: Option<u8>,
    applied: bool,
    /// The number of the modem's firmware, and whether somebody wanted another one.
    firmware: u32,
    modem_asked: bool,
    /// The flash said something that was not so: what it holds is not known any more.
    lies: bool,
    /// Two files went by one name, and nobody told them apart.
    pub mixed: bool,
    /// The power failed amid an erase while a request was there.
    torn_request: bool,
}

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// Two bytes of the fuzzer's choice make any of them.
    pub fn new(choice: &mut Bytes<'_>) -> Self {
        let [mode, options] = choice.array();
        let mode = MODES[usize::from(mode) % MODES.len()];
        let sectors = 5 + u32::from(options & 1);
        let wide = options & 4 != 0;
        let board = Board::new(mode, sectors * E as u32)
            .sectors(8)
            .upgrade(if options & 2 == 0 { Upgrade::Test } else { Upgrade::Permanent })
            .align(if W > 16 { Align::A32 } else { [Align::A8, Align::A16][usize::from(wide)] })
            .erased(if options & 8 == 0 { 0xff } else { 0 });
        let device = Device::new(board);
        let modem = FakeModem::new(Settings::new().area(2048).block(512));
        modem.share_supply(device.chip());
        modem.start_normal().expect("a modem that works");
        let files = File::all(&board, device.slots().max_image() as usize);
        device.install(&files[0].bytes);
        Self {
            device,
            modem,
            board,
            files,
            runs: 0,
            aside: None,
            asked: None,
            applied: false,
            firmware: 1,
            modem_asked: false,
            lies: false,
            mixed: false,
            torn_request: false,
        }
    }

    /// The files by number.
    pub fn files(&self) -> Rc<[File]> {
        self.files.clone()
    }

    /// The modem as a target.
    pub fn delta(&self) -> ModemDelta<impl Delta + use<W, E, R>, Delay, SoftSha256> {
        ModemDelta::new(self.modem.delta(), self.modem.delay(), SoftSha256::default()).chunk(256)
    }

    /// Only the target and the log may be written while an update is under way.
    pub fn guard(&self) {
        self.device.chip().sim().guard(&[self.device.target(), self.device.log()]);
    }

    /// Something goes wrong, in a while.
    pub fn trouble(&mut self, kind: u8, after: u8) {
        let after = u64::from(after);
        match kind % 16 {
            kind @ 0..7 => self.device.chip().sim().cut_after(after, Cut::ALL[usize::from(kind)]),
            kind @ 7..15 => {
                let fault = FAULTS[usize::from(kind) - 7];
                self.lies |=
                    !matches!(fault, Fault::Failed | Fault::FailedRead | Fault::FailedWrite | Fault::FailedErase);
                self.device.chip().sim().fault_after(after, fault);
            }
            _ => {
                let call = ModemCall::DELTA[usize::from(kind >> 4) % ModemCall::DELTA.len()];
                self.modem.fail(call, after as u32, FakeModem::POWER_CUT);
            }
        }
    }

    /// What is said to be safe is where it is said to be.
    pub fn is_stored(&self, file: &File, kind: Option<ImageKind>, durable: u32) {
        if self.lies || self.mixed || !self.device.chip().sim().is_powered() {
            return;
        }
        match kind {
            Some(ImageKind::Mcuboot) => {
                let (start, held) = self.place();
                let (from, to) = (held.min(durable as usize), durable as usize);
                let stored = self.device.target().start + (start + from) as u32..self.device.target().end;
                assert!(self.device.holds(stored, &file.bytes[from..to]), "{durable} bytes are not stored");
            }
            Some(ImageKind::ModemDelta) if durable > 0 => {
                let Offset::At(offset) = self.modem.stored() else { panic!("the modem's area is not to be trusted") };
                assert!(offset >= durable, "the modem holds {offset} bytes and not {durable}");
            }
            _ => assert_eq!(durable, 0),
        }
    }

    /// What is stored is to be run: it is this file, where that is known, and a good one.
    pub fn asks(&mut self, file: u8, is_known: bool) {
        if self.lies || self.mixed || !is_known {
            // Whichever it is, a wrong one will not run.
            (self.asked, self.modem_asked) = (Some(ANY), true);
        } else if file == File::DELTA || file == File::DAMAGED {
            // Its signature is the modem's to check.
            self.modem_asked = true;
        } else {
            assert!(File::GOOD.contains(&file), "a bad image was verified");
            let image = &self.files[usize::from(file)].bytes;
            let (start, held) = self.place();
            let stored = self.device.target().start + (start + held) as u32..self.device.target().end;
            assert!(self.device.holds(stored, &image[held..]), "it was verified, and is not stored");
            self.asked = Some(file);
        }
    }

    /// Where in its slot an image lies, and how much of it is kept back: the first word comes last where it is what the
    /// bootloader goes by.
    fn place(&self) -> (usize, usize) {
        if self.board.mode.chooses() { (0, W.max(4)) } else { (self.device.slots().start() as usize, 0) }
    }

    /// It was asked for.
    pub fn applied(&mut self) {
        self.applied = self.asked.is_some_and(|file| file != ANY);
    }

    /// Another update goes on. Where the flash may lie, it is told of no request, and the image that waits is written
    /// over.
    pub fn goes_on(&mut self) {
        self.applied &= !self.lies;
    }

    /// It may be taken back from here on.
    pub fn gives_up(&mut self) {
        self.applied = false;
    }

    /// What was asked for is taken back. Where nothing was, this would take the slot's mark and what shares a sector
    /// with it, and the stored progress would not know.
    pub fn withdraw(&mut self) {
        self.applied = false;
        if self.asked.is_some() && self.device.withdraw().is_ok() && !self.lies {
            self.asked = None;
        }
    }

    /// Whether the power is gone.
    pub fn is_off(&mut self) -> bool {
        !self.device.chip().sim().is_powered()
    }

    /// A reset: the bootloader does its work, and what runs then is what may.
    pub fn reset(&mut self) {
        let (side, was_cut) = (self.device.runs(), self.is_off());
        let torn_request = was_cut && (self.torn_request || self.asked.is_some());
        self.modem.power_on();
        let boot = self.device.boot();
        let say = || format!("{boot:?} {:?} {:?} after {}", self.board, self.asked, self.runs);
        let moved = boot.swapped.is_some() || self.device.runs() != side;
        // KNOWN: swap using offset leaves an image of one sector where it was before it ran. Asked for once more, in spite
        // of `attempted`, MCUboot refuses it for the old one beside it.
        let again = boot.refused == Some(Refusal::UploadAddress) && self.board.mode == Mode::SwapOffset;
        assert!(boot.running.is_ok(), "it is bricked: {}", say());
        let runs = File::GOOD
            .into_iter()
            .find(|number| self.device.holds(self.device.running(), &self.files[usize::from(*number)].bytes));
        let Some(runs) = runs else { panic!("what runs is none of the images: {}", say()) };
        if !moved {
            assert_eq!(runs, self.runs, "the running image was changed: {}", say());
            assert!(!self.applied || was_cut || again, "what was asked for does not run: {}", say());
        } else {
            let wanted = self.asked == Some(runs) || self.asked == Some(ANY);
            assert!(wanted || self.aside == Some(runs), "nobody asked for {runs}: {}", say());
            self.aside = Some(self.runs);
        }
        if !self.board.mode.chooses() && !self.lies && !again {
            assert!(boot.refused.is_none() || torn_request, "a bad image was pending: {}", say());
        }
        self.runs = runs;
        (self.asked, self.applied, self.torn_request) = (None, false, false);

        let told = self.modem.start_normal();
        assert!(told.is_ok() && self.modem.is_alive(), "the modem is dead: {told:?}");
        let firmware = if self.modem.running() == uuid(self.firmware) { self.firmware } else { self.firmware + 1 };
        assert_eq!(self.modem.running(), uuid(firmware));
        assert!(firmware == self.firmware || self.modem_asked, "nobody asked for another firmware of the modem");
        (self.firmware, self.modem_asked) = (firmware, false);
    }

    /// The image that runs on trial is kept. Where the flash has spoilt the word that says so, the next reset takes it
    /// back.
    pub fn confirm(&mut self) {
        match self.device.confirm() {
            Err(ConfirmError::Trailer) if self.lies => self.reset(),
            result => result.expect("an image on trial"),
        }
    }

    /// Whether the image that runs has to confirm itself before the next one comes.
    pub fn is_on_trial(&self) -> bool {
        self.device.active().state == RunningState::Trial
    }
}

/// One of the good ones.
const ANY: u8 = u8::MAX;

const FAULTS: [Fault; 8] = [
    Fault::Failed,
    Fault::FailedRead,
    Fault::FailedWrite,
    Fault::FailedErase,
    Fault::SilentWrite,
    Fault::SilentErase,
    Fault::WeakWrite,
    Fault::FlippedRead,
];
