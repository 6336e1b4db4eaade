//! What an update of the modem asks of the flash and of the modem is bounded, in each call and in all of them.

use core::time::Duration;

use dfu_target::progress::NoProgress;
use dfu_target::{Begun, DfuTarget, ProgressLog, ProgressStore, Request, Update};
use dfu_testkit::flash::Timing;
use dfu_testkit::modem::{Content, FullFile, ModemCall, ModemState};
use dfu_testkit::poll::run;

use crate::Boot;
use crate::full::small;
use crate::push::Until;
use crate::staged::Device as Full;
use crate::stored::Device as Delta;

/// A serial NOR flash: 0.7 ms a page of 256 bytes, 400 ms a sector of 4 KiB at the worst, reads at 8 MHz.
const SPI_NOR: Timing = Timing { word_ns: 2_734, erase_ns: 400_000_000, read_ns: 1000 };

/// Of 100 KB.
fn large() -> FullFile {
    small().ranges(&[(0x6000, 90_000), (0x5_0000, 10_000)])
}

#[test]
fn r06_a_full_update_keeps_to_its_region_and_its_log() {
    let device = Full::<4, 1024>::new(&small(), 300);
    device.chip.sim().guard(&[device.ours()]);
    assert_eq!(device.live(&[]), 0);
}

#[test]
fn r07_no_call_of_a_full_update_is_longer_than_an_erase_unit_and_a_watchdog_of_2_s_holds() {
    for chunk in [256, 4096, 1 << 20] {
        no_call_is_long::<4096>(chunk);
        // A unit is erased at once; what is read and written at once does not grow with it.
        no_call_is_long::<16_384>(chunk);
    }
}

fn no_call_is_long<const E: usize>(chunk: usize) {
    // Where progress falls due amid a piece the session divides it.
    let device = Full::<1, E>::new(&large(), chunk).save_every(u32::MAX);
    device.chip.sim().set_timing(SPI_NOR);
    device.live(&[]);
    let counts = device.chip.sim().counts();
    let longest = device.chip.sim().longest();
    assert_eq!(counts.longest_erase, E);
    assert!(counts.longest_write <= 4096 && counts.longest_read <= 4096, "{counts:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    println!(
        "R7: a full update in pieces of {chunk}: the longest read, write, erase: {}, {}, {} bytes; {longest:?}",
        counts.longest_read, counts.longest_write, counts.longest_erase
    );
}

#[test]
fn r07_a_piece_of_a_delta_costs_calls_of_the_modem_by_its_length() {
    let device = Delta::new(1700, true, false);
    for piece in [1, 64, 300] {
        let life = device.restore();
        device.modem.start_normal().unwrap();
        let request = Request::of(device.push().digest()).size(device.file.len() as u32);
        let mut update = Update::new(device.target(&life), NoProgress, request);
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored") };
        let mut most = 0;
        while (session.offset() as usize) < device.file.len() {
            let (at, before) = (session.offset() as usize, device.modem.calls().len());
            run(session.write(&device.file[at..device.file.len().min(at + piece)])).unwrap();
            most = most.max(device.modem.calls().len() - before);
        }
        // A write for each 256 bytes, or what is left of them; before the first one an erase, the looks at it and a
        // reservation.
        assert!(most <= piece.div_ceil(256) + 8, "{most} calls for {piece} bytes");
        println!("R7: a delta in pieces of {piece}: at most {most} calls of the modem for one of them");
    }
}

#[test]
fn r08_metadata_of_a_full_update_has_a_ceiling() {
    for save_every in [4096, 16_384, u32::MAX] {
        let device = Full::<4, 4096>::new(&large(), 512).save_every(save_every);
        let life = &mut device.restore();
        device.modem.start_normal().unwrap();
        device.with(|target, log| {
            let store = ProgressLog::<_, 192>::new(log);
            run(device.push(&device.file).run(target, store, Until::Applied)).unwrap();
        });
        device.check(life);
        let size = device.file.len().next_multiple_of(4) as u64;
        let written = device.chip.sim().counts().bytes_written - size;
        let erases: Vec<u64> = device.chip.sim().wear().iter().map(|erases| u64::from(*erases)).collect();
        let (slot, log) = erases.split_at(erases.len() - 3);
        // What identifies it, its states and the marker; and 16 bytes each time that progress is due.
        let ceiling = 600 + 20 * (size / u64::from(save_every));
        assert!(written <= ceiling, "{written} bytes, not {ceiling}");
        assert!(log.iter().sum::<u64>() <= 1, "{log:?}");
        assert!(slot.iter().all(|erases| *erases <= 1), "{slot:?}");
        println!(
            "R8: a full update of {size} bytes, saved every {save_every}: {written} bytes beside the file, {} erases of \
             the log, no unit of the region more than once",
            log.iter().sum::<u64>()
        );
    }
}

