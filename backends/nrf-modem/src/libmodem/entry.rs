//! The way into bootloader mode and out of it, whatever state the modem is in.
#![forbid(unsafe_code)]

use crate::port::{Errno, Fault};

/// What of the library and its surroundings the way needs. The numbers are as the library returns them.
pub(super) trait Steps {
    /// Whether the library can allocate.
    fn has_heap(&mut self) -> bool;
    /// Whether the modem runs its firmware, as far as is known.
    fn is_running(&mut self) -> bool;
    /// `AT+CFUN=0`: what the modem keeps in memory goes to its flash.
    fn power_down(&mut self) -> i32;
    /// Switches the modem off.
    fn shutdown(&mut self) -> i32;
    /// Switches it on in bootloader mode.
    fn bootloader_init(&mut self) -> i32;
}

/// From any state into bootloader mode:
///
/// ```text
///   no heap ─► Err(Perm)              nrf-modem's init was never called
///   running ─► power_down ─┐
///   held back, failed ─────┤
///   at fault ──────────────┼─► shutdown ─► bootloader_init
///   bootloader mode ───────┘
/// ```
pub(super) fn enter(modem: &mut impl Steps) -> Result<(), Fault> {
    if !modem.has_heap() {
        return Err(Fault::Errno(Errno::Perm));
    }
    if modem.is_running() {
        // A modem that does not even obey this is all the more in need of what comes.
        let _ = modem.power_down();
    }
    // EPERM where it is off. And where it is still on, the next step says EPERM.
    let _ = modem.shutdown();
    Fault::check(modem.bootloader_init())
}

/// Switches the modem off, if it is on.
pub(super) fn leave(modem: &mut impl Steps) -> Result<(), Fault> {
    match Fault::check(modem.shutdown()) {
        Err(Fault::Errno(Errno::Perm)) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[derive(Default)]
    struct Modem {
        no_heap: bool,
        running: bool,
        power_down: i32,
        shutdown: i32,
        bootloader_init: i32,
        calls: Vec<&'static str>,
    }

    impl Steps for Modem {
        fn has_heap(&mut self) -> bool {
            !self.no_heap
        }
        fn is_running(&mut self) -> bool {
            self.running
        }
        fn power_down(&mut self) -> i32 {
            self.calls.push("power_down");
            self.power_down
        }
        fn shutdown(&mut self) -> i32 {
            self.calls.push("shutdown");
            self.shutdown
        }
        fn bootloader_init(&mut self) -> i32 {
            self.calls.push("bootloader_init");
            self.bootloader_init
        }
    }

    #[test]
    fn a_running_modem_is_powered_down_before_it_is_shut_down() {
        let mut modem = Modem { running: true, ..Modem::default() };
        assert_eq!(enter(&mut modem), Ok(()));
        assert_eq!(modem.calls, ["power_down", "shutdown", "bootloader_init"]);
    }

    #[test]
    fn a_modem_that_does_not_obey_is_shut_down_all_the_same() {
        for power_down in [-110, -116, 65536] {
            let mut modem = Modem { running: true, power_down, ..Modem::default() };
            assert_eq!(enter(&mut modem), Ok(()));
            assert_eq!(modem.calls, ["power_down", "shutdown", "bootloader_init"]);
        }
    }

    #[test]
    fn a_modem_that_did_not_start_is_sent_no_command() {
        // Whether the library calls it off, or at fault and so on, or has trouble with it.
        for shutdown in [-1, 0, -116] {
            let mut modem = Modem { shutdown, ..Modem::default() };
            assert_eq!(enter(&mut modem), Ok(()));
            assert_eq!(modem.calls, ["shutdown", "bootloader_init"]);
        }
    }

    #[test]
    fn without_a_heap_nothing_is_touched() {
        let mut modem = Modem { no_heap: true, running: true, ..Modem::default() };
        assert_eq!(enter(&mut modem), Err(Fault::Errno(Errno::Perm)));
        assert!(modem.calls.is_empty());
    }

    #[test]
    fn what_the_last_step_refuses_is_told() {
        for (returned, errno) in [(-1, Errno::Perm), (-13, Errno::Access), (-116, Errno::TimedOut)] {
            let mut modem = Modem { bootloader_init: returned, ..Modem::default() };
            assert_eq!(enter(&mut modem), Err(Fault::Errno(errno)));
        }
    }

    #[test]
    fn a_modem_that_is_off_can_be_left() {
        for (shutdown, result) in [(0, Ok(())), (-1, Ok(())), (-5, Err(Fault::Errno(Errno::Io)))] {
            let mut modem = Modem { shutdown, ..Modem::default() };
            assert_eq!(leave(&mut modem), result);
            assert_eq!(modem.calls, ["shutdown"]);
        }
    }
}
