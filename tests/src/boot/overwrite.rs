//! What copying over the primary slot changes.

use super::boots::Pair;
use super::tlv::Tlvs;
use super::{Bootloader, Refusal};

impl Bootloader {
    /// Copies; the security counter that is stored then.
    pub(super) fn overwrite(&self, pair: &mut Pair<'_>) -> Result<Option<u32>, Refusal> {
        let (sector, word) = (self.sector_size, self.write_size);
        let size = Tlvs::of(pair.secondary, &self.header(pair.secondary)).map_err(|_| Refusal::Tlvs)?.end();
        pair.primary[..size.next_multiple_of(sector)].fill(self.erased);
        self.erase_trailer(pair.primary);
        // MCUboot adds a word where the size is a whole number of them, erased or not.
        let copied = (size + word - size % word).min(pair.primary.len());
        let trailer = self.trailer(pair.primary.len());
        trailer.program(pair.primary, 0, &pair.secondary[..copied]);
        trailer.put_magic(pair.primary);
        let counter = self.raised(pair.primary)?;
        pair.secondary[..sector].fill(self.erased);
        let last = pair.secondary.len() - sector;
        pair.secondary[last..].fill(self.erased);
        Ok(counter)
    }
}
