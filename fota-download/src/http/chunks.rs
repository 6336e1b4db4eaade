//! Bodies in chunks (RFC 9112, 7.1): the frame is taken out byte by byte, where the bytes are.

/// Where in a body in chunks things stand.
pub(super) struct Chunks {
    place: Place,
    line: Line,
    /// How much of the chunk is to come.
    left: u32,
    /// How many bytes of frame came in a row.
    frame: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the line of a chunk's size.
    Size,
    Data,
    /// In the line that the data ends with, which is empty.
    After,
    /// In the lines behind the last chunk, up to an empty one.
    Trailer,
    End,
}

/// What came of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Nothing,
    Digits,
    /// Something that is skipped, with the rest of the line.
    More,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { place: Place::Size, line: Line::Nothing, left: 0, frame: 0 }
    }

    /// Moves the data that is in these bytes to their front; returns how much it is. `None`: these are no chunks, or
    /// the frame does not end, or something comes behind it.
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
            self.frame = self.frame.wrapping_add(1);
            if self.frame > MAX_FRAME || self.place == Place::End {
                return None;
            }
            if byte == b'\n' {
                let empty = self.line == Line::Nothing;
                self.line = Line::Nothing;
                self.place = match self.place {
                    Place::Size if !empty && self.left != 0 => Place::Data,
                    Place::Size if !empty => Place::Trailer,
                    Place::After if empty => Place::Size,
                    Place::Trailer if !empty => Place::Trailer,
                    Place::Trailer => Place::End,
                    _ => return None,
                };
            } else if self.place == Place::Size && self.line != Line::More {
                self.line = match char::from(byte).to_digit(16) {
                    Some(digit) => {
                        self.left = self.left.checked_mul(16)?.wrapping_add(digit);
                        Line::Digits
                    }
                    None if self.line == Line::Digits && matches!(byte, b';' | b' ' | b'\t' | b'\r') => Line::More,
                    None => return None,
                };
            } else if byte != b'\r' {
                self.line = Line::More;
            }
        }
        Some(kept)
    }

    /// Whether all of the body came.
    pub(super) fn is_done(&self) -> bool {
        self.place == Place::End
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
