//! [`fota`]: one update, from a source to the request to run it.

mod control;
mod error;
mod job;
mod only;
mod watch;

pub use control::Control;
pub use error::FotaError;
pub use job::Job;

use core::ops::ControlFlow;
use core::pin::pin;

use dfu_target::session::SessionError;
use dfu_target::{Applied, Begun, DfuTarget, Digest, ErrorKind, ProgressStore, Session, Staged, Update, Verified};
use embedded_hal_async::delay::DelayNs;

use self::control::Wish;
use self::only::Only;
use self::watch::{Pauses, Watch, Watched};
use crate::download::{Report, Step, download_overlapped};
use crate::source::Source;

/// How an update goes. What it comes to is what [`fota`] returns, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The source is asked for the file, from this offset on.
    Opening(Report),
    /// Bytes are received and stored.
    Receiving(Report),
    /// Something failed that may go better after a pause: see [`Step::Wait`].
    Waiting(Report),
    /// [`Control::pause`] holds it. Nothing is open meanwhile. Not told of a pause once all bytes are there.
    Paused(Report),
    /// All bytes are there; they are read back and checked.
    Verifying,
    /// They are what they should be; their SHA-256. The request to run them is written next.
    Verified(Digest),
}

/// What an update came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "an update at `AtReset` needs the reset"]
pub struct Finished {
    /// When it runs.
    pub applied: Applied,
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// Not a byte was fetched: all of it was stored before.
    pub was_staged: bool,
}

/// Brings a file from `source` into `target` and asks for it to be run: begins or goes on with what `store` tells,
/// downloads with [`download_overlapped`], reads back, verifies, applies. It succeeds when the request to run the image
/// was written and read back, and in no other case.
///
/// An image that was applied before and lies there still is not applied again ([`FotaError::Attempted`]), unless the
/// job says so: it ran and came back.
///
/// `control` may be held by another task, which pauses, resumes or cancels, up to the request to run the image. Whatever
/// ends it, what is stored stays; the same job goes on later, also after a reset. But for what was read back and is not
/// right, be it the file's fault or the flash's: that is given up, and the next call begins anew; after
/// [`Job::attempts`] of them the image is [`Rejected`](SessionError::Rejected) without a byte.
///
/// A source that hangs is opened anew ([`Job::silence`]), and [`Job::deadline`] bounds it all. Both are counted on a
/// clone of `clock`, in tenths of a second.
///
/// Pass `&mut target`: a target by value lies in several of the futures in here, and each move of it takes stack.
///
/// An erase that takes long is told by the target that does it: the modem's delta target has a policy for that.
///
/// # Cancellation
///
/// Drop the future at any time, after a deadline for one: the same as a power cut, and gone on with in the same way.
#[allow(clippy::too_many_arguments)] // Each is a thing of the caller's own.
pub async fn fota<S, T, P>(
    source: &mut S,
    target: T,
    store: P,
    job: &Job,
    control: &Control,
    clock: &mut (impl DelayNs + Clone),
    buffers: [&mut [u8]; 2],
    mut observer: impl FnMut(Event),
) -> Result<Finished, FotaError<S::Error, T::Error>>
where
    S: Source,
    T: DfuTarget,
    P: ProgressStore,
{
    let watch = Watch::new(control, job);
    let alarm = clock.clone();
    let mut update = Update::new(Only::new(target, job.kind), store, job.request());
    let mut source = Watched { source, watch: &watch };
    let work = pin!(async {
        let mut was_staged = true;
        let staged = match update.begin().await.map_err(FotaError::Session)? {
            Begun::Staged(staged) => Ok(staged),
            Begun::Receiving(mut session) => {
                was_staged = false;
                fetch(&mut source, &mut session, job, clock, buffers, &mut observer).await?;
                observer(Event::Verifying);
                session.finish().await
            }
        };
        let (mut session, error) = match staged {
            Ok(staged) if staged.attempted() && !job.again => return Err(FotaError::Attempted),
            Ok(staged) => {
                let mut digest = Digest([0; 32]);
                keep(&staged.checked().digest, &mut digest);
                match verify(staged, job) {
                    Ok(verified) => {
                        observer(Event::Verified(digest));
                        held(&mut source, clock).await?;
                        return match verified.apply().await {
                            Ok(applied) => Ok(Finished { applied, digest, was_staged }),
                            Err(failed) => Err(FotaError::Session(failed.into_error())),
                        };
                    }
                    Err(wrong) => wrong,
                }
            }
            Err(failed) => failed.into_parts(),
        };
        let wrong = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Refused);
        if wrong && !matches!(error, SessionError::NotAssured) {
            // Who is to blame, the file or the flash, nobody knows: the next call begins anew, and it counts.
            let _ = session.reject().await;
        }
        Err(FotaError::Session(error))
    });
    watch.over(alarm, work).await
}

