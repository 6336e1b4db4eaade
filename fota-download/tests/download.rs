//! The download loop: retries, resume, files that change, targets that fail.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use dfu_target::progress::NoProgress;
use dfu_target::session::{SessionError, Update};
use dfu_target::target::{Checked, Proof};
use dfu_target::{Applied, Begun, DfuTarget, ErrorType, Image, ImageId, ImageKind, Request, Session, Written};
use embedded_io_async::ErrorKind as IoError;
use fota_download::http::{Error, Fault};
use fota_download::{Backoff, DownloadError, Http, Meta, Report, Source, Step, download};
use support::{Answer, Clock, Ram, RamError, Server, Then, block_on, field, image, poll_and_drop, serve};

const URL: &str = "http://fw.example/app.bin";

type Outcome = Result<(), DownloadError<Error<IoError>, RamError>>;
type Live<'u, 't> = Session<'u, &'t mut Ram, NoProgress>;

fn request() -> Request {
    Request::new(ImageId::named("app"))
}

/// Runs the body with a session on this target.
fn with_session<R>(target: &mut Ram, request: Request, body: impl FnOnce(&mut Live<'_, '_>) -> R) -> R {
    let mut update = Update::new(target, NoProgress, request);
    match block_on(update.begin()) {
        Ok(Begun::Receiving(mut session)) => body(&mut session),
        _ => panic!("nothing is stored"),
    }
}

fn run(server: &Server, session: &mut Live<'_, '_>, backoff: Backoff) -> (Outcome, Vec<u32>) {
    let mut clock = Clock::default();
    let mut header = [0; 600];
    let mut source = Http::new(server, URL, &mut header).unwrap();
    let mut buf = [0; 256];
    let outcome =
        block_on(download(&mut source, session, backoff, &mut clock, &mut buf, |_| ControlFlow::Continue(())));
    (outcome, clock.0)
}

/// A download into an empty target: how it ends, the pauses, what is stored.
fn fresh(server: &Server, request: Request) -> (Outcome, Vec<u32>, Vec<u8>) {
    let mut target = Ram::default();
    let (outcome, pauses) = with_session(&mut target, request, |session| run(server, session, Backoff::new()));
    (outcome, pauses, target.bytes)
}

fn serving(file: &[u8]) -> Server {
    let file = file.to_vec();
    Server::new(move |request| serve(request, &file, "\"v1\""))
}

/// Cuts one answer after so many bytes, by closing or by an error.
fn cut(mut answer: Answer, at: usize, then: Then) -> Answer {
    answer.bytes.truncate(at);
    answer.then = then;
    answer
}

