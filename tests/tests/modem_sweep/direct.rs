//! Full updates without staging: a cut may leave the modem dead, and the whole update once more always helps.

use std::time::Instant;

use dfu_target::digest::SoftSha256;
use dfu_target::progress::NoProgress;
use dfu_target::session::SessionError;
use dfu_target_nrf_modem::port::{Errno, Fault};
use dfu_target_nrf_modem::{DirectError, ModemFullDirect};
use dfu_testkit::flash::Cut;
use dfu_testkit::modem::{FakeModem, FullFile, ModemCall, uuid};
use dfu_testkit::poll::{poll_limited, run};
use dfu_testkit::search::singles;

use crate::push::{Push, Until};
use crate::report;

type Target = ModemFullDirect<FakeModem, SoftSha256>;

fn target(modem: &FakeModem) -> Target {
    ModemFullDirect::new(modem.clone(), [SoftSha256::default(), SoftSha256::default()])
}

async fn push(target: &mut Target, file: &[u8], chunk: usize) -> Result<(), SessionError<DirectError>> {
    Push { file, chunk, save_every: 512, prepares: false }.run(target, NoProgress, Until::Applied).await
}

fn runs(modem: &FakeModem, n: u32) -> bool {
    modem.power_on();
    modem.start_normal().is_ok() && modem.running() == uuid(n)
}

#[test]
fn r01_after_a_cut_anywhere_the_whole_update_once_more_always_works() {
    let began = Instant::now();
    let file = FullFile::small(uuid(7)).ranges(&[(0x6000, 20_000), (0x5_0000, 300)]).build();
    let (modem, before) = (FakeModem::default(), FakeModem::default().save());
    for (chunk, starts) in [(300, true), (5000, false), (30_000, true), (64, false)] {
        let mut dead = 0;
        let points = singles(&Cut::ALL, |cuts| {
            modem.reload(&before);
            if starts {
                modem.start_normal().unwrap();
            }
            modem.cut_after(cuts[0].point, cuts[0].cut);
            let pushed = run(push(&mut target(&modem), &file, chunk));
            if pushed.is_ok() {
                assert!(runs(&modem, 7));
                return 0;
            }
            modem.power_on();
            dead += u64::from(!modem.is_alive());
            assert!(modem.is_alive() || modem.start_normal().is_err());
            run(push(&mut target(&modem), &file, chunk)).unwrap();
            assert!(runs(&modem, 7));
            1
        });
        assert!(dead > 0 && dead < points);
        report(points, began, "straight into the modem");
    }
}

#[test]
fn r09_after_a_failure_or_a_dropped_future_the_whole_update_once_more_works() {
    let (began, mut points) = (Instant::now(), 0);
    let file = FullFile::small(uuid(7)).build();
    let (modem, before) = (FakeModem::default(), FakeModem::default().save());
    for polls in 0.. {
        modem.reload(&before);
        let mut target = target(&modem);
        let ready = poll_limited(push(&mut target, &file, 100), polls).is_some();
        run(push(&mut target, &file, 100)).unwrap();
        assert!(runs(&modem, 7));
        points += 1;
        if ready {
            break;
        }
    }
    for call in
        [ModemCall::Start, ModemCall::BlWrite, ModemCall::FwWrite, ModemCall::BootloaderUpdate, ModemCall::Verify]
    {
        for (nth, errno) in (0..12).flat_map(|nth| Errno::ALL.iter().map(move |errno| (nth, *errno))) {
            for cut in [Cut::Before, Cut::ALL[4], Cut::After] {
                modem.reload(&before);
                modem.forget_calls();
                modem.fail_amid(call, nth, Fault::Errno(errno), cut);
                let mut target = target(&modem);
                let pushed = run(push(&mut target, &file, 100));
                let struck = modem.failures_due() == 0;
                let told = matches!(
                    pushed,
                    Err(SessionError::Target(DirectError::Modem(fault) | DirectError::Refused(fault)))
                        if fault == Fault::Errno(errno)
                );
                assert_eq!(told, struck, "{call:?} {nth} {errno:?} {cut:?} {pushed:?}");
                if matches!(pushed, Err(SessionError::Target(DirectError::Refused(_)))) {
                    assert!(call == ModemCall::Verify && modem.is_alive());
                }
                if struck {
                    run(push(&mut target, &file, 100)).unwrap();
                    points += 1;
                }
                assert!(runs(&modem, 7));
            }
        }
    }
    report(points, began, "straight into the modem, failures");
}

#[test]
fn r18_a_byte_that_is_wrong_is_told_at_the_end_and_a_right_file_helps() {
    let good = FullFile::small(uuid(7)).build();
    let front = good.len() - FullFile::small(uuid(7)).blob().len();
    for at in (front..good.len()).step_by(37) {
        let modem = FakeModem::default();
        let mut target = target(&modem);
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let pushed = run(push(&mut target, &bad, 200));
        // A loader that is damaged does not run; what is damaged behind it was programmed.
        assert!(
            matches!(pushed, Err(SessionError::Target(DirectError::BlobHash | DirectError::Modem(_)))),
            "{pushed:?}"
        );
        assert!(at >= front + 256 || modem.is_alive());
        run(push(&mut target, &good, 200)).unwrap();
        assert!(runs(&modem, 7));
    }
}
