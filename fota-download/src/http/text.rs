//! The few things that are done with text, in as little code as they can be.

/// A 32-bit name (FNV-1a) of a text, its letters folded to lower case where `fold` is [`FOLD`]. Field names and
/// a handful of values are told apart by it: a quarter of the code of comparing texts. A server that forges an
/// equal name gains nothing, as it may send the field itself.
#[inline(never)]
pub(super) const fn hash(mut text: &[u8], fold: u8) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    while let [first, rest @ ..] = text {
        hash = (hash ^ (*first | fold) as u32).wrapping_mul(0x0100_0193);
        text = rest;
    }
    hash
}

/// Letters of either case are equal.
pub(super) const FOLD: u8 = 0x20;

/// Whether a text begins with the one whose length and folded name these are.
pub(super) fn begins(text: &[u8], (len, name): (usize, u32)) -> bool {
    text.get(..len).is_some_and(|start| hash(start, FOLD) == name)
}

/// For [`begins`].
pub(super) const fn prefix(text: &[u8]) -> (usize, u32) {
    (text.len(), hash(text, FOLD))
}

/// How many bytes come before the first that is one of these two, or in all.
#[inline(never)]
pub(super) fn until(text: &[u8], one: u8, other: u8) -> usize {
    text.iter().take_while(|byte| **byte != one && **byte != other).count()
}

/// The bytes from one place to another, or none where there are no such places.
#[inline(never)]
pub(super) fn part(text: &[u8], from: usize, to: usize) -> &[u8] {
    text.get(from..to).unwrap_or_default()
}

/// Takes a decimal number off the front; `None`: there is none below 2^32.
#[inline(never)]
pub(super) fn number(text: &mut &[u8]) -> Option<u32> {
    let (mut number, before) = (0_u32, text.len());
    while let [digit @ b'0'..=b'9', rest @ ..] = *text {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        number = number.checked_mul(10)?.checked_add(digit)?;
        *text = rest;
    }
    (text.len() < before).then_some(number)
}

/// Takes one byte off the front, if it is this one.
#[inline(never)]
pub(super) fn skip(text: &mut &[u8], byte: u8) -> bool {
    let Some((first, rest)) = text.split_first() else { return false };
    let found = *first == byte;
    if found {
        *text = rest;
    }
    found
}

/// The digits of a number.
pub(super) fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
        first = at;
        if number == 0 {
            break;
        }
    }
    part(digits, first, digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read_to_the_last_one() {
        for number in [0, 9, 10, 4_294_967_294, u32::MAX] {
            let digits = &mut [0; 10];
            let written = [decimal(number, digits), b"-"].concat();
            let mut text = &written[..];
            assert_eq!((super::number(&mut text), text), (Some(number), &b"-"[..]));
        }
        for bad in ["4294967296", "99999999999999999999", "", "-1", "x"] {
            assert_eq!(number(&mut bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn names_are_equal_in_either_case_and_differ_elsewhere() {
        assert_eq!(hash(b"ETag", FOLD), hash(b"etag", FOLD));
        assert_ne!(hash(b"ETag", 0), hash(b"etag", 0));
        assert!(begins(b"Text/HTML; charset=utf-8", prefix(b"text/html")));
        assert!(!begins(b"text/htm", prefix(b"text/html")));
    }
}
