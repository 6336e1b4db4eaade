//! Images that need others.

use super::Bootloader;
use super::boots::Pair;
use super::tlv::{BadTlvs, Tlvs};
use super::upgrade::Plan;
use crate::image::{DEPENDENCY, Version};
use alloc::vec::Vec;

impl Bootloader {
    /// Whether every image will find what it needs, once each plan is carried out.
    pub(super) fn dependencies_hold(&self, pairs: &[Pair<'_>], plans: &[Plan]) -> bool {
        let images: Vec<&[u8]> = pairs
            .iter()
            .zip(plans)
            .map(|(pair, plan)| if plan.kind.is_some() { &pair.secondary[plan.at..] } else { &*pair.primary })
            .collect();
        let are_read = pairs.iter().all(|pair| self.can_count(pair.primary.len()));
        are_read && images.iter().all(|image| self.needs_hold(image, &images))
    }

    /// Whether `image` finds what it needs among the images that are to run.
    pub(super) fn needs_hold(&self, image: &[u8], images: &[&[u8]]) -> bool {
        let Ok(needs) = self.needs(image) else { return false };
        needs.iter().all(|(index, least)| {
            images.get(*index).is_some_and(|image| !self.exceeds(*least, self.header(image).version))
        })
    }

    /// Which images, and of which version at least.
    fn needs(&self, image: &[u8]) -> Result<Vec<(usize, Version)>, BadTlvs> {
        let mut needs = Vec::new();
        for tlv in Tlvs::of(image, &self.header(image))?.protected() {
            if let (DEPENDENCY, value) = tlv? {
                let &[index, _, _, _, major, minor, r0, r1, b0, b1, b2, b3] = value else { return Err(BadTlvs) };
                let (revision, build) = (u16::from_le_bytes([r0, r1]), u32::from_le_bytes([b0, b1, b2, b3]));
                needs.push((index.into(), Version { major, minor, revision, build }));
            }
        }
        Ok(needs)
    }
}
