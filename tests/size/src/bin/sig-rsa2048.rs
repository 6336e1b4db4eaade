//! RSA-PSS of 2048 bits, without the SHA-256 engine that the target has anyway.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::Engine;
use dfu_target_mcuboot::signature::{Rsa2048, Scheme};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        let [key, hash, signature] = [(); 3].map(|()| black_box(dfu_size::bytes()));
        let _ = black_box(Rsa2048::new(Engine).finish(key, hash, signature));
    })
}
