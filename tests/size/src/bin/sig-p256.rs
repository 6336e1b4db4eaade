//! ECDSA P-256.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_target_mcuboot::signature::{EcdsaP256, Scheme};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        let [key, hash, signature] = [(); 3].map(|()| black_box(dfu_size::bytes()));
        let _ = black_box(EcdsaP256.finish(key, hash, signature));
    })
}