#[test]
fn r08_a_delta_is_saved_when_it_is_due_and_its_area_erased_twice() {
    for save_every in [256, 512, u32::MAX] {
        let device = Delta::new(1700, true, false).save_every(save_every);
        let mut life = device.restore();
        while device.boot(&mut life) != Boot::Done {
            device.modem.shutdown().unwrap();
        }
        let saves = life.store.unwrap().counts().saves;
        let due = device.file.len() as u64 / u64::from(save_every);
        // What identifies it, that it is whole, that it was applied, and that it is settled.
        assert!(saves <= due + 4, "{saves} records, and {due} were due");
        // The rest of another one before it, and itself behind it.
        assert_eq!(device.modem.count(ModemCall::Erase), 2);
        println!("R8: a delta of {} bytes, saved every {save_every}: {saves} records, 2 erases", device.file.len());
    }
}

#[test]
fn r20_a_region_and_a_log_of_noise_never_keep_a_full_update_from_beginning() {
    let rounds = if cfg!(debug_assertions) { 300 } else { 5_000 };
    let device = Full::<4, 1024>::new(&small(), 512).applied();
    let mut random = fastrand::Rng::with_seed(20);
    let mut most = 0;
    for round in 0..rounds {
        let _ = device.restore();
        let ours = device.ours();
        device.chip.sim().edit(ours, |bytes| match round % 3 {
            // The markers and the log; here and there; all of it.
            0 => {
                let from = bytes.len() - 4096;
                random.fill(&mut bytes[from..]);
            }
            1 => (0..20).for_each(|_| bytes[random.usize(0..bytes.len())] = random.u8(..)),
            _ => random.fill(bytes),
        });
        device.chip.sim().reset_counts();
        device.modem.start_normal().unwrap();
        device.with(|mut target, log| {
            let mut store = ProgressLog::<_, 192>::new(log);
            let mut begun = run(device.push(&device.file).run(&mut target, &mut store, Until::Applied));
            if begun.is_err() {
                run(target.abort()).expect("what lies there can be given up");
                begun = run(device.push(&device.file).run(&mut target, &mut store, Until::Applied));
            }
            begun.expect("nothing is in the way any more");
        });
        let counts = device.chip.sim().counts();
        most = most.max(counts.reads + counts.writes + counts.erases);
    }
    assert!(most < 2_000, "{most}");
    println!("R20: a full update: {rounds} random states, at most {most} flash operations");
}

#[test]
fn r20_an_area_of_noise_never_keeps_a_delta_from_beginning() {
    let rounds = if cfg!(debug_assertions) { 300 } else { 5_000 };
    let device = Delta::new(1300, true, false);
    let mut random = fastrand::Rng::with_seed(20);
    let mut most = 0;
    for _ in 0..rounds {
        let mut life = device.restore();
        // A record of this update up to anywhere, over an area with anything in it.
        let upto = random.u32(..1300);
        device.modem.start_normal().unwrap();
        let target = device.target(&life);
        device.with_store(&mut life, |store| run(device.push().run(target, store, Until::Received(upto)))).unwrap();
        let bytes: Vec<u8> = (0..random.usize(..2000)).map(|_| random.u8(..)).collect();
        let state = ModemState {
            offset: if random.bool() { bytes.len() as u32 } else { random.u32(..2000) },
            content: Content::Bytes(bytes),
            dirty: random.bool(),
            ..device.before.clone()
        };
        device.modem.reload(&state);
        device.modem.start_normal().unwrap();
        device.modem.forget_calls();
        let mut target = device.target(&life);
        device.with_store(&mut life, |store| {
            let mut pushed = run(device.push().run(&mut target, &mut *store, Until::Applied));
            if pushed.is_err() {
                run(target.abort()).expect("what lies there can be given up");
                run(store.clear()).unwrap();
                pushed = run(device.push().run(&mut target, &mut *store, Until::Applied));
            }
            pushed.expect("nothing is in the way any more");
        });
        most = most.max(device.modem.calls().len());
        drop(target);
        device.modem.shutdown().unwrap();
        device.modem.start_normal().unwrap();
    }
    assert!(most < 100, "{most}");
    println!("R20: a delta: {rounds} random states, at most {most} calls of the modem");
}
