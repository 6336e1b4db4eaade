//! A file that is replaced by another version while a device downloads it, in every way that is likely.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::ops::ControlFlow;

use dfu_target::progress::StoreError;
use dfu_target::session::{SessionError, Update};
use dfu_target::{Begun, Digest, ImageId, Progress, ProgressStore, Request};
use fota_download::{Backoff, DownloadError, Source, download};

use crate::support::{Clock, Ram, RamError, block_on, image, sum};

/// What a server says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The version, and the length.
    Version,
    /// The version alone: the request has to name the length.
    NoLength,
    /// The length alone.
    NoVersion,
    /// Nothing at all.
    Nothing,
}

impl Names {
    fn version(self) -> bool {
        matches!(self, Self::Version | Self::NoLength)
    }

    fn length(self) -> bool {
        matches!(self, Self::Version | Self::NoVersion)
    }
}

/// A server, the way to it, and a file on it.
pub trait Way {
    type Source<'a>: Source
    where
        Self: 'a;
    /// A new source, as after a reset.
    fn source<'a>(&'a self, buf: &'a mut [u8]) -> Self::Source<'a>;
    /// Breaks the open connection.
    fn cut(&self);
    /// Replaces the file.
    fn put(&self, bytes: &[u8]);
}

/// A progress store in RAM.
#[derive(Default)]
pub struct Store(Option<Progress>);

impl ProgressStore for Store {
    async fn load(&mut self) -> Option<Progress> {
        self.0.clone()
    }

    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        self.0 = Some(progress.clone());
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.0 = None;
        Ok(())
    }
}

/// A device: what it has stored outlives each of its runs.
#[derive(Default)]
pub struct Device {
    pub stored: Ram,
    progress: Store,
    /// The bytes that the source moved in the last run.
    pub paid: u32,
}

/// Why a run did not end in a verified image.
#[derive(Debug)]
pub enum Ended<E> {
    Download(DownloadError<E, RamError>),
    Session(SessionError<RamError>),
}

impl Device {
    /// From a reset to an image that is verified, by the digest where there is one. What is not the wanted image is
    /// given up.
    pub fn run<S: Source>(
        &mut self,
        source: &mut S,
        request: Request,
        digest: Option<Digest>,
        mut each: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<(), Ended<S::Error>> {
        block_on(async {
            let mut update = Update::new(&mut self.stored, &mut self.progress, request);
            let staged = match update.begin().await.map_err(Ended::Session)? {
                Begun::Staged(staged) => staged,
                Begun::Receiving(mut session) => {
                    let (mut buf, mut clock) = ([0; 512], Clock::default());
                    let outcome = download(source, &mut session, Backoff::new(), &mut clock, &mut buf, |report| {
                        each(report.offset)
                    });
                    let outcome = outcome.await;
                    self.paid = source.paid();
                    outcome.map_err(Ended::Download)?;
                    session.finish().await.map_err(|failed| Ended::Session(failed.into_error()))?
                }
            };
            let verified = match digest {
                Some(digest) => staged.verify(&digest),
                None => staged.verify_self(),
            };
            let Err(failed) = verified else { return Ok(()) };
            let (staged, error) = failed.into_parts();
            staged.into_session().abort().await.map_err(Ended::Session)?;
            Err(Ended::Session(error))
        })
    }
}

/// When the file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In a run, and the connection stays.
    Amid,
    /// In a run, and the connection breaks.
    Cut,
    /// Between two runs.
    Reset,
}

/// Which version the request names by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Any,
    First,
    Second,
}

pub const LEN: usize = 60_000;

