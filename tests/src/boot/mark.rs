//! What an application does with MCUboot's own calls.

use super::{BadTrailer, Bootloader, Flag, Magic, SwapType};

impl Bootloader {
    /// What an application does with MCUboot's own `boot_set_pending`: the same bytes, in a slot that may be
    /// pending already.
    pub fn mark_pending(&self, slot: &mut [u8], permanent: bool) -> Result<(), BadTrailer> {
        if self.mode.erases_unconfirmed() {
            return self.mark_selectable(slot, permanent);
        }
        let trailer = self.trailer(slot.len());
        match trailer.state(slot).magic {
            Magic::Good => {}
            Magic::Bad => return Err(BadTrailer),
            Magic::Unset => {
                let kind = if permanent { SwapType::Perm } else { SwapType::Test };
                trailer.put_magic(slot);
                if permanent {
                    trailer.set(slot, trailer.image_ok);
                }
                trailer.put_swap_info(slot, kind, self.image);
            }
        }
        Ok(())
    }

    /// What an application does with MCUboot's own `boot_set_confirmed`, in the slot that it runs from: the primary
    /// unless the mode selects.
    pub fn confirm(&self, slot: &mut [u8]) -> Result<(), BadTrailer> {
        if self.mode.erases_unconfirmed() {
            return self.mark_selectable(slot, true);
        }
        let trailer = self.trailer(slot.len());
        let state = trailer.state(slot);
        match state.magic {
            Magic::Good if state.image_ok == Flag::Unset => trailer.set(slot, trailer.image_ok),
            Magic::Good | Magic::Unset => {}
            Magic::Bad => return Err(BadTrailer),
        }
        Ok(())
    }

    /// Both calls as applications have them whose bootloader erases what was not confirmed.
    fn mark_selectable(&self, slot: &mut [u8], confirm: bool) -> Result<(), BadTrailer> {
        let trailer = self.trailer(slot.len());
        let state = trailer.state(slot);
        match state.magic {
            Magic::Bad => return Err(BadTrailer),
            Magic::Unset => trailer.put_magic(slot),
            Magic::Good => {}
        }
        if confirm && state.copy_done == Flag::Unset {
            trailer.set(slot, trailer.copy_done);
        }
        if confirm && state.image_ok == Flag::Unset {
            trailer.set(slot, trailer.image_ok);
        }
        Ok(())
    }
}
