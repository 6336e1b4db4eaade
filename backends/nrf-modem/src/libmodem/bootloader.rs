//! The modem while its bootloader waits for a loader.

use core::ffi::c_void;
use core::mem::offset_of;

use dfu_target::Digest;
use nrf_modem::{ffi, nrfxlib_sys as sys};

use super::entry::{self, Steps};
use super::memory::{self, OutOfReach, SIZE};
use super::words;
use crate::port::{Bootloader, Errno, Fault, MOST_RANGES, Range, Uuid};

const _: () = assert!(SIZE == sys::NRF_MODEM_SHMEM_BOOTLOADER_SIZE, "the library shares another amount of memory");
const _: () = assert!(offset_of!(SharedMemory, area).is_multiple_of(4) && align_of::<SharedMemory>() >= 4);

/// The memory by which the modem's bootloader and the application talk, 8216 bytes and a little for the library.
///
/// It has to be in the lower 128 KiB of RAM, a `static` therefore:
///
/// ```text
///   static MEMORY: StaticCell<SharedMemory> = StaticCell::new();
///   let modem = BootloaderMode::new(MEMORY.init(SharedMemory::new()))?;
/// ```
///
/// And it has to be non-secure, which this crate cannot see. All memory of a non-secure program is; a program in the
/// secure state, which Nordic does not support, gives [`BootloaderMode::at`] a place in the part that it has set free.
pub struct SharedMemory {
    area: [u32; SIZE as usize / 4],
    params: Option<sys::nrf_modem_bootloader_init_params>,
}

impl SharedMemory {
    /// Zeros.
    pub const fn new() -> Self {
        Self { area: [0; SIZE as usize / 4], params: None }
    }
}

impl Default for SharedMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// The modem in bootloader mode: full updates.
///
/// [`start`](Bootloader::start) leads there from any state that `nrf_modem::init` left, be it that of a modem which does
/// not start. No socket, AT command or other call of `nrf-modem` may be under way then, and none is of use afterwards,
/// until the chip was reset.
///
/// [`verify`](Bootloader::verify) and [`digest`](Bootloader::digest) refuse nothing at all, and `digest` more than
/// [`MOST_RANGES`], with [`Errno::Inval`].
#[derive(Debug)]
pub struct BootloaderMode {
    /// The library may go on reading them, so they stay.
    params: &'static sys::nrf_modem_bootloader_init_params,
    /// Whether it was taken out of normal mode: from then on it is sent no commands.
    has_left_normal_mode: bool,
}

impl BootloaderMode {
    /// With memory of the program's, which is the modem's from here on. Nothing is started yet.
    pub fn new(memory: &'static mut SharedMemory) -> Result<Self, OutOfReach> {
        // 32 bits, as all addresses here.
        let address = memory.area.as_mut_ptr().expose_provenance() as u32;
        memory::check(address)?;
        Ok(Self { params: memory.params.insert(params(address)), has_left_normal_mode: false })
    }

    /// With the 8216 bytes of RAM from a known address on; whether the modem can share them is checked as this compiles.
    ///
    /// They may be among those that `nrf_modem::init` was given, which rest in bootloader mode: then a full update takes
    /// no memory of its own. Best is the last part, where data is received, if it has 8216 bytes or more. It begins
    /// `NRF_MODEM_CELLULAR_SHMEM_CTRL_SIZE` and the size of the part for sending behind the base address. The part for
    /// sending has the lists of a heap in it.
    ///
    /// # Safety
    ///
    /// From [`start`](Bootloader::start) until the chip is reset, nothing else uses this memory.
    pub const unsafe fn at<const ADDRESS: u32>() -> Self {
        const { assert!(memory::check(ADDRESS).is_ok(), "the modem shares words of the lower 128 KiB of RAM only") }
        Self { params: const { &params(ADDRESS) }, has_left_normal_mode: false }
    }
}

impl Bootloader for BootloaderMode {
    fn start(&mut self) -> Result<(), Fault> {
        entry::enter(self)
    }

