//! A file goes through an update, from where that wants it.

use dfu_target::session::{Failed, SessionError};
use dfu_target::{Begun, DfuTarget, Digest, ProgressStore, Request, Update};

/// How a file comes.
#[derive(Clone, Copy)]
pub(crate) struct Push<'f> {
    pub(crate) file: &'f [u8],
    pub(crate) chunk: usize,
    pub(crate) save_every: u32,
    /// Has the application erase ahead before each piece.
    pub(crate) prepares: bool,
}

/// What to do when the file is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nothing: less than the file comes, so many bytes.
    Received(u32),
    /// Nothing.
    Verified,
    /// Ask for it to be run.
    Applied,
}

impl Push<'_> {
    pub(crate) fn digest(&self) -> Digest {
        Digest(<sha2::Sha256 as sha2::Digest>::digest(self.file).into())
    }

    /// Begins, or goes on. Rounds are bounded: a modem that always wants the file from its start is an error.
    pub(crate) async fn run<T: DfuTarget, S: ProgressStore>(
        &self,
        target: T,
        store: S,
        until: Until,
    ) -> Result<(), SessionError<T::Error>> {
        let (size, digest) = (self.file.len() as u32, self.digest());
        let mut update = Update::new(target, store, Request::of(digest).size(size).save_every(self.save_every));
        let staged = match update.begin().await? {
            Begun::Staged(staged) => staged,
            Begun::Receiving(mut session) => {
                session.agree(Some(size), 0)?;
                let end = if let Until::Received(end) = until { end } else { size };
                let most = 4 * (self.file.len() / self.chunk + 2);
                let mut rounds = 0;
                while session.offset() < end {
                    rounds += 1;
                    assert!(rounds < most, "it comes to no end");
                    if self.prepares {
                        session.prepare().await?;
                    }
                    let at = session.offset() as usize;
                    let _ = session.write(&self.file[at..size.min((at + self.chunk) as u32) as usize]).await?;
                }
                if end < size {
                    return Ok(());
                }
                session.finish().await.map_err(Failed::into_error)?
            }
        };
        let verified = staged.verify(&digest).map_err(Failed::into_error)?;
        if until == Until::Applied {
            let _ = verified.apply().await.map_err(Failed::into_error)?;
        }
        Ok(())
    }
}