#[test]
fn r24_a_connection_cut_at_any_byte_costs_that_byte_and_no_more() {
    let file = image(700, 1);
    let whole = serve("", &file, "\"v1\"").bytes.len();
    let mut cuts = 0;
    for then in [Then::Close, Then::Fail] {
        for at in 0..whole {
            let body = file.clone();
            let mut first = true;
            let server = Server::new(move |request| {
                let answer = serve(request, &body, "\"v1\"");
                if std::mem::take(&mut first) { cut(answer, at, then) } else { answer }
            });
            let (outcome, pauses, stored) = fresh(&server, request());
            assert_eq!((outcome, pauses), (Ok(()), vec![1_000]), "{at}");
            assert!(stored == file, "{at}");
            let head = whole - file.len();
            let from = (at > head).then(|| format!("bytes={}-", at - head));
            assert_eq!(field(&server.request(1), "Range"), from.as_deref(), "{at}");
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn r24_a_connection_that_never_lives_long_still_gets_the_file_over() {
    let file = image(3_000, 1);
    let body = file.clone();
    let server = Server::new(move |request| cut(serve(request, &body, "\"v1\""), 200, Then::Fail));
    let (outcome, pauses, stored) = fresh(&server, request());
    assert_eq!(outcome, Ok(()));
    assert!(stored == file && pauses.len() > 20 && pauses.iter().all(|ms| *ms == 1_000), "{pauses:?}");
}

#[test]
fn a_server_gone_for_ever_ends_it_and_what_came_is_kept() {
    let file = image(1_000, 1);
    let body = file.clone();
    let alive = Rc::new(Cell::new(true));
    let switch = alive.clone();
    let server = Server::new(move |request| {
        let answer = serve(request, &body, "\"v1\"");
        if switch.get() { cut(answer, 600, Then::Fail) } else { cut(answer, 0, Then::Close) }
    });
    let mut target = Ram::default();
    with_session(&mut target, request(), |session| {
        alive.set(false);
        let backoff = Backoff::new().attempts(5).first_ms(10).longest_ms(100);
        let (outcome, pauses) = run(&server, session, backoff);
        assert_eq!(outcome, Err(DownloadError::Source(Error::Answer(Fault::Closed))));
        assert_eq!((pauses, session.offset()), (vec![10, 20, 40, 80, 100], 0));

        alive.set(true);
        let (outcome, _) = run(&server, session, backoff.attempts(0));
        assert_eq!(outcome, Err(DownloadError::Source(Error::Connection(IoError::ConnectionReset))));
        let half = session.offset();
        assert!(half > 400 && half < 600, "{half}");

        let (outcome, _) = run(&server, session, backoff);
        assert_eq!(outcome, Ok(()));
    });
    assert!(target.bytes == file);
}

#[test]
fn what_the_server_refuses_is_not_asked_for_again() {
    for (answer, fault) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", Fault::Status { code: 404, retry_after: 0 }),
        ("HTTP/1.1 401 Who\r\n\r\n", Fault::Status { code: 401, retry_after: 0 }),
        ("HTTP/1.1 410 Gone\r\n\r\n", Fault::Status { code: 410, retry_after: 0 }),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<!DOCTYPE", Fault::Html),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Fault::Encoded),
    ] {
        let server = Server::new(move |_| Answer::from(answer));
        let (outcome, pauses, stored) = fresh(&server, request());
        assert_eq!(outcome, Err(DownloadError::Source(Error::Answer(fault))));
        assert_eq!((pauses, stored, server.requests.borrow().len()), (vec![], vec![], 1));
    }
}

#[test]
fn what_may_go_away_is_waited_out_as_long_as_the_server_wants() {
    let file = image(300, 1);
    let body = file.clone();
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        match nth {
            1 => Answer::from("HTTP/1.1 500 Oops\r\n\r\n"),
            2 => Answer::from("HTTP/1.1 503 Busy\r\nRetry-After: 30\r\n\r\n"),
            3 => Answer::from("HTTP/1.1 429 Slow\r\nRetry-After: 999999999\r\n\r\n"),
            _ => serve(request, &body, "\"v1\""),
        }
    });
    server.down.set(1);
    let (outcome, pauses, stored) = fresh(&server, request());
    assert_eq!((outcome, pauses), (Ok(()), vec![1_000, 2_000, 30_000, 300_000]));
    assert!(stored == file);
}

#[test]
fn an_error_page_amid_a_download_costs_nothing_of_what_came() {
    let file = image(1_000, 1);
    let body = file.clone();
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        match nth {
            1 => cut(serve(request, &body, "\"v1\""), 700, Then::Fail),
            2 => Answer::from("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\nPlease pay."),
            _ => serve(request, &body, "\"v1\""),
        }
    });
    let mut target = Ram::default();
    with_session(&mut target, request(), |session| {
        assert_eq!(run(&server, session, Backoff::new()).0, Err(DownloadError::Source(Error::Answer(Fault::Html))));
        assert!(session.offset() > 500);
        assert_eq!(run(&server, session, Backoff::new()).0, Ok(()));
    });
    assert!(target.bytes == file);
    assert_ne!(field(&server.request(2), "Range"), None);
}

