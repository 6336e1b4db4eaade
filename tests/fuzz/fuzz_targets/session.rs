//! Any course of updates: what an application calls, what its server sends, and what goes wrong meanwhile.
//!
//! A script of calls runs on a small device in any of MCUboot's modes, alone or with a modem behind it: begin, write,
//! prepare, agree, resume, restart, finish, verify, apply, abort, each dropped at any await, over resets; while power
//! is cut and the flash and the modem fail or say what is not so.
//!
//! What must hold: nothing panics, and nothing but the target and the log is written. What runs is changed by the
//! bootloader alone, and only to an image that was verified, or back. No wrong image is ever pending. What is called
//! durable is stored. And whatever came before, in the end an honest update goes through, in a bounded number of
//! operations, once what waits is withdrawn and what runs on trial is confirmed.
#![no_main]

use dfu_fuzz::{Bytes, File, World};
use dfu_target::session::SessionError;
use dfu_target::{Begun, DfuTarget, ErrorKind, ImageId, ProgressStore, Request, Session, Staged, Update, Verified};
use dfu_testkit::poll::{poll_limited, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.byte() % 4 {
        0 => course::<1, 256, 1>(bytes),
        1 => course::<4, 256, 4>(bytes),
        2 => course::<8, 256, 1>(bytes),
        _ => course::<32, 512, 4>(bytes),
    }
});

fn course<const W: usize, const E: usize, const R: usize>(mut script: Bytes<'_>) {
    let mut world = World::<W, E, R>::new(&mut script);
    for _ in 0..LIVES {
        if script.0.is_empty() {
            break;
        }
        let [wanted, options, actions] = script.array();
        if actions & 1 != 0 && world.is_on_trial() {
            world.confirm();
        }
        life(&mut world, Wish { wanted: wanted % File::LAST, options, alone: actions & 4 != 0 }, &mut script);
        if actions & 2 != 0 {
            world.withdraw();
        }
        world.reset();
    }
    honest(world);
}

/// What the application wants, and how it asks for it.
#[derive(Clone, Copy)]
struct Wish {
    wanted: u8,
    options: u8,
    /// Without the modem.
    alone: bool,
}

/// From one reset to the next.
fn life<const W: usize, const E: usize, const R: usize>(
    world: &mut World<W, E, R>,
    wish: Wish,
    script: &mut Bytes<'_>,
) {
    let device = world.device.clone();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    world.guard();
    let file = &world.files()[usize::from(wish.wanted)];
    let Wish { options, .. } = wish;
    let request = if options & 3 == 0 { Request::of(file.digest) } else { Request::new(ImageId([7; 32])) };
    let request = if options & 4 == 0 { request.size(file.bytes.len() as u32) } else { request };
    let request = request.save_every([64, 256, 300, 1024][usize::from(options >> 3) & 3]);
    // Nobody tells the versions of a file apart, unless it is agreed on them.
    world.mixed |= options & 3 > 1;
    let (agrees, is_known) = (options & 3 == 1, options & 3 == 0);
    if wish.alone {
        Life { world, file, agrees, is_known, polls: None }.lead(Update::new(target, log, request), script);
    } else {
        let target = target.or(world.delta());
        Life { world, file, agrees, is_known, polls: None }.lead(Update::new(target, log, request), script);
    }
}

/// How many resets there are at the most, and calls between two of them.
const LIVES: usize = 8;
const CALLS: usize = 40;

struct Life<'w, 'f, const W: usize, const E: usize, const R: usize> {
    world: &'w mut World<W, E, R>,
    file: &'f File,
    /// The application says which version of the file its server has.
    agrees: bool,
    /// The image that is verified is this file, and not merely a good one of that name.
    is_known: bool,
    /// After so many polls the next call is dropped.
    polls: Option<u8>,
}

