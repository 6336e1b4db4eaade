//! A delta update. Behind its magic nothing is public; what there is to say is in its name.

/// `..._from_1.3.4_to_1.3.5.bin`: from what, to what.
pub(crate) fn versions(name: &str) -> Option<(&str, &str)> {
    let (from, to) = name.split_once("_from_")?.1.split_once("_to_")?;
    let to = to.strip_suffix(".bin").unwrap_or(to);
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    (is_version(from) && is_version(to)).then_some((from, to))
}