#[test]
fn r24_a_file_that_changes_starts_over_and_is_never_mixed() {
    let files = [image(1_000, 1), image(1_000, 2)];
    for ranges in [true, false] {
        for at in (0..1_050).step_by(13) {
            let served = files.clone();
            let mut nth = 0;
            let server = Server::new(move |request| {
                nth += 1;
                let request = if ranges { request } else { "" };
                match nth {
                    1 => cut(serve(request, &served[0], "\"v1\""), at, Then::Fail),
                    _ => serve(request, &served[1], "\"v2\""),
                }
            });
            let (outcome, _, stored) = fresh(&server, request());
            assert_eq!(outcome, Ok(()));
            assert!(stored == files[1], "{at}");
        }
    }
}

#[test]
fn r10_a_file_that_changed_between_two_sources_starts_over_by_its_tag() {
    // No `If-Range` can help here: the second source has not seen the first version.
    let files = [image(1_000, 1), image(1_000, 2)];
    let [first, second] = [0, 1].map(|nth: usize| {
        let file = files[nth].clone();
        Server::new(move |request| {
            let answer = serve(request, &file, ["\"v1\"", "\"v2\""][nth]);
            if nth == 0 { cut(answer, 600, Then::Fail) } else { answer }
        })
    });
    let mut target = Ram::default();
    with_session(&mut target, request(), |session| {
        assert!(run(&first, session, Backoff::new().attempts(0)).0.is_err());
        assert!(session.offset() > 0);
        assert_eq!(run(&second, session, Backoff::new()).0, Ok(()));
    });
    assert!(target.bytes == files[1]);
    let ranges: Vec<_> = second.requests.borrow().iter().map(|request| field(request, "Range").is_some()).collect();
    assert_eq!(ranges, [true, false]);
}

#[test]
fn r24_a_file_that_changes_all_the_time_comes_to_an_end() {
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        cut(serve(request, &image(1_000, nth), &format!("\"v{nth}\"")), 600, Then::Fail)
    });
    let (outcome, pauses, _) = fresh(&server, request());
    assert_eq!(outcome, Err(DownloadError::Unsettled));
    assert!(pauses.len() < 20, "{pauses:?}");
}

#[test]
fn r24_a_server_without_ranges_costs_bytes_but_no_write_twice() {
    let file = image(1_000, 1);
    let body = file.clone();
    let mut nth = 0;
    let server = Server::new(move |_| {
        nth += 1;
        cut(serve("", &body, "\"v1\""), [300, 600, 9_999][nth - 1], Then::Close)
    });
    let mut target = Ram::default();
    let mut offsets = Vec::new();
    let outcome = with_session(&mut target, request(), |session| {
        let mut header = [0; 600];
        let mut source = Http::new(&server, URL, &mut header).unwrap();
        block_on(download(&mut source, session, Backoff::new(), &mut Clock::default(), &mut [0; 64], |report| {
            offsets.push(report.offset);
            ControlFlow::Continue(())
        }))
    });
    assert_eq!(outcome, Ok(()));
    assert!(offsets.is_sorted() && target.bytes == file);
}

