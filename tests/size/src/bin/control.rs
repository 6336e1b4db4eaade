//! The check's own check: four panics that run.sh must find, beside the one that it lets pass.
#![no_std]
#![no_main]

use core::future::Future;
use core::hint::black_box;
use core::pin::pin;
use core::task::{Context, Waker};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        let bytes = dfu_size::bytes();
        black_box((index(bytes), slice(bytes).len(), division(bytes.len())));
        explicit(bytes);
        resumed();
    })
}

#[inline(never)]
fn index(bytes: &[u8]) -> u8 {
    bytes[7]
}

#[inline(never)]
fn slice(bytes: &[u8]) -> &[u8] {
    &bytes[..black_box(9)]
}

#[inline(never)]
fn division(length: usize) -> usize {
    4096 / length
}

#[inline(never)]
fn explicit(bytes: &[u8]) {
    if bytes.is_empty() {
        panic!("no bytes");
    }
}

/// What the compiler puts into each async fn, and what is let pass.
#[inline(never)]
fn resumed() {
    let mut future = pin!(async { black_box(1) });
    let mut context = Context::from_waker(Waker::noop());
    while black_box(future.as_mut().poll(&mut context).is_ready()) {}
}
