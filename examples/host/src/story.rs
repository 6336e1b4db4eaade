//! The story: one life of the device after the other, until the new image stays.

use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use dfu_target::Digest;
use dfu_target::digest::{Sha256, SoftSha256};
use dfu_target_mcuboot::RunningState;
use dfu_testkit::boot::{Boot, Running};
use fota_connectors::tokio::{Delay, Net};
use hyper::body::Bytes;
use indicatif::HumanCount;

use crate::Options;
use crate::board::{Board, Flash};
use crate::console::Console;
use crate::device::{self, CHUNK, Outcome, Wanted};
use crate::map::{FOREIGN, PAGE, PRIMARY, SECONDARY, bytes};
use crate::net::{Traffic, net};
use crate::server::Server;
use crate::summary::{Facts, File};
use crate::watch::{Watch, says, version};

/// How it ended, errors apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The new image runs and stays, and every promise was kept.
    Done,
    /// A promise was not kept.
    Broken,
    /// The device ran the image before.
    Current,
    /// It would take it.
    Offered,
    /// Power was cut, and the flash is kept in its file.
    Cut,
}

/// A run of this program.
pub(crate) struct Story<'a> {
    options: &'a Options,
    console: &'a Console,
    net: Net,
    traffic: Traffic,
    facts: Facts,
    began: Instant,
}

impl<'a> Story<'a> {
    pub(crate) fn new(options: &'a Options, console: &'a Console) -> Self {
        let (net, traffic, facts) = (Net::new(), Traffic::default(), Facts::default());
        Self { options, console, net, traffic, facts, began: Instant::now() }
    }