#[test]
fn r24_the_end_of_a_file_of_unknown_length_is_not_guessed() {
    let file = image(500, 1);
    let answer = [&b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n"[..], &file].concat();
    let bytes = answer.clone();
    let server = Server::new(move |_| Answer { bytes: bytes.clone(), then: Then::Close });
    let (outcome, _, stored) = fresh(&server, request());
    assert_eq!((outcome, stored), (Err(DownloadError::NoLength), vec![]));

    // Known from elsewhere, so a body without an end is cut off there.
    let bytes = [answer.clone(), vec![7; 100_000]].concat();
    let endless = Server::new(move |_| Answer { bytes: bytes.clone(), then: Then::Fail });
    for server in [&server, &endless] {
        let (outcome, pauses, stored) = fresh(server, request().size(500));
        assert_eq!((outcome, pauses), (Ok(()), vec![]));
        assert!(stored == file);
    }

    // And a short one is not taken for the whole.
    let mut nth = 0;
    let short = Server::new(move |_| {
        nth += 1;
        Answer { bytes: answer[..answer.len() - if nth < 4 { 100 } else { 0 }].to_vec(), then: Then::Close }
    });
    let (outcome, pauses, stored) = fresh(&short, request().size(500));
    assert_eq!((outcome, pauses), (Ok(()), vec![1_000, 2_000]), "the first is followed by another at once");
    assert!(stored == file);
    let short = serving_without_length(&file[..400]);
    assert_eq!(fresh(&short, request().size(500)).0, Err(DownloadError::Ended { have: 400 }));
}

fn serving_without_length(file: &[u8]) -> Server {
    let bytes = [&b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n"[..], file].concat();
    Server::new(move |_| Answer { bytes: bytes.clone(), then: Then::Close })
}

#[test]
fn r24_a_server_that_gives_the_range_in_parts_is_asked_on_without_a_pause() {
    let file = image(1_000, 1);
    let body = file.clone();
    let server = Server::new(move |request| {
        let Some(from) = field(request, "Range") else { return serve("", &body[..], "\"v1\"") };
        let from: usize = from[6..from.len() - 1].parse().unwrap();
        let last = (from + 149).min(999);
        let head = format!("HTTP/1.1 206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-{last}/1000\r\n\r\n");
        Answer { bytes: [head.as_bytes(), &body[from..=last]].concat(), then: Then::Keep }
    });
    let mut target = Ram::default();
    with_session(&mut target, request(), |session| {
        block_on(session.write(&file[..100])).unwrap();
        session.agree(None, 0).unwrap();
        let (outcome, pauses) = run(&server, session, Backoff::new());
        assert_eq!((outcome, pauses), (Ok(()), vec![]));
    });
    assert!(target.bytes == file);
}

#[test]
fn wrong_files_are_refused_before_a_byte_is_stored() {
    let (outcome, _, stored) = fresh(&serving(b""), request());
    assert_eq!((outcome, stored), (Err(DownloadError::Empty), vec![]));
    let (outcome, _, stored) = fresh(&serving(&[b'<'; 500]), request());
    assert_eq!((outcome, stored), (Err(DownloadError::Session(SessionError::Unknown)), vec![]));
    let (outcome, _, stored) = fresh(&serving(&image(500, 1)), request().size(499));
    let wrong = SessionError::WrongSize { wanted: 499, offered: 500 };
    assert_eq!((outcome, stored), (Err(DownloadError::Session(wrong)), vec![]));
}

#[test]
fn a_target_that_fails_for_a_while_is_resumed_and_one_that_fails_for_ever_ends_it() {
    let file = image(2_000, 1);
    let server = serving(&file);
    let mut target = Ram { fail: Some((4, 3)), ..Ram::default() };
    let (outcome, pauses) = with_session(&mut target, request(), |session| run(&server, session, Backoff::new()));
    assert_eq!((outcome, pauses), (Ok(()), vec![1_000, 2_000, 4_000]));
    assert!(target.bytes == file);

    let mut broken = Ram { fail: Some((4, 1_000)), ..Ram::default() };
    let (outcome, pauses) = with_session(&mut broken, request(), |session| run(&server, session, Backoff::new()));
    assert_eq!(outcome, Err(DownloadError::Session(SessionError::Target(RamError))));
    assert_eq!(pauses.len(), 8);
}

#[test]
fn a_target_that_goes_back_gets_the_bytes_once_more() {
    let file = image(2_000, 1);
    for to in [0, 64, 100, 300] {
        let server = serving(&file);
        let mut target = Ram { rewind: Some((5, to)), ..Ram::default() };
        let (outcome, pauses) = with_session(&mut target, request(), |session| run(&server, session, Backoff::new()));
        assert_eq!((outcome, pauses), (Ok(()), vec![]), "{to}");
        assert!(target.bytes == file, "{to}");
    }
}

#[test]
fn a_target_that_goes_back_gets_them_in_stretches_too() {
    let file = image(30_000, 1);
    for to in [18_000, 10_000, 1_000, 0] {
        for limit in [512, 2_303] {
            let server = serving(&file);
            let mut target = Ram { rewind: Some((110, to)), ..Ram::default() };
            let (mut clock, mut header) = (Clock::default(), [0; 600]);
            let mut source = Http::new(&server, "https://fw.example/app.bin", &mut header).unwrap().record_limit(limit);
            let outcome = with_session(&mut target, request(), |session| {
                let on = |_| ControlFlow::Continue(());
                block_on(download(&mut source, session, Backoff::new(), &mut clock, &mut [0; 256], on))
            });
            assert_eq!((outcome, clock.0), (Ok(()), vec![]), "{to} {limit}");
            assert!(target.bytes == file, "{to} {limit}");
        }
    }
}

#[test]
fn a_target_that_goes_back_far_begins_a_new_row_of_attempts() {
    let file = image(30_000, 1);
    let body = file.clone();
    let server = Server::new(move |request| cut(serve(request, &body, "\"v1\""), 2_000, Then::Fail));
    let mut target = Ram { rewind: Some((110, 0)), ..Ram::default() };
    let (outcome, pauses) = with_session(&mut target, request(), |session| run(&server, session, Backoff::new()));
    assert_eq!(outcome, Ok(()));
    assert!(target.bytes == file && pauses.iter().all(|ms| *ms == 1_000), "{pauses:?}");
}

#[test]
fn a_target_that_goes_back_for_ever_ends_it() {
    /// Takes all but the last byte, each time.
    struct Never(Ram);
    impl ErrorType for Never {
        type Error = RamError;
    }
    impl DfuTarget for Never {
        fn identity(&self, kind: ImageKind, index: u8) -> u32 {
            self.0.identity(kind, index)
        }
        fn accepts(&self, kind: ImageKind, index: u8) -> bool {
            self.0.accepts(kind, index)
        }
        async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, RamError> {
            self.0.init(image, resume).await
        }
        async fn write(&mut self, bytes: &[u8]) -> Result<Written, RamError> {
            if self.0.bytes.len() + bytes.len() >= 3_000 {
                self.0.bytes.clear();
                return Ok(Written::Rewind(0));
            }
            self.0.write(bytes).await
        }
        async fn digest(&mut self) -> Result<Checked, RamError> {
            self.0.digest().await
        }
        async fn apply(&mut self, proof: Proof) -> Result<Applied, RamError> {
            self.0.apply(proof).await
        }
        async fn abort(&mut self) -> Result<(), RamError> {
            self.0.abort().await
        }
    }
    for limit in [None, Some(512)] {
        let server = serving(&image(3_000, 1));
        let (mut target, mut clock, mut header) = (Never(Ram::default()), Clock::default(), [0; 600]);
        let mut source = Http::new(&server, "https://fw.example/app.bin", &mut header).unwrap();
        if let Some(limit) = limit {
            source = source.record_limit(limit);
        }
        let mut update = Update::new(&mut target, NoProgress, request());
        let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
        let on = |_| ControlFlow::Continue(());
        let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut [0; 256], on));
        assert_eq!((outcome, clock.0), (Err(DownloadError::Unsettled), vec![]));
    }
}

