//! The least that does by hand what `http` was first asked for, on top of the whole session: an address taken apart, a
//! range, a validator, statuses, one connection for as long as it lasts, retries with a pause that grows. No redirects, no
//! chunks, no limits of a TLS record, no reasons.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Clock, Engine, Flash, Net, Wire};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Begun, Digest, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{Read, Write};
use fota_download::Connect;
use fota_download::connect::Server;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(http().await);
    })
}

/// The slots as a type: the compiler works with the numbers themselves.
struct Board;

impl AsRef<Slots> for Board {
    fn as_ref(&self) -> &Slots {
        const { &Slots::new::<Flash>(0xa000, Config::new(Mode::SwapMove).recall(false)) }
    }
}
const MAP: Layout<Flash, 2> = Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]);

async fn http() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let mut log = ProgressLog::<_>::new(log);
    let wanted = black_box(Digest([0; 32]));
    let mut update = Update::new(&mut target, &mut log, Request::of(wanted));
    let staged = match update.begin().await.ok()? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            let (buffer, chunk) = dfu_size::buffers();
            let url = black_box("http://firmware.example.com/app.bin");
            let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
            let (mut pause, mut tag) = (1_000_u32, Tag { bytes: [0; 64], len: 0 });
            let mut wire = None;
            // One place for each thing that is waited for.
            while session.size() != Some(session.offset()) {
                let Some(open) = &mut wire else {
                    let opened = Net.connect(Server { host, port: 80, tls: false }).await.ok();
                    if let Some(mut opened) = opened
                        && let Some(len) = ask(buffer, host, path, &tag, session.offset())
                        && opened.write_all(buffer.get(..len)?).await.is_ok()
                    {
                        wire = Some(Open { wire: opened, head: Some(0) });
                        continue;
                    }
                    Clock.delay_ms(pause).await;
                    pause = pause.saturating_mul(2).min(60_000);
                    session.resume().await.ok()?;
                    continue;
                };
                let into = match open.head {
                    Some(have) => buffer.get_mut(have..)?,
                    None => &mut *chunk,
                };
                let count = open.wire.read(into).await.unwrap_or(0);
                let body = match open.head {
                    _ if count == 0 => None,
                    None => chunk.get(..count),
                    Some(have) => {
                        let have = have.wrapping_add(count);
                        open.head = Some(have);
                        match answer(buffer.get(..have)?, session.offset(), &mut tag) {
                            Some(Answer::More) => continue,
                            Some(Answer::Body { from, begins, total }) => {
                                if begins != session.offset() {
                                    session.restart();
                                }
                                open.head = None;
                                session.agree(Some(total), 0).ok()?;
                                buffer.get(from..have)
                            }
                            None => None,
                        }
                    }
                };
                match body {
                    Some(body) => drop(session.write(body).await.ok()?),
                    None => wire = None,
                }
            }
            session.finish().await.ok()?
        }
    };
    if staged.attempted() {
        return None;
    }
    let _ = black_box(staged.verify(&wanted).ok()?.apply().await.ok()?);
    Some(())
}

struct Open {
    wire: Wire,
    /// How much of the head came; `None`: all.
    head: Option<usize>,
}

struct Tag {
    bytes: [u8; 64],
    len: usize,
}

fn ask(buffer: &mut [u8], host: &str, path: &str, tag: &Tag, from: u32) -> Option<usize> {
    let mut digits = [b'0'; 10];
    let mut rest = from;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
    }
    let tag = tag.bytes.get(..tag.len)?;
    let mut len = 0_usize;
    for part in [
        b"GET /",
        path.as_bytes(),
        b" HTTP/1.1\r\nHost: ",
        host.as_bytes(),
        b"\r\nIf-Range: ",
        tag,
        b"\r\nRange: bytes=",
        &digits,
        b"-\r\n\r\n",
    ] {
        buffer.get_mut(len..)?.get_mut(..part.len())?.copy_from_slice(part);
        len = len.wrapping_add(part.len());
    }
    Some(len)
}

enum Answer {
    More,
    Body { from: usize, begins: u32, total: u32 },
}

fn answer(bytes: &[u8], wanted: u32, tag: &mut Tag) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(from) = response.parse(bytes).ok()? else { return Some(Answer::More) };
    let (mut begins, mut total) = (0, None);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-range") {
            let (range, all) = core::str::from_utf8(header.value).ok()?.strip_prefix("bytes ")?.split_once('/')?;
            begins = number(range.split_once('-')?.0)?;
            total = Some(number(all)?);
        } else if header.name.eq_ignore_ascii_case("content-length") && total.is_none() {
            total = Some(number(core::str::from_utf8(header.value).ok()?)?);
        } else if header.name.eq_ignore_ascii_case("etag") {
            tag.bytes.get_mut(..header.value.len())?.copy_from_slice(header.value);
            tag.len = header.value.len();
        }
    }
    match response.code? {
        206 if begins == wanted => {}
        200 => begins = 0,
        _ => return None,
    }
    Some(Answer::Body { from, begins, total: total? })
}

fn number(text: &str) -> Option<u32> {
    text.bytes().try_fold(0_u32, |sum, byte| {
        let digit = char::from(byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}
