use super::*;
use crate::mark::{COPY_DONE, IMAGE_OK, MAGIC_BLOCK, SET, SWAP_INFO};
use crate::{Align, Encryption, Flag, Mark, SwapType, Upgrade};

const S: u32 = 0x2_0000;
const SECTOR: u32 = 4096;

fn try_pair(sizes: [u32; 2], write: u32, unit: u32, config: Config) -> Result<Slots, ConfigError> {
    Slots::with_geometry(sizes, Flash { write: [write; 2], unit: [unit; 2] }, config)
}

fn slots(align: Align, mode: Mode, write: u32) -> Slots {
    try_pair([S; 2], write, SECTOR, Config::new(mode).align(align)).unwrap()
}

#[test]
fn table_a3_the_fields_lie_where_mcuboot_has_them() {
    // Align, distances from the end of the slot: swap_info, copy_done, image_ok, magic block.
    let table = [(Align::A8, [40, 32, 24, 16]), (Align::A16, [64, 48, 32, 16]), (Align::A32, [128, 96, 64, 32])];
    for (align, [swap_info, copy_done, image_ok, magic]) in table {
        for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly] {
            let config = Config::new(mode).align(align).upgrade(Upgrade::Permanent);
            let slots = try_pair([S; 2], 8, SECTOR, config).unwrap();
            let distances = [SWAP_INFO, COPY_DONE, IMAGE_OK, MAGIC_BLOCK].map(|field| slots.distance(field));
            assert_eq!(distances, [swap_info, copy_done, image_ok, magic], "{align:?}");
            let written = [swap_info, image_ok].map(|at| slots.request[MAX_MARK - at as usize]);
            assert_eq!(written, [SwapType::Permanent as u8, SET], "{align:?}");
        }
    }
}

#[test]
fn table_a3_the_trailer_is_as_long_as_mcuboot_has_it() {
    for (mode, write, align, len) in [
        (Mode::SwapScratch, 8, Align::A8, 3120),
        (Mode::SwapMove, 8, Align::A8, 3120),
        (Mode::OverwriteOnly, 8, Align::A8, 3120),
        (Mode::DirectXip, 8, Align::A8, 3120),
        (Mode::SwapOffset, 8, Align::A8, 2104),
        (Mode::SwapMove, 1, Align::A8, 432),
        (Mode::SwapOffset, 1, Align::A8, 312),
        (Mode::SwapMove, 16, Align::A16, 6224),
        (Mode::SwapScratch, 32, Align::A32, 12448),
        (Mode::SwapOffset, 32, Align::A32, 8384),
    ] {
        assert_eq!(slots(align, mode, write).trailer(), len, "{mode:?} {write} {align:?}");
    }
    // Keys: two slots' worth, each in whole alignments.
    let with = |config: Config| try_pair([S; 2], 8, SECTOR, config).unwrap().trailer() - 3120;
    let config = Config::new(Mode::SwapMove);
    assert_eq!(with(config.encryption(Encryption::Aes128)), 32);
    assert_eq!(with(config.encryption(Encryption::Aes256)), 64);
    assert_eq!(with(config.encryption(Encryption::Aes128).key_space(113)), 240);
    assert_eq!(with(config.key_space(113)), 0, "without encryption there are no keys");
}

#[test]
fn table_a6_the_largest_image_is_the_one_that_mcuboot_still_takes() {
    // 128 KiB slots, 4 KiB sectors, 128 sectors: observed on MCUboot's own code.
    for (align, write, mode, max) in [
        (Align::A8, 8, Mode::SwapScratch, 127_952),
        (Align::A8, 8, Mode::SwapMove, 122_880),
        (Align::A8, 8, Mode::SwapOffset, 122_880),
        (Align::A8, 8, Mode::OverwriteOnly, 131_032),
        (Align::A8, 8, Mode::DirectXip, 131_032),
        (Align::A8, 8, Mode::DirectXipRevert, 131_032),
        (Align::A8, 8, Mode::RamLoad, 131_032),
        (Align::A8, 8, Mode::RamLoadRevert, 131_032),
        (Align::A16, 16, Mode::OverwriteOnly, S - 64),
        (Align::A32, 32, Mode::OverwriteOnly, S - 128),
        (Align::A32, 32, Mode::SwapMove, 110_592),
        (Align::A32, 32, Mode::SwapScratch, 118_528),
        (Align::A32, 32, Mode::SwapOffset, 114_688),
        (Align::A16, 16, Mode::SwapMove, 118_784),
    ] {
        assert_eq!(slots(align, mode, write).max_image(), max, "{align:?} {mode:?}");
    }
    let pair = |mode, sizes| try_pair(sizes, 8, SECTOR, Config::new(mode)).unwrap().max_image();
    assert_eq!(pair(Mode::SwapMove, [S, S - SECTOR]), 122_880);
    assert_eq!(pair(Mode::SwapOffset, [S, S + SECTOR]), 126_976);
}

