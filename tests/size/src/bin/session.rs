//! The whole update on one shared flash, from a map: what is there of an image is not looked at before it goes on.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::update::{self, Board};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(update::session(Board::<false>).await);
    })
}
