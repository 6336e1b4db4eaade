//! An update with a mistake in it, the power cuts that bring it out, and what they shrink to: a test to be pasted.

use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device, Release};
use dfu_testkit::flash::{Cut, SimError};
use dfu_testkit::shrink::{Case, Shrunk, fails, shrink};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

/// The update of one's own, with a mistake: an erase unit counts as stored before it is.
pub(crate) fn careless(device: &Device<4, 1024>, release: &Release<'_>) {
    let _ = update(device, release);
}

fn update(device: &Device<4, 1024>, release: &Release<'_>) -> Result<(), SimError> {
    let (slot, log) = (device.target().start, device.log().start);
    let mut flash = device.chip().sim();
    // One word in the log for each unit that is there.
    let mut done = [0; 64];
    flash.read(log, &mut done)?;
    let units = done.chunks(4).take_while(|word| *word != [0xff; 4]).count();
    flash.erase(log, log + 1024)?;
    flash.write(log, &done[..4 * units])?;
    for (nth, unit) in release.file().chunks(1024).enumerate().skip(units) {
        let [at, mark] = [slot + 1024 * nth as u32, log + 4 * nth as u32];
        flash.write(mark, &[0; 4])?; // This belongs behind what follows.
        flash.erase(at, at + 1024)?;
        let mut bytes = unit.to_vec();
        bytes.resize(unit.len().next_multiple_of(4), 0xff);
        flash.write(at, &bytes)?;
    }
    let pending = |slot: &mut [u8]| device.bootloader().mark_pending(slot, false);
    flash.edit(device.target(), pending).expect("an erased trailer");
    Ok(())
}

/// Lives through eight cuts by chance until it does not, and what of them is needed for that.
pub(crate) fn search() -> (Case, Shrunk<Case>) {
    let mut random = fastrand::Rng::with_seed(1);
    let broken = |case: &Case| fails(|| case.live(careless));
    let mut case = Case::new(Board::new(Mode::SwapMove, 16 * 1024).sectors(16));
    (case.sizes, case.chunk, case.save_every) = ([2000, 7000], 64, 4096);
    loop {
        case.cuts = (0..8).map(|_| (random.u64(0..2000), Cut::ALL[random.usize(0..Cut::ALL.len())])).collect();
        if broken(&case) {
            return (case.clone(), shrink(case, broken));
        }
    }
}

fn main() {
    let (found, shrunk) = search();
    println!("// {} cuts; {} after {} tries", found.cuts.len(), shrunk.case.cuts.len(), shrunk.tried);
    print!("{}", shrunk.case.test::<4, 1024>("careless"));
}