#[test]
fn a_larger_sector_than_the_flashs_own_counts() {
    // 16 KiB sectors on flash that erases 4 KiB at once.
    let config = |mode| Config::new(mode).sector(0x4000);
    let max = |mode| try_pair([S; 2], 8, SECTOR, config(mode)).unwrap().max_image();
    assert_eq!(max(Mode::SwapMove), S - 2 * 0x4000);
    assert_eq!(try_pair([S; 2], 8, SECTOR, config(Mode::SwapOffset)).unwrap().start(), 0x4000);
    assert_eq!(try_pair([S; 2], 8, 0x8000, config(Mode::SwapMove)).unwrap_err(), ConfigError::SectorSize);
}

#[test]
fn table_a7_slots_that_would_never_swap_are_refused() {
    use ConfigError::{Pair, Scratch, Sectors, SingleSlot, Size, TooManySectors, WriteSize};
    let refused = |sizes, write, unit, config| try_pair(sizes, write, unit, config).unwrap_err();
    let config = Config::new(Mode::SwapMove);
    assert_eq!(refused([S + 8; 2], 4, SECTOR, config), Size);
    assert_eq!(refused([0; 2], 4, SECTOR, config), Size);
    assert_eq!(refused([8192; 2], 4, SECTOR, config), Size);
    assert_eq!(refused([S; 2], 16, SECTOR, config), WriteSize);
    assert_eq!(refused([S; 2], 12, SECTOR, config.align(Align::A16)), WriteSize);
    assert_eq!(refused([S; 2], 4, 64, config.max_sectors(4096)), ConfigError::SectorSize);
    assert_eq!(refused([S; 2], 4, SECTOR, config.max_sectors(31)), TooManySectors);
    assert!(try_pair([S; 2], 4, SECTOR, config.max_sectors(32)).is_ok());
    assert_eq!(refused([S; 2], 4, SECTOR, Config::new(Mode::SingleSlot)), SingleSlot);

    // By mode: how much larger the secondary slot may be than the primary, in sectors.
    for (mode, fitting) in [
        (Mode::SwapMove, &[-1, 0][..]),
        (Mode::SwapOffset, &[0, 1]),
        (Mode::SwapScratch, &[0]),
        (Mode::OverwriteOnly, &[0]),
    ] {
        for more in -3..=3_i32 {
            let secondary = (S as i32 + more * SECTOR as i32) as u32;
            let made = try_pair([S, secondary], 4, SECTOR, Config::new(mode)).map(|_| ());
            assert_eq!(made, if fitting.contains(&more) { Ok(()) } else { Err(Pair) }, "{mode:?} {more}");
        }
    }

    // Different sectors are for scratch alone, and in multiples.
    for (mode, units, fit) in [
        (Mode::SwapMove, [4096, 8192], Err(Sectors)),
        (Mode::SwapOffset, [8192, 4096], Err(Sectors)),
        (Mode::SwapScratch, [4096, 8192], Ok(())),
        (Mode::OverwriteOnly, [8192, 4096], Ok(())),
        (Mode::SwapScratch, [0x3000, 0x2000], Err(Sectors)),
    ] {
        let made = Slots::with_geometry([0x18000; 2], Flash { write: [4; 2], unit: units }, Config::new(mode));
        assert_eq!(made.map(|_| ()), fit, "{mode:?} {units:?}");
    }
    let scratch = |bytes| try_pair([S; 2], 4, SECTOR, Config::new(Mode::SwapScratch).scratch(bytes)).map(|_| ());
    assert_eq!((scratch(SECTOR), scratch(3 * SECTOR)), (Ok(()), Ok(())));
    assert_eq!((scratch(2048), scratch(SECTOR + 512)), (Err(Scratch), Err(Scratch)));
    assert!(try_pair([S; 2], 4, SECTOR, config.scratch(100)).is_ok(), "there is no scratch area in other modes");
    for unit in [[SECTOR, 2 * SECTOR], [2 * SECTOR, SECTOR]] {
        let scratch = |bytes| {
            let config = Config::new(Mode::SwapScratch).scratch(bytes);
            Slots::with_geometry([S; 2], Flash { write: [4; 2], unit }, config).map(|_| ())
        };
        assert_eq!((scratch(SECTOR), scratch(2 * SECTOR)), (Err(Scratch), Ok(())), "the larger sector counts");
    }
}

