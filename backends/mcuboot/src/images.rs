//! Several images that are to run together: an application and a network core, say.

use crate::Need;

/// The order in which several images are to be applied, as places in `images`: each image's index and what it
/// needs ([`Rules::needs`](crate::Rules::needs)). An image comes before those that it needs.
///
/// As long as a need is not met, MCUboot swaps none of its images, erases none and asks again at the next boot
/// ("Multiple image boot" in its design document, `boot_verify_dependencies`). So an image that needs another one
/// can be marked first: a cut before the other is marked changes nothing of what runs. The other way round, the
/// other one would run alone.
///
/// ```
/// use dfu_target::image::mcuboot::Version;
/// use dfu_target_mcuboot::{Need, marking_order};
///
/// let version = Version { major: 2, minor: 0, revision: 0, build: 0 };
/// // The application needs the network core's image 1, which needs nothing.
/// assert_eq!(marking_order([(1, &[]), (0, &[Need { image: 1, version }])]), [1, 0]);
/// ```
pub fn marking_order<const N: usize>(images: [(u8, &[Need]); N]) -> [usize; N] {
    let mut order = [0; N];
    let mut placed = [false; N];
    for slot in &mut order {
        let waits = |place: usize| {
            let index = images.get(place).map(|(index, _)| *index);
            let others = images.iter().zip(&placed).enumerate();
            others.into_iter().any(|(other, ((_, needs), done))| {
                other != place && !done && needs.iter().any(|need| Some(need.image) == index)
            })
        };
        let free = |place: &usize| placed.get(*place) == Some(&false);
        // Images that need each other may come in any order: either stops both.
        let next = (0..N).find(|place| free(place) && !waits(*place)).or_else(|| (0..N).find(free));
        let Some(next) = next else { break };
        *slot = next;
        if let Some(done) = placed.get_mut(next) {
            *done = true;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfu_target::image::mcuboot::Version;

    const VERSION: Version = Version { major: 1, minor: 0, revision: 0, build: 0 };
    const fn need(image: u8) -> Need {
        Need { image, version: VERSION }
    }

    #[test]
    fn an_image_comes_before_those_that_it_needs() {
        assert_eq!(marking_order([(0, &[]), (1, &[])]), [0, 1]);
        assert_eq!(marking_order([(0, &[need(1)]), (1, &[])]), [0, 1]);
        assert_eq!(marking_order([(0, &[]), (1, &[need(0)])]), [1, 0]);
        assert_eq!(marking_order([(2, &[]), (1, &[need(2)]), (0, &[need(1)])]), [2, 1, 0]);
        assert_eq!(marking_order([(0, &[need(1), need(2)]), (1, &[]), (2, &[need(1)])]), [0, 2, 1]);
    }

    #[test]
    fn images_that_need_each_other_or_themselves_come_all_the_same() {
        assert_eq!(marking_order([(0, &[need(1)]), (1, &[need(0)])]), [0, 1]);
        assert_eq!(marking_order([(0, &[need(0)]), (1, &[need(7)])]), [0, 1]);
    }
}
