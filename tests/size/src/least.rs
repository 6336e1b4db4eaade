//! A writer by hand, for pieces that are whole words: the least of what a session and its target do with them.

use core::cell::RefCell;
use core::hint::black_box;
use core::mem;

use dfu_target::flash::yield_now;
use embedded_storage_async::nor_flash::NorFlash;

/// How far apart progress is stored.
const GRID: u32 = 4096;

/// An image into a window of a flash that others have windows of, too. Each unit is erased just before its first byte,
/// and others get a turn then; what failed or was dropped leaves it closed. It keeps account of what a session and a
/// target know beyond that, and does nothing with it: no buffer, no trait, no store, no reasons.
#[derive(Debug)]
pub struct Least<'a, F> {
    flash: &'a RefCell<F>,
    start: u32,
    at: u32,
    blank_to: u32,
    open: bool,
    /// Whether a call of the session is under way; what came by it, and what is safe.
    under_way: bool,
    next: u32,
    durable: u32,
    /// Bytes until progress is stored.
    plain: u32,
    /// What the target has, of how much; and what it has to erase before all else.
    received: u32,
    most: u32,
    unclean: u32,
    clean_from: u32,
}

impl<'a, F: NorFlash> Least<'a, F> {
    /// An image of this size, for the window that begins at `start`.
    pub fn new(flash: &'a RefCell<F>, start: u32, size: u32) -> Self {
        let (unclean, clean_from) = black_box((0, 0));
        Self {
            flash,
            start,
            at: 0,
            blank_to: 0,
            open: true,
            under_way: false,
            next: 0,
            durable: 0,
            plain: GRID,
            received: 0,
            most: size,
            unclean,
            clean_from,
        }
    }

    /// Takes the next words; returns how many bytes are safe.
    #[allow(clippy::manual_async_fn)] // As in the library: an `async fn` keeps its arguments twice.
    pub fn write<'w>(&'w mut self, words: &'w [u8]) -> impl Future<Output = Option<u32>> {
        async move {
            let count = words.len() as u32;
            let plain = self.plain.checked_sub(count)?;
            let fits = count <= self.most.saturating_sub(self.received);
            if !fits || self.unclean < self.clean_from || mem::replace(&mut self.under_way, true) {
                return None;
            }
            self.durable = self.put(words).await?;
            self.received = self.received.wrapping_add(count);
            self.next = self.next.wrapping_add(count);
            self.under_way = false;
            self.plain = plain;
            if plain == 0 {
                self.plain = GRID;
                black_box(self.durable);
            }
            Some(self.durable)
        }
    }

    #[allow(clippy::await_holding_refcell_ref, clippy::manual_async_fn)] // As in `dfu_target::flash::Region`.
    fn put<'w>(&'w mut self, mut words: &'w [u8]) -> impl Future<Output = Option<u32>> {
        async move {
            let whole = words.len().is_multiple_of(F::WRITE_SIZE) && words.as_ptr().addr().is_multiple_of(4);
            if !whole || !mem::take(&mut self.open) {
                return None;
            }
            while !words.is_empty() {
                let blank = self.blank_to.wrapping_sub(self.at) as usize;
                if blank == 0 {
                    let from = self.blank_to.wrapping_add(self.start);
                    let to = from.wrapping_add(F::ERASE_SIZE as u32);
                    self.flash.try_borrow_mut().ok()?.erase(from, to).await.ok()?;
                    self.blank_to = self.blank_to.wrapping_add(F::ERASE_SIZE as u32);
                    yield_now().await;
                    continue;
                }
                let (now, rest) = words.split_at_checked(words.len().min(blank))?;
                words = rest;
                let at = self.at.wrapping_add(self.start);
                self.flash.try_borrow_mut().ok()?.write(at, now).await.ok()?;
                self.at = self.at.wrapping_add(now.len() as u32);
            }
            self.open = true;
            Some(self.at)
        }
    }
}
