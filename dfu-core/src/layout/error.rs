//! What can be wrong with a map, as a value and as the compiler's message.

use core::fmt;

/// What is wrong with a [`FlashMap`](super::FlashMap) or with what is asked of it, and whose fault it is, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayoutError<'a> {
    /// Two devices or two areas have this name.
    SameName(&'a str),
    /// The device has no size or is not made of whole erase units, or these are not made of whole words.
    Device(&'a str),
    /// The area lies on a device that the map does not have.
    NoDevice {
        /// The area.
        area: &'a str,
        /// What it calls its device.
        device: &'a str,
    },
    /// The area has no bytes.
    Empty(&'a str),
    /// The area reaches beyond the device's end.
    BeyondEnd {
        /// The area.
        area: &'a str,
        /// Its device.
        device: &'a str,
    },
    /// The area does not begin and end at erase units, and lies in no span that does; or it is asked for by itself.
    Misaligned {
        /// The area.
        area: &'a str,
        /// Its device.
        device: &'a str,
    },
    /// A byte belongs to both areas; or to both spans, and to no area that they share.
    Overlap(&'a str, &'a str),
    /// The area lies in part in the span and in part outside.
    Straddles {
        /// The area.
        area: &'a str,
        /// The span.
        span: &'a str,
    },
    /// Nothing in the map has this name.
    Unknown(&'a str),
    /// Windows over one flash lie on two devices.
    TwoDevices(&'a str, &'a str),
    /// The driver's word or erase unit is not that of this device.
    OtherFlash(&'a str),
}

impl LayoutError<'_> {
    /// Stops the compiler, with this error as its message: for constants that are made of a map's.
    ///
    /// # Panics
    ///
    /// Always.
    #[allow(clippy::panic)] // It is the compiler that panics.
    pub const fn stop(&self) -> ! {
        let (text, len) = self.text();
        let (text, _) = text.split_at(len);
        match core::str::from_utf8(text) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("the flash map is wrong"),
        }
    }

    /// As one text, cut where it is too long: the compiler's panics take no more than one.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Below the length, by the loop's condition.
    const fn text(&self) -> ([u8; 200], usize) {
        let (mut text, mut len) = ([0; 200], 0);
        let pieces = self.pieces();
        let mut rest: &[&str] = &pieces;
        while let Some((piece, others)) = rest.split_first() {
            let mut bytes = piece.as_bytes();
            while let Some((byte, more)) = bytes.split_first()
                && len < text.len()
            {
                text[len] = *byte;
                len += 1;
                bytes = more;
            }
            rest = others;
        }
        (text, len)
    }

    const fn pieces(&self) -> [&str; 5] {
        match *self {
            Self::SameName(name) => ["more than one thing in the map is called `", name, "`", "", ""],
            Self::Device(name) => ["device `", name, "` is not made of whole erase units of whole words", "", ""],
            Self::NoDevice { area, device } => ["`", area, "` lies on `", device, "`, which is no device of the map"],
            Self::Empty(area) => ["`", area, "` is empty", "", ""],
            Self::BeyondEnd { area, device } => ["`", area, "` reaches beyond the end of `", device, "`"],
            Self::Misaligned { area, device } => {
                ["`", area, "` is not made of whole erase units of `", device, "`, nor within a span that is"]
            }
            Self::Overlap(one, other) => ["`", other, "` overlaps `", one, "`"],
            Self::Straddles { area, span } => {
                ["`", area, "` lies in part in the span `", span, "` and in part outside"]
            }
            Self::Unknown(name) => ["the map has nothing that is called `", name, "`", "", ""],
            Self::TwoDevices(one, other) => ["`", one, "` and `", other, "` lie on different devices"],
            Self::OtherFlash(device) => ["the flash's word or erase unit is not that of device `", device, "`", "", ""],
        }
    }
}

impl fmt::Display for LayoutError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().iter().try_for_each(|piece| f.write_str(piece))
    }
}

impl core::error::Error for LayoutError<'_> {}

#[cfg(test)]
mod tests;
