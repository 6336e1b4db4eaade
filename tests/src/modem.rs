//! [`FakeModem`]: the modem of an nRF91 in memory, with its bootloader, its moods and its power cuts.

mod area;
mod bootloader;
mod call;
mod clock;
mod delta;
mod delta_file;
mod fill;
mod flash;
mod full_file;
mod loader;
mod settings;
mod start;
mod state;
mod supply;
mod wrapper;

pub use call::ModemCall;
pub use clock::Delay;
pub use delta_file::{DeltaFile, DeltaHeader};
pub use fill::fill;
pub use full_file::FullFile;
pub use settings::{Settings, Wait};
pub use start::Outcome;
pub use state::{Content, FlashSegment, ModemState, Scheduled};
pub use wrapper::{Manifest, signed_wrapper};

use alloc::rc::Rc;
use core::cell::{RefCell, RefMut};
use core::fmt;

use dfu_target_nrf_modem::port::{Bootloader, Delta, Errno, Fault, Offset, Uuid};

use crate::flash::{Chip, SimFlash};
use area::Area;
use call::Script;
use flash::ModemFlash;
use loader::Loader;
use supply::Supply;

/// An nRF91 modem, of which clones are the same modem: one for the code under test, one for the test.
///
/// ```text
///            start_normal                  Bootloader::start
///      off ───────────────► normal ────────────────────────► bootloader
///       ▲ ◄─────────────────  │                                  │
///       │       shutdown      └ EIO where the firmware is broken │
///       └────────────────────────────────────────────────────────┘  stop, shutdown, power_on
/// ```
///
/// It is both ports of `dfu-target-nrf-modem`: [`Delta`] works in normal mode, else it is EPERM; [`Bootloader`] in
/// bootloader mode, else it is EOPNOTSUPP. A call out of order fails. What survives a loss of power is in
/// [`ModemState`].
///
/// ```
/// use dfu_target_nrf_modem::port::{Delta, Offset};
/// use dfu_testkit::modem::{DeltaFile, FakeModem, Outcome, uuid};
///
/// let modem = FakeModem::default();
/// let file = DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(3000).build();
/// assert_eq!(modem.start_normal(), Ok(None));
/// let mut port = modem.delta();
/// port.write_init().unwrap();
/// for chunk in file.chunks(1024) {
///     port.write(chunk).unwrap();
/// }
/// port.write_done().unwrap();
/// port.update().unwrap();
///
/// modem.shutdown().unwrap();
/// assert_eq!(modem.start_normal(), Ok(Some(Outcome::OK)));
/// assert_eq!(modem.running(), uuid(2));
/// assert_eq!(port.offset(), Ok(Offset::At(file.len() as u32))); // Until it is erased, the modem can go back.
/// ```
#[derive(Clone)]
pub struct FakeModem(Rc<RefCell<Inner>>);

/// What the modem does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing.
    Off,
    /// Runs its firmware.
    Normal,
    /// Waits for a loader, or runs one.
    Bootloader,
}

/// The name of a made-up firmware.
pub fn uuid(n: u32) -> Uuid {
    let mut uuid = Uuid([0; 36]);
    uuid.0.copy_from_slice(format!("{n:08x}-0000-4000-8000-000000000000").as_bytes());
    uuid
}

struct Inner {
    settings: Settings,
    supply: Rc<dyn Supply>,
    script: Script,
    clock_ns: u64,
    mode: Mode,
    /// The firmware that runs, or ran last.
    firmware: Uuid,
    alive: bool,
    area: Area,
    flash: ModemFlash,
    loader: Loader,
    registered: bool,
    low_voltage: bool,
    memory_taken: usize,
    odd_reset: bool,
    next_result: Option<u32>,
    last_result: Option<u32>,
}

