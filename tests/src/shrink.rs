//! The smallest case that still fails: [`shrink`], and [`Case`], a device's life through power cuts as a plain value.

mod case;
mod text;

pub use case::{Broken, Case};

use alloc::vec::Vec;

use crate::flash::{Cut, Tear};

/// What can be made simpler.
pub trait Simplify: Sized {
    /// Simpler ones, the boldest first. Each has to come before `self` in some order without an endless descent, or
    /// [`shrink`] doesn't end; and none at all is as simple as it gets.
    fn simpler(&self) -> Vec<Self>;
}

/// What [`shrink`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk<T> {
    /// It fails, and nothing that [`Simplify::simpler`] makes of it does.
    pub case: T,
    /// How many were tried.
    pub tried: usize,
}

/// Makes a case that fails simpler as long as it fails.
///
/// `fails` has to say the same of the same case each time. Where it may panic, [`fails`] makes a failure of that.
///
/// ```
/// use dfu_testkit::shrink::shrink;
///
/// let found = vec![7, 90, 1300, 4, 0, 77, 12_345];
/// let shrunk = shrink(found, |numbers: &Vec<u64>| numbers.iter().filter(|number| **number > 50).count() >= 2);
/// assert_eq!(shrunk.case, [51, 51]);
/// ```
pub fn shrink<T: Simplify>(case: T, mut fails: impl FnMut(&T) -> bool) -> Shrunk<T> {
    let mut shrunk = Shrunk { case, tried: 0 };
    while let Some(simpler) = shrunk.case.simpler().into_iter().find(|case| {
        shrunk.tried += 1;
        fails(case)
    }) {
        shrunk.case = simpler;
    }
    shrunk
}

/// Whether it errs or panics.
#[cfg(feature = "std")]
pub fn fails<T, E>(run: impl FnOnce() -> Result<T, E>) -> bool {
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(run)).map_or(true, |result| result.is_err())
}

impl Simplify for u64 {
    /// Towards 0: first all the way, then half of it, a quarter and so on.
    fn simpler(&self) -> Vec<Self> {
        (0..64).map(|shift| self >> shift).take_while(|step| *step > 0).map(|step| self - step).collect()
    }
}

impl Simplify for Cut {
    /// Towards a cut between two operations.
    fn simpler(&self) -> Vec<Self> {
        const ORDER: [Cut; 6] = [
            Cut::Before,
            Cut::After,
            Cut::Torn(Tear::Front),
            Cut::Torn(Tear::Back),
            Cut::Torn(Tear::Prefix),
            Cut::Torn(Tear::Late),
        ];
        ORDER.into_iter().take_while(|cut| cut != self).collect()
    }
}

impl<A: Simplify + Clone, B: Simplify + Clone> Simplify for (A, B) {
    fn simpler(&self) -> Vec<Self> {
        let first = self.0.simpler().into_iter().map(|first| (first, self.1.clone()));
        let second = self.1.simpler().into_iter().map(|second| (self.0.clone(), second));
        first.chain(second).collect()
    }
}

impl<T: Simplify + Clone> Simplify for Vec<T> {
    /// Without some of its items: all, halves, quarters, one by one; then with a simpler item.
    fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut part = self.len();
        while part > 0 {
            for from in (0..self.len()).step_by(part) {
                let rest = self.iter().enumerate().filter(|(at, _)| !(from..from + part).contains(at));
                all.push(rest.map(|(_, item)| item.clone()).collect());
            }
            part /= 2;
        }
        for (at, item) in self.iter().enumerate() {
            all.extend(item.simpler().into_iter().map(|item| {
                let mut items = self.clone();
                items[at] = item;
                items
            }));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_fails_and_nothing_simpler_does() {
        for wanted in [0, 1, 2, 3, 1000, 999_999] {
            let shrunk = shrink(1_000_000, |number: &u64| *number >= wanted);
            assert_eq!(shrunk.case, wanted);
            assert!(shrunk.tried < 450, "{}", shrunk.tried);
        }
        assert_eq!(shrink(Cut::Torn(Tear::Random), |cut| matches!(cut, Cut::Torn(_))).case, Cut::Torn(Tear::Front));
        assert_eq!(shrink(Cut::Torn(Tear::Random), |cut| *cut == Cut::Torn(Tear::Random)).tried, 6);
        let items: Vec<u64> = (0..100).collect();
        let shrunk = shrink(items, |items| items.contains(&17) && items.contains(&93));
        assert_eq!(shrunk.case, [17, 93]);
        assert!(shrunk.tried < 200, "{}", shrunk.tried);
    }

    #[test]
    fn a_panic_is_a_failure() {
        assert!(fails(|| -> Result<(), ()> { panic!("as wanted") }));
        assert!(fails(|| Err::<(), _>(())));
        assert!(!fails(|| Ok::<_, ()>(())));
    }
}
