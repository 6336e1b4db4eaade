//! One update by one call, on a device that has just started.

use dfu_testkit::device::Device;
use dfu_testkit::source::FlakySource;
use dfu_testkit::time::Timeline;
use fota_download::{Backoff, Control, Event, Finished, Job, fota};

pub(crate) type Small = Device<4, 1024, 4>;

/// Its end, in words where it is not a good one.
pub(crate) fn call(
    device: &Small,
    source: &mut FlakySource<'_>,
    job: &Job,
    mut on: impl FnMut(Event),
) -> Result<Finished, String> {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let time = Timeline::default();
    let (mut clock, control) = (time.clone(), Control::new());
    let (mut a, mut b) = ([0; 512], [0; 512]);
    let job = job.clone().backoff(Backoff::new().attempts(2));
    time.run(fota(source, target, log, &job, &control, &mut clock, [&mut a, &mut b], &mut on))
        .map_err(|error| error.to_string())
}