/// How far an update is.
enum Stage<'u, T, S> {
    Idle,
    Receiving(Session<'u, T, S>),
    Staged(Staged<'u, T, S>),
    Verified(Verified<'u, T, S>),
}

impl<const W: usize, const E: usize, const R: usize> Life<'_, '_, W, E, R> {
    fn lead<T: DfuTarget, S: ProgressStore>(mut self, mut update: Update<T, S>, script: &mut Bytes<'_>) {
        let mut stage = Stage::Idle;
        for _ in 0..CALLS {
            let [call, first, second] = script.array();
            if script.0.is_empty() || self.world.is_off() {
                return;
            }
            stage = match call % 16 {
                0 => return,
                1 | 2 => self.begin(&mut update),
                3 => {
                    self.world.trouble(first, second);
                    stage
                }
                4 => {
                    self.polls = Some(first);
                    stage
                }
                call => match stage {
                    // What an application would do next.
                    Stage::Idle => self.begin(&mut update),
                    Stage::Receiving(session) => self.receive(session, call, first, second),
                    Stage::Staged(staged) => self.verify(staged, call, first),
                    Stage::Verified(verified) => self.apply(verified, call, first),
                },
            };
        }
    }

    /// Drives a call to its end, or drops it before.
    fn call<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let Some(polls) = self.polls.take() else { return Some(run(future)) };
        let chip = self.world.device.chip().clone();
        chip.sim().set_yields(polls & 0x80 == 0, polls & 0x40 == 0);
        let output = poll_limited(future, usize::from(polls & 0x3f));
        chip.sim().set_yields(false, false);
        output
    }

    fn begin<'u, T: DfuTarget, S: ProgressStore>(&mut self, update: &'u mut Update<T, S>) -> Stage<'u, T, S> {
        match self.call(update.begin()) {
            Some(Ok(Begun::Receiving(mut session))) => {
                if self.agrees {
                    // They have the same size or not; the tag tells.
                    let _ = session.agree(Some(self.file.bytes.len() as u32), 1 + u32::from(self.file.number));
                }
                self.world.is_stored(self.file, session.kind(), session.durable());
                Stage::Receiving(session)
            }
            Some(Ok(Begun::Staged(staged))) => Stage::Staged(staged),
            _ => Stage::Idle,
        }
    }

    fn receive<'u, T: DfuTarget, S: ProgressStore>(
        &mut self,
        mut session: Session<'u, T, S>,
        call: u8,
        first: u8,
        second: u8,
    ) -> Stage<'u, T, S> {
        self.world.goes_on();
        let file = self.file;
        let all = file.bytes.len();
        let at = (session.offset() as usize).min(all);
        let piece = |from: usize, len: usize| &file.bytes[from..all.min(from + len)];
        match call {
            5 | 6 => {
                let len = usize::from(u16::from_le_bytes([first, second & 3]));
                self.call(session.write(piece(at, len)));
            }
            7 => {
                // From before, or behind a gap.
                let gap = usize::from(second >> 7);
                let from = (at + gap).saturating_sub(usize::from(second & 0x7f)).min(all);
                let result = self.call(session.write_at(from as u32, piece(from, first.into())));
                let gap = matches!(result, Some(Err(SessionError::Gap { .. })));
                assert!(!gap || from > at);
            }
            8 | 9 => {
                let len = 1 + usize::from(first) * 4;
                let mut left = 2 * all / len + 4;
                while (session.offset() as usize) < all && left > 0 {
                    let at = session.offset() as usize;
                    if second & 1 != 0 {
                        let _ = run(session.prepare());
                    }
                    if !matches!(self.call(session.write(piece(at, len))), Some(Ok(_))) {
                        break;
                    }
                    left -= 1;
                }
            }
            10 => {
                let _ = self.call(session.prepare());
            }
            11 => {
                if let Some(Ok(offset)) = self.call(session.resume()) {
                    assert_eq!(offset, session.offset());
                }
            }
            12 if first & 3 == 0 => session.restart(),
            13 if first & 3 == 0 => {
                self.world.gives_up();
                let _ = self.call(session.abort());
            }
            _ => {
                return match self.call(session.finish()) {
                    Some(Ok(staged)) => Stage::Staged(staged),
                    Some(Err(failed)) => Stage::Receiving(failed.into_inner()),
                    None => Stage::Idle,
                };
            }
        }
        self.world.is_stored(file, session.kind(), session.durable());
        Stage::Receiving(session)
    }

    /// What is stored may be of another version: nobody asked.
    fn go_back<'u, T: DfuTarget, S: ProgressStore>(&self, mut session: Session<'u, T, S>) -> Stage<'u, T, S> {
        if self.agrees {
            session.restart();
        }
        Stage::Receiving(session)
    }

    fn verify<'u, T: DfuTarget, S: ProgressStore>(
        &mut self,
        staged: Staged<'u, T, S>,
        call: u8,
        first: u8,
    ) -> Stage<'u, T, S> {
        let result = match call {
            5..12 => staged.verify(&self.file.digest),
            12 | 13 => return self.go_back(staged.into_session()),
            _ if first & 1 == 0 => staged.verify_self(),
            _ => {
                let mut other = self.file.digest;
                other.0[usize::from(first) % 32] ^= 1;
                let result = staged.verify(&other);
                assert!(result.is_err(), "another digest was found right");
                result
            }
        };
        match result {
            Ok(verified) => {
                self.is_known |= call < 12;
                Stage::Verified(verified)
            }
            Err(failed) => Stage::Staged(failed.into_inner()),
        }
    }

    fn apply<'u, T: DfuTarget, S: ProgressStore>(
        &mut self,
        verified: Verified<'u, T, S>,
        call: u8,
        first: u8,
    ) -> Stage<'u, T, S> {
        match call {
            12 | 13 if first & 3 == 0 => self.go_back(verified.into_session()),
            14 => match self.call(verified.record()) {
                Some(Ok(verified)) => Stage::Verified(verified),
                Some(Err(failed)) => Stage::Verified(failed.into_inner()),
                None => Stage::Idle,
            },
            _ => {
                self.world.asks(self.file.number, self.is_known);
                match self.call(verified.apply()) {
                    Some(Ok(_)) => {
                        self.world.applied();
                        Stage::Idle
                    }
                    Some(Err(failed)) => Stage::Verified(failed.into_inner()),
                    None => Stage::Idle,
                }
            }
        }
    }
}

