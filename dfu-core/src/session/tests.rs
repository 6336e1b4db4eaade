//! A session between a target and a store that note what they are asked for.

mod ending;
mod pieces;
mod rejected;
mod resuming;

use core::fmt;
use std::cell::{Cell, RefCell};
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::{Begun, Request, Session, SessionError, Staged, Update};
use crate::blocking::block_on;
use crate::digest::Digest;
use crate::flash::align_down;
use crate::image::{Image, ImageKind, mcuboot};
use crate::progress::{ImageId, Progress, ProgressStore, State, StoreCall, StoreError};
use crate::target::{Applied, Assurance, Checked, DfuTarget, Error, ErrorKind, ErrorType, Proof, Written};

/// What the target makes durable at once.
const BLOCK: u32 = 32;
const INDEX: u8 = 2;
const IDENTITY: u32 = 0x1234;
const ID: ImageId = ImageId([1; 32]);

/// An MCUboot image, as far as a session can tell.
fn image(len: usize) -> Vec<u8> {
    mcuboot::MAGIC.into_iter().chain((0_u8..=255).cycle()).take(len).collect()
}

/// What the target reads back.
fn digest(bytes: &[u8]) -> Digest {
    let sum = bytes.iter().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    Digest([sum; 32])
}

/// For an image of which nothing is known but its name, stored each 128 bytes.
fn request() -> Request {
    Request::new(ID).index(INDEX).save_every(128)
}

/// The record of an image of which these many bytes are there.
fn record(bytes: &[u8], state: State, size: Option<u32>) -> Progress {
    let mut progress = Progress::new(ID).indexed(INDEX);
    progress.set_kind(ImageKind::Mcuboot);
    progress.set_identity(IDENTITY);
    progress.take_head(bytes);
    progress.set_offset(bytes.len() as u32);
    progress.set_size(size);
    progress.set_state(state);
    progress.keep(&digest(bytes).0);
    progress
}

