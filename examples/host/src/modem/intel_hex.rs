//! Intel HEX: bytes and where they go, as text.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail, ensure};

/// Bytes that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Range {
    /// The address behind it.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.address) + self.bytes.len() as u64
    }
}

/// Reads a file: its ranges by ascending address. Those that touch are one.
pub(crate) fn read(text: &[u8]) -> anyhow::Result<Vec<Range>> {
    let text = std::str::from_utf8(text).map_err(|_| anyhow!("not a text"))?;
    let mut reader = Reader::default();
    for (nth, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let taken = Record::parse(line.trim()).and_then(|record| reader.take(&record));
        taken.with_context(|| format!("line {}", nth + 1))?;
    }
    ensure!(reader.ended, "it has no end record");
    Ok(reader.ranges.merged())
}

/// What the lines so far came to.
#[derive(Default)]
struct Reader {
    ranges: Ranges,
    /// What the offsets of records are added to.
    base: u32,
    ended: bool,
}

impl Reader {
    fn take(&mut self, record: &Record) -> anyhow::Result<()> {
        ensure!(!self.ended, "it follows the end record");
        match (record.kind, record.data.as_slice()) {
            (0, data) => {
                let address = self.base.checked_add(record.offset.into()).context("it is behind the last address")?;
                self.ranges.put(address, data)?;
            }
            (1, []) => self.ended = true,
            (2, [high, low]) => self.base = u32::from(u16::from_be_bytes([*high, *low])) << 4,
            (4, [high, low]) => self.base = u32::from(u16::from_be_bytes([*high, *low])) << 16,
            // Where a program would start.
            (3 | 5, [_, _, _, _]) => {}
            (kind, data) => bail!("no record has type {kind} and {} bytes", data.len()),
        }
        Ok(())
    }
}

/// A line.
struct Record {
    offset: u16,
    kind: u8,
    data: Vec<u8>,
}

impl Record {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let digits = line.strip_prefix(':').context("no record begins without a colon")?;
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && digits.len().is_multiple_of(2);
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.filter(|_| is_hex).context("not hexadecimal digits")?;
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let [len, high, low, kind, data @ .., _] = bytes.as_slice() else { bail!("the record is too short") };
        ensure!(data.len() == usize::from(*len), "the record tells of {len} bytes and has {}", data.len());
        ensure!(sum == 0, "the checksum is wrong");
        Ok(Self { offset: u16::from_be_bytes([*high, *low]), kind: *kind, data: data.to_vec() })
    }
}

/// Ranges by their address, growing at their ends.
#[derive(Default)]
struct Ranges(BTreeMap<u32, Vec<u8>>);

impl Ranges {
    fn put(&mut self, address: u32, data: &[u8]) -> anyhow::Result<()> {
        let end = address.checked_add(data.len() as u32).context("it is behind the last address")?;
        let next = self.0.range(address..).next().map(|(start, _)| *start);
        let before = self.0.range_mut(..=address).next_back();
        let free = before.as_ref().map_or(0, |(start, bytes)| **start + bytes.len() as u32);
        ensure!(free <= address && next.is_none_or(|next| end <= next), "its address has been written before");
        match before {
            Some((_, bytes)) if free == address => bytes.extend(data),
            _ => drop(self.0.insert(address, data.to_vec())),
        }
        Ok(())
    }

    fn merged(self) -> Vec<Range> {
        let mut merged: Vec<Range> = Vec::new();
        for (address, bytes) in self.0 {
            match merged.last_mut() {
                Some(last) if last.end() == u64::from(address) => last.bytes.extend(bytes),
                _ => merged.push(Range { address, bytes }),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line, with the checksum that it needs.
    fn line(offset: u16, kind: u8, data: &[u8]) -> String {
        let front = [&[data.len() as u8][..], &offset.to_be_bytes(), &[kind], data].concat();
        let sum = front.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        let digits: String = front.iter().chain([&sum]).map(|byte| format!("{byte:02X}")).collect();
        format!(":{digits}\n")
    }

    fn ranges(lines: &[String]) -> Vec<(u32, Vec<u8>)> {
        let text = [lines, &[":00000001FF\r\n\n".into()]].concat().concat();
        read(text.as_bytes()).unwrap().into_iter().map(|range| (range.address, range.bytes)).collect()
    }

    #[test]
    fn records_become_ranges() {
        let (linear, segment) = (line(0, 4, &[0x59, 0x60]), line(0, 2, &[0x10, 0]));
        let lines = [linear, line(0x2000, 0, &[0xaa, 0xbb]), line(0x2002, 0, &[1]), line(0, 5, &[0, 0, 0, 0])];
        assert_eq!(ranges(&lines), [(0x5960_2000, vec![0xaa, 0xbb, 1])]);
        // Addresses in sixteens, and the later one first.
        let lines = [segment, line(2, 0, &[3]), line(0, 0, &[1, 2]), line(0x10, 0, &[4])];
        assert_eq!(ranges(&lines), [(0x1_0000, vec![1, 2, 3]), (0x1_0010, vec![4])]);
        assert_eq!(ranges(&[line(0xffff, 0, &[5]), line(0, 4, &[0, 1]), line(0, 0, &[6])]), [(0xffff, vec![5, 6])]);
        assert_eq!(ranges(&[]), []);
    }

    #[test]
    fn damage_is_found_and_its_line_named() {
        let cases = [
            ("", "it has no end record"),
            (":0100000001FE\n", "it has no end record"),
            (":0100000001FD\n", "line 1: the checksum is wrong"),
            ("\n0100000001FE\n", "line 2: no record begins without a colon"),
            (":01000000010\n", "line 1: not hexadecimal digits"),
            (":01000000+1FF\n", "line 1: not hexadecimal digits"),
            (":0000\n", "line 1: the record is too short"),
            (":0200000001FD\n", "line 1: the record tells of 2 bytes and has 1"),
            (":00000001FF\n:0100000001FE\n", "line 2: it follows the end record"),
            (":00000006FA\n", "line 1: no record has type 6 and 0 bytes"),
            (":0100000001FE\n:0100000001FE\n", "line 2: its address has been written before"),
            (":0100010001FD\n:020000000101FC\n", "line 2: its address has been written before"),
            (":02000004FFFFFC\n:02FFFF000101FE\n", "line 2: it is behind the last address"),
        ];
        for (text, reason) in cases {
            assert_eq!(format!("{:#}", read(text.as_bytes()).unwrap_err()), reason, "{text:?}");
        }
    }
}