/// In the end an update goes through, and stays.
fn honest<const W: usize, const E: usize, const R: usize>(mut world: World<W, E, R>) {
    world.reset();
    if world.is_on_trial() {
        world.confirm();
    }
    world.device.chip().sim().reset_counts();
    let files = world.files();
    let file = &files[usize::from(File::LAST)];
    let mut failed = Vec::new();
    while let Err(kind) = attempt(&world, file, failed.last() == Some(&ErrorKind::Corrupt)) {
        failed.push(kind);
        if kind == ErrorKind::Pending {
            world.device.withdraw().expect("a request that can be taken back");
        }
        assert!(failed.len() < 6, "no end of it: {failed:?}");
    }
    let counts = world.device.chip().sim().counts();
    let words = world.device.target().len() / W;
    assert!(counts.points < 4 * words as u64 + 100, "{counts:?} after {failed:?}");
    world.asks(File::LAST, true);
    world.applied();
    world.reset();
    assert!(world.device.holds(world.device.running(), &file.bytes), "the last image does not run");
    world.device.confirm().expect("an image that can stay");
    world.reset();
    assert!(world.device.holds(world.device.running(), &file.bytes), "the last image does not stay");
}

/// An application that knows no trouble; it starts over where it was told that what is stored is wrong.
fn attempt<const W: usize, const E: usize, const R: usize>(
    world: &World<W, E, R>,
    file: &File,
    restarts: bool,
) -> Result<(), ErrorKind> {
    let mut shared = world.device.share();
    let (_, target, log) = world.device.open(&mut shared);
    world.guard();
    let mut update = Update::new(target.or(world.delta()), log, Request::of(file.digest).size(file.bytes.len() as u32));
    let begun = run(update.begin()).map_err(|error| error.kind())?;
    let staged = match begun {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            if restarts {
                session.restart();
            }
            while let Some(rest) = file.bytes.get(session.offset() as usize..).filter(|rest| !rest.is_empty()) {
                run(session.write(&rest[..rest.len().min(100)])).map_err(|error| error.kind())?;
            }
            run(session.finish()).map_err(|failed| failed.error().kind())?
        }
    };
    let verified = staged.verify(&file.digest).map_err(|failed| failed.error().kind())?;
    run(verified.apply()).map(drop).map_err(|failed| failed.error().kind())
}