    /// All of it.
    pub(crate) fn play(&mut self) -> anyhow::Result<End> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        self.net = net(self.options.ca.as_deref(), self.options.tls_record)?;
        let board = Board::open(self.options.flash.as_deref(), self.options.seed, APP_V1)?;
        tokio::task::LocalSet::new().block_on(&runtime, self.serve(&board))
    }

    /// What is known at the end.
    pub(crate) fn into_facts(mut self, end: &anyhow::Result<End>) -> Facts {
        self.facts.result = match end {
            Ok(End::Done) => "done",
            Ok(End::Broken) => "broken",
            Ok(End::Current) => "current",
            Ok(End::Offered) => "offered",
            Ok(End::Cut) => "cut",
            Err(_) => "failed",
        };
        self.facts.error = end.as_ref().err().map(|error| format!("{error:#}"));
        self.facts.fetched = self.traffic.fetched.get();
        self.facts.paid = self.traffic.paid.get();
        self.facts.real_ms = self.began.elapsed().as_millis() as u64;
        self.facts
    }

    /// Serves the image, unless somebody else does.
    async fn serve(&mut self, board: &Rc<Board>) -> anyhow::Result<End> {
        if let Some(url) = &self.options.url {
            self.facts.url.clone_from(url);
            self.console.line("server", url);
            if self.options.probe {
                return self.probe(board, url).await;
            }
            return self.update(board, url, None).await;
        }
        let (name, image) = match &self.options.image {
            Some(path) => {
                let image = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), image)
            }
            None => ("app-v2.bin".to_owned(), APP_V2.to_vec()),
        };
        let image = Bytes::from(image);
        let digest = sha256(&image);
        let server = Server::start(image.clone(), digest).await.context("cannot open a port")?;
        // The name is for people; the server has one file whatever is asked for.
        let path: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
        let url = format!("http://127.0.0.1:{}/{path}", server.port());
        self.console.line("server", format_args!("{url}, {} bytes", HumanCount(image.len() as u64)));
        self.facts.url.clone_from(&url);
        self.facts.image = Some(File { name, size: image.len() as u32, sha256: digest.to_string() });
        let end = self.update(board, &url, Some((&image, digest))).await;
        self.facts.answers = server.answers();
        end
    }

    /// Asks whether the device would take what is there.
    async fn probe(&mut self, board: &Rc<Board>, url: &str) -> anyhow::Result<End> {
        let running = self.booted(&board.boot()?, false)?;
        self.console.line("boot", format_args!("{} runs", version(&running)));
        let wanted = self.wanted(url, None);
        let offer = device::probe(Flash(board.clone()), (&self.net, &self.traffic), wanted).await;
        let offer = offer.map_err(|error| anyhow!("{url}: {error}"))?;
        let size = offer.size.map_or("an unknown number of".to_owned(), |size| HumanCount(size.into()).to_string());
        self.console.line("offer", format_args!("{}: the device would take it, for {size} bytes", offer.kind));
        self.facts.size = offer.size.unwrap_or(0);
        self.facts.kind = Some(offer.kind.to_string());
        Ok(End::Offered)
    }

    fn wanted<'u>(&self, url: &'u str, digest: Option<Digest>) -> Wanted<'u> {
        Wanted { url, digest: digest.or(self.options.digest), window: self.options.window }
    }

    /// Lets the device live until it is up to date.
    async fn update(&mut self, board: &Rc<Board>, url: &str, image: Option<(&[u8], Digest)>) -> anyhow::Result<End> {
        let end = self.lives(board, url, image).await;
        self.facts.look_at(&board.flash());
        board.save()?;
        let untouched = if board.flash().points() == 0 { "; nothing on the flash was changed" } else { "" };
        let what = self.facts.image.as_ref().map_or(url, |file| &file.name);
        end.map_err(|error| anyhow!("{what}: {error}{untouched}"))
    }

    async fn lives(&mut self, board: &Rc<Board>, url: &str, image: Option<(&[u8], Digest)>) -> anyhow::Result<End> {
        let wanted = self.wanted(url, image.map(|(_, digest)| digest));
        let before = board.flash().bytes().to_vec();
        let mut old = None;
        let mut swapping = false;
        loop {
            let boot = board.boot()?;
            let running = self.booted(&boot, swapping)?;
            let old = *old.get_or_insert(running);
            let mut watch = Watch {
                options: self.options,
                console: self.console,
                board,
                boot: &boot,
                facts: &mut self.facts,
                traffic: &self.traffic,
                knows: wanted.digest.is_some(),
                began: None,
            };
            let mut tell = |event| watch.hear(event);
            let net = (&self.net, &self.traffic);
            let life = board.run(device::run(Flash(board.clone()), net, &mut Delay, wanted, &mut tell)).await;
            watch.pause();
            self.facts.fetched = self.traffic.fetched.get();
            match life {
                None => {
                    let Some(cut) = &mut self.facts.cut else { bail!("the power failed by itself") };
                    cut.happened = true;
                    self.console.progress(cut.address - SECONDARY.0, self.facts.size);
                    let text =
                        format!("in the middle of the word at {:#07x}, {:.1} % of the image", cut.address, cut.percent);
                    self.console.line("power cut", text);
                    if let Some(path) = &self.options.flash {
                        let next = format!("`dfu-host --flash {}` goes on from here", path.display());
                        self.console.line("flash", next);
                        return Ok(End::Cut);
                    }
                }
                Some(Err(error)) => bail!("{error}"),
                Some(Ok(Outcome::AtReset)) => {
                    self.console.line("swap", "asked for in the secondary slot's trailer; reset");
                    swapping = true;
                }
                Some(Ok(Outcome::Current)) => {
                    self.console.line("done", "this is the image that runs; nothing to do");
                    return Ok(End::Current);
                }
                Some(Ok(Outcome::Confirmed)) => {
                    self.console.line("confirm", "the server answers, so this image stays");
                    if swapping {
                        return self.settle(board, image.map(|(image, _)| image), &before, old).await;
                    }
                }
            }
        }
    }

    fn booted(&mut self, boot: &Boot, swapping: bool) -> anyhow::Result<Running> {
        self.facts.boots += 1;
        let running = boot.running.map_err(|refusal| anyhow!("nothing on this flash boots: {refusal:?}"))?;
        self.facts.device.version = version(&running);
        if let Some(refusal) = boot.refused.filter(|_| swapping) {
            bail!("the bootloader refuses the image: {refusal:?}; {} runs on", self.facts.device.version);
        }
        Ok(running)
    }

    /// One more boot, and the comparison with what was promised.
    async fn settle(
        &mut self,
        board: &Rc<Board>,
        image: Option<&[u8]>,
        before: &[u8],
        old: Running,
    ) -> anyhow::Result<End> {
        let boot = board.boot()?;
        let running = self.booted(&boot, false)?;
        let state = device::state(Flash(board.clone())).await.map_err(|error| anyhow!("{error}"))?;
        self.console.line("boot", format_args!("{} runs, {}", version(&running), says(state)));
        self.facts.device.state = says(state);

        let flash = board.flash();
        let facts = &mut self.facts;
        let (primary, secondary) = (bytes(flash.bytes(), PRIMARY), bytes(flash.bytes(), SECONDARY));
        let size = facts.size as usize;
        let stored = bytes(before, SECONDARY).iter().zip(image.unwrap_or(&[])).take_while(|(a, b)| a == b).count();
        facts.fetched_twice = (facts.fetched + stored as u64).checked_sub(size as u64);

        let most = u64::from(PAGE) + 2 * CHUNK as u64;
        if let Some(cut) = &facts.cut {
            let (happened, percent) = (cut.happened, cut.percent);
            facts.promise(happened, format!("the power failed at {percent:.1} % of the image"));
        }
        // A server of somebody else's may have no ranges.
        if let Some(twice) = facts.fetched_twice.filter(|_| image.is_some()) {
            let text = format!("{} bytes were fetched twice, {} at most", HumanCount(twice), HumanCount(most));
            facts.promise(twice <= most, text);
        }
        match image {
            Some(image) => facts.promise(primary.starts_with(image), "what runs is the image, byte for byte"),
            None => facts.promise(running.size == size, "what runs has the image's size and the right hash"),
        }
        let kept = secondary.starts_with(&bytes(before, PRIMARY)[..old.size]);
        facts.promise(kept, format!("{} is kept in the other slot", version(&old)));
        let stays = boot.asked.is_none() && state == RunningState::Confirmed;
        facts.promise(stays, "it is confirmed, and the next boot leaves it where it is");
        let spared = FOREIGN.iter().all(|region| bytes(before, *region) == bytes(flash.bytes(), *region));
        facts.promise(spared, "bootloader and settings are as they were");
        Ok(if facts.promises.iter().all(|promise| promise.held) { End::Done } else { End::Broken })
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(bytes);
    engine.finish()
}

/// What the device comes with.
const APP_V1: &[u8] = include_bytes!("../../../tests/fixtures/app-v1.bin");
/// What it is offered.
const APP_V2: &[u8] = include_bytes!("../../../tests/fixtures/app-v2.bin");