    fn stop(&mut self) -> Result<(), Fault> {
        // Else this would switch off a modem that runs its firmware.
        if self.has_left_normal_mode { entry::leave(self) } else { Ok(()) }
    }

    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: so many bytes are there until the call returns. The library only reads them: its header calls them
        // what is written, and lacks the `const`.
        Fault::check(unsafe { sys::nrf_modem_bootloader_bl_write(source(bytes), bytes.len() as u32) })
    }

    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: as for `bl_write`; the address is the modem's, which checks it.
        Fault::check(unsafe { sys::nrf_modem_bootloader_fw_write(address, source(bytes), bytes.len() as u32) })
    }

    fn update(&mut self) -> Result<(), Fault> {
        // SAFETY: without arguments; in another state the library says so.
        Fault::check(unsafe { sys::nrf_modem_bootloader_update() })
    }

    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        // No signature is no good one.
        if wrapper.is_empty() {
            return Err(Fault::Errno(Errno::Inval));
        }
        // SAFETY: so many bytes are there to be read until the call returns.
        Fault::check(unsafe { sys::nrf_modem_bootloader_verify(wrapper.as_ptr().cast(), wrapper.len() as u32) })
    }

    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault> {
        let mut segments = [sys::nrf_modem_bootloader_fw_segment { start_addr: 0, end_addr: 0 }; MOST_RANGES];
        if ranges.is_empty() || ranges.len() > segments.len() {
            return Err(Fault::Errno(Errno::Inval));
        }
        for (segment, range) in segments.iter_mut().zip(ranges) {
            segment.start_addr = range.start;
            segment.end_addr = range.end;
        }
        let mut digest = sys::nrf_modem_bootloader_digest { data: [0; 8] };
        // SAFETY: at least so many segments are there, and both pointers are to memory of this function, good for
        // reading and writing until the call returns.
        Fault::check(unsafe {
            sys::nrf_modem_bootloader_digest(segments.as_mut_ptr(), ranges.len(), &raw mut digest)
        })?;
        Ok(words::digest(digest.data))
    }

    fn uuid(&mut self) -> Result<Uuid, Fault> {
        let mut uuid = sys::nrf_modem_bootloader_uuid { data: [0; 36] };
        // SAFETY: the library fills the structure before it returns, and does not keep the pointer.
        Fault::check(unsafe { sys::nrf_modem_bootloader_uuid(&raw mut uuid) })?;
        Ok(Uuid(uuid.data))
    }
}

impl Steps for BootloaderMode {
    fn has_heap(&mut self) -> bool {
        // What the library is about to ask for itself, a semaphore, is of this size.
        let block = ffi::nrf_modem_os_alloc(8);
        if block.is_null() {
            return false;
        }
        // SAFETY: it was allocated just now, and is not used.
        unsafe { ffi::nrf_modem_os_free(block) };
        true
    }

    fn is_running(&mut self) -> bool {
        // SAFETY: without arguments, and allowed in every state.
        !self.has_left_normal_mode && unsafe { sys::nrf_modem_is_initialized() }
    }

    fn power_down(&mut self) -> i32 {
        // SAFETY: a string that ends with a zero and has no conversions, so that no further argument is read.
        unsafe { sys::nrf_modem_at_printf(c"AT+CFUN=0".as_ptr()) }
    }

    fn shutdown(&mut self) -> i32 {
        self.has_left_normal_mode = true;
        // SAFETY: without arguments; where there is nothing to shut down the library says so.
        unsafe { sys::nrf_modem_shutdown() }
    }

    fn bootloader_init(&mut self) -> i32 {
        // SAFETY: the parameters stay for good. The memory they name is the modem's own: `new` took it for good, the
        // caller of `at` promised it; both checked where it is.
        unsafe { sys::nrf_modem_bootloader_init(self.params) }
    }
}

/// The interrupt's priority is the one that `nrf-modem` gives it, the highest.
const fn params(address: u32) -> sys::nrf_modem_bootloader_init_params {
    sys::nrf_modem_bootloader_init_params {
        shmem: sys::nrf_modem_bootloader_shmem_cfg { base: address, size: SIZE },
        ipc_irq_prio: 0,
        fault_handler: Some(on_fault),
    }
}

/// The library wants one. In bootloader mode its calls tell of a fault themselves.
extern "C" fn on_fault(_: *mut sys::nrf_modem_fault_info) {}

/// What the library reads from, though its header lacks the `const`.
fn source(bytes: &[u8]) -> *mut c_void {
    bytes.as_ptr().cast_mut().cast()
}
