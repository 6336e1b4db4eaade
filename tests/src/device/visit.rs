//! What the application does between two resets.

use dfu_target::session::Failed;
use dfu_target::{Applied, Begun, Digest, ErrorKind, Request, Session, Update};

use super::{Device, Failure, Log, Secondary};
use crate::poll::run;

/// An image on a server, and how it is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Release<'i> {
    file: &'i [u8],
    digest: Digest,
    chunk: usize,
    save_every: u32,
    prepares: bool,
}

/// What happened in one run of the application, up to its end or a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// What it was at.
    pub phase: Phase,
    /// From where it asked for bytes first; `None`: it asked for none.
    pub from: Option<u32>,
    /// It found all of the image stored.
    pub staged: bool,
    /// The image that it found stored had been applied before.
    pub attempted: bool,
    /// How many bytes it took.
    pub fetched: u32,
    /// What the session called durable last.
    pub durable: u32,
    /// The image was complete, and that was stored.
    pub complete: bool,
}

/// The parts of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking at what is there.
    #[default]
    Begin,
    /// Receiving.
    Write,
    /// Reading back.
    Finish,
    /// Asking for it to be run.
    Apply,
    /// It was asked for.
    Applied,
}

impl<'i> Release<'i> {
    /// A file that comes in pieces of 512 bytes; progress is stored every 1024.
    pub fn new(file: &'i [u8]) -> Self {
        let digest = Digest(<sha2::Sha256 as sha2::Digest>::digest(file).into());
        Self { file, digest, chunk: 512, save_every: 1024, prepares: false }
    }

    /// How many bytes come at once.
    #[must_use]
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes;
        self
    }

    /// How often progress is stored.
    #[must_use]
    pub fn save_every(mut self, bytes: u32) -> Self {
        self.save_every = bytes;
        self
    }

    /// Has the application erase ahead before each piece.
    #[must_use]
    pub fn prepares(mut self, on: bool) -> Self {
        self.prepares = on;
        self
    }

    /// The file.
    pub fn file(&self) -> &'i [u8] {
        self.file
    }

    /// The file's SHA-256.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The update that asks for it.
    pub fn request(&self) -> Request {
        Request::of(self.digest).size(self.file.len() as u32).save_every(self.save_every)
    }

    /// The piece at an offset.
    pub fn piece(&self, offset: u32) -> &'i [u8] {
        let rest = &self.file[offset as usize..];
        &rest[..rest.len().min(self.chunk)]
    }
}

impl<const W: usize, const E: usize, const R: usize> Device<W, E, R> {
    /// The application fetches an image, or goes on with it, and asks for it to be run. It may write nothing but
    /// the secondary slot and the log. `visit` tells how far it came, also where the power failed.
    pub fn update(&self, release: &Release<'_>, visit: &mut Visit) -> Result<Applied, Failure> {
        self.update_watched(release, visit, &mut |_| {})
    }

    /// [`update`](Self::update), with somebody who is told of the visit before each call of the library.
    pub(crate) fn update_watched(
        &self,
        release: &Release<'_>,
        visit: &mut Visit,
        watch: &mut Watch<'_>,
    ) -> Result<Applied, Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let (_, target, log) = self.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let result = self.go(&mut update, release, visit, watch);
        self.guard();
        result
    }

    /// The application fetches no more than `bytes` of an image, or goes on with it for so long; then it is reset.
    /// Where all of it is stored, it is left at that.
    pub fn fetch(&self, release: &Release<'_>, bytes: u32, visit: &mut Visit) -> Result<(), Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let (_, target, log) = self.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let result = match run(update.begin()) {
            Ok(Begun::Receiving(mut session)) => self.receive(&mut session, release, bytes, visit, &mut |_| {}),
            Ok(Begun::Staged(_)) => {
                visit.staged = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.guard();
        result
    }

    /// The application gives an update up, however far it is.
    pub fn abort(&self, release: &Release<'_>) -> Result<(), Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let (_, target, log) = self.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let result = run(async {
            match update.begin().await? {
                Begun::Receiving(mut session) => session.abort().await,
                Begun::Staged(staged) => staged.into_session().abort().await,
            }
        });
        self.guard();
        result
    }

    fn go<'a>(
        &self,
        update: &mut Update<Secondary<'a, W, E, R>, Log<'a, W, E, R>>,
        release: &Release<'_>,
        visit: &mut Visit,
        watch: &mut Watch<'_>,
    ) -> Result<Applied, Failure> {
        for _ in 0..5 {
            visit.phase = Phase::Begin;
            watch(visit);
            let staged = match run(update.begin())? {
                Begun::Staged(staged) => {
                    visit.staged = true;
                    visit.attempted = staged.attempted();
                    staged
                }
                Begun::Receiving(mut session) => {
                    self.receive(&mut session, release, u32::MAX, visit, watch)?;
                    visit.phase = Phase::Finish;
                    watch(visit);
                    run(session.finish()).map_err(Failed::into_error)?
                }
            };
            visit.complete = self.chip().sim().is_powered();
            let verified = staged.verify(release.digest()).map_err(Failed::into_error)?;
            visit.phase = Phase::Apply;
            watch(visit);
            match run(verified.apply()).map_err(Failed::into_error) {
                // A mark was torn; it shares a sector with the image's end, which has to come once more.
                Err(error) if error.kind() == ErrorKind::Rewind => {}
                result => {
                    visit.phase = if result.is_ok() { Phase::Applied } else { Phase::Apply };
                    return result;
                }
            }
        }
        panic!("the image's end is wanted again and again: {visit:?}");
    }

    fn receive<'a>(
        &self,
        session: &mut Session<'_, Secondary<'a, W, E, R>, Log<'a, W, E, R>>,
        release: &Release<'_>,
        most: u32,
        visit: &mut Visit,
        watch: &mut Watch<'_>,
    ) -> Result<(), Failure> {
        visit.phase = Phase::Write;
        let size = release.file.len() as u32;
        session.agree(Some(size), 0x7a9)?;
        visit.from.get_or_insert(session.offset());
        while session.offset() < size && visit.fetched < most {
            watch(visit);
            if release.prepares {
                run(session.prepare())?;
            }
            let piece = release.piece(session.offset());
            run(session.write(piece))?;
            visit.fetched += piece.len() as u32;
            if self.chip().sim().is_powered() {
                visit.durable = session.durable();
            }
        }
        Ok(())
    }
}

/// Who is told how far a visit is.
pub(crate) type Watch<'w> = dyn FnMut(&Visit) + 'w;
