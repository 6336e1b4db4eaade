use embedded_storage_async::nor_flash::NorFlash;

use super::*;
use crate::flash::{Chip, Cut, SimFlash, Tear};
use crate::modem::{Mode, ModemState, Scheduled};
use crate::poll::run;

/// Cuts the power at each point of some work, in each way; `judge` sees what is left after the reset. The points.
fn sweep(
    state: &ModemState,
    work: impl Fn(&FakeModem) -> Result<(), Fault>,
    judge: impl Fn(&FakeModem, u64, Cut),
) -> u64 {
    let mut last = 0;
    for cut in Cut::ALL {
        let modem = FakeModem::restore(state);
        for point in 0.. {
            modem.reload(state);
            modem.cut_after(point, cut);
            let done = work(&modem);
            if done.is_ok() {
                last = point;
                break;
            }
            assert_eq!((done, modem.is_powered()), (Err(FakeModem::POWER_CUT), false));
            modem.power_on();
            assert_eq!((modem.mode(), modem.write_resources()), (Mode::Off, 0));
            judge(&modem, point, cut);
        }
    }
    last
}

#[test]
fn without_power_every_call_fails_alike_and_is_not_a_call() {
    let modem = normal();
    modem.cut_after(0, Cut::Before);
    assert_eq!(modem.delta().write_init(), Err(FakeModem::POWER_CUT));
    modem.forget_calls();
    let mut port = modem.delta();
    assert_eq!((port.uuid(), port.offset()), (Err(FakeModem::POWER_CUT), Err(FakeModem::POWER_CUT)));
    let mut port = modem.bootloader();
    assert_eq!((port.start(), port.uuid()), (Err(FakeModem::POWER_CUT), Err(FakeModem::POWER_CUT)));
    assert_eq!(modem.start_normal(), Err(FakeModem::POWER_CUT));
    assert_eq!(modem.shutdown(), Err(FakeModem::POWER_CUT));
    assert_eq!(modem.calls(), []);
    modem.power_on();
    assert_eq!(modem.start_normal(), Ok(None));
}

#[test]
fn a_delta_that_power_cuts_is_gone_on_with_or_dirty() {
    let file = delta();
    let points = sweep(
        &FakeModem::new(Settings::new().area(8192)).save(),
        |modem| modem.start_normal().and_then(|_| store(modem, &file)).and_then(|()| modem.delta().update()),
        |modem, point, cut| {
            // write_init, eight writes, write_done, update.
            let written = point.clamp(1, 9) - 1 + u64::from(cut == Cut::After && (1..9).contains(&point));
            let torn = matches!(cut, Cut::Torn(_)) && (1..9).contains(&point);
            let wanted = if torn { Offset::Dirty } else { Offset::At((100 * written as u32).min(716)) };
            assert_eq!(modem.stored(), wanted, "{point} {cut:?}");
            let updates = point == 10 && cut == Cut::After;
            assert_eq!(modem.scheduled(), updates.then_some(Scheduled::Update));
            assert!(!modem.delta().is_scheduled());
        },
    );
    assert_eq!(points, 11);
}

#[test]
fn an_erase_that_power_cuts_leaves_the_area_dirty() {
    for cut in Cut::ALL {
        let modem = normal();
        store(&modem, &delta()).unwrap();
        modem.delta().update().unwrap();
        modem.cut_after(0, cut);
        assert_eq!(modem.delta().erase(), Err(FakeModem::POWER_CUT));
        modem.power_on();
        let wanted = match cut {
            Cut::Before => (Offset::At(716), Some(Scheduled::Update)),
            _ => (Offset::Dirty, None),
        };
        assert_eq!((modem.stored(), modem.scheduled()), wanted, "{cut:?}");
        modem.reload(&ModemState { scheduled: None, ..modem.save() });
        modem.start_normal().unwrap();
        let updates = modem.delta().update();
        assert_eq!(updates, if cut == Cut::Before { Ok(()) } else { code(Code::IncompleteData) }, "{cut:?}");
    }
    // However much of it is still there.
    let modem = normal();
    store(&modem, &delta()).unwrap();
    modem.reload(&ModemState { dirty: true, ..modem.save() });
    modem.start_normal().unwrap();
    assert_eq!(modem.delta().update(), code(Code::IncompleteData));
    // A reset while the modem erases.
    let modem = normal();
    modem.delta().erase().unwrap();
    modem.power_on();
    assert_eq!(modem.stored(), Offset::Dirty);
}