/// What was asked of the target and the store, and what is to happen to them while an update holds them.
#[derive(Debug, Default)]
struct Script {
    notes: RefCell<Vec<String>>,
    /// The next call of this function of the target fails.
    fails: Cell<Option<(&'static str, ErrorKind)>>,
    /// The next write has the image go back to here.
    rewinds: Cell<Option<u32>>,
    /// Each call of the store fails.
    store_fails: Cell<bool>,
}

impl Script {
    fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// What was asked since the last look.
    fn notes(&self) -> Vec<String> {
        self.notes.take()
    }
}

/// A target for the MCUboot image of one index.
#[derive(Debug)]
struct Place {
    script: Rc<Script>,
    stored: Vec<u8>,
    /// What the image that it took last said of itself: its size, its head and what was kept.
    took: Option<(Option<u32>, Vec<u8>, [u8; 32])>,
    kept: [u8; 32],
    /// Whether it takes bytes into its RAM.
    gathers: bool,
    /// It goes on here at the latest.
    wants: u32,
    /// What it finds to prepare.
    ahead: u32,
    assurance: Assurance,
}

impl Place {
    fn did(&mut self, call: &'static str, note: String) -> Result<(), Broken> {
        self.script.note(note);
        match self.script.fails.get() {
            Some((fails, kind)) if fails == call => {
                self.script.fails.set(None);
                Err(Broken(kind))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Broken(ErrorKind);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the target is out of order")
    }
}

impl core::error::Error for Broken {}

impl Error for Broken {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl ErrorType for Place {
    type Error = Broken;
}

impl DfuTarget for Place {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        if (kind, index) == (ImageKind::Mcuboot, INDEX) { IDENTITY } else { 0 }
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        (kind, index) == (ImageKind::Mcuboot, INDEX)
    }
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Broken> {
        self.did("init", format!("init {resume}"))?;
        assert!(self.accepts(image.kind, image.index));
        self.took = Some((image.size, image.head.into(), *image.kept));
        let wanted = resume.min(self.wants);
        self.stored.truncate(wanted as usize);
        Ok(wanted)
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Broken> {
        self.did("write", format!("write {}", bytes.len()))?;
        self.stored.extend_from_slice(bytes);
        self.kept = [self.stored.len() as u8; 32];
        Ok(match self.script.rewinds.take() {
            Some(wanted) => {
                self.stored.truncate(wanted as usize);
                Written::Rewind(wanted)
            }
            None => Written::Committed(align_down(self.stored.len() as u32, BLOCK)),
        })
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.gathers {
            self.script.note(format!("take {}", bytes.len()));
            self.stored.extend_from_slice(bytes);
        }
        self.gathers
    }
    fn keep(&self) -> Option<&[u8]> {
        Some(&self.kept)
    }
    async fn prepare(&mut self) -> Result<bool, Broken> {
        self.did("prepare", "prepare".into())?;
        self.ahead = self.ahead.saturating_sub(1);
        Ok(self.ahead > 0)
    }
    async fn digest(&mut self) -> Result<Checked, Broken> {
        self.did("digest", "digest".into())?;
        Ok(Checked { digest: digest(&self.stored), assurance: self.assurance })
    }
    async fn apply(&mut self, proof: Proof) -> Result<Applied, Broken> {
        self.did("apply", "apply".into())?;
        assert_eq!(proof.digest(), &digest(&self.stored));
        Ok(Applied::Now)
    }
    async fn abort(&mut self) -> Result<(), Broken> {
        self.did("abort", "abort".into())
    }
}

/// A store in RAM.
#[derive(Debug)]
struct Memory {
    script: Rc<Script>,
    record: Option<Progress>,
}

impl ProgressStore for Memory {
    async fn load(&mut self) -> Option<Progress> {
        self.script.note("load".into());
        self.record.clone()
    }
    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        self.script.note(format!("save {:?} {}", progress.state(), progress.offset()));
        if self.script.store_fails.get() {
            return Err(StoreError::Other);
        }
        self.record = Some(progress.clone());
        Ok(())
    }
    async fn clear(&mut self) -> Result<(), StoreError> {
        self.record = None;
        Ok(())
    }
    /// Where it fails, it found something before.
    async fn call(&mut self, call: StoreCall<'_>) -> Result<(), StoreError> {
        match call {
            StoreCall::Load(found) => *found = self.load().await,
            StoreCall::Save(progress) => self.save(progress).await?,
        }
        if self.script.store_fails.get() { Err(StoreError::Other) } else { Ok(()) }
    }
}

struct Bench {
    script: Rc<Script>,
    place: Place,
    memory: Memory,
}

type Ours<'b> = Update<&'b mut Place, &'b mut Memory>;

impl Bench {
    /// A target without an image, and nothing known of one.
    fn new() -> Self {
        let script = Rc::new(Script::default());
        let place = Place {
            script: script.clone(),
            stored: Vec::new(),
            took: None,
            kept: [0; 32],
            gathers: false,
            wants: u32::MAX,
            ahead: 0,
            assurance: Assurance::None,
        };
        Self { memory: Memory { script: script.clone(), record: None }, script, place }
    }

    /// These bytes are there, of an image of this size, and the record says so.
    fn holding(bytes: &[u8], state: State, size: Option<u32>) -> Self {
        let mut bench = Self::new();
        bench.place.stored = bytes.into();
        bench.memory.record = Some(record(bytes, state, size));
        bench
    }

    fn update(&mut self, request: Request) -> Ours<'_> {
        Update::new(&mut self.place, &mut self.memory, request)
    }
}

/// A session that wants bytes.
fn receiving<'u, T: DfuTarget, S: ProgressStore>(update: &'u mut Update<T, S>) -> Session<'u, T, S> {
    match block_on(update.begin()) {
        Ok(Begun::Receiving(session)) => session,
        Ok(Begun::Staged(_)) => panic!("all of it is there"),
        Err(error) => panic!("{error}"),
    }
}

/// An update of which all is there.
fn all_there<'u, T: DfuTarget, S: ProgressStore>(update: &'u mut Update<T, S>) -> Staged<'u, T, S> {
    match block_on(update.begin()) {
        Ok(Begun::Staged(staged)) => staged,
        Ok(Begun::Receiving(session)) => panic!("bytes are wanted from {}", session.offset()),
        Err(error) => panic!("{error}"),
    }
}
