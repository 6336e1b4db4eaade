//! [`Record`]: a progress record, right or wrong, as a store may hold it.

use alloc::vec::Vec;
use dfu_target::image::HEAD_LEN;
use dfu_target::{Digest, ImageId, ImageKind, Progress};

/// What a [`Progress`] is made of.
///
/// ```
/// use dfu_testkit::record::Record;
/// let record = Record { offset: 4096, size: Some(9000), ..Record::default() };
/// assert_eq!(record.progress().offset(), 4096);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The caller's name for the image.
    pub id: ImageId,
    /// What the image's first bytes said.
    pub kind: ImageKind,
    /// Which of several images.
    pub index: u8,
    /// The image's length, if known.
    pub size: Option<u32>,
    /// The target's identity.
    pub identity: u32,
    /// The tag of the source's validator.
    pub tag: u32,
    /// All bytes before this are stored.
    pub offset: u32,
    /// The image's first bytes.
    pub head: Vec<u8>,
    /// The image's digest, if all of it is there.
    pub complete: Option<Digest>,
    /// It was applied, too.
    pub applied: bool,
    /// How often it was fetched in vain.
    pub attempts: u8,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            id: ImageId([0; 32]),
            kind: ImageKind::Mcuboot,
            index: 0,
            size: None,
            identity: 0,
            tag: 0,
            offset: 0,
            head: Vec::new(),
            complete: None,
            applied: false,
            attempts: 0,
        }
    }
}

impl Record {
    /// The record as the library takes it from a store. Written here byte by byte: what devices in the field have
    /// stored must stay readable.
    pub fn progress(&self) -> Progress {
        let state = match self.complete {
            None => 0,
            Some(_) if self.applied => 2,
            Some(_) => 1,
        };
        let mut bytes = b"DFU2".to_vec();
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.complete.map_or([0; 32], |digest| digest.0));
        bytes.extend(self.size.unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(self.tag.to_le_bytes());
        bytes.extend(self.kind.code().to_le_bytes());
        bytes.extend([state, self.index]);
        bytes.extend(self.identity.to_le_bytes());
        bytes.extend(self.id.0);
        bytes.extend(self.head.iter().copied().chain([0; HEAD_LEN]).take(HEAD_LEN));
        bytes.extend([self.head.len() as u8, self.attempts, 0, 0]);
        Progress::from_bytes(&bytes).expect("a record in the stored form")
    }
}