impl FakeModem {
    /// What the modem runs at first: `uuid(1)`.
    pub const FIRST: Uuid = Uuid(*b"00000001-0000-4000-8000-000000000000");
    /// What every call gives between a power cut and [`power_on`](Self::power_on).
    pub const POWER_CUT: Fault = Fault::Errno(Errno::Shutdown);

    /// A modem that is off, with a firmware that works and an empty area.
    pub fn new(settings: Settings) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            supply: Rc::new(Chip::new(SimFlash::<4, 4096>::new(0))),
            script: Script::default(),
            clock_ns: 0,
            mode: Mode::Off,
            firmware: Self::FIRST,
            alive: true,
            area: Area::new(settings.area as usize),
            flash: ModemFlash::default(),
            loader: Loader::default(),
            registered: false,
            low_voltage: false,
            memory_taken: 0,
            odd_reset: false,
            next_result: None,
            last_result: None,
            settings,
        })))
    }

    /// The port for delta updates; for where a method's name is in both of them.
    pub fn delta(&self) -> impl Delta + Clone + fmt::Debug + use<> {
        self.clone()
    }

    /// The port for full updates.
    pub fn bootloader(&self) -> impl Bootloader + Clone + fmt::Debug + use<> {
        self.clone()
    }

    /// What it does.
    pub fn mode(&self) -> Mode {
        self.inner().mode
    }

    /// The firmware that it runs, or would.
    pub fn running(&self) -> Uuid {
        self.settled().firmware
    }

    /// Whether it has a firmware that starts. Else only a full update helps.
    pub fn is_alive(&self) -> bool {
        self.settled().alive
    }

    /// Breaks its firmware.
    pub fn kill(&self) {
        let mut inner = self.settled();
        inner.alive = false;
        if inner.mode == Mode::Normal {
            inner.forget_ram();
        }
    }

    /// What its area holds, without asking the modem.
    pub fn stored(&self) -> Offset {
        self.inner().area.offset()
    }

    /// What is to happen at the next start.
    pub fn scheduled(&self) -> Option<Scheduled> {
        self.inner().area.scheduled
    }

    /// Programs one byte of the area behind the modem's back: what is to be written there meets
    /// [`AreaNotBlank`](dfu_target_nrf_modem::port::Code::AreaNotBlank).
    pub fn soil_area(&self, at: u32) {
        self.inner().area.cells[at as usize] = 0;
    }

    /// How many times the memory for writing is reserved: 1 between `write_init` and `write_done`.
    pub fn write_resources(&self) -> u32 {
        self.inner().area.held.into()
    }

    /// Lowers the supply voltage, or raises it: what programs the area is refused, as is a scheduled update.
    pub fn set_low_voltage(&self, low: bool) {
        self.inner().low_voltage = low;
    }

    /// Registers with a network, or leaves it: erasing takes another time then. No reset survives it.
    pub fn set_registered(&self, registered: bool) {
        self.inner().registered = registered;
    }

    /// Takes so many bytes of the shared memory away from the calls.
    pub fn take_memory(&self, bytes: usize) {
        self.inner().memory_taken = bytes;
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }

    /// With what was programmed judged.
    fn settled(&self) -> RefMut<'_, Inner> {
        let mut inner = self.inner();
        inner.settle();
        inner
    }
}

impl Inner {
    /// Drops what no reset survives.
    fn forget_ram(&mut self) {
        self.settle();
        self.mode = Mode::Off;
        self.registered = false;
        self.area.forget_ram();
        self.loader = Loader::default();
    }
}

impl Default for FakeModem {
    fn default() -> Self {
        Self::new(Settings::new())
    }
}

/// Without the contents.
impl fmt::Debug for FakeModem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("FakeModem");
        if let Ok(inner) = self.0.try_borrow() {
            text.field("mode", &inner.mode).field("firmware", &inner.firmware).field("alive", &inner.alive);
            text.field("stored", &inner.area.offset()).field("scheduled", &inner.area.scheduled);
        }
        text.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
