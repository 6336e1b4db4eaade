//! The firmware: what the device does each time it is powered on. Nothing in here knows that it is simulated.

use core::ops::ControlFlow;

use dfu_target::digest::{Digest, Sha256, SoftSha256};
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::session::Failed;
use dfu_target::target::{Checked, DynDfuTarget};
use dfu_target::{Begun, ImageId, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Running, RunningState, Slots};
use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use fota_download::{Backoff, Connect, Http, Report, Source, download};

use crate::map::{LOG, PRIMARY, SECONDARY};

/// What the device is to run, as its management service would tell it.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Where the image lies.
    pub(crate) url: &'a str,
    /// Its digest and its size in bytes. Without them the image has to vouch for itself.
    pub(crate) image: Option<(Digest, u32)>,
}

/// What the device says on its console.
pub(crate) enum Event {
    /// The bootloader started this application, in this state.
    Runs(RunningState),
    /// The image is wanted, from this offset on.
    Begins(u32),
    /// The download goes on.
    Moves(Report),
    /// All of the image came.
    Received,
    /// The image is stored, read back, and found to be the wanted one.
    Verified(Checked),
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
pub(crate) async fn run<F, C>(
    flash: F,
    net: &C,
    clock: &mut impl DelayNs,
    job: Job<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure>
where
    F: NorFlash<Error: 'static> + 'static,
    C: Connect,
{
    let mut flash = Shared::new(flash);
    let [primary, secondary, log] = flash.split(const { &Layout::<F, 3>::new([PRIMARY, SECONDARY, LOG]) });
    let slots = const { &slots::<F>() };

    let mut running = Running::new(primary, slots)?;
    let state = running.state().await?;
    tell(Event::Runs(state));
    if state == RunningState::Trial {
        // The self-test: an application that reaches its server can be updated again.
        Http::new(net, job.url, &mut [0; HEAD])?.open(0).await?;
        running.confirm().await?;
        return Ok(Outcome::Confirmed);
    }

    let active = running.active().await?;
    let request = match job.image {
        Some((digest, size)) if is_stored(&mut running.release(), &digest, size).await? => {
            return Ok(Outcome::Current);
        }
        Some((digest, size)) => Request::of(digest).size(size),
        None => Request::new(ImageId::named(job.url)),
    };
    let target: Box<dyn DynDfuTarget + '_> =
        Box::new(McubootTarget::<_, _, _, 256>::new(secondary, SoftSha256::default(), slots, active)?);
    let mut update = Update::new(target, ProgressLog::<_>::new(log), request);

    let staged = match update.begin().await? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            tell(Event::Begins(session.offset()));
            let (mut head, mut chunk) = ([0; HEAD], Aligned([0; CHUNK]));
            let mut file = Http::new(net, job.url, &mut head)?;
            download(&mut file, &mut session, BACKOFF, clock, &mut chunk.0, |report| {
                tell(Event::Moves(report));
                ControlFlow::Continue(())
            })
            .await?;
            tell(Event::Received);
            session.finish().await.map_err(Failed::into_error)?
        }
    };
    if staged.attempted() && state == RunningState::Reverted {
        return Err("this image ran before and did not confirm itself".into());
    }

    let checked = staged.checked();
    let verified = match job.image {
        Some((digest, _)) => staged.verify(&digest),
        None => staged.verify_self(),
    };
    let verified = verified.map_err(Failed::into_error)?;
    tell(Event::Verified(checked));
    let _at_reset = verified.apply().await.map_err(Failed::into_error)?;
    Ok(Outcome::AtReset)
}

/// What the bootloader made of the application that runs.
pub(crate) async fn state<F: NorFlash<Error: 'static> + 'static>(flash: F) -> Result<RunningState, Failure> {
    let mut flash = Shared::new(flash);
    let [primary] = flash.split(const { &Layout::<F, 1>::new([PRIMARY]) });
    Ok(Running::new(primary, const { &slots::<F>() })?.state().await?)
}

/// Whether the region begins with the image of this digest and size.
async fn is_stored<F: NorFlash<Error: 'static>>(
    region: &mut Region<'_, F>,
    digest: &Digest,
    size: u32,
) -> Result<bool, Failure> {
    if size == 0 || size > region.size() {
        return Ok(false);
    }
    let mut engine = SoftSha256::default();
    let mut buffer = [0; 256];
    for at in (0..size).step_by(buffer.len()) {
        region.read(at, &mut buffer).await?;
        engine.update(&buffer[..buffer.len().min((size - at) as usize)]);
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

/// What is received and written at once, in bytes.
pub(crate) const CHUNK: usize = 1024;
/// For a request or the head of an answer, in bytes.
pub(crate) const HEAD: usize = 1024;
/// Short enough for someone who waits at a desk.
const BACKOFF: Backoff = Backoff::new().attempts(3).first_ms(250);
