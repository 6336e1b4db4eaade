//! `layout`: what a flash map has room for, and what is wrong with it.

mod check;
mod figure;
mod map;
mod own;
mod pairs;
mod partitions;

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use console::style;
use indicatif::HumanCount;
use serde_json::json;

use self::map::FlashMap;
use self::pairs::Pair;
use crate::console::Console;
use crate::ending::{End, Outcome, Problem};
use crate::notation::power_of_two;
use crate::slots::{Bootloader, ModeName};

/// Checks a flash map and shows the largest image that its slots take, by the bootloader's mode.
///
/// Reads a TOML file of its own (see the README), or what the partition manager of the nRF Connect SDK writes:
/// pm_static.yml, partitions.yml. Pairs of slots are the regions mcuboot_primary and mcuboot_secondary, with _1 and
/// so on for more images.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 the map is sound, 1 it is not, or the mode that was asked for has no use for it, 2 wrong usage")]
pub(crate) struct Layout {
    /// The map: .toml, .yml or .yaml
    file: PathBuf,
    /// Only this mode, which has to be possible
    #[arg(long)]
    mode: Option<ModeName>,
    /// What is erased at once, in bytes [default: as the map says, or 4096]
    #[arg(long, value_name = "N", value_parser = power_of_two)]
    sector: Option<u32>,
    /// What is programmed at once, in bytes [default: as the map says, or 4]
    #[arg(long, value_name = "W", value_parser = power_of_two)]
    write_size: Option<u32>,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    bootloader: Bootloader,
}

impl Layout {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let path = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {path}"))?;
        let extension = self.file.extension().and_then(OsStr::to_str).unwrap_or_default();
        let mut map = match extension {
            "toml" => own::read(&text),
            "yml" | "yaml" => partitions::read(&text),
            _ => return Err(Problem::usage(format!("{path}: a map is a .toml, .yml or .yaml file"))),
        }
        .with_context(|| path.to_string())?;
        map.assume(self.write_size, self.sector);
        let mut problems = map.problems.clone();
        problems.extend(check::problems(&map));
        let pairs = pairs::find(&map, &mut problems);

        self.show_map(console, &map);
        console.write(figure::draw(&map));
        let modes = self.mode.map_or_else(|| ModeName::PAIRS.to_vec(), |mode| vec![mode]);
        let tables: Vec<_> = pairs.iter().map(|pair| self.show_pair(console, &map, pair, &modes)).collect();
        let refused = tables.iter().flat_map(|(_, refused)| refused).next();
        for problem in &problems {
            console.line("problem", problem);
        }
        let error = match (problems.as_slice(), refused) {
            ([], None) => None,
            ([], Some(reason)) if self.mode.is_some() => Some(reason.clone()),
            ([], Some(_)) => None,
            ([problem], _) => Some(problem.clone()),
            ([problem, more @ ..], _) => Some(format!("{problem}; and {} more", more.len())),
        };
        console.result(&json!({
            "result": if error.is_some() { "refused" } else { "right" }, "error": error,
            "flashes": map.flashes, "regions": map.areas, "problems": problems,
            "pairs": tables.iter().map(|(table, _)| table).collect::<Vec<_>>(),
        }));
        match error {
            None => Ok(End::Done),
            Some(error) => Err(anyhow!(error).context(path.to_string()).into()),
        }
    }

    fn show_map(&self, console: &Console, map: &FlashMap) {
        let head = format!(
            "{:<24}  {:<14}  {:>10}  {:>10}  {:>11}  {:>7}",
            "region", "flash", "from", "to", "bytes", "sectors"
        );
        console.write(style(head).bold());
        for area in &map.areas {
            let Some(flash) = map.flashes.get(area.flash) else { continue };
            let sectors = match flash.erase {
                Some(erase) if area.size.is_multiple_of(erase) => (area.size / erase).to_string(),
                Some(_) => "part".into(),
                None => "-".into(),
            };
            let (name, bytes) = (format!("{}{}", "  ".repeat(area.depth), area.name), HumanCount(area.size.into()));
            let (from, to) = (format!("{:#x}", area.offset), format!("{:#x}", area.end()));
            let bytes = bytes.to_string();
            console
                .write(format_args!("{name:<24}  {:<14}  {from:>10}  {to:>10}  {bytes:>11}  {sectors:>7}", flash.name));
        }
    }

    /// A table of modes; and the reasons of those that are not possible.
    fn show_pair(
        &self,
        console: &Console,
        map: &FlashMap,
        pair: &Pair,
        modes: &[ModeName],
    ) -> (serde_json::Value, Vec<String>) {
        let [primary, secondary] = [pair.primary, pair.secondary].map(|area| map.areas.get(area));
        let (Some(primary), Some(secondary)) = (primary, secondary) else { return (json!(null), Vec::new()) };
        let title = format!("image {}: {} and {}", pair.image, primary.name, secondary.name);
        console.write(style(&title).bold());
        let mut table = serde_json::Map::new();
        let mut refused = Vec::new();
        for mode in modes {
            let config = self.bootloader.config(mode.mode()).index(pair.image);
            match pair.slots(map, config) {
                Ok(slots) => {
                    let (max, trailer) = (HumanCount(slots.max_image().into()), HumanCount(slots.trailer().into()));
                    let max = max.to_string();
                    let start =
                        if slots.start() > 0 { format!(", from {:#x} on", slots.start()) } else { String::new() };
                    console.write(format_args!("{:>14}  {max:>11} bytes{start}; trailer {trailer}", mode.name()));
                    let entry =
                        json!({ "max_image": slots.max_image(), "start": slots.start(), "trailer": slots.trailer() });
                    table.insert(mode.name().into(), entry);
                }
                Err(reason) => {
                    console.write(format_args!("{:>14}  not possible: {reason}", mode.name()));
                    table.insert(mode.name().into(), json!({ "error": reason }));
                    refused.push(reason);
                }
            }
        }
        console.write("");
        let facts = json!({
            "image": pair.image, "primary": primary.name, "secondary": secondary.name, "modes": table,
        });
        (facts, refused)
    }
}
