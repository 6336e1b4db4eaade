//! Windows over one flash, checked where the program is compiled.

use core::marker::PhantomData;

use embedded_storage_async::nor_flash::NorFlash;

/// Windows over one flash of type `F`, each `(offset, size)`, that do not overlap.
///
/// By hand as here, or by name from the device's whole [`FlashMap`](crate::layout::FlashMap). Make it a `const`, then a mistake does not compile:
///
/// ```compile_fail
/// # use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
/// # struct Flash;
/// # impl ErrorType for Flash { type Error = NorFlashErrorKind; }
/// # impl ReadNorFlash for Flash {
/// #     const READ_SIZE: usize = 1;
/// #     async fn read(&mut self, _: u32, _: &mut [u8]) -> Result<(), NorFlashErrorKind> { Ok(()) }
/// #     fn capacity(&self) -> usize { 0x10000 }
/// # }
/// # impl NorFlash for Flash {
/// #     const WRITE_SIZE: usize = 4;
/// #     const ERASE_SIZE: usize = 0x1000;
/// #     async fn erase(&mut self, _: u32, _: u32) -> Result<(), NorFlashErrorKind> { Ok(()) }
/// #     async fn write(&mut self, _: u32, _: &[u8]) -> Result<(), NorFlashErrorKind> { Ok(()) }
/// # }
/// use dfu_target::flash::Layout;
/// const GOOD: Layout<Flash, 2> = Layout::new([(0x0, 0x1000), (0x1000, 0x1000)]);
/// const MAP: Layout<Flash, 2> = Layout::new([(0x0, 0x2000), (0x1000, 0x1000)]); // they overlap
/// # let _ = (GOOD, MAP);
/// ```
#[derive(Debug)]
pub struct Layout<F, const N: usize> {
    pub(super) windows: [(u32, u32); N],
    flash: PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> Layout<F, N> {
    /// A map of windows. For constants: what is wrong with it stops the compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where a window is empty, is not made of whole erase units, ends beyond 4 GiB or
    /// overlaps another. A map that is made at run time goes through [`checked`](Self::checked).
    #[allow(clippy::panic)] // It is the compiler that panics.
    pub const fn new(windows: [(u32, u32); N]) -> Self {
        match Self::checked(windows) {
            Ok(layout) => layout,
            Err(reason) => panic!("{}", reason),
        }
    }

    /// A map of windows, or what is wrong with it.
    pub const fn checked(windows: [(u32, u32); N]) -> Result<Self, &'static str> {
        let mut rest: &[(u32, u32)] = &windows;
        while let Some((&(offset, size), others)) = rest.split_first() {
            let unit = F::ERASE_SIZE as u32;
            if size == 0 {
                return Err("a window is empty");
            }
            if !offset.is_multiple_of(unit) || !size.is_multiple_of(unit) {
                return Err("a window does not begin and end at an erase unit");
            }
            let Some(end) = offset.checked_add(size) else {
                return Err("a window ends beyond 4 GiB");
            };
            rest = others;
            let mut others = others;
            while let Some((&(other, other_size), more)) = others.split_first() {
                if offset < other.saturating_add(other_size) && other < end {
                    return Err("two windows overlap");
                }
                others = more;
            }
        }
        Ok(Self { windows, flash: PhantomData })
    }

    /// Windows that were checked with their map.
    pub(crate) const fn of_map(windows: [(u32, u32); N]) -> Self {
        Self { windows, flash: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::ram::Ram;

    type Flash = Ram<4, 0x1000>;

    fn refusal<const N: usize>(windows: [(u32, u32); N]) -> Option<&'static str> {
        Layout::<Flash, N>::checked(windows).err()
    }

    #[test]
    fn a_window_is_made_of_whole_units_below_4_gib() {
        assert_eq!(refusal([(0x1000, 0x2000)]), None);
        assert_eq!(refusal([(0x1000, 0)]), Some("a window is empty"));
        for window in [(0x800, 0x1000), (0x1000, 0x800), (0x1800, 0x800)] {
            assert_eq!(refusal([window]), Some("a window does not begin and end at an erase unit"), "{window:x?}");
        }
        assert_eq!(refusal([(0xffff_e000, 0x1000)]), None);
        assert_eq!(refusal([(0xffff_e000, 0x3000)]), Some("a window ends beyond 4 GiB"));
    }

    #[test]
    fn no_byte_belongs_to_two_windows_in_either_order() {
        let one = (0x4000, 0x2000);
        for (other, overlaps) in [
            ((0x2000, 0x2000), false),
            ((0x3000, 0x2000), true),
            ((0x3000, 0x4000), true),
            ((0x4000, 0x1000), true),
            ((0x5000, 0x3000), true),
            ((0x6000, 0x1000), false),
        ] {
            let wanted = overlaps.then_some("two windows overlap");
            let apart = (0x10000, 0x1000);
            for windows in [[one, apart, other], [other, apart, one], [apart, one, other]] {
                assert_eq!(refusal(windows), wanted, "{windows:x?}");
            }
        }
    }

    #[test]
    #[should_panic = "two windows overlap"]
    fn a_map_with_a_mistake_stops_a_running_program_too() {
        let apart = Layout::<Flash, 2>::new([(0, 0x1000), (0x1000, 0x1000)]);
        assert_eq!(apart.windows, [(0, 0x1000), (0x1000, 0x1000)]);
        let _ = Layout::<Flash, 2>::new([(0, 0x2000), (0x1000, 0x1000)]);
    }
}
