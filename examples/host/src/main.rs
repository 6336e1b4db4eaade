//! The whole update on a PC: a real HTTP server, a simulated nRF9160, a power cut in between. And the same library at
//! work on files: what an image is, what two slots hold, what a flash map has room for.

mod board;
mod console;
mod device;
mod ending;
mod image;
mod inspect;
mod key;
mod layout;
mod map;
mod modem;
mod net;
mod notation;
mod server;
mod slots;
mod story;
mod summary;
mod trace;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use dfu_target::Digest;
use fota_connectors::tokio::Net;
use fota_download::Remote;
use fota_download::coap::{MAX_WINDOW, Settings};
use fota_download::remote::UrlError;

use crate::console::{Console, unwritten};
use crate::inspect::Inspect;
use crate::layout::Layout;
use crate::modem::Modem;
use crate::slots::{Confirm, Show, Stage, Withdraw};
use crate::story::{End, Story};

/// Updates a simulated nRF9160 from a real server, with a power cut on the way, and checks that all went as promised.
///
/// Without options: serves an image of about 300 KiB that imgtool signed, downloads it into the device's flash,
/// cuts the power at 60 %, goes on after the reset, verifies, swaps and confirms. The commands do other things.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Serve this image instead of the one that is built in
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    image: Option<PathBuf>,
    /// Serve nothing, and download from a server of yours, by http, https, coap, coap+tcp or coaps+tcp. The image is then
    /// checked by its own hash, unless --digest says more
    #[arg(long, value_parser = url)]
    url: Option<String>,
    /// Take the file with this SHA-256 and no other
    #[arg(long, value_name = "HEX", requires = "url", value_parser = digest)]
    digest: Option<Digest>,
    /// Have so many blocks on their way at a time, over CoAP
    #[arg(long, value_name = "NUMBER", requires = "url", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_WINDOW)))]
    window: u8,
    /// Fetch the first bytes alone, and say whether the device would take the file and what it costs
    #[arg(long, requires = "url", conflicts_with = "cut_at")]
    probe: bool,
    /// Trust these certificate authorities, a PEM file, for an `https` URL
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Receive no TLS record with more bytes in it than this: 2303 for the nRF91's modem
    #[arg(long, value_name = "BYTES", requires = "ca")]
    tls_record: Option<u16>,
    /// Cut the power when about this much of the image is programmed [default: 60, or never with --flash]
    #[arg(long, value_name = "PERCENT|never", value_parser = cut_at)]
    cut_at: Option<CutAt>,
    /// Keep the flash in this file. A run that is cut ends there; the next one goes on with the file alone
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Choose another word to cut near the percentage, and another way to tear it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Say nothing but one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// What else it does.
#[derive(Subcommand)]
enum Command {
    Inspect(Inspect),
    Stage(Box<Stage>),
    State(Box<Show>),
    Confirm(Box<Confirm>),
    Withdraw(Box<Withdraw>),
    Layout(Box<Layout>),
    Modem(Modem),
    Trace(trace::Show),
}

/// When power fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CutAt {
    Never,
    Percent(u8),
}

const EXIT_CODES: &str = "\
Exit codes: 0 done as promised, 1 refused or failed, 2 wrong usage, 3 power was cut as asked and the flash is kept";

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(text) => return show(&text),
    };
    if let Some(command) = &options.command {
        return command.run();
    }
    let secure = options.url.as_ref().is_some_and(|url| url.starts_with("https:") || url.starts_with("coaps"));
    if secure && options.ca.is_none() {
        let text = "a URL with TLS needs --ca <FILE>, which says whom to trust";
        Options::command().error(ErrorKind::MissingRequiredArgument, text).exit();
    }
    let console = Console::new(options.json);
    let mut story = Story::new(&options, &console);
    let end = story.play();
    let facts = story.into_facts(&end);

    if options.json {
        console.object(&facts);
    } else if let Ok(End::Done | End::Broken) = end {
        facts.print(&console);
    }
    let code = match end {
        Ok(End::Done | End::Current | End::Offered) => ExitCode::SUCCESS,
        Ok(End::Cut) => ExitCode::from(3),
        Ok(End::Broken) => ExitCode::FAILURE,
        Err(error) => {
            console.error(&error);
            return ExitCode::FAILURE;
        }
    };
    if console.is_whole() { code } else { ExitCode::FAILURE }
}

/// Shows the help, the version, or what is wrong with the options.
fn show(text: &clap::Error) -> ExitCode {
    let written = text.print().and_then(|()| io::stdout().flush());
    match written {
        Err(error) if !text.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: {}", unwritten(&error));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(text.exit_code()).unwrap_or(2)),
    }
}

impl Command {
    fn run(&self) -> ExitCode {
        let console = Console::new(match self {
            Self::Inspect(command) => command.json,
            Self::Stage(command) => command.json,
            Self::State(command) => command.json(),
            Self::Confirm(command) => command.json(),
            Self::Withdraw(command) => command.json(),
            Self::Layout(command) => command.json,
            Self::Modem(command) => command.json(),
            Self::Trace(command) => command.json,
        });
        let outcome = match self {
            Self::Inspect(command) => command.run(&console),
            Self::Stage(command) => command.run(&console),
            Self::State(command) => command.run(&console),
            Self::Confirm(command) => command.run(&console),
            Self::Withdraw(command) => command.run(&console),
            Self::Layout(command) => command.run(&console),
            Self::Modem(command) => command.run(&console),
            Self::Trace(command) => command.run(&console),
        };
        match outcome {
            Ok(end) if console.is_whole() => end.code(),
            Ok(_) => ExitCode::FAILURE,
            Err(problem) => {
                console.complain(&problem.reason());
                problem.code()
            }
        }
    }
}

fn cut_at(text: &str) -> Result<CutAt, String> {
    match (text, text.parse()) {
        ("never", _) => Ok(CutAt::Never),
        (_, Ok(percent @ 0..=100)) => Ok(CutAt::Percent(percent)),
        _ => Err("not a percentage from 0 to 100, nor `never`".into()),
    }
}

fn url(text: &str) -> Result<String, String> {
    let (net, mut buf) = (Net::new(), [0; device::BUFFER]);
    if text.starts_with("coaps:") {
        return Err("coaps needs DTLS, which this tool does not have".into());
    }
    let file = Remote::new(&net, &net, text, Settings::new(0), &mut buf);
    match file {
        Ok(_) => Ok(text.to_owned()),
        Err(UrlError::Scheme) => Err("the URL begins with none of http, https, coap, coap+tcp, coaps+tcp".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    let digits = || "not a SHA-256: 64 hexadecimal digits".to_owned();
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(digits());
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| digits())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| digits())?;
    }
    Ok(Digest(digest))
}
