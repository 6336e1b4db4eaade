//! How deep the stack gets, and how deep it may get.

use core::arch::asm;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use cortex_m::register::msplim;

/// How long it may get, in bytes: more is a fault.
pub fn size() -> u32 {
    top() - msplim::read()
}

/// Makes that less from here on; more than `memory.x` has it is not to be had.
pub fn limit(bytes: u32) {
    let bytes = bytes.min(size());
    // SAFETY: the limit stays within the stack.
    unsafe { msplim::write(top() - bytes) };
}

fn top() -> u32 {
    unsafe extern "C" {
        static _stack_start: u32;
    }
    &raw const _stack_start as u32
}

/// Calls, and says how many bytes of stack that took; interrupts that came are counted.
#[inline(never)]
pub fn measured<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let top: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) top) };
    let bottom = top - DEPTH;
    for at in (bottom..top).step_by(4) {
        // SAFETY: RAM below the stack pointer, which has room for it. An interrupt ends before this goes on.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
    }
    let result = apart(call);
    // SAFETY: as above.
    let touched = (bottom..top).step_by(4).find(|at| unsafe { (*at as *const u32).read_volatile() } != PAINT);
    (result, top - touched.unwrap_or(top))
}

/// What is called has no part of its frame in the caller's.
#[inline(never)]
fn apart<T>(call: impl FnOnce() -> T) -> T {
    call()
}

/// A future, and the most stack that a poll of it took so far, which it tells.
pub struct Measured<F, T> {
    future: F,
    most: usize,
    tell: T,
}

impl<F: Future, T: FnMut(usize)> Measured<F, T> {
    /// `tell`: each time that it is more.
    pub fn new(future: F, tell: T) -> Self {
        Self { future, most: 0, tell }
    }
}

impl<F: Future, T: FnMut(usize)> Future for Measured<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future stays where it is; the others may be moved.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let (result, used) = measured(|| future.poll(context));
        if used > this.most {
            this.most = used;
            (this.tell)(used);
        }
        result
    }
}

/// So much is painted, in bytes.
const DEPTH: usize = 12 * 1024;
const PAINT: u32 = 0xa5c3_965a;
