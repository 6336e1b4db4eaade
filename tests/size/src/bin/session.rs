//! The whole update on one shared flash, from a map: what is there of an image is not looked at before it goes on.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::update::{self, FLASH_MAP};
use dfu_target_mcuboot::{Config, Mode, Slots};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(update::session(Board).await);
    })
}

/// The slots as a type: the compiler works with the numbers themselves.
struct Board;

impl AsRef<Slots> for Board {
    fn as_ref(&self) -> &Slots {
        const CONFIG: Config = Config::new(Mode::SwapMove).recall(false);
        const { &Slots::of_map(&FLASH_MAP, "mcuboot_primary", "mcuboot_secondary", CONFIG) }
    }
}
