//! The device's board: an nRF9160's flash that outlives power cuts, and the power that fails.

use std::cell::{Cell, Ref, RefCell};
use std::fs;
use std::future::{Future, pending, poll_fn};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use anyhow::Context;
use dfu_testkit::boot::{Boot, Bootloader, Mode};
use dfu_testkit::flash::{Cut, SimError, SimFlash, Tear, Timing};
use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::map::{FLASH, FOREIGN, LOG, PAGE, PRIMARY, REGIONS, SECONDARY, range};

/// The board. It stays; what runs on it comes and goes.
pub(crate) struct Board {
    flash: RefCell<SimFlash<4, 4096>>,
    file: Option<(PathBuf, RefCell<fs::File>)>,
    cut: Cell<Option<(u32, Tear)>>,
}

impl Board {
    /// A board whose flash lies in a file, or in memory. A new one comes from the factory: with a bootloader,
    /// settings and `application`.
    pub(crate) fn open(path: Option<&Path>, seed: u64, application: &[u8]) -> anyhow::Result<Rc<Self>> {
        let what = |path: &Path| format!("cannot use {} as the flash", path.display());
        let (mut flash, is_new) = match path {
            Some(path) => (SimFlash::open(FLASH as usize, path).with_context(|| what(path))?, !path.exists()),
            None => (SimFlash::new(FLASH as usize), true),
        };
        if is_new {
            for (start, size) in [FOREIGN[0], FOREIGN[2]] {
                let mut content = vec![0; size as usize / 8 * 7];
                fastrand::Rng::with_seed(start.into()).fill(&mut content);
                flash.load(start, &content);
            }
            flash.load(PRIMARY.0, application);
        }
        let mut flash = flash.timing(Timing::NRF9160).aligned_sources(true).seed(seed);
        for (name, region) in REGIONS {
            flash = flash.region(name, range(region));
        }
        // In its own slot the application may write the trailer alone.
        let trailer = range(PRIMARY).end - PAGE..range(PRIMARY).end;
        flash.guard(&[trailer, range(SECONDARY), range(LOG)]);

        let file = match path {
            Some(path) => {
                flash.save(path).with_context(|| what(path))?;
                let file = fs::File::options().write(true).open(path).with_context(|| what(path))?;
                Some((path.to_owned(), RefCell::new(file)))
            }
            None => None,
        };
        Ok(Rc::new(Self { flash: RefCell::new(flash), file, cut: Cell::new(None) }))
    }

    /// The flash as it is now.
    pub(crate) fn flash(&self) -> Ref<'_, SimFlash<4, 4096>> {
        self.flash.borrow()
    }

    /// Lets power fail amid the word at this address, when it is programmed next.
    pub(crate) fn plan_cut(&self, address: u32, tear: Tear) {
        self.cut.set(Some((address & !3, tear)));
    }

    /// Powers the board on and lets MCUboot decide, by the bytes on the flash.
    pub(crate) fn boot(&self) -> anyhow::Result<Boot> {
        let mut flash = self.flash.borrow_mut();
        flash.power_on();
        let boot = Bootloader::new(Mode::Move, 4, 4096).boot_in(&mut flash, range(PRIMARY), range(SECONDARY));
        drop(flash);
        self.save()?;
        Ok(boot)
    }

    /// Runs the firmware until it ends or power fails (`None`). Then it just stops, wherever it is.
    pub(crate) async fn run<T>(&self, firmware: impl Future<Output = T>) -> Option<T> {
        let mut firmware = pin!(firmware);
        poll_fn(|context| match firmware.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if !self.flash.borrow().is_powered() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Brings the file up to date; errs where it is not.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let Some((path, _)) = &self.file else { return Ok(()) };
        self.flash.borrow().save(path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Brings a part of the file up to date: to kill this process is a power cut, too.
    fn keep(&self, range: Range<u32>) -> io::Result<()> {
        let Some((_, file)) = &self.file else { return Ok(()) };
        let mut file = file.borrow_mut();
        file.seek(SeekFrom::Start(range.start.into()))?;
        file.write_all(&self.flash.borrow().bytes()[range.start as usize..range.end as usize])
    }

    fn cut_within(&self, range: &Range<u32>) {
        if let Some((address, tear)) = self.cut.get().filter(|(address, _)| range.contains(address)) {
            self.cut.set(None);
            let words = (address - range.start) / 4;
            self.flash.borrow_mut().cut_after(words.into(), Cut::Torn(tear));
        }
    }
}

/// The flash as the firmware has it.
pub(crate) struct Flash(pub(crate) Rc<Board>);

impl Flash {
    /// Without power nothing runs, so nothing returns either.
    async fn powered(&self, changed: Range<u32>, result: Result<(), SimError>) -> Result<(), SimError> {
        // Where this fails, so will `Board::save`, and that is not ignored.
        let _ = self.0.keep(changed);
        match result {
            Err(SimError::PowerCut) => pending().await,
            result => result,
        }
    }
}

impl ErrorType for Flash {
    type Error = SimError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let result = blocking::ReadNorFlash::read(&mut *self.0.flash.borrow_mut(), offset, bytes);
        self.powered(0..0, result).await
    }

    fn capacity(&self) -> usize {
        FLASH as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let result = blocking::NorFlash::erase(&mut *self.0.flash.borrow_mut(), from, to);
        self.powered(from..to, result).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let range = offset..offset + bytes.len() as u32;
        self.0.cut_within(&range);
        let result = blocking::NorFlash::write(&mut *self.0.flash.borrow_mut(), offset, bytes);
        self.powered(range, result).await
    }
}
