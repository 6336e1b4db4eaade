//! Bodies in chunks (RFC 9112, 7.1): the frame is taken out byte by byte, where the bytes are.

/// Where in a body in chunks things stand.
pub(super) struct Chunks {
    place: Place,
    /// How much of the chunk is to come.
    left: u32,
    /// How many bytes of frame came in a row.
    frame: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a chunk's size.
    Start,
    Size,
    /// Behind the size, which is what the rest of the line is skipped for.
    Extension,
    Data,
    /// Before the end of the line behind the data.
    After,
    /// Before a line of the trailer.
    Trailer,
    Field,
    End,
    /// Bytes came after the end.
    Over,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: Place::Start, left: 0, frame: 0 }
    }

    /// Moves the data that is in these bytes to their front; returns how much it is. `None`: these are no chunks, or
    /// the frame does not end.
    #[inline(never)]
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let mut kept = 0_usize;
        for at in 0..bytes.len() {
            let byte = *bytes.get(at)?;
            if self.place == Place::Data {
                *bytes.get_mut(kept)? = byte;
                kept = kept.wrapping_add(1);
                self.left = self.left.wrapping_sub(1);
                if self.left == 0 {
                    self.place = Place::After;
                    self.frame = 0;
                }
                continue;
            }
            self.frame = self.frame.checked_add(1).filter(|frame| *frame <= MAX_FRAME)?;
            self.place = match (self.place, byte) {
                (Place::Size | Place::Extension, b'\n') if self.left == 0 => Place::Trailer,
                (Place::Size | Place::Extension, b'\n') => Place::Data,
                (Place::Size, b';' | b' ' | b'\t' | b'\r') | (Place::Extension, _) => Place::Extension,
                (Place::Start | Place::Size, _) => {
                    let digit = char::from(byte).to_digit(16)?;
                    self.left = self.left.checked_mul(16)?.wrapping_add(digit);
                    Place::Size
                }
                (Place::After, b'\n') => Place::Start,
                (Place::After, b'\r') => Place::After,
                (Place::Trailer, b'\n') => Place::End,
                (Place::Trailer, b'\r') | (Place::Field, b'\n') => Place::Trailer,
                (Place::Trailer | Place::Field, _) => Place::Field,
                (Place::End | Place::Over, _) => {
                    self.place = Place::Over;
                    break;
                }
                _ => return None,
            };
        }
        Some(kept)
    }

    /// Whether all of the body came.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.place, Place::End | Place::Over)
    }

    /// Whether more came than that.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }
}

/// The most bytes of sizes, extensions and trailer without data between.
const MAX_FRAME: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Takes the body in pieces; what it is, and whether it came to its end.
    fn body(text: &str, piece: usize) -> Option<(String, bool)> {
        let (mut chunks, mut all) = (Chunks::new(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            let mut piece = piece.to_vec();
            let kept = chunks.take(&mut piece)?;
            all.extend_from_slice(&piece[..kept]);
        }
        Some((String::from_utf8(all).unwrap(), chunks.is_done()))
    }

    #[test]
    fn data_is_told_from_its_frame_however_it_is_cut() {
        for (text, data, done) in [
            ("4\r\nabcd\r\n0\r\n\r\n", "abcd", true),
            ("004\r\nabcd\r\n3\r\n\r\n0\r\n00\r\n\r\n", "abcd\r\n0", true),
            ("A;x=\"y\"\r\n0123456789\r\n0;z\r\nX: y\r\nZ: \r\n\r\n", "0123456789", true),
            ("a \r\n0123456789\n0\n\n", "0123456789", true),
            ("4\r\nabcd\r\n0\r\n\r", "abcd", false),
            ("4\r\nabcd\r\n0\r\nX: y\r\n", "abcd", false),
            ("4\r\nabc", "abc", false),
            ("ffffffff\r\nabc", "abc", false),
            ("0\r\n\r\n", "", true),
            ("", "", false),
        ] {
            for piece in 1..text.len().max(2) {
                assert_eq!(body(text, piece), Some((data.into(), done)), "{text} by {piece}");
            }
        }
    }

    #[test]
    fn what_are_no_chunks_is_refused() {
        let extension = String::from("1;") + &"x".repeat(2_000) + "\r\na\r\n0\r\n\r\n";
        let trailer = String::from("0\r\n") + &"X: y\r\n".repeat(400);
        let zeros = "0".repeat(2_000);
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\na",
            ";x\r\n",
            "100000000\r\na",
            "1\r\nab\r\n",
            "1\r\na0\r\n",
            &extension,
            &trailer,
            &zeros,
        ] {
            for piece in [1, 7, 5_000] {
                assert_eq!(body(text, piece), None, "{text}");
            }
        }
    }
}
