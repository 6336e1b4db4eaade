//! Updates that are taken back, through cuts anywhere.

use dfu_target::ErrorKind;

use super::World;
use crate::device::{Release, Visit};
use crate::flash::Cut;

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// Another image is pending when the new one is to be fetched: that is refused until it is withdrawn, and the
    /// power fails at each point of both. It runs as it is or not at all. How often it did not, and how often it did.
    pub fn replace_pending(&self, cut: Cut) -> [u64; 2] {
        let device = &self.device;
        self.restore();
        let other = self.scenario.board.image().version(9, 0, 0, 0).seed(9).total_size(self.new.len()).build();
        let _ = device.update(&Release::new(&other), &mut Visit::default()).unwrap();
        device.chip().sim().checkpoint();
        let before = device.read(device.target());
        let refused = device.update(&Release::new(&self.new), &mut Visit::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Pending, "{refused}");
        assert!(device.read(device.target()) == before, "and nothing of it was touched");
        let mut outcomes = [0, 0];
        for point in 0.. {
            self.restore();
            device.chip().sim().cut_after(point, cut);
            let withdrawn = device.withdraw().is_ok();
            if withdrawn && device.update(&Release::new(&self.new), &mut Visit::default()).is_ok() {
                break;
            }
            let boot = device.boot();
            let moved = device.runs() != self.runs || boot.swapped.is_some();
            // The erase of a sector that holds the image's end and the mark can stop where the mark stands yet:
            // there MCUboot's own check is what helps.
            let one_erase =
                self.scenario.board.mode.chooses() || other.len() as u32 > device.slots().sizes()[1] - E as u32;
            let shared = one_erase && matches!(cut, Cut::Torn(_));
            assert!(boot.refused.is_none() || shared, "a bad image was pending: {:?}", boot.refused);
            let runs = |image| device.holds(device.running(), image);
            assert!(if moved { runs(&other) && !withdrawn || runs(&self.new) } else { runs(&self.old) });
            outcomes[usize::from(moved && runs(&other))] += 1;
        }
        self.restore();
        device.chip().sim().commit();
        outcomes
    }

    /// The update is given up, at each stage of it, and the power fails at each point of that. The old image runs,
    /// or the new one if it was asked for, and the update can begin again. How many points that were.
    pub fn abort(&self, cut: Cut) -> u64 {
        let device = &self.device;
        let release = Release::new(&self.new);
        let mut points = 0;
        for stage in [Some(100), Some(self.new.len() as u64 / W as u64 / 2), None] {
            self.restore();
            let pending = match stage {
                Some(stop) => {
                    device.chip().sim().cut_after(stop, Cut::Before);
                    let _ = device.update(&release, &mut Visit::default());
                    device.chip().sim().power_on();
                    false
                }
                None => device.update(&release, &mut Visit::default()).is_ok(),
            };
            device.chip().sim().checkpoint();
            for point in 0.. {
                self.restore();
                device.chip().sim().cut_after(point, cut);
                let aborted = device.abort(&release).is_ok();
                let boot = device.boot();
                let runs_new = device.holds(device.running(), &self.new);
                assert!(runs_new || device.holds(device.running(), &self.old), "what runs is damaged");
                assert_eq!(runs_new, boot.swapped.is_some() || device.runs() != self.runs);
                assert!(pending && !aborted || !runs_new, "nobody asked for it");
                // As when another image takes its place: one erase can hit the image's end and the mark.
                let shared =
                    self.new.len() as u32 > device.slots().sizes()[1] - E as u32 && matches!(cut, Cut::Torn(_));
                assert!(boot.refused.is_none() || shared && pending, "a bad image was pending: {:?}", boot.refused);
                if aborted {
                    assert_eq!(boot.asked, None, "it was withdrawn");
                    break;
                }
                points += 1;
                if !runs_new {
                    let _ = device.update(&release, &mut Visit::default()).unwrap();
                    assert_eq!(device.boot().refused, None);
                }
                device.confirm().unwrap();
                self.finished();
            }
            self.restore();
            device.chip().sim().commit();
        }
        points
    }
}