#[test]
fn encrypted_images_are_not_run_in_place() {
    for mode in [Mode::DirectXip, Mode::DirectXipRevert] {
        let config = Config::new(mode).encryption(Encryption::Aes128);
        assert_eq!(try_pair([S; 2], 4, SECTOR, config).unwrap_err(), ConfigError::Encryption);
        assert!(try_pair([S; 2], 4, SECTOR, Config::new(mode)).is_ok());
    }
    for mode in [Mode::RamLoad, Mode::RamLoadRevert, Mode::OverwriteOnly] {
        let config = Config::new(mode).encryption(Encryption::Aes128);
        assert!(try_pair([S; 2], 4, SECTOR, config).is_ok(), "{mode:?}");
    }
}

#[test]
fn a_request_reads_back_as_one_and_the_old_bytes_do_not() {
    for align in [Align::A8, Align::A16, Align::A32] {
        for (upgrade, image_ok, swap) in
            [(Upgrade::Test, Flag::Unset, SwapType::Test), (Upgrade::Permanent, Flag::Set, SwapType::Permanent)]
        {
            let config = Config::new(Mode::SwapMove).align(align).upgrade(upgrade).index(1);
            let slots = try_pair([S; 2], 4, SECTOR, config).unwrap();
            let mut bytes = slots.request;
            let wanted = Mark { magic: Flag::Set, image_ok, copy_done: Flag::Unset, swap: Some(swap) };
            assert_eq!(slots.read(&bytes), wanted);
            assert_eq!(bytes[MAX_MARK - slots.distance(SWAP_INFO) as usize], 0x10 | swap as u8, "image 1");
            assert_eq!(wanted.asks(Mode::SwapMove), Some(swap));
            bytes[MAX_MARK - 1] = 0xff;
            assert_eq!(slots.read(&bytes).magic, Flag::Bad);
            bytes.fill(0xff);
            let unset = Mark { magic: Flag::Unset, image_ok: Flag::Unset, copy_done: Flag::Unset, swap: None };
            assert_eq!(slots.read(&bytes), unset);
            assert_eq!(slots.read(&[]).magic, Flag::Bad);
        }
    }
}

#[test]
fn a_request_never_says_that_a_copy_is_done() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        for upgrade in [Upgrade::Test, Upgrade::Permanent] {
            let slots = try_pair([S; 2], 4, SECTOR, Config::new(mode).upgrade(upgrade)).unwrap();
            assert_eq!(slots.read(&slots.request).copy_done, Flag::Unset, "{mode:?}");
            let field = (slots.distance(IMAGE_OK) + 1)..=slots.distance(COPY_DONE);
            assert!(field.into_iter().all(|distance| slots.wanted(distance) == 0xff), "{mode:?}");
        }
    }
}

#[test]
fn a_trailer_longer_than_any_slot_is_refused_not_wrapped() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly] {
        for bytes in [S, 0x7fff_fff0, 0x8000_0000, u32::MAX] {
            let config = Config::new(mode).encryption(Encryption::Aes128).key_space(bytes);
            assert_eq!(try_pair([S; 2], 4, SECTOR, config).err(), Some(ConfigError::Size), "{mode:?} {bytes:#x}");
        }
    }
}