/// Receives what is missing, through pauses, to the end of the file.
async fn fetch<S: Source, T: DfuTarget, P: ProgressStore>(
    source: &mut Watched<'_, &mut S>,
    session: &mut Session<'_, Only<T>, P>,
    job: &Job,
    clock: &mut impl DelayNs,
    buffers: [&mut [u8]; 2],
    observer: &mut impl FnMut(Event),
) -> Result<(), FotaError<S::Error, T::Error>> {
    let watch = source.watch;
    let [full, spare] = buffers;
    loop {
        let mut last = None;
        let mut too_large = None;
        let mut pauses = Pauses { clock: &mut *clock, watch };
        let buffers = [&mut *full, &mut *spare];
        let came = download_overlapped(source, session, job.backoff, &mut pauses, buffers, |report| {
            last = Some(report);
            too_large = report.size.filter(|size| job.max_size.is_some_and(|max| *size > max));
            observer(match report.step {
                Step::Open => Event::Opening(report),
                Step::Receive => Event::Receiving(report),
                Step::Wait { .. } => Event::Waiting(report),
            });
            if too_large.is_some() || !watch.goes_on() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_whole = match came.await.map_err(FotaError::from) {
            Ok(()) => true,
            Err(FotaError::Cancelled) => false,
            Err(error) => return Err(error),
        };
        if let (false, Some(size)) = (is_whole, too_large) {
            source.close();
            return Err(FotaError::TooLarge { size });
        }
        // Whoever paused decides how it goes on.
        if let (false, Wish::Pause, Some(report)) = (is_whole, watch.wish(), last) {
            observer(Event::Paused(report));
        }
        held(source, clock).await?;
        if is_whole {
            return Ok(());
        }
        if watch.is_late() {
            return Err(FotaError::Deadline);
        }
    }
}

/// Waits as long as the update is held; it fails where the update is not wanted any more.
async fn held<S: Source>(source: &mut Watched<'_, &mut S>, clock: &mut impl DelayNs) -> Result<(), Stopped> {
    let watch = source.watch;
    if !watch.goes_on() {
        source.close();
    }
    watch.hold(clock).await;
    match watch.wish() {
        Wish::Run => Ok(()),
        Wish::Pause => Err(Stopped::Deadline),
        Wish::Cancel => Err(Stopped::Cancelled),
    }
}

/// Why it is not wanted any more. A small error, as it is handed on more than once: less code than the large one.
enum Stopped {
    Deadline,
    Cancelled,
}

impl<S, T> From<Stopped> for FotaError<S, T> {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Deadline => Self::Deadline,
            Stopped::Cancelled => Self::Cancelled,
        }
    }
}

/// Copies a digest to where nothing else is: by itself the compiler does not see that, and uses `memmove`.
#[inline(never)]
fn keep(digest: &Digest, place: &mut Digest) {
    *place = *digest;
}

/// Whether what is stored is what the job wants.
#[allow(clippy::type_complexity)]
fn verify<'u, T: DfuTarget, P: ProgressStore>(
    staged: Staged<'u, T, P>,
    job: &Job,
) -> Result<Verified<'u, T, P>, (Session<'u, T, P>, SessionError<T::Error>)> {
    let verified = match &job.digest {
        Some(wanted) => staged.verify(wanted),
        None => staged.verify_self(),
    };
    verified.map_err(|failed| {
        let (staged, error) = failed.into_parts();
        (staged.into_session(), error)
    })
}
