//! What both slots say together: what runs, what waits for the reset.

use core::fmt;

use dfu_target::flash::{Region, RegionError, align_down};
use dfu_target::image::mcuboot::{HEADER_LEN, Header, Version};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use crate::mark::{MAX_MARK, Mark, SwapType, read_mark};
use crate::preflight::is_preferred;
use crate::{RunningState, Slots};

/// What both slots say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// What the next reset brings, or what the last one brought.
    pub state: State,
    /// The version that runs; `None`: there is no image where one should run.
    pub running: Option<Version>,
    /// The version in the other slot: what waits, what is the way back, or what was left there.
    pub other: Option<Version>,
}

/// What the next reset brings, or what the last one brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Nothing was ever updated, and nothing is pending.
    None,
    /// The other image runs after the next reset, on trial.
    PendingTest,
    /// The other image runs from the next reset on.
    PendingPermanent,
    /// The bootloader is on its way back to the other image.
    PendingRevert,
    /// The running image is on trial: the next reset brings the other one back.
    Trial,
    /// The running image stays.
    Confirmed,
    /// The running image came back, because the other one did not confirm itself.
    Reverted,
    /// The trailer of the running image is none of MCUboot's, which leaves the image where it is.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::PendingTest => "pending-test",
            Self::PendingPermanent => "pending-permanent",
            Self::PendingRevert => "pending-revert",
            Self::Trial => "trial",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Unknown => "unknown",
        })
    }
}

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// The primary slot: the one that runs, but in the modes that choose between two.
    Primary,
    /// The secondary slot.
    Secondary,
}

/// What one slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct View {
    /// Its mark.
    pub mark: Mark,
    /// The header of the image in it, where there is one that MCUboot would look at.
    pub header: Option<Header>,
}

impl View {
    /// Reads a slot. In the secondary one an image may lie in two places: see [`Slots::start`].
    pub async fn read<F: NorFlash>(
        region: &mut Region<'_, F>,
        slots: &Slots,
        side: Side,
    ) -> Result<Self, RegionError<F::Error>> {
        let mark = read_mark(region, slots).await?;
        let start = if side == Side::Secondary { slots.start } else { 0 };
        let mut header = read_header(region, start).await?;
        if header.is_none() && start > 0 {
            // The old image of a swap, or the way back.
            header = read_header(region, 0).await?;
        }
        Ok(Self { mark, header })
    }
}

async fn read_header<F: NorFlash>(
    region: &mut Region<'_, F>,
    at: u32,
) -> Result<Option<Header>, RegionError<F::Error>> {
    let mut buffer = [0; MAX_MARK];
    let bytes = buffer.get_mut(..const { HEADER_LEN.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
    region.read(align_down(at, F::READ_SIZE as u32), bytes).await?;
    Ok(Header::parse(bytes).ok())
}

impl Status {
    /// Puts two slots together, of which the application runs from `runs`. Where the bootloader chooses by
    /// version, only it, or the application, knows which that is; elsewhere it is the primary one.
    pub fn of(slots: &Slots, primary: &View, secondary: &View, runs: Side) -> Self {
        let (running, other) = match runs {
            Side::Primary => (primary, secondary),
            Side::Secondary => (secondary, primary),
        };
        let version = |view: &View| view.header.map(|header| header.version);
        let state = match pending(slots, running, other) {
            Some(SwapType::Test) => State::PendingTest,
            Some(SwapType::Permanent) => State::PendingPermanent,
            Some(SwapType::Revert) => State::PendingRevert,
            None => match RunningState::of(&running.mark, slots.mode()) {
                RunningState::Factory => State::None,
                RunningState::Trial => State::Trial,
                RunningState::Confirmed => State::Confirmed,
                RunningState::Reverted => State::Reverted,
                RunningState::Unknown => State::Unknown,
            },
        };
        Self { state, running: version(running), other: version(other) }
    }
}

/// What the slot that does not run asks for.
fn pending(slots: &Slots, running: &View, other: &View) -> Option<SwapType> {
    let header = other.header?;
    let preferred = is_preferred(&header, running.header.map(|runs| runs.version), slots, None);
    other.mark.asks(slots.mode()).filter(|_| preferred || !slots.mode().chooses())
}
