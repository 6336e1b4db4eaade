//! Every outcome that the modem tells when it starts.

use dfu_target::ProgressStore;
use dfu_target::progress::State;
use dfu_target_nrf_modem::{Outcome, Settled};
use dfu_testkit::modem::Outcome as Raw;
use dfu_testkit::poll::run;

use crate::Boot;
use crate::stored::Device;

#[test]
fn r21_every_outcome_of_a_delta_is_settled() {
    let device = Device::new(700, true, false);
    for raw in [Raw::AUTH_ERROR, Raw::UUID_ERROR, Raw::VOLTAGE_LOW, Raw::INTERNAL_ERROR, Raw::HARDWARE_ERROR] {
        let mut life = device.restore();
        assert_eq!(device.boot(&mut life), Boot::Reset);
        device.modem.set_next_result(raw);
        device.modem.shutdown().unwrap();
        let started = device.modem.start_normal();
        let outcome = Outcome::from_raw(device.modem.last_result().unwrap());
        let mut target = device.target(&life);
        let settled = device.with_store(&mut life, |store| run(target.settle(store, Some(outcome))));
        let (wanted, ends) = match raw {
            Raw::VOLTAGE_LOW => (Settled::Waiting, false),
            Raw::AUTH_ERROR | Raw::UUID_ERROR => (Settled::Refused(outcome), true),
            _ => (Settled::Dead(outcome), true),
        };
        assert_eq!(settled, Ok(wanted), "{started:?}");
        let record = device.with_store(&mut life, |store| run(store.load())).unwrap();
        assert_eq!((record.state() == State::Receiving, record.attempts() == 1), (ends, ends));
        drop(target);
        if raw == Raw::VOLTAGE_LOW {
            assert_eq!(device.boot(&mut life), Boot::Done);
            device.finished(&mut life);
        } else if device.modem.is_alive() {
            let _ = device.modem.shutdown();
            let boots = [(); 2].map(|()| {
                let boot = device.boot(&mut life);
                let _ = device.modem.shutdown();
                boot
            });
            assert_eq!(boots, [Boot::Reset, Boot::Done], "another try is possible");
            device.finished(&mut life);
        }
    }
}
