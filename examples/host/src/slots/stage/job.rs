//! The staging itself, on a device of any words and sectors: what an application does with the library.

use dfu_target::digest::SoftSha256;
use dfu_target::image::mcuboot::Version;
use dfu_target::image::{HEAD_LEN, Image, ImageKind};
use dfu_target::progress::NoProgress;
use dfu_target::target::DynDfuTarget;
use dfu_target::{Begun, DfuTarget, Digest, Request, Sha256, Update};
use dfu_target_mcuboot::{Active, Flag, McubootTarget, Running, RunningState, Side, Slots, State, Status};

use crate::ending::{Outcome, Problem};
use crate::slots::device::Device;
use crate::slots::geometry::Geometry;
use crate::slots::perform::{Act, Before};
use crate::slots::rules::{PURE, SHA256, SHA384, SHA512, Wanted};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Staged,
    /// It was there, and asked for, already.
    Already,
}

/// One staging, for any device.
pub(super) struct Job<'s> {
    pub(super) image: &'s [u8],
    pub(super) wanted: &'s Wanted,
    pub(super) geometry: &'s Geometry,
    /// In pieces of so many bytes.
    pub(super) chunk: usize,
    pub(super) permanent: bool,
}

impl Act for Job<'_> {
    type Done = Done;

    async fn act<const W: usize, const E: usize, const N: usize>(
        &self,
        device: &mut Device<W, E>,
        before: &Before<'_>,
    ) -> Outcome<Done> {
        match self.wanted.code() {
            SHA384 => self.stage::<W, E, N, SHA384>(device, before).await,
            SHA512 => self.stage::<W, E, N, SHA512>(device, before).await,
            PURE => self.stage::<W, E, N, PURE>(device, before).await,
            _ => self.stage::<W, E, N, SHA256>(device, before).await,
        }
    }
}

impl Job<'_> {
    async fn stage<const W: usize, const E: usize, const N: usize, const HASH: u8>(
        &self,
        device: &mut Device<W, E>,
        before: &Before<'_>,
    ) -> Outcome<Done> {
        let (slots, choice) = (device.slots, &before.choice);
        if self.is_chosen(&slots, before) && self.lies_in(&slots, before, choice.runs) {
            return Ok(Done::Already);
        }
        let is_there = self.is_asked_for(&before.seen.status) && self.lies_in(&slots, before, choice.other());

        let [primary, secondary] = device.regions();
        let (running, other) = match choice.runs {
            Side::Primary => (primary, secondary),
            Side::Secondary => (secondary, primary),
        };
        let mut active =
            Running::new(running, &slots).map_err(Problem::refused)?.active().await.map_err(Problem::refused)?;
        if slots.config().mode().chooses() && !choice.has_image {
            // Nothing runs that could be on trial or have a version.
            active = Active::new(RunningState::Confirmed, Some(NOTHING));
        }
        let keys: Vec<&[u8]> = self.wanted.keys.iter().map(|key| &key.der[..]).collect();
        let asked = self.wanted.asked::<HASH, N>(&keys)?;
        let target = McubootTarget::<_, _, _, N, _>::verifying(other, SoftSha256::default(), &slots, active, asked);
        // Boxed, or the update would be compiled for each kind of flash.
        let mut target: Box<dyn DynDfuTarget + '_> = Box::new(target.map_err(Problem::refused)?);
        if is_there && self.is_whole(&mut target).await? {
            return Ok(Done::Already);
        }
        let room = slots.sizes()[1].saturating_sub(slots.start());
        self.update(&mut target, room).await?;
        Ok(Done::Staged)
    }

    /// The update, as the application does it.
    async fn update(&self, target: &mut Box<dyn DynDfuTarget + '_>, room: u32) -> Outcome<()> {
        let digest = self.digest();
        let size = u32::try_from(self.image.len()).map_err(|_| Problem::refused("an image of more than 4 GiB"))?;
        let request = Request::of(digest).size(size).index(self.geometry.bootloader.index());
        let mut update = Update::new(target, NoProgress, request);
        let is_padded = size == room;
        let hint = if is_padded { ": it was signed with --pad, sign it without" } else { "" };
        let staged = match update.begin().await.map_err(Problem::refused)? {
            Begun::Staged(staged) => staged,
            Begun::Receiving(mut session) => {
                // A target may ask for bytes a second time.
                while let Some(rest) = self.image.get(session.offset() as usize..).filter(|rest| !rest.is_empty()) {
                    let piece = rest.chunks(self.chunk).next().unwrap_or(rest);
                    session.write(piece).await.map_err(|error| Problem::refused(format!("{error}{hint}")))?;
                }
                session.finish().await.map_err(|failed| Problem::refused(failed.error()))?
            }
        };
        let verified = staged.verify(&digest).map_err(|failed| Problem::refused(failed.error()))?;
        // The reset is up to whoever boots the files.
        verified.apply().await.map(|_| ()).map_err(|failed| Problem::refused(failed.error()))
    }

    /// Whether the slot that would be chosen next was never chosen before, for all that shows: what lies there may
    /// well be the image that waits for the reset.
    fn is_chosen(&self, slots: &Slots, before: &Before<'_>) -> bool {
        let (mode, choice) = (slots.config().mode(), &before.choice);
        let [primary, secondary] = &before.seen.views;
        let mark = if choice.runs == Side::Primary { primary.mark } else { secondary.mark };
        let is_asked_for =
            mark.magic == Flag::Set && mark.copy_done == Flag::Unset && (mark.image_ok == Flag::Set) == self.permanent;
        self.geometry.runs.is_none() && mode.chooses() && choice.has_image && (!mode.has_trailer() || is_asked_for)
    }

    /// Whether the image's bytes are in a slot.
    fn lies_in(&self, slots: &Slots, before: &Before<'_>, side: Side) -> bool {
        let [primary, secondary] = before.bytes;
        let (slot, start) = match side {
            Side::Primary => (primary, 0),
            Side::Secondary => (secondary, slots.start() as usize),
        };
        slot.get(start..).is_some_and(|slot| slot.starts_with(self.image))
    }

    /// Whether just this is pending.
    fn is_asked_for(&self, status: &Status) -> bool {
        match status.state {
            State::PendingTest => !self.permanent,
            State::PendingPermanent => self.permanent || !self.geometry.mode.mode().has_trailer(),
            _ => false,
        }
    }

    /// Whether the library, too, finds it whole. Reads only.
    async fn is_whole(&self, target: &mut Box<dyn DynDfuTarget + '_>) -> Outcome<bool> {
        let size = self.image.len() as u32;
        let head = self.image.get(..HEAD_LEN).unwrap_or(self.image);
        let index = self.geometry.bootloader.index();
        let image = Image { size: Some(size), index, head, ..Image::new(ImageKind::Mcuboot) };
        let offset = DfuTarget::init(target, &image, size).await.map_err(Problem::refused)?;
        if offset < size {
            return Ok(false);
        }
        let checked = DfuTarget::digest(target).await.map_err(Problem::refused)?;
        Ok(checked.digest == self.digest())
    }

    fn digest(&self) -> Digest {
        let mut engine = SoftSha256::default();
        engine.start();
        engine.update(self.image);
        engine.finish()
    }
}

/// The version where no image is.
const NOTHING: Version = Version { major: 0, minor: 0, revision: 0, build: 0 };
