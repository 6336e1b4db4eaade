//! What the parts take in RAM on the chip: each function's answer is the size of a value or a future, read from
//! the instruction that returns it.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ops::ControlFlow;

use dfu_size::{Clock, Engine, Flash, Modem, Net};
use dfu_target::target::{Call, DfuTarget};
use dfu_target::{ProgressLog, Session, Staged, Update, Verified};
use dfu_target_mcuboot::signature::Ed25519;
use dfu_target_mcuboot::{McubootTarget, Rules, Slots};
use dfu_target_nrf_modem::{ModemDelta, ModemFull, Program, Start};
use fota_download::{Backoff, Coap, CoapTcp, Http, download};

type Target = McubootTarget<'static, Flash, Engine, &'static Slots, BUFFER>;
/// With all that can be asked of an image, and a signature.
type Ruled = McubootTarget<'static, Flash, Engine, &'static Slots, BUFFER, Rules<'static, Engine, Ed25519>>;
/// The modem's targets.
type Delta = ModemDelta<&'static mut Modem, Clock, Engine>;
type Full = ModemFull<'static, Flash, Engine, BUFFER>;
type Log = ProgressLog<'static, Flash, RECORD>;
type T = &'static mut Target;
type S = &'static mut Log;

/// The callers' buffers inside the two.
const BUFFER: usize = 128;
const RECORD: usize = 192;

/// The size of what a function returns that is never called.
const fn returned<A, R>(_: &impl FnOnce(A) -> R) -> usize {
    size_of::<R>()
}

macro_rules! sizes {
    ($($name:ident: $size:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name() -> usize {
                $size
            }
        )*

        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            dfu_size::run(async {
                $(black_box($name as extern "C" fn() -> usize);)*
            })
        }
    };
}

sizes! {
    ram_state_update: size_of::<Update<T, S>>();
    ram_state_target: size_of::<Target>() - BUFFER;
    ram_rules_target: size_of::<Ruled>() - BUFFER;
    ram_state_log: size_of::<Log>() - RECORD;
    ram_future_begin: returned(&|update: &'static mut Update<T, S>| update.begin());
    ram_future_write: returned(&|session: &'static mut Session<'static, T, S>| session.write(&[]));
    ram_future_prepare: returned(&|session: &'static mut Session<'static, T, S>| session.prepare());
    ram_future_finish: returned(&|session: Session<'static, T, S>| session.finish());
    ram_future_verify: returned(&|staged: Staged<'static, T, S>| staged.verify_self());
    ram_future_apply: returned(&|verified: Verified<'static, T, S>| verified.apply());
    ram_delta_target: size_of::<Delta>();
    ram_delta_future: returned(&|(target, call): (&'static mut Delta, Call<'static>)| target.call(call));
    ram_full_target: size_of::<Full>() - BUFFER;
    ram_full_future: returned(&|(target, call): (&'static mut Full, Call<'static>)| target.call(call));
    ram_full_recover: returned(
        &|(target, modem, program, buf): (
            &'static mut Full,
            &'static mut Modem,
            &'static Program<'static>,
            &'static mut [u8],
        )| target.recover(modem, Start::NotTried, program, buf)
    );
    ram_http_source: size_of::<Http<'static, 'static, Net>>();
    ram_http_download: returned(
        &|(source, session, clock, buf): (
            &'static mut Http<'static, 'static, Net>,
            &'static mut Session<'static, T, S>,
            &'static mut Clock,
            &'static mut [u8],
        )| download(source, session, Backoff::new(), clock, buf, |_| ControlFlow::Continue(()))
    );
    ram_coap_source: size_of::<Coap<'static, 'static, Net>>();
    ram_coap_download: returned(
        &|(source, session, clock, buf): (
            &'static mut Coap<'static, 'static, Net>,
            &'static mut Session<'static, T, S>,
            &'static mut Clock,
            &'static mut [u8],
        )| download(source, session, Backoff::new(), clock, buf, |_| ControlFlow::Continue(()))
    );
    ram_coaptcp_source: size_of::<CoapTcp<'static, 'static, Net>>();
    ram_coaptcp_download: returned(
        &|(source, session, clock, buf): (
            &'static mut CoapTcp<'static, 'static, Net>,
            &'static mut Session<'static, T, S>,
            &'static mut Clock,
            &'static mut [u8],
        )| download(source, session, Backoff::new(), clock, buf, |_| ControlFlow::Continue(()))
    );
}
