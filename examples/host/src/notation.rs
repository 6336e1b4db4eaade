//! How numbers, versions and bytes are written: in options and in what is shown.

use dfu_target::image::mcuboot::Version;

/// A number of 32 bits, decimal or behind `0x`; `_` may part its digits.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let digits = text.replace('_', "");
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.map_err(|_| "not a number of 32 bits, decimal or behind `0x`".into())
}

/// A number that is not 0.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    match number(text)? {
        0 => Err("0 is too few".into()),
        number => Ok(number),
    }
}

/// A power of two.
pub(crate) fn power_of_two(text: &str) -> Result<u32, String> {
    number(text).and_then(|number| if number.is_power_of_two() { Ok(number) } else { Err("no power of two".into()) })
}

/// What an erased byte reads as.
pub(crate) fn erased(text: &str) -> Result<u8, String> {
    match number(text) {
        Ok(0xff) => Ok(0xff),
        Ok(0) => Ok(0),
        _ => Err("erased flash reads as 0xff or 0x00".into()),
    }
}

/// `1.2.3+4`; what is left out is 0.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    let parse = || {
        let (numbers, build) = text.split_once('+').unwrap_or((text, "0"));
        let mut numbers = numbers.split('.');
        let version = Version {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next().unwrap_or("0").parse().ok()?,
            revision: numbers.next().unwrap_or("0").parse().ok()?,
            build: build.parse().ok()?,
        };
        numbers.next().is_none().then_some(version)
    };
    parse().ok_or_else(|| "not a version like 1.2.3+4".into())
}

/// `1=2.0.0`: another image's index and version.
pub(crate) fn image_version(text: &str) -> Result<(u8, Version), String> {
    let (index, of) = text.split_once('=').ok_or("not an image and its version, like 1=2.0.0")?;
    Ok((index.parse().map_err(|_| "no image has this index")?, version(of)?))
}

/// `0x20000000+0x10000`: address and size.
pub(crate) fn place(text: &str) -> Result<(u32, u32), String> {
    let (address, size) = text.split_once('+').ok_or("not an address and a size, like 0x20000000+0x10000")?;
    Ok((number(address)?, count(size)?))
}

/// 16 bytes: 32 hexadecimal digits, hyphens anywhere.
pub(crate) fn uuid(text: &str) -> Result<[u8; 16], String> {
    let digits = text.replace('-', "");
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).step_by(2).map(byte).collect();
    let bytes = bytes.filter(|_| digits.len() == 32).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "not a UUID of 32 hexadecimal digits".into())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 16 bytes as UUIDs are written.
pub(crate) fn show_uuid(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or("").to_owned());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(["4096", "0x1000", "0X1_000", "4_096"].map(number), [const { Ok(4096) }; 4]);
        for wrong in ["", "0x", "12k", "-1", "4294967296", "0x1_0000_0000"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert!(count("0").is_err() && power_of_two("3000").is_err() && power_of_two("0").is_err());
    }

    #[test]
    fn versions_and_uuids_are_read_as_they_are_shown() {
        for text in ["1.2.3+4", "255.255.65535+4294967295"] {
            assert_eq!(version(text).unwrap().to_string(), text);
        }
        assert_eq!(version("2").unwrap().to_string(), "2.0.0+0");
        for wrong in ["", "1.2.3.4", "256.0.0", "1.2.3+", "v1.2.3"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        assert_eq!(show_uuid(&uuid(text).unwrap()), text);
        assert!(uuid("00112233").is_err());
    }
}
