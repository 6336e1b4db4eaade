//! Two slots in files, as a device has them on its flash: the commands that work on them by the library's own code.

mod bootloader;
mod choice;
mod cut;
mod device;
mod files;
mod flash;
mod geometry;
mod perform;
mod report;
mod rules;
mod stage;
mod trial;

pub(crate) use bootloader::{Bootloader, ModeName};
pub(crate) use flash::Torn;
pub(crate) use stage::Stage;
pub(crate) use trial::{Confirm, Show, Withdraw};