#[test]
fn a_slot_that_is_all_trailer_holds_no_image() {
    // 128 sectors of three words of 8 bytes, 48 bytes of fields, two keys of 488 bytes: a sector.
    let config = Config::new(Mode::OverwriteOnly).encryption(Encryption::Aes128).key_space(488);
    assert_eq!(try_pair([SECTOR; 2], 8, SECTOR, config).err(), Some(ConfigError::Size));
    let slots = try_pair([2 * SECTOR; 2], 8, SECTOR, config).unwrap();
    assert_eq!((slots.trailer(), slots.max_image()), (SECTOR, 2 * SECTOR - 40));
    // Trailer 928: of the 96 bytes before it, the scratch area's own trailer needs more than all.
    let config = Config::new(Mode::SwapScratch).align(Align::A32).max_sectors(8);
    assert_eq!(try_pair([1024; 2], 32, 128, config).err(), Some(ConfigError::Size));
}

#[test]
fn the_smallest_sector_has_room_for_the_longest_mark() {
    let config = Config::new(Mode::SwapMove).max_sectors(1024);
    assert!(try_pair([S; 2], 4, 128, config).is_ok());
}

#[test]
fn the_longer_word_of_two_flashes_decides_what_is_erased_and_the_first_what_fits() {
    let slots = |write| {
        let flash = Flash { write, unit: [SECTOR; 2] };
        Slots::with_geometry([S; 2], flash, Config::new(Mode::SwapScratch)).unwrap()
    };
    let [short, long] = [slots([1; 2]), slots([8; 2])];
    assert_eq!((short.trailer(), long.trailer()), (432, 3120));
    for (mixed, like) in [(slots([1, 8]), short), (slots([8, 1]), long)] {
        assert_eq!((mixed.trailer(), mixed.max_image()), (long.trailer(), like.max_image()));
    }
}

#[test]
fn where_the_bootloader_chooses_the_first_word_is_held_back() {
    for (write, held) in [(1, 4), (4, 4), (8, 8)] {
        assert_eq!(slots(Align::A8, Mode::DirectXip, write).held, held);
        assert_eq!(slots(Align::A8, Mode::OverwriteOnly, write).held, 0);
    }
    for write in [[1, 8], [8, 1]] {
        let flash = Flash { write, unit: [SECTOR; 2] };
        let slots = Slots::with_geometry([S; 2], flash, Config::new(Mode::DirectXip)).unwrap();
        assert_eq!(slots.held, 8, "{write:?}: either slot takes an image");
    }
}

#[test]
fn an_image_s_index_has_room_in_the_mark() {
    let made =
        |index| try_pair([S; 2], 4, SECTOR, Config::new(Mode::SwapMove).index(index)).map(|slots| slots.wanted(40));
    assert_eq!(made(15), Ok(0xf2));
    assert_eq!(made(16), Err(ConfigError::Index));
}

#[test]
fn slots_that_differ_in_anything_have_another_identity() {
    let config = Config::new(Mode::SwapMove);
    let identity = |size, config| try_pair([size; 2], 4, SECTOR, config).unwrap().identity;
    let all = [
        identity(S, config),
        identity(S + SECTOR, config),
        identity(S, config.index(1)),
        identity(S, config.align(Align::A16)),
        identity(S, config.upgrade(Upgrade::Permanent)),
        identity(S, config.max_sectors(64)),
        identity(S, config.sector(2 * SECTOR)),
        identity(S, Config::new(Mode::SwapScratch)),
        identity(S, Config::new(Mode::OverwriteOnly)),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}");
    }
    // A step of FNV-1a: the published value for `a`.
    assert_eq!(mix(0x811c_9dc5, 0x61), 0xe40c_292c);
}

#[test]
fn the_mark_is_in_the_last_unit_and_the_trailer_begins_before() {
    let long = slots(Align::A32, Mode::SwapMove, 32);
    assert_eq!((long.mark_unit(SECTOR), long.trailer_unit(SECTOR)), (S - SECTOR, S - 4 * SECTOR));
    let short = slots(Align::A8, Mode::SwapMove, 1);
    assert_eq!((short.mark_unit(SECTOR), short.trailer_unit(SECTOR)), (S - SECTOR, S - SECTOR));
}

#[test]
fn headers_of_before_are_erased_where_they_could_be_taken_for_new_ones() {
    for (mode, front) in
        [(Mode::SwapMove, 0), (Mode::SwapOffset, SECTOR), (Mode::DirectXip, SECTOR), (Mode::RamLoad, SECTOR)]
    {
        assert_eq!(slots(Align::A8, mode, 4).front(SECTOR), front, "{mode:?}");
    }
}
