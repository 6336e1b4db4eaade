//! The firmware: what the device does each time it is powered on. Nothing in here knows that it is simulated.

use dfu_target::digest::{Digest, Sha256, SoftSha256};
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::target::DynDfuTarget;
use dfu_target::{ImageId, ImageKind, ProgressLog};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Running, RunningState, Slots};
use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use fota_connectors::tokio::Net;
use fota_download::coap::{self, Settings};
use fota_download::{Backoff, Control, Event as Going, Job, Offer, Remote, Source, fota, preflight};

use crate::map::{LOG, PRIMARY, SECONDARY};
use crate::net::{File, Metered, Traffic};

/// What the device is to run, as its management service would tell it.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Where the image lies.
    pub(crate) url: &'a str,
    /// Its digest. Without it the image has to vouch for itself.
    pub(crate) digest: Option<Digest>,
    /// How many blocks may be on their way at a time, over CoAP.
    pub(crate) window: u8,
}

/// What the device says on its console.
pub(crate) enum Event {
    /// The bootloader started this application, in this state.
    Runs(RunningState),
    /// The update goes on.
    Goes(Going),
}

/// Why the device has nothing more to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The new image waits for the reset.
    AtReset,
    /// The application was on trial and keeps itself.
    Confirmed,
    /// It runs the wanted image already.
    Current,
}

pub(crate) type Failure = Box<dyn core::error::Error>;

/// From power-on to the next reset.
pub(crate) async fn run<F: NorFlash<Error: 'static> + 'static>(
    flash: F,
    net: (&Net, &Traffic),
    clock: &mut (impl DelayNs + Clone),
    wanted: Wanted<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let mut flash = Shared::new(flash);
    let [primary, secondary, log] = flash.split(const { &Layout::<F, 3>::new([PRIMARY, SECONDARY, LOG]) });
    let slots = const { &slots::<F>() };
    let mut buf = [0; BUFFER];
    let mut file = wanted.file(net, &mut buf)?;

    let mut running = Running::new(primary, slots)?;
    let state = running.state().await?;
    tell(Event::Runs(state));
    if state == RunningState::Trial {
        // The self-test: an application that reaches its server can be updated again.
        file.open(0).await?;
        running.confirm().await?;
        return Ok(Outcome::Confirmed);
    }

    let active = running.active().await?;
    if let Some(digest) = wanted.digest
        && runs(&mut running.release(), &digest).await?
    {
        return Ok(Outcome::Current);
    }
    let mut job = match wanted.digest {
        Some(digest) => Job::of(digest),
        None => Job::new(ImageId::named(wanted.url)),
    };
    job = job.kind(ImageKind::Mcuboot).backoff(BACKOFF).silence(SILENCE);
    if state != RunningState::Reverted {
        // The request may have been recorded and not written, when power failed between the two.
        job = job.again();
    }
    let target: Box<dyn DynDfuTarget + '_> =
        Box::new(McubootTarget::<_, _, _, 256>::new(secondary, SoftSha256::default(), slots, active)?);
    let (mut one, mut two) = (Aligned([0; CHUNK]), Aligned([0; CHUNK]));
    let (log, control, buffers) = (ProgressLog::<_>::new(log), Control::new(), [&mut one.0[..], &mut two.0[..]]);
    let _at_reset =
        fota(&mut file, target, log, &job, &control, clock, buffers, |event| tell(Event::Goes(event))).await?;
    Ok(Outcome::AtReset)
}

/// Whether the device would take the file, by its first bytes.
pub(crate) async fn probe<F: NorFlash<Error: 'static> + 'static>(
    flash: F,
    net: (&Net, &Traffic),
    wanted: Wanted<'_>,
) -> Result<Offer, Failure> {
    let mut flash = Shared::new(flash);
    let [primary, secondary] = flash.split(const { &Layout::<F, 2>::new([PRIMARY, SECONDARY]) });
    let slots = const { &slots::<F>() };
    let active = Running::new(primary, slots)?.active().await?;
    let mut target = McubootTarget::<_, _, _, 256>::new(secondary, SoftSha256::default(), slots, active)?;
    Ok(preflight(&mut wanted.file(net, &mut [0; BUFFER])?, &mut target, 0).await?)
}

impl<'a> Wanted<'a> {
    fn file<'b>(
        &self,
        (net, traffic): (&'b Net, &'b Traffic),
        buf: &'b mut [u8],
    ) -> Result<Metered<'b, File<'b, 'b>>, Failure>
    where
        'a: 'b,
    {
        // On a device, from the hardware.
        let settings = Settings::new(fastrand::u64(..)).window(self.window);
        Ok(Metered::new(Remote::new(net, net, self.url, settings, buf)?, traffic))
    }
}

/// What the bootloader made of the application that runs.
pub(crate) async fn state<F: NorFlash<Error: 'static> + 'static>(flash: F) -> Result<RunningState, Failure> {
    let mut flash = Shared::new(flash);
    let [primary] = flash.split(const { &Layout::<F, 1>::new([PRIMARY]) });
    Ok(Running::new(primary, const { &slots::<F>() })?.state().await?)
}

/// Whether the slot begins with the file of this digest, which ends behind the image's TLVs.
async fn runs<F: NorFlash<Error: 'static>>(slot: &mut Region<'_, F>, digest: &Digest) -> Result<bool, Failure> {
    let mut words = [0; 16];
    slot.read(0, &mut words).await?;
    let half = |at: usize| u32::from(u16::from_le_bytes([words[at], words[at + 1]]));
    let body = u32::from_le_bytes([words[12], words[13], words[14], words[15]]);
    let Some(tlvs) = body.checked_add(half(8) + half(10)).filter(|tlvs| *tlvs < slot.size() - 4) else {
        return Ok(false);
    };
    let mut info = [0; 4];
    slot.read(tlvs, &mut info).await?;
    let size = tlvs + u32::from(u16::from_le_bytes([info[2], info[3]]));
    if size > slot.size() {
        return Ok(false);
    }
    let mut engine = SoftSha256::default();
    let mut buffer = [0; 256];
    for at in (0..size).step_by(buffer.len()) {
        let piece = buffer.len().min((size - at) as usize);
        slot.read(at, &mut buffer[..piece]).await?;
        engine.update(&buffer[..piece]);
    }
    Ok(engine.finish() == *digest)
}

/// Both slots: what the bootloader was built with.
const fn slots<F: NorFlash>() -> Slots {
    Slots::new::<F>(PRIMARY.1, Config::new(Mode::SwapMove))
}

/// Word-aligned, so that the flash takes most bytes from where the network put them.
#[repr(align(4))]
struct Aligned([u8; CHUNK]);

/// What is received and written at once, in bytes; and as much is received ahead.
pub(crate) const CHUNK: usize = 1024;
/// For a request, the head of an answer, blocks before their turn, in bytes.
pub(crate) const BUFFER: usize = coap::space(1024, coap::MAX_WINDOW);
/// Short enough for someone who waits at a desk.
const BACKOFF: Backoff = Backoff::new().attempts(3).first_ms(250);
const SILENCE: u32 = 10_000;
