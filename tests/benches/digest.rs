//! What `digest` costs beyond the SHA-256 that it is made of: `digest.sh`, or `cargo bench -p dfu-testkit`.
//!
//! A flash in RAM is read back by a target, and the same bytes are hashed by the engine alone, in pieces of the same
//! size. Without arguments it prints the ratio of the times, the best of many; with `engine` or `target`, a buffer's
//! size and a number it does that so many times, to be counted.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::target::{Assurance, DfuTarget};
use dfu_target::{Digest, Image, ImageKind, Sha256};
use dfu_target_mcuboot::{Active, Config, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// A flash of which only reading is fast.
struct Ram(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Never(Infallible);

impl NorFlashError for Never {
    fn kind(&self) -> NorFlashErrorKind {
        match self.0 {}
    }
}

impl ErrorType for Ram {
    type Error = Never;
}

impl ReadNorFlash for Ram {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Ram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

const SIZE: usize = 512 * 1024;
const SLOT: u32 = SIZE as u32 + 3 * 4096;
const SLOTS: Slots = Slots::new::<Ram>(SLOT, Config::new(Mode::SwapMove).max_sectors(256));

/// `digest` by a target with a buffer of `N` bytes, so many times; what it took each time.
fn target<const N: usize>(file: &[u8], times: usize) -> Vec<Duration> {
    let mut slot = file.to_vec();
    slot.resize(SLOT as usize, 0xff);
    let mut shared = Shared::new(Ram(slot));
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let active = Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));
    let mut target = McubootTarget::<_, _, _, N>::new(region, SoftSha256::default(), &SLOTS, active).unwrap();
    let size = file.len() as u32;
    let image = Image { size: Some(size), head: &file[..64], ..Image::new(ImageKind::Mcuboot) };
    // It is all there already.
    assert_eq!(run(target.init(&image, size)), Ok(size));
    let took = |_| {
        let began = Instant::now();
        let checked = run(target.digest()).unwrap();
        let took = began.elapsed();
        assert_eq!(checked.assurance, Assurance::Hash);
        took
    };
    (0..times).map(took).collect()
}

/// The engine alone over the same bytes, in the same pieces.
fn engine<const N: usize>(file: &[u8], times: usize) -> Vec<Duration> {
    let mut engine = SoftSha256::default();
    let took = |_| {
        let began = Instant::now();
        assert_ne!(hash::<N>(&mut engine, black_box(file)), Digest([0; 32]));
        began.elapsed()
    };
    (0..times).map(took).collect()
}

#[inline(never)]
fn hash<const N: usize>(engine: &mut SoftSha256, file: &[u8]) -> Digest {
    engine.start();
    for piece in file.chunks(N) {
        engine.update(piece);
    }
    engine.finish()
}

fn compare<const N: usize>(file: &[u8]) {
    let best = |times: Vec<Duration>| times.into_iter().min().unwrap_or_default();
    // By turns, so that both have the same luck.
    let pairs: Vec<_> = (0..40).map(|_| (best(engine::<N>(file, 3)), best(target::<N>(file, 3)))).collect();
    let (bare, whole) = pairs.into_iter().fold((Duration::MAX, Duration::MAX), |(a, b), (c, d)| (a.min(c), b.min(d)));
    let ratio = whole.as_secs_f64() / bare.as_secs_f64();
    println!("buffer {N:4}: engine {bare:>9.1?}, digest {whole:>9.1?}, ratio {ratio:.3}");
}

fn main() {
    let file = ImageBuilder::new().version(2, 0, 0, 0).total_size(SIZE).signature(70).build();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [what, buffer, times] = &arguments[..] else {
        compare::<256>(&file);
        compare::<4096>(&file);
        return;
    };
    let times = times.parse().expect("a number of times");
    let took = match (&what[..], &buffer[..]) {
        ("engine", "256") => engine::<256>(&file, times),
        ("engine", "4096") => engine::<4096>(&file, times),
        ("target", "256") => target::<256>(&file, times),
        ("target", "4096") => target::<4096>(&file, times),
        _ => panic!("there is no {what} with a buffer of {buffer}"),
    };
    assert_eq!(took.len(), times);
}
