//! [`Chip`]: a flash that the code under test holds and the test still has in hand.

use alloc::rc::Rc;
use core::cell::{RefCell, RefMut};

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{SimError, SimFlash};

/// A [`SimFlash`] of which clones are the same flash: one for the code under test, one for the test, which cuts
/// the power or looks at the bytes while the other is in use.
///
/// ```
/// use dfu_testkit::flash::{Chip, SimFlash};
/// use dfu_testkit::poll::run;
/// use embedded_storage_async::nor_flash::NorFlash;
///
/// let chip = Chip::new(SimFlash::<4, 4096>::new(8192));
/// let mut driver = chip.clone();
/// run(driver.write(0, &[1, 2, 3, 4])).unwrap();
/// assert_eq!(chip.sim().bytes()[..4], [1, 2, 3, 4]);
/// ```
#[derive(Debug)]
pub struct Chip<const WRITE: usize, const ERASE: usize, const READ: usize = 1>(
    Rc<RefCell<SimFlash<WRITE, ERASE, READ>>>,
);

impl<const WRITE: usize, const ERASE: usize, const READ: usize> Chip<WRITE, ERASE, READ> {
    /// Puts a flash where several can reach it.
    pub fn new(flash: SimFlash<WRITE, ERASE, READ>) -> Self {
        Self(Rc::new(RefCell::new(flash)))
    }

    /// The flash itself. Let go of it before the code under test goes on.
    pub fn sim(&self) -> RefMut<'_, SimFlash<WRITE, ERASE, READ>> {
        self.0.borrow_mut()
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> Clone for Chip<WRITE, ERASE, READ> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ErrorType for Chip<WRITE, ERASE, READ> {
    type Error = SimError;
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ReadNorFlash for Chip<WRITE, ERASE, READ> {
    const READ_SIZE: usize = READ;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let (before, after) = self.sim().pauses();
        before.await;
        let result = self.sim().fetch(offset, bytes);
        after.await;
        result
    }

    fn capacity(&self) -> usize {
        self.0.borrow().bytes().len()
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> NorFlash for Chip<WRITE, ERASE, READ> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let (before, after) = self.sim().pauses();
        before.await;
        let result = self.sim().wipe(from, to);
        after.await;
        result
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let (before, after) = self.sim().pauses();
        before.await;
        let result = self.sim().program(offset, bytes);
        after.await;
        result
    }
}
