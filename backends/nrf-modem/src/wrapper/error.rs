//! Why bytes are no wrapper.

use core::fmt;

use super::Wrapper;

/// Why bytes are not the wrapper of a full update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WrapperError {
    /// All is right so far, and the bytes end within it.
    Truncated,
    /// It is longer than [`Wrapper::MAX_LEN`].
    TooLong,
    /// Not a tagged COSE_Sign1 of four parts.
    NotCose,
    /// A length is left open.
    Indefinite,
    /// It is not signed with PS256, or says more than that.
    Algorithm,
    /// The header that is not signed says something.
    Unprotected,
    /// The signature has so many bytes, not 256.
    Signature(usize),
    /// The payload is not a manifest of four parts.
    Manifest,
    /// Bytes follow the manifest within the payload.
    ManifestTrailing,
    /// The segments' hash has so many bytes, not 32.
    HashLength(usize),
    /// The segments are not a list of numbers of 32 bits.
    Segments,
    /// Bytes follow the list within the segments' string.
    SegmentsTrailing,
    /// The last segment has an address and no length.
    OddSegments,
    /// There is no loader, or nothing but the loader.
    NoSegments,
    /// There are more than [`Wrapper::MAX_SEGMENTS`].
    TooManySegments,
    /// This segment, counted from 0, has no bytes.
    SegmentEmpty(usize),
    /// This segment reaches out of 32 bits.
    SegmentOverflow(usize),
    /// This segment and one before it have addresses in common.
    SegmentOverlap(usize),
    /// The segments together take more than 32 bits.
    BlobOverflow,
}

impl fmt::Display for WrapperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the wrapper is not all there"),
            Self::TooLong => write!(f, "the wrapper is longer than {} bytes", Wrapper::MAX_LEN),
            Self::NotCose => f.write_str("the wrapper is no COSE_Sign1"),
            Self::Indefinite => f.write_str("the wrapper leaves a length open"),
            Self::Algorithm => f.write_str("the wrapper is not signed with PS256"),
            Self::Unprotected => f.write_str("the wrapper's unprotected header is not empty"),
            Self::Signature(len) => write!(f, "the wrapper's signature has {len} bytes instead of 256"),
            Self::Manifest => f.write_str("the wrapper's manifest is damaged"),
            Self::ManifestTrailing => f.write_str("bytes follow the wrapper's manifest"),
            Self::HashLength(len) => write!(f, "the hash of the segments has {len} bytes instead of 32"),
            Self::Segments => f.write_str("the list of the segments is damaged"),
            Self::SegmentsTrailing => f.write_str("bytes follow the list of the segments"),
            Self::OddSegments => f.write_str("the last segment has no length"),
            Self::NoSegments => f.write_str("there are not a loader and a segment of firmware"),
            Self::TooManySegments => write!(f, "there are more than {} segments", Wrapper::MAX_SEGMENTS),
            Self::SegmentEmpty(index) => write!(f, "segment {index} is empty"),
            Self::SegmentOverflow(index) => write!(f, "segment {index} ends behind the last address"),
            Self::SegmentOverlap(index) => write!(f, "segment {index} overlaps one before it"),
            Self::BlobOverflow => f.write_str("the segments take more than 32 bits"),
        }
    }
}

impl core::error::Error for WrapperError {}
