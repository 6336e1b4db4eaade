//! Progress in a `sequential-storage` map that firmware has for its settings anyway.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::SequentialStore;
use dfu_target::{Begun, Digest, ProgressStore, Request, Update};
use dfu_target_mcuboot::{Active, Config, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::flash::{Chip, SimFlash};
use dfu_testkit::image::ImageBuilder;
use sequential_storage::cache::Cache;
use sequential_storage::map::{MapConfig, MapStorage};

type Flash = Chip<4, 4096>;

const SLOTS: Slots = Slots::new::<Flash>(0x10000, Config::new(Mode::SwapMove));
const ACTIVE: Active = Active::new(RunningState::Factory, None);
const MAP: Layout<Flash, 2> = Layout::new([(0, 0x10000), (0x10000, 0x4000)]);

#[test]
fn an_update_goes_on_after_a_reset_beside_other_settings() {
    let image = ImageBuilder::new().total_size(30_000).build();
    let chip = Flash::new(SimFlash::new(0x14000));
    let mut came_before = 0;
    for reset in 0..4 {
        let mut shared = Shared::new(chip.clone());
        let [slot, settings] = shared.split(&MAP);
        let mut map = MapStorage::<u8, _, _>::new(settings, MapConfig::new(0..0x4000), Cache::new_uncached());
        block_on(async {
            let mut buffer = [0; 64];
            map.store_item(&mut buffer, &1, &u32::to_be_bytes(reset).as_slice()).await.unwrap();
            let target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
            let store = SequentialStore::new(&mut map, 7);
            let mut update = Update::new(target, store, Request::of(Digest(image.digest())).size(image.len() as u32));
            match update.begin().await.unwrap() {
                Begun::Receiving(mut session) => {
                    assert!(reset == 0 || session.offset() >= 8192, "it did not go on: {}", session.offset());
                    came_before = session.offset() as usize;
                    let stop = (came_before + 12_000).min(image.len());
                    session.write(&image[came_before..stop]).await.unwrap();
                    if stop == image.len() {
                        let _ = session.finish().await.unwrap();
                    }
                }
                Begun::Staged(_) => panic!("12,000 bytes at a time do not get that far"),
            }
        });
    }
    // All of it came: not a byte is asked for again. Then it is forgotten.
    let mut shared = Shared::new(chip.clone());
    let [slot, settings] = shared.split(&MAP);
    let mut map = MapStorage::<u8, _, _>::new(settings, MapConfig::new(0..0x4000), Cache::new_uncached());
    block_on(async {
        let target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), &SLOTS, ACTIVE).unwrap();
        let mut store = SequentialStore::new(&mut map, 7);
        let mut update = Update::new(target, &mut store, Request::of(Digest(image.digest())));
        assert!(matches!(update.begin().await.unwrap(), Begun::Staged(_)));
        store.clear().await.unwrap();
        assert!(store.load().await.is_none());
    });
}
