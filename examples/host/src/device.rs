//! The firmware: what the device does each time it is powered on. Nothing in here knows that it is simulated.

use dfu_apps::mcuboot::{self, Boot};
use dfu_apps::{Event, Means, update};
use dfu_target::digest::{Digest, SoftSha256};
use dfu_target::flash::{Layout, Shared};
use dfu_target::target::DynDfuTarget;
use dfu_target::{ImageId, ProgressLog};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Running, RunningState, Slots};
use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::NorFlash;
use fota_connectors::tokio::Net;
use fota_download::coap::{self, Settings};
use fota_download::{Backoff, Control, Job, Offer, Remote, Source, preflight};

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

/// From power-on to the next reset: [`mcuboot::run`], with a target that is chosen when the program runs, as a PC can.
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
    let mut engine = SoftSha256::default();

    let mut running = Running::new(primary, slots)?;
    // An application that reaches its server can be updated again.
    let mut unreached = None;
    let test = async || file.open(0).await.map_err(|error| unreached = Some(error)).is_ok();
    let active = match mcuboot::boot(&mut running, test, &mut *tell).await? {
        Boot::Confirmed => return Ok(Outcome::Confirmed),
        Boot::Failed => return Err(unreached.map_or("the self-test failed".into(), Failure::from)),
        Boot::Runs(active) => active,
    };
    if wanted.digest.is_some() && running.digest(&mut engine).await? == wanted.digest {
        return Ok(Outcome::Current);
    }
    let job = match wanted.digest {
        Some(digest) => Job::of(digest),
        None => Job::new(ImageId::named(wanted.url)),
    };
    let job = mcuboot::unless_reverted(job.backoff(BACKOFF).silence(SILENCE), active.state);
    let target: Box<dyn DynDfuTarget + '_> =
        Box::new(McubootTarget::<_, _, _, 256>::new(secondary, engine, slots, active)?);
    let (mut one, mut two) = (Aligned([0; CHUNK]), Aligned([0; CHUNK]));
    let buffers = [&mut one.0[..], &mut two.0[..]];
    let means = Means { file: &mut file, clock, control: &Control::new(), buffers };
    let _at_reset = update(target, ProgressLog::<_>::new(log), &job, means, tell).await?;
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
