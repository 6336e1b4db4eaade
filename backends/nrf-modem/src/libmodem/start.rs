//! The start of the modem, which `nrf-modem` does: how to learn what it tells, and how to have it left out.
//!
//! `nrf_modem::init` calls `nrf_modem_init` of the modem library with a handler that drops what became of an update. It
//! is also the only way to the heap that bootloader mode needs, but it starts the modem, and a modem at fault makes
//! `nrf-modem` panic. So this module stands in between. The linker does it, and has to be told by the firmware's
//! `build.rs`:
//!
//! ```text
//!   println!("cargo::rustc-link-arg-bins=--wrap=nrf_modem_init");     // -Wl,--wrap=nrf_modem_init for a C compiler
//! ```
//!
//! Without that, a program which calls a function of this module does not link: `__real_nrf_modem_init` is missing.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nrf_modem::nrfxlib_sys as sys;

use crate::Outcome;
use crate::port::{Errno, Fault};

/// What became of the update or rollback that the modem was to do as it started; `None` if there was none.
///
/// To be asked when `nrf_modem::init` has returned, be it an error.
pub fn outcome() -> Option<Outcome> {
    require_wrap();
    match OUTCOME.load(Ordering::Relaxed) {
        0 => None,
        raw => Some(Outcome::from_raw(raw)),
    }
}

/// Has `nrf_modem::init` prepare all but the modem, which stays off: the way to bootloader mode for a modem that may not
/// start, or is about to get another firmware anyway.
///
/// To be called before `nrf_modem::init`, which then returns the error -1 (EPERM). It lasts until the next reset.
pub fn hold_back() {
    require_wrap();
    HELD_BACK.store(true, Ordering::Relaxed);
}

/// What the handler was told; 0 is none of its values.
static OUTCOME: AtomicU32 = AtomicU32::new(0);
static HELD_BACK: AtomicBool = AtomicBool::new(false);
/// The library may go on reading them, so they stay.
static PARAMS: Params = Params(UnsafeCell::new(None));

struct Params(UnsafeCell<Option<sys::nrf_modem_init_params>>);

// SAFETY: only `__wrap_nrf_modem_init` looks inside, and once `TAKEN` is set it does not do so again.
unsafe impl Sync for Params {}

static TAKEN: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// What the linker makes of `nrf_modem_init`.
    fn __real_nrf_modem_init(params: *const sys::nrf_modem_init_params) -> c_int;
}

/// What the linker has others call instead of `nrf_modem_init`.
///
/// # Safety
///
/// As for `nrf_modem_init`: the parameters are valid, and stay so.
// SAFETY: no other function has this name, and its signature is that of the one it stands for.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_nrf_modem_init(params: *const sys::nrf_modem_init_params) -> c_int {
    if HELD_BACK.load(Ordering::Relaxed) {
        return Fault::Errno(Errno::Perm).to_raw();
    }
    // SAFETY: null, or valid for reading, as the caller promises.
    let Some(given) = (unsafe { params.as_ref() }) else {
        return Fault::Errno(Errno::Fault).to_raw();
    };
    if TAKEN.swap(true, Ordering::Relaxed) {
        // Not by `nrf-modem`, which does it once.
        // SAFETY: with what the caller gave, who promises that it is right.
        return unsafe { __real_nrf_modem_init(params) };
    }
    // SAFETY: `TAKEN` lets one call come here, ever, so this is the only reference.
    let kept = unsafe { &mut *PARAMS.0.get() };
    let kept = kept.insert(sys::nrf_modem_init_params { dfu_handler: Some(on_outcome), ..*given });
    // SAFETY: the parameters are those of the caller, with a handler of the right type, and they stay for good.
    unsafe { __real_nrf_modem_init(kept) }
}

extern "C" fn on_outcome(raw: u32) {
    OUTCOME.store(raw, Ordering::Relaxed);
}

/// Keeps the reference that does not link without `--wrap`.
fn require_wrap() {
    black_box(__wrap_nrf_modem_init as *const ());
}