#[test]
fn an_update_that_power_cuts_is_done_at_the_next_start_or_was_done_untold() {
    let modem = normal();
    store(&modem, &delta()).unwrap();
    modem.delta().update().unwrap();
    let points = sweep(
        &modem.save(),
        |modem| modem.start_normal().map(drop),
        |modem, _, cut| {
            let told = modem.start_normal().unwrap();
            assert_eq!((told.is_none(), modem.running()), (cut == Cut::After, uuid(2)));
        },
    );
    assert_eq!(points, 1);
}

#[test]
fn a_full_update_that_power_cuts_leaves_the_old_the_new_or_none_and_can_be_done_again() {
    let file = FullFile::small(uuid(7));
    let points = sweep(
        &FakeModem::default().save(),
        |modem| load(modem, &file, 100).and_then(|()| modem.bootloader().stop()),
        |modem, point, cut| {
            // start, three of bl_write, update, three pages, stop.
            let wanted = match (point, cut) {
                (0..5, _) | (5, Cut::Before) => (true, uuid(1)),
                (8.., _) | (7, Cut::After) => (true, uuid(7)),
                _ => (false, uuid(1)),
            };
            assert_eq!((modem.is_alive(), modem.running()), wanted, "{point} {cut:?}");
            load(modem, &file, 100).unwrap();
            assert_eq!(modem.running(), uuid(7));
        },
    );
    assert_eq!(points, 9);
}

#[test]
fn a_page_that_power_cuts_is_programmed_in_part() {
    for tear in [Tear::Front, Tear::Prefix, Tear::Random, Tear::Late] {
        let (modem, file) = (FakeModem::default(), FullFile::small(uuid(7)));
        let mut port = modem.bootloader();
        port.start().unwrap();
        port.bl_write(&file.blob()[..256]).unwrap();
        port.update().unwrap();
        port.fw_write(0x6000, &[0x5a; 100]).unwrap();
        modem.cut_after(0, Cut::Torn(tear));
        assert_eq!(port.update(), Err(FakeModem::POWER_CUT));
        let bytes = modem.save().flash[0].content.bytes(0x6000);
        assert_eq!(bytes.len(), 100);
        assert!(bytes.iter().any(|byte| *byte != 0xff) && bytes.iter().any(|byte| *byte != 0), "{tear:?}");
    }
}

#[test]
fn a_flash_on_the_same_supply_counts_and_dies_with_the_modem() {
    let chip = Chip::new(SimFlash::<4, 4096>::new(8192));
    let modem = normal();
    modem.share_supply(&chip);
    chip.sim().checkpoint();
    let work = |modem: &FakeModem| {
        let mut flash = chip.clone();
        let done = [
            run(flash.write(0, &[1; 8])).is_ok(),
            modem.delta().write_init().is_ok(),
            run(flash.write(8, &[1; 4])).is_ok(),
            modem.delta().write_done().is_ok(),
        ];
        done.iter().filter(|done| **done).count()
    };
    let mut done = Vec::new();
    for point in 0..6 {
        chip.sim().rollback();
        modem.power_on();
        modem.start_normal().unwrap();
        match point {
            0..3 => modem.cut_after(point, Cut::Before),
            _ => chip.sim().cut_after(point, Cut::After),
        }
        done.push(work(&modem));
        assert_eq!((modem.is_powered(), chip.sim().is_powered()), (point == 5, point == 5));
        assert_eq!(modem.points(), chip.sim().points());
    }
    assert_eq!(done, [0, 0, 1, 2, 3, 4]);
    assert_eq!(modem.points(), 5);
}

#[test]
fn a_reset_forgets_what_was_planned() {
    let modem = normal();
    modem.cut_after(0, Cut::Before);
    modem.fail(crate::modem::ModemCall::WriteInit, 0, Fault::Code(Code::Internal4));
    modem.power_on();
    modem.start_normal().unwrap();
    assert_eq!((modem.delta().write_init(), modem.failures_due()), (Ok(()), 0));
}
