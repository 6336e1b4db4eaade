//! A digest as the modem tells it: eight words, which `digest.txt` prints as `%08X` each.
#![forbid(unsafe_code)]

use dfu_target::Digest;

/// Each word's most significant byte is the first.
pub(super) fn digest(words: [u32; 8]) -> Digest {
    let mut bytes = [0; 32];
    let (chunks, _) = bytes.as_chunks_mut::<4>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_be_bytes();
    }
    Digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn a_digest_reads_as_its_words_do() {
        let words = [0x0123_4567, 0x89ab_cdef, 0, 1, 0xff00_0000, 0x00ff, 0xdead_beef, u32::MAX];
        let text: String = words.iter().map(|word| std::format!("{word:08x}")).collect();
        assert_eq!(digest(words).to_string(), text);
        assert_eq!(Some(digest(words)), Digest::from_hex(&text));
    }
}