#[test]
fn a_source_of_two_functions_will_do() {
    struct Card(Vec<u8>, usize);
    impl Source for Card {
        type Error = Error<IoError>;
        async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
            self.1 = from as usize;
            Ok(Meta { size: Some(self.0.len() as u32), tag: 7, start: from })
        }
        async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
            let count = buf.len().min(self.0.len() - self.1);
            buf[..count].copy_from_slice(&self.0[self.1..][..count]);
            self.1 += count;
            Ok(count)
        }
    }
    let mut source = Card(image(1_000, 1), 0);
    let mut target = Ram { rewind: Some((4, 100)), ..Ram::default() };
    let outcome = with_session(&mut target, request(), |session| {
        let (mut clock, mut buf) = (Clock::default(), [0; 64]);
        block_on(download(&mut &mut source, session, Backoff::new(), &mut clock, &mut buf, |_| {
            ControlFlow::Continue(())
        }))
    });
    assert_eq!(outcome, Ok(()));
    assert!(target.bytes == source.0);
}

#[test]
fn a_source_that_names_the_length_only_at_the_start_is_asked_there_again() {
    /// libcoap's server is one.
    struct Halves(Vec<u8>, usize, bool);
    impl Source for Halves {
        type Error = Error<IoError>;
        async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
            self.1 = from as usize;
            let size = (from == 0).then_some(self.0.len() as u32);
            Ok(Meta { size, tag: 0, start: from })
        }
        async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
            if self.1 > 500 && !std::mem::replace(&mut self.2, true) {
                return Err(Error::Connection(IoError::ConnectionReset));
            }
            let rest = &self.0[self.1..];
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            self.1 += count;
            Ok(count)
        }
    }
    let (file, mut target, mut clock) = (image(1_000, 1), Ram::default(), Clock::default());
    let outcome = with_session(&mut target, request(), |session| {
        let mut source = Halves(file.clone(), 0, false);
        let mut buf = [0; 100];
        let on = |_| ControlFlow::Continue(());
        block_on(download(&mut source, session, Backoff::new(), &mut clock, &mut buf, on))
    });
    assert_eq!((outcome, clock.0), (Ok(()), vec![1_000]));
    assert!(target.bytes == file);
}

