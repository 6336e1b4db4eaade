//! The contract suite, for the targets of the nRF91 modem.

use std::cell::Cell;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target_nrf_modem::{ModemDelta, ModemFull};
use dfu_testkit::contract::{Rig, contract};
use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::modem::{Content, Delay, DeltaFile, FakeModem, FullFile, ModemState, Settings, Wait, uuid};

/// A modem with the rest of another delta in its area. A reset of the application leaves it running.
struct DeltaRig {
    modem: FakeModem,
    before: ModemState,
    image: Vec<u8>,
}

impl DeltaRig {
    fn new(settings: Settings, payload: usize) -> Self {
        let modem = FakeModem::new(settings);
        let other = DeltaFile::new(FakeModem::FIRST, uuid(9)).seed(9).build();
        let before = ModemState { offset: 700, content: Content::Bytes(other[..700].to_vec()), ..modem.save() };
        Self { modem, before, image: DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(payload).build() }
    }
}

impl Rig for DeltaRig {
    type Target = ModemDelta<FakeModem, Delay, SoftSha256>;

    fn target(&self) -> Self::Target {
        ModemDelta::new(self.modem.clone(), self.modem.delay(), SoftSha256::default()).chunk(256)
    }
    fn image(&self) -> &[u8] {
        &self.image
    }
    fn refused(&self) -> Vec<(String, Vec<u8>, Option<u32>)> {
        let area = self.before.area;
        vec![
            ("a byte too many".into(), self.image[..64].to_vec(), Some(area + 1)),
            ("4 GiB".into(), self.image[..64].to_vec(), Some(u32::MAX)),
        ]
    }
    fn stored(&self) -> Vec<u8> {
        let state = self.modem.save();
        let Content::Bytes(mut bytes) = state.content else { panic!("the area is bytes") };
        bytes.resize(state.area as usize, 0xff);
        bytes
    }
    fn is_applied(&self) -> bool {
        self.modem.scheduled().is_some()
    }
    fn operations(&self) -> u64 {
        self.modem.points()
    }
    fn restore(&self) {
        self.modem.reload(&self.before);
    }
    fn cut_after(&self, operations: u64, cut: Cut) {
        self.modem.cut_after(operations, cut);
    }
    fn power_on(&self) {
        if !self.modem.is_powered() || self.modem.mode() == dfu_testkit::modem::Mode::Off {
            self.modem.power_on();
            self.modem.start_normal().expect("the modem starts");
        }
    }
    fn set_yields(&self, _: bool) {}
}

#[test]
fn r18_the_modem_keeps_the_contract_for_deltas() {
    contract(&DeltaRig::new(Settings::new().area(16 * 1024), 6000));
    // A whole number of blocks; a slow erase; little room for one write.
    contract(&DeltaRig::new(Settings::new().area(8192).erase(Wait::Millis(20_000), Wait::Forever), 64 * 100 - 116));
    contract(&DeltaRig::new(Settings::new().area(16 * 1024).block(128), 3333));
}

/// A staging flash with something else in it.
struct FullRig<const W: usize, const E: usize, const R: usize> {
    chip: Chip<W, E, R>,
    image: Vec<u8>,
    size: u32,
    leaks: Cell<u32>,
}

impl<const W: usize, const E: usize, const R: usize> FullRig<W, E, R> {
    /// With room for the image and not a unit more.
    fn new(file: &FullFile) -> Self {
        let image = file.build();
        let units = image.len().div_ceil(E) + 2;
        let size = (units * E) as u32;
        let mut flash = SimFlash::<W, E, R>::new((units + 2) * E);
        let old: Vec<u8> = (0..size).map(|at| (at / 3) as u8).collect();
        flash.load(E as u32, &old);
        flash.checkpoint();
        Self { chip: Chip::new(flash), image, size, leaks: Cell::new(0) }
    }

    fn marker(&self) -> Vec<u8> {
        let end = E + self.size as usize;
        self.chip.sim().bytes()[end - 2 * E..end].to_vec()
    }
}

impl<const W: usize, const E: usize, const R: usize> Rig for FullRig<W, E, R> {
    type Target = ModemFull<'static, Chip<W, E, R>, SoftSha256, 256>;

    fn target(&self) -> Self::Target {
        self.leaks.set(self.leaks.get() + 1);
        let shared = Box::leak(Box::new(Shared::new(self.chip.clone())));
        let [region] = shared.split(&Layout::checked([(E as u32, self.size)]).expect("one window"));
        ModemFull::new(region, SoftSha256::default())
    }
    fn image(&self) -> &[u8] {
        &self.image
    }
    fn refused(&self) -> Vec<(String, Vec<u8>, Option<u32>)> {
        let max = self.size - 2 * E as u32;
        vec![
            ("a byte too many".into(), self.image[..64].to_vec(), Some(max + 1)),
            ("4 GiB".into(), self.image[..64].to_vec(), Some(u32::MAX)),
        ]
    }
    fn stored(&self) -> Vec<u8> {
        self.chip.sim().bytes()[E..E + self.size as usize].to_vec()
    }
    fn is_applied(&self) -> bool {
        // The stage's number, as the marker's table has it.
        self.marker().chunks(E).any(|copy| copy[..4] == 0x0ff0_3cc3_u32.to_le_bytes())
    }
    fn operations(&self) -> u64 {
        self.chip.sim().points()
    }
    fn restore(&self) {
        self.chip.sim().rollback();
    }
    fn cut_after(&self, operations: u64, cut: Cut) {
        self.chip.sim().cut_after(operations, cut);
    }
    fn power_on(&self) {
        self.chip.sim().power_on();
    }
    fn set_yields(&self, on: bool) {
        self.chip.sim().set_yields(on, false);
    }
}

#[test]
fn r05_staging_keeps_the_contract_for_full_updates() {
    let file = FullFile::small(uuid(2)).loader(1500).ranges(&[(0x6000, 3000), (0x5_0000, 700)]);
    contract(&FullRig::<4, 1024, 1>::new(&file));
    contract(&FullRig::<1, 4096, 1>::new(&file));
    contract(&FullRig::<32, 512, 32>::new(&file));
    contract(&FullRig::<8, 256, 4>::new(&file));
}
