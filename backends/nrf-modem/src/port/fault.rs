//! What the modem and its library answer when they refuse.

use core::fmt;

/// Why a call failed: the modem said so, or its library did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The modem, with one of its codes for delta updates.
    Code(Code),
    /// The library, with an error number.
    Errno(Errno),
}

impl Fault {
    /// What a call of the library returned: 0 is success, negative is an error number, positive a code of the modem.
    pub const fn check(returned: i32) -> Result<(), Self> {
        match returned {
            0 => Ok(()),
            1.. => Err(Self::Code(Code::from_raw(returned))),
            _ => Err(Self::Errno(Errno::from_raw(returned.wrapping_neg()))),
        }
    }

    /// The number that the library returned for it.
    pub const fn to_raw(self) -> i32 {
        match self {
            Self::Code(code) => code.to_raw(),
            Self::Errno(errno) => errno.to_raw().wrapping_neg(),
        }
    }

    /// Whether the supply voltage was too low: nothing is wrong, try again later.
    pub const fn is_low_voltage(self) -> bool {
        matches!(self, Self::Code(Code::LowVoltage) | Self::Errno(Errno::Again))
    }
}

/// Makes an enum of numbers with names, and of all others.
macro_rules! numbers {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $raw:literal $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
            /// One that is not known.
            Other(i32),
        }

        impl $name {
            /// All that have a name.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What a number means.
            pub const fn from_raw(raw: i32) -> Self {
                match raw {
                    $($raw => Self::$variant,)+
                    raw => Self::Other(raw),
                }
            }

            /// Its number.
            pub const fn to_raw(self) -> i32 {
                match self {
                    $(Self::$variant => $raw,)+
                    Self::Other(raw) => raw,
                }
            }

            /// What it says.
            const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(_) => "not known",
                }
            }
        }
    };
}

numbers! {
    /// The modem's codes for delta updates, `nrf_modem_delta_dfu_errors`.
    Code {
        /// The modem has no memory for it.
        OutOfMemory = 1 "the modem is out of memory",
        /// More bytes than one write may have.
        BlockTooLarge = 2 "too many bytes for one write",
        /// This is no delta, or it is damaged.
        InvalidHeader = 3 "the header is not that of a delta",
        /// An internal error of the modem.
        Internal4 = 4 "internal error 4 of the modem",
        /// The delta is damaged.
        InvalidPatch = 5 "the delta is damaged",
        /// An internal error of the modem.
        Internal6 = 6 "internal error 6 of the modem",
        /// An internal error of the modem.
        Internal7 = 7 "internal error 7 of the modem",
        /// An internal error of the modem.
        Internal8 = 8 "internal error 8 of the modem",
        /// This delta is not for the firmware that this modem runs.
        InvalidUuid = 9 "this delta is not for the firmware that this modem runs",
        /// An address inside the delta is wrong.
        InvalidAddress = 10 "an address in the delta is wrong",
        /// Something is stored where the next bytes go.
        AreaNotBlank = 11 "the modem's area is not blank",
        /// The modem's flash was not written.
        WriteError = 12 "the modem could not write its flash",
        /// The modem's flash was not erased.
        EraseError = 13 "the modem could not erase its flash",
        /// The bytes do not follow those that are stored.
        InvalidFileOffset = 14 "the bytes do not follow what is stored",
        /// What the modem notes about its progress is damaged.
        ProgressLogInvalid = 15 "the modem's own progress record is damaged",
        /// The modem cannot go on where it was.
        InvalidResume = 16 "the modem cannot go on from there",
        /// The area is being erased.
        ErasePending = 17 "the modem's area is being erased",
        /// Not now.
        NotAllowed = 18 "the modem does not allow this now",
        /// Some of the delta is missing.
        IncompleteData = 19 "the delta is not whole",
        /// A write was interrupted.
        InterruptedWrite = 20 "a write was interrupted",
        /// Not in this order.
        InvalidOperation = 21 "the modem takes no such call now",
        /// An internal error of the modem.
        Internal22 = 22 "internal error 22 of the modem",
        /// The supply voltage is too low: POFWARN. Try again later.
        LowVoltage = 23 "the supply voltage is too low: try again later",
    }
}

numbers! {
    /// The library's error numbers, `nrf_errno.h`, as far as its calls for updates return them.
    Errno {
        /// EPERM: not initialized, or refused.
        Perm = 1 "EPERM, not initialized or not accepted",
        /// EIO: a wrong answer of the modem, or it is at fault.
        Io = 5 "EIO, a wrong answer of the modem",
        /// ENOEXEC: programming or a command failed.
        NoExec = 8 "ENOEXEC, programming or a command failed",
        /// EAGAIN: not done, as the supply voltage is too low. Try again later.
        Again = 11 "EAGAIN, not done because of low voltage: try again later",
        /// ENOMEM: the shared memory does not suffice.
        NoMem = 12 "ENOMEM, not enough shared memory",
        /// EACCES: the digest of the root key is wrong.
        Access = 13 "EACCES, a wrong digest of the root key",
        /// EFAULT: a wrong address.
        Fault = 14 "EFAULT, a wrong address",
        /// EBUSY: in use.
        Busy = 16 "EBUSY, in use",
        /// EINVAL: a wrong argument, or too many bytes of a loader.
        Inval = 22 "EINVAL, a wrong argument",
        /// ENOLCK: no lock to be had.
        NoLock = 46 "ENOLCK, no lock to be had",
        /// ENOSYS: not there.
        NoSys = 88 "ENOSYS, not there",
        /// EOPNOTSUPP: not in this state.
        OpNotSupported = 95 "EOPNOTSUPP, not in this state",
        /// ESHUTDOWN: the modem was shut down.
        Shutdown = 110 "ESHUTDOWN, the modem was shut down",
        /// ETIMEDOUT: the modem did not answer.
        TimedOut = 116 "ETIMEDOUT, the modem did not answer",
        /// EALREADY: it is done already.
        Already = 120 "EALREADY, done already",
        /// ENOTSUP: not supported.
        NotSupported = 134 "ENOTSUP, not supported",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Errno(errno) => errno.fmt(f),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.text(), self.to_raw())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.text(), self.to_raw())
    }
}

impl core::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn every_number_has_its_own_variant_and_comes_back() {
        assert_eq!(Fault::check(0), Ok(()));
        for raw in (-200..=60).filter(|raw| *raw != 0).chain([i32::MIN, i32::MAX]) {
            assert_eq!(Fault::check(raw).unwrap_err().to_raw(), raw);
        }
        // Numbers from the library's headers.
        let codes: Vec<i32> = Code::ALL.iter().map(|code| code.to_raw()).collect();
        assert_eq!(codes, (1..=23).collect::<Vec<_>>());
        let errnos: Vec<i32> = Errno::ALL.iter().map(|errno| errno.to_raw()).collect();
        assert_eq!(errnos, [1, 5, 8, 11, 12, 13, 14, 16, 22, 46, 88, 95, 110, 116, 120, 134]);
    }

    #[test]
    fn each_reads_differently() {
        let mut texts: Vec<_> = (-150..=30).filter_map(|raw| Fault::check(raw).err()).map(|f| f.to_string()).collect();
        texts.sort();
        let len = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), len);
    }

    #[test]
    fn low_voltage_is_told_from_all_else() {
        let low: Vec<i32> = (-150..=30).filter(|raw| Fault::check(*raw).is_err_and(Fault::is_low_voltage)).collect();
        assert_eq!(low, [-11, 23]);
    }
}