/// Replaces a file in each way, at each of these offsets. However it goes, what is verified is one whole version, and
/// what is not ends in an error that says so; then the next run has the right one.
///
/// `loose`: the server gives each piece of a connection from what the file is then. Where it names no version, only a
/// digest can tell, so that is left out without one.
pub fn replaced(way: &impl Way, names: Names, loose: bool, offsets: &[u32]) {
    let old = image(LEN, 1);
    let mut runs = 0;
    for mut new in [image(LEN, 2), image(LEN - 1_500, 2), image(LEN + 1_500, 2)] {
        // Whatever a server's sum is, it should be another one.
        new[4_000] ^= 1;
        new[4_001] ^= 1;
        for when in [When::Amid, When::Cut, When::Reset] {
            for wanted in [Wanted::Any, Wanted::First, Wanted::Second] {
                if wanted == Wanted::Any && when == When::Amid && !names.version() && loose {
                    continue;
                }
                for at in offsets {
                    one(way, names, (&old, &new), when, wanted, *at);
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} replacements");
}

fn one(way: &impl Way, names: Names, (old, new): (&[u8], &[u8]), when: When, wanted: Wanted, at: u32) {
    let case = format!("{names:?} {when:?} {wanted:?} at {at}, {} bytes then", new.len());
    let digest = match wanted {
        Wanted::Any => None,
        Wanted::First => Some(sum(old)),
        Wanted::Second => Some(sum(new)),
    };
    let request = || {
        let request = digest.map_or(Request::new(ImageId::named("app")), Request::of);
        let len = if wanted == Wanted::First { old.len() } else { new.len() };
        if names.length() { request } else { request.size(len as u32) }
    };
    let mut device = Device::default();
    let mut buf = vec![0; 9_000];
    let mut changed = false;
    way.put(old);
    let outcome = device.run(&mut way.source(&mut buf), request(), digest, |offset| {
        if offset < at || std::mem::replace(&mut changed, true) {
            return ControlFlow::Continue(());
        }
        way.put(new);
        match when {
            When::Amid => {}
            When::Cut => way.cut(),
            When::Reset => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    });
    let mut outcome = outcome.map_err(|error| format!("{error:?}"));
    assert!(changed, "{case}: {outcome:?}");
    if when == When::Reset {
        assert!(outcome.is_err(), "{case}");
        let second = device.run(&mut way.source(&mut buf), request(), digest, |_| ControlFlow::Continue(()));
        outcome = second.map_err(|error| format!("{error:?}"));
    }
    let stored = &device.stored.bytes;
    match outcome {
        // A connection that stays may give the file that it began with.
        Ok(()) => {
            let earlier = if names.length() { stored == old } else { old.starts_with(stored) };
            let whole = stored == new || when == When::Amid && earlier;
            assert!(whole, "{case}: a mixture of {} bytes", stored.len());
            assert!(digest.is_none_or(|digest| sum(stored) == digest), "{case}: not what was wanted");
        }
        // With a name there is no reason to fail, unless what was wanted is gone or has another length.
        Err(error) => {
            let mismatch = error == format!("{:?}", Ended::<()>::Session(SessionError::Mismatch));
            let allowed = match wanted {
                Wanted::Any => false,
                Wanted::First => mismatch || !names.version() || !names.length(),
                Wanted::Second => mismatch && when == When::Amid || !names.version(),
            };
            assert!(allowed, "{case}: {error}");
            // The next run begins at zero, and not with what was refused.
            if wanted != Wanted::First {
                let last = (0..2).map(|_| {
                    device.run(&mut way.source(&mut buf), request(), digest, |_| ControlFlow::Continue(())).is_ok()
                });
                assert!(last.last() == Some(true) && device.stored.bytes == new, "{case}: {error}, and stuck");
            }
        }
    }
}

/// A file that stays as it is: after a cut or a reset amid it, what goes over the network is little more than the
/// file if `resumed`, and else all that was there once more.
pub fn resumed(way: &impl Way, names: Names, digest: bool, resumed: bool) {
    let file = image(LEN, 3);
    way.put(&file);
    let digest = digest.then(|| sum(&file));
    for when in [When::Cut, When::Reset] {
        let request = digest.map_or(Request::new(ImageId::named("app")), Request::of);
        let request = if names.length() { request } else { request.size(LEN as u32) };
        let (mut device, mut done, mut buf) = (Device::default(), false, vec![0; 9_000]);
        let outcome = device.run(&mut way.source(&mut buf), request.clone(), digest, |offset| {
            if offset < 40_000 || std::mem::replace(&mut done, true) {
                return ControlFlow::Continue(());
            }
            if when == When::Reset {
                return ControlFlow::Break(());
            }
            way.cut();
            ControlFlow::Continue(())
        });
        let (outcome, mut paid) = (outcome.map_err(|error| format!("{error:?}")), device.paid);
        assert!(done && outcome.is_ok() == (when == When::Cut), "{when:?}: {outcome:?}");
        if when == When::Reset {
            let outcome = device.run(&mut way.source(&mut buf), request, digest, |_| ControlFlow::Continue(()));
            assert!(outcome.is_ok(), "{outcome:?}");
            paid += device.paid;
        }
        assert!(device.stored.bytes == file);
        println!("{names:?}, digest: {}, {when:?}: {paid} bytes for {LEN}", digest.is_some());
        assert_eq!(paid < 85_000, resumed, "{when:?}: {paid} bytes");
    }
}
