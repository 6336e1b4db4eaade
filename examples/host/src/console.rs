//! What is shown: lines under a few labels, a progress bar on a terminal, or one JSON object.

use std::cell::{OnceCell, RefCell};
use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stdout};

use console::style;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// The place for people's eyes, or for a program's.
pub(crate) struct Console {
    json: bool,
    bar: RefCell<Option<ProgressBar>>,
    /// Why something could not be shown.
    lost: OnceCell<io::Error>,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, bar: RefCell::new(None), lost: OnceCell::new() }
    }

    /// A line under a label.
    pub(crate) fn line(&self, label: &str, text: impl Display) {
        self.end_bar();
        self.write(format_args!("{}  {text}", style(format_args!("{label:>9}")).cyan().bold()));
    }

    /// Text as it is; whoever closes the pipe misses it.
    pub(crate) fn write(&self, text: impl Display) {
        if !self.json {
            self.put(&text);
        }
    }

    /// The progress bar is here now.
    pub(crate) fn progress(&self, offset: u32, size: u32) {
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| {
            let target = if self.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stdout() };
            let bar = ProgressBar::with_draw_target(Some(size.into()), target);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.with_prefix("download").with_position(offset.into())
        });
        bar.set_length(size.into());
        bar.set_position(offset.into());
    }

    /// Leaves the bar as it stands; where there is no terminal, says the same in a line.
    pub(crate) fn end_bar(&self) {
        let Some(bar) = self.bar.take() else { return };
        if bar.is_hidden() {
            let (at, size) = (bar.position(), bar.length().unwrap_or(0));
            let percent = at * 100 / size.max(1);
            self.line("download", format_args!("{percent:>3} %, {} of {} bytes", HumanCount(at), HumanCount(size)));
        } else {
            bar.abandon();
        }
    }

    /// Why it ended.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.complain(&format!("{error:#}"));
    }

    /// Why it ended, in one line.
    pub(crate) fn complain(&self, reason: &str) {
        let _ = writeln!(std::io::stderr(), "{} {reason}", style("error:").red().bold().for_stderr());
    }

    /// The object of a command, where one is asked for.
    pub(crate) fn result(&self, object: &impl Serialize) {
        if self.json {
            self.object(object);
        }
    }

    /// One object on a line.
    pub(crate) fn object(&self, object: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(object) {
            self.put(&text);
        }
    }

    /// Whether all that was said could be written; else says why not.
    pub(crate) fn is_whole(&self) -> bool {
        self.note(stdout().flush());
        let lost = self.lost.get();
        if let Some(error) = lost {
            self.complain(&unwritten(error));
        }
        lost.is_none()
    }

    fn put(&self, text: &impl Display) {
        self.note(writeln!(stdout(), "{text}"));
    }

    fn note(&self, written: io::Result<()>) {
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            let _ = self.lost.set(error);
        }
    }
}

/// Why the output is not whole.
pub(crate) fn unwritten(error: &io::Error) -> String {
    format!("cannot write the output: {error}")
}

const BAR: &str = "{prefix:>9.cyan.bold}  {bar:36} {percent:>3} %, {human_pos} of {human_len} bytes, {bytes_per_sec}";
