//! How power is lost, and what is left of the word or unit that it hits.

use super::Fault;

/// When power fails, seen from the mutation point it hits: one word programmed or one unit erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Before the point: nothing of it happened.
    Before,
    /// In the middle of it.
    Torn(Tear),
    /// Behind it: it is done, yet nobody was told.
    After,
}

impl Cut {
    /// Every kind of cut.
    pub const ALL: [Self; 9] = [
        Self::Before,
        Self::Torn(Tear::Front),
        Self::Torn(Tear::Back),
        Self::Torn(Tear::Prefix),
        Self::Torn(Tear::Random),
        Self::Torn(Tear::Late),
        Self::Torn(Tear::Middle),
        Self::Torn(Tear::Unstable),
        Self::After,
    ];

    /// Those that differ most: for searches that grow with the square of their number.
    pub const FEW: [Self; 5] = [
        Self::Before,
        Self::Torn(Tear::Front),
        Self::Torn(Tear::Random),
        Self::Torn(Tear::Late),
        Self::Torn(Tear::Unstable),
    ];
}

/// What a point that was cut in the middle leaves. Bits only ever go from what they were towards what was wanted.
///
/// | | word | erase unit |
/// |---|---|---|
/// | `Front` | first half programmed, the rest as it was | front half erased, each bit behind it old or erased |
/// | `Back` | second half programmed | back half erased, each bit before it old or erased |
/// | `Prefix` | a random number of leading bits programmed | a random number of leading bytes erased, the rest old |
/// | `Random` | each bit on its own | each bit on its own |
/// | `Late` | all but one of the bits that change | all but one of the bits that change |
/// | `Middle` | the bits in the middle half programmed | the middle half erased, each bit around it old or erased |
/// | `Unstable` | each bit on its own; half of those that change read differently each time | the same |
///
/// An unstable bit is undecided until its unit is erased or it is programmed again. Where there are no cells to read
/// again, as in [`FakeModem`](crate::modem::FakeModem), `Unstable` is `Random`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tear {
    /// The first half is done.
    Front,
    /// The second half is done.
    Back,
    /// A random share is done, in order.
    Prefix,
    /// A random choice of bits is done.
    Random,
    /// All is done but for one bit.
    Late,
    /// The middle half is done.
    Middle,
    /// A random choice of bits is done, and others read as done now and then.
    Unstable,
}

/// One thing that will go wrong once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) fault: Fault,
    pub(super) spared: u64,
}

/// Programs part of a word: `cells` holds what was there and goes towards `wanted`.
pub(crate) fn tear_word(cells: &mut [u8], wanted: impl Fn(usize) -> u8, tear: Tear, rng: &mut fastrand::Rng) {
    let bits = cells.len() * 8;
    let done = match tear {
        Tear::Front => 0..bits / 2,
        Tear::Back => bits / 2..bits,
        Tear::Middle => bits / 4..bits - bits / 4,
        Tear::Prefix => 0..rng.usize(0..bits),
        Tear::Random | Tear::Late | Tear::Unstable => 0..bits,
    };
    let late = (tear == Tear::Late).then(|| changing_bit(cells, &wanted, rng)).flatten();
    for (at, cell) in cells.iter_mut().enumerate() {
        let mut mask = (0..8).filter(|bit| done.contains(&(at * 8 + bit))).fold(0, |mask, bit| mask | 1 << bit);
        if matches!(tear, Tear::Random | Tear::Unstable) {
            mask = rng.u8(..);
        }
        if let Some((byte, bit)) = late
            && byte == at
        {
            mask &= !(1 << bit);
        }
        *cell = *cell & !mask | wanted(at) & mask;
    }
}

/// Erases part of a unit.
pub(super) fn tear_unit(cells: &mut [u8], erased: u8, tear: Tear, rng: &mut fastrand::Rng) {
    let half = cells.len() / 2;
    match tear {
        Tear::Front => {
            cells[..half].fill(erased);
            mix(&mut cells[half..], erased, rng);
        }
        Tear::Back => {
            mix(&mut cells[..half], erased, rng);
            cells[half..].fill(erased);
        }
        Tear::Middle => {
            let (from, to) = (half / 2, cells.len() - half / 2);
            mix(&mut cells[..from], erased, rng);
            cells[from..to].fill(erased);
            mix(&mut cells[to..], erased, rng);
        }
        Tear::Prefix => {
            let done = rng.usize(0..cells.len());
            cells[..done].fill(erased);
        }
        Tear::Random | Tear::Unstable => mix(cells, erased, rng),
        Tear::Late => tear_word(cells, |_| erased, tear, rng),
    }
}

