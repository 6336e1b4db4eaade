//! Ed25519 over the image.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_target_mcuboot::signature::{Ed25519Pure, Scheme};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        let [key, hash, signature] = [(); 3].map(|()| black_box(dfu_size::bytes()));
        let mut scheme = Ed25519Pure::default();
        let _ = black_box(scheme.start(key, signature));
        scheme.update(black_box(dfu_size::bytes()));
        let _ = black_box(scheme.finish(key, hash, signature));
    })
}
