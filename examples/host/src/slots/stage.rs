//! `stage`: an image into the slot where the bootloader expects it, and the request to run it.

mod job;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use dfu_target::image::mcuboot::{Header, Version};
use dfu_target_mcuboot::{Upgrade, VersionRule};
use indicatif::HumanCount;
use serde_json::json;

use self::job::{Done, Job};
use super::cut::PowerCut;
use super::geometry::{Geometry, side_name};
use super::perform::perform;
use super::report;
use super::rules::Wanted;
use crate::console::Console;
use crate::ending::{End, Outcome};
use crate::image::Image;
use crate::inspect::name;
use crate::key::Key;
use crate::notation::{count, image_version, number, uuid};

/// Does to two slots in files what the library does on a device: stores a new image, checks it, asks MCUboot for it.
///
/// In the modes that choose by version the slot that does not run takes the image. A power cut leaves the files as
/// the flash would be; the next call begins again, or finds that all is done.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 the image waits for the reset, 1 refused, 2 wrong usage, 3 power was cut as asked")]
pub(crate) struct Stage {
    /// The new image, as `imgtool sign` writes it without --pad
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Ask for a permanent swap instead of a trial
    #[arg(long)]
    permanent: bool,
    /// Hand the image over in pieces of so many bytes
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count)]
    chunk: u32,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    geometry: Geometry,
    #[command(flatten)]
    demands: Demands,
    #[command(flatten)]
    cut: PowerCut,
}

/// What is asked of the image.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is asked of the image")]
struct Demands {
    /// A signature by this key, as `imgtool getpub -e pem` writes it; more than once: by any of them
    #[arg(long, value_name = "PUB.pem")]
    key: Vec<PathBuf>,
    /// Its version, seen from the one that runs
    #[arg(long, value_name = "RULE", default_value = "any")]
    version_rule: RuleName,
    /// The least security counter
    #[arg(long, value_name = "N", value_parser = number)]
    counter: Option<u32>,
    /// The version in which another image will be there
    #[arg(long, value_name = "I=VERSION", value_parser = image_version)]
    dependency_image: Vec<(u8, Version)>,
    /// The vendor that it is for
    #[arg(long, value_name = "UUID", value_parser = uuid)]
    vendor: Option<[u8; 16]>,
    /// The class of device that it is for
    #[arg(long, value_name = "UUID", value_parser = uuid)]
    class: Option<[u8; 16]>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RuleName {
    Any,
    Newer,
    NewerOrEqual,
}

impl Stage {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let (path, geometry) = (self.image.display(), &self.geometry);
        let mut wanted = self.wanted()?;
        let upgrade = if self.permanent { Upgrade::Permanent } else { Upgrade::Test };
        let config = geometry.config()?.upgrade(upgrade);
        let image = std::fs::read(&self.image).with_context(|| format!("cannot read {path}"))?;
        let names = |image: &Image<'_>| image.of_kind(0x01).any(|name| name.value.len() == 64);
        wanted.long_names = Image::parse(&image).is_ok_and(|image| names(&image));
        let power = self.cut.power();
        let job =
            Job { image: &image, wanted: &wanted, geometry, chunk: self.chunk as usize, permanent: self.permanent };
        let performed = perform(geometry, config, &wanted.keys, &power, &job)?;
        if power.operations() > 0 {
            geometry.make_scratch()?;
        }

        let (slot, to) = (performed.choice.other(), if self.permanent { "for good" } else { "on trial" });
        let end = match performed.result {
            _ if power.has_failed() => Ok(End::Cut),
            Ok(_) => Ok(End::Done),
            Err(ref problem) => Err(problem.reason()),
        };
        let (result, text) = match (&end, &performed.result) {
            (Ok(End::Cut), _) => ("cut", format!("power failed in write or erase {}", power.operations())),
            (_, Ok(Done::Already)) => {
                ("pending", "this image waits for the reset already: not a byte was changed".into())
            }
            (_, Ok(Done::Staged)) => ("staged", format!("into the {} slot, to run {to}", side_name(slot))),
            (_, Err(_)) => ("refused", "this image will not be run".into()),
        };
        let mut facts = json!({
            "result": result, "error": end.as_ref().err(), "image": path.to_string(), "size": image.len(),
            "slot": side_name(slot),
        });
        let version = Header::parse(&image).map(|header| format!(", {}", header.version)).unwrap_or_default();
        console.line("image", format_args!("{path}{version}, {} bytes", HumanCount(image.len() as u64)));
        report::slots(console, &mut facts, geometry, &performed.slots);
        console.line(result, text);
        report::state(console, &mut facts, &performed.seen);
        report::operations(console, &mut facts, &performed.left, &power);
        console.result(&facts);
        match end {
            Ok(end) => Ok(end),
            Err(_) => performed.result.map(|_| End::Done).map_err(|problem| problem.of(name(&self.image))),
        }
    }

    fn wanted(&self) -> Outcome<Wanted> {
        let Demands { key, version_rule, counter, dependency_image, vendor, class } = &self.demands;
        let wanted = Wanted {
            hash: self.geometry.bootloader.hash(),
            version: match version_rule {
                RuleName::Any => VersionRule::Any,
                RuleName::Newer => VersionRule::Newer,
                RuleName::NewerOrEqual => VersionRule::NewerOrEqual,
            },
            with_build: self.geometry.bootloader.compares_build_number(),
            counter: *counter,
            images: dependency_image.clone(),
            vendor: *vendor,
            class: *class,
            keys: Key::read_all(key)?,
            long_names: false,
        };
        wanted.scheme()?;
        Ok(wanted)
    }
}
