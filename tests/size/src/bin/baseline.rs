//! What the others are compared with: flash, engine and wire, used directly.
#![no_std]
#![no_main]

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {})
}