#[test]
fn the_observer_sees_each_step_and_can_end_it() {
    let file = image(1_000, 1);
    let body = file.clone();
    let mut first = true;
    let server = Server::new(move |request| {
        let answer = serve(request, &body, "\"v1\"");
        if std::mem::take(&mut first) { cut(answer, 500, Then::Fail) } else { answer }
    });
    let mut target = Ram::default();
    with_session(&mut target, request(), |session| {
        let reports = RefCell::new(Vec::<Report>::new());
        let mut header = [0; 600];
        let mut source = Http::new(&server, URL, &mut header).unwrap();
        let observer = |report: Report| {
            reports.borrow_mut().push(report);
            if report.offset > 800 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut buf = [0; 200];
        let outcome =
            block_on(download(&mut source, session, Backoff::new(), &mut Clock::default(), &mut buf, observer));
        assert_eq!(outcome, Err(DownloadError::Cancelled));
        let reports = reports.into_inner();
        assert_eq!((reports[0].step, reports[0].size), (Step::Open, None));
        assert_eq!((reports[1].step, reports[1].size), (Step::Receive, Some(1_000)));
        assert_eq!(reports.iter().filter(|report| report.step == Step::Wait { attempt: 1, ms: 1_000 }).count(), 1);
        assert_eq!(reports.last().unwrap().offset, session.offset());
        assert!(session.offset() > 800 && session.offset() < 1_000);
        assert_eq!(run(&server, session, Backoff::new()).0, Ok(()));
    });
    assert!(target.bytes == file);
}

#[test]
fn r09_a_dropped_download_goes_on_where_it_was() {
    let file = image(1_000, 1);
    let mut drops = 0;
    for polls in 0..60 {
        let server = serving(&file);
        server.slow.set(true);
        server.piece.set(60);
        let mut target = Ram::default();
        with_session(&mut target, request(), |session| {
            let mut header = [0; 600];
            let mut source = Http::new(&server, URL, &mut header).unwrap();
            for _ in 0..3 {
                let (mut clock, mut buf) = (Clock::default(), [0; 200]);
                let download =
                    download(&mut source, session, Backoff::new(), &mut clock, &mut buf, |_| ControlFlow::Continue(()));
                drops += usize::from(poll_and_drop(download, polls).is_none());
            }
            assert_eq!(run(&server, session, Backoff::new()).0, Ok(()));
        });
        assert!(target.bytes == file, "{polls}");
    }
    println!("{drops} drops");
}
