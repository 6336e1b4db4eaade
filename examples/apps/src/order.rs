//! An update, ordered by a line of text.

use dfu_target::Digest;

/// Reads `URL SHA256`, as it comes over a serial line: the file's address, and its digest in 64 hexadecimal digits.
pub fn parse(line: &str) -> Option<(&str, Digest)> {
    let mut words = line.split_ascii_whitespace();
    let (url, digest) = (words.next()?, Digest::from_hex(words.next()?)?);
    words.next().is_none().then_some((url, digest))
}

/// The first digest in the output of `sha256sum`: 64 hexadecimal digits, and whatever follows behind a space.
pub fn sum(text: &str) -> Option<Digest> {
    Digest::from_hex(text.split_ascii_whitespace().next()?)
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";

    #[test]
    fn a_line_is_an_address_and_a_digest_and_no_more() {
        let url = "https://firmware.example/app.bin";
        let digest = Digest::from_hex(HEX).unwrap();
        for line in [format!("{url} {HEX}"), format!("  {url}\t{HEX}\r\n")] {
            assert_eq!(parse(&line), Some((url, digest)));
        }
        for line in
            [url, HEX, "", "\r\n", &format!("{url} {HEX} more"), &format!("{url} {HEX}0"), &format!("{HEX} {url}")]
        {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_sum_is_as_sha256sum_prints_it() {
        for text in [HEX, &format!("{HEX}  app.bin\n"), &format!("{HEX}\n")] {
            assert_eq!(sum(text), Digest::from_hex(HEX));
        }
        for text in ["", "<html>", &HEX[1..]] {
            assert_eq!(sum(text), None, "{text:?}");
        }
    }
}
