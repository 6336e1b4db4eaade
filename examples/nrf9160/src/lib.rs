//! What the firmwares of the nRF9160 DK share: the board, its flash map, and the way into the network. Each firmware is
//! a program in `src/bin`; what it does is in `dfu-apps`.
#![no_std]

pub mod area;
pub mod board;
pub mod config;
pub mod console;
pub mod external;
pub mod internal;
pub mod link;
pub mod map;
pub mod memory;
pub mod recovery;
pub mod signs;
pub mod wanted;

use defmt_rtt as _;
use panic_probe as _;
// Of C's library, what the modem library needs.
use tinyrlibc as _;
