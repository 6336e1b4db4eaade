//! A device with embassy-boot, in the test kit's flash.

use std::cell::RefCell;

use dfu_testkit::flash::SimFlash;
use embassy_boot::{
    AlignedBuffer, BlockingFirmwareUpdater, BootError, BootLoader, BootLoaderConfig, FirmwareUpdaterConfig,
    FirmwareUpdaterError, State,
};
use embassy_embedded_hal::flash::partition::BlockingPartition;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;

/// Its flash: words of 4 bytes, pages of 1 KiB. A word may be programmed twice: the bootloader's progress does so after
/// a cut.
pub type Flash = SimFlash<4, PAGE>;

/// A page, and how many the running image has; its place for a new one has one more, as the swap wants it.
pub const PAGE: usize = 1024;
const ACTIVE: u32 = 4 * PAGE as u32;
const DFU: u32 = ACTIVE + PAGE as u32;
const STATE: u32 = PAGE as u32;

/// What the application writes in a call.
const CHUNK: usize = 256;

/// Two images that fill their place.
pub fn images() -> [Vec<u8>; 2] {
    [3, 7].map(|step| (0..4 * PAGE).map(|n| ((n * step) >> 2) as u8).collect())
}

/// `active`, `dfu` and `state`, one behind the other.
pub struct Device(Mutex<NoopRawMutex, RefCell<Flash>>);

type Partition<'a> = BlockingPartition<'a, NoopRawMutex, Flash>;
type Updater<'a, 'b> = BlockingFirmwareUpdater<'b, Partition<'a>, Partition<'a>>;

impl Device {
    /// A device on which this image runs and is confirmed.
    pub fn new(image: &[u8]) -> Self {
        let flash = Flash::new((ACTIVE + DFU + STATE) as usize).overwrites(true);
        let device = Self(Mutex::new(RefCell::new(flash)));
        device.flash(|flash| flash.load(0, image));
        device.confirm().expect("a flash that works");
        device
    }

    /// Its flash, for the test.
    pub fn flash<R>(&self, look: impl FnOnce(&mut Flash) -> R) -> R {
        self.0.lock(|flash| look(&mut flash.borrow_mut()))
    }

    /// Whether what runs begins with these bytes.
    pub fn runs(&self, image: &[u8]) -> bool {
        self.flash(|flash| flash.bytes()[..image.len()] == *image)
    }

    /// The bytes of the place for new images.
    pub fn stored(&self) -> Vec<u8> {
        self.flash(|flash| flash.bytes()[ACTIVE as usize..(ACTIVE + DFU) as usize].to_vec())
    }

    /// A reset: the power is on again, and the bootloader does its work.
    pub fn boot(&self) -> Result<State, BootError> {
        self.flash(Flash::power_on);
        self.start()
    }

    /// The bootloader's work.
    pub fn start(&self) -> Result<State, BootError> {
        let [active, dfu, state] = self.partitions();
        let mut buffer = AlignedBuffer([0; 64]);
        BootLoader::new(BootLoaderConfig { active, dfu, state }).prepare_boot(&mut buffer.0)
    }

    /// The application fetches an image and asks for it to be run.
    pub fn update(&self, image: &[u8]) -> Result<(), FirmwareUpdaterError> {
        self.updater(|updater| {
            for (nth, bytes) in image.chunks(CHUNK).enumerate() {
                updater.write_firmware(nth * CHUNK, bytes)?;
            }
            updater.mark_updated()
        })
    }

    /// What the application learns of the image that runs.
    pub fn state(&self) -> Result<State, FirmwareUpdaterError> {
        self.updater(|updater| updater.get_state())
    }

    /// The application keeps the image that runs.
    pub fn confirm(&self) -> Result<(), FirmwareUpdaterError> {
        self.updater(|updater| updater.mark_booted())
    }

    /// An updater as after a reset.
    pub fn updater<R>(&self, call: impl FnOnce(&mut Updater<'_, '_>) -> R) -> R {
        let [_, dfu, state] = self.partitions();
        let mut word = AlignedBuffer([0; 4]);
        call(&mut BlockingFirmwareUpdater::new(FirmwareUpdaterConfig { dfu, state }, &mut word.0))
    }

    fn partitions(&self) -> [Partition<'_>; 3] {
        [(0, ACTIVE), (ACTIVE, DFU), (ACTIVE + DFU, STATE)].map(|(at, size)| BlockingPartition::new(&self.0, at, size))
    }
}