/// Takes each bit from the erased value or leaves it, at random.
fn mix(cells: &mut [u8], erased: u8, rng: &mut fastrand::Rng) {
    for chunk in cells.chunks_mut(8) {
        let masks = rng.u64(..).to_le_bytes();
        for (cell, mask) in chunk.iter_mut().zip(masks) {
            *cell = *cell & !mask | erased & mask;
        }
    }
}

/// One of the bits that differ, at random.
fn changing_bit(cells: &[u8], wanted: impl Fn(usize) -> u8, rng: &mut fastrand::Rng) -> Option<(usize, u32)> {
    let changing = |at: usize| (cells[at] ^ wanted(at)).count_ones() as usize;
    let total: usize = (0..cells.len()).map(changing).sum();
    let mut nth = (total > 0).then(|| rng.usize(0..total))?;
    for (at, cell) in cells.iter().enumerate() {
        let differ = cell ^ wanted(at);
        if nth < differ.count_ones() as usize {
            let bit = (0..8).filter(|bit| differ & 1 << bit != 0).nth(nth)?;
            return Some((at, bit));
        }
        nth -= differ.count_ones() as usize;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEARS: [Tear; 7] =
        [Tear::Front, Tear::Back, Tear::Prefix, Tear::Random, Tear::Late, Tear::Middle, Tear::Unstable];

    #[test]
    fn a_torn_word_lies_between_what_was_and_what_was_wanted() {
        let wanted = [0x12, 0x00, 0xff, 0xa5];
        let mut rng = fastrand::Rng::with_seed(1);
        for erased in [0xff, 0x00] {
            for tear in TEARS {
                let mut partial = false;
                for _ in 0..100 {
                    let mut word = [erased; 4];
                    tear_word(&mut word, |at| wanted[at], tear, &mut rng);
                    for (got, wanted) in word.iter().zip(wanted) {
                        assert_eq!((got ^ erased) & !(wanted ^ erased), 0, "{tear:?}: a bit that nobody asked for");
                    }
                    partial |= word != wanted && word != [erased; 4];
                }
                assert!(partial, "{tear:?} is never partial");
            }
        }
    }

    #[test]
    fn halves_are_halves_and_late_is_one_bit() {
        let mut rng = fastrand::Rng::with_seed(2);
        let torn = |tear, rng: &mut _| {
            let mut word = [0xff; 4];
            tear_word(&mut word, |_| 0, tear, rng);
            word
        };
        assert_eq!(torn(Tear::Front, &mut rng), [0, 0, 0xff, 0xff]);
        assert_eq!(torn(Tear::Back, &mut rng), [0xff, 0xff, 0, 0]);
        assert_eq!(torn(Tear::Middle, &mut rng), [0xff, 0, 0, 0xff]);
        for _ in 0..50 {
            assert_eq!(u32::from_le_bytes(torn(Tear::Late, &mut rng)).count_ones(), 1);
        }
        let mut narrow = [0xff; 1];
        tear_word(&mut narrow, |_| 0, Tear::Front, &mut rng);
        assert_eq!(narrow, [0xf0]);
    }

    #[test]
    fn a_torn_erase_lies_between_old_and_erased() {
        let old: Vec<u8> = (0..64).map(|n| n * 3).collect();
        let mut rng = fastrand::Rng::with_seed(3);
        for erased in [0xff, 0x00] {
            for tear in TEARS {
                let mut unit = old.clone();
                tear_unit(&mut unit, erased, tear, &mut rng);
                assert_ne!(unit, [erased; 64], "{tear:?}");
                for (at, (got, old)) in unit.iter().zip(&old).enumerate() {
                    assert_eq!((got ^ old) & !(erased ^ old), 0, "{tear:?} {at}");
                }
                if tear == Tear::Front {
                    assert_eq!(unit[..32], [erased; 32]);
                }
                if tear == Tear::Back {
                    assert_eq!(unit[32..], [erased; 32]);
                }
                if tear == Tear::Middle {
                    assert_eq!(unit[16..48], [erased; 32]);
                }
            }
        }
    }
}
