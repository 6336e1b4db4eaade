//! The map that the partition manager of the nRF Connect SDK reads and writes.

use anyhow::{Context, anyhow, ensure};
use saphyr::{LoadableYamlNode, Yaml};

use super::map::{Area, Flash, FlashMap};

/// What a partition is in, where it does not say.
const USUAL: &str = "flash_primary";
/// What these files say nothing of: the words and sectors of the flash. These are those of Nordic's chips.
const WRITE: u32 = 4;
const ERASE: u32 = 4096;

/// Reads it.
pub(crate) fn read(text: &str) -> anyhow::Result<FlashMap> {
    let documents = Yaml::load_from_str(text).map_err(|error| anyhow!("{}", error.to_string().replace('\n', " ")))?;
    let document = documents.first().and_then(Yaml::as_mapping);
    let mut map = FlashMap::default();
    for (name, partition) in document.context("no partitions in it")? {
        let name = name.as_str().context("a partition without a name")?;
        ensure!(partition.is_mapping(), "{name} is no partition");
        match range(partition) {
            Ok((offset, size)) => {
                // Partitions of no size are there for their names.
                if size > 0 {
                    let flash = map.flash(partition.as_mapping_get("region").and_then(Yaml::as_str).unwrap_or(USUAL));
                    let parts = list(partition, "span").or_else(|| list(partition, "orig_span")).unwrap_or_default();
                    map.areas.push(Area { name: name.into(), flash, offset, size, parts, depth: 0 });
                }
            }
            Err(reason) => map.problems.push(format!("{name}: {reason}")),
        }
    }
    ensure!(!map.areas.is_empty() || !map.problems.is_empty(), "no partitions in it");
    for (at, flash) in map.flashes.iter_mut().enumerate() {
        let ends = map.areas.iter().filter(|area| area.flash == at).map(Area::end);
        flash.size = ends.max().and_then(|end| u32::try_from(end).ok()).unwrap_or(u32::MAX);
    }
    Ok(map.sorted())
}

impl FlashMap {
    /// The memory of this name, a new one perhaps.
    fn flash(&mut self, name: &str) -> usize {
        if let Some(at) = self.flashes.iter().position(|flash| flash.name == name) {
            return at;
        }
        let is_flash = name.contains("flash");
        self.flashes.push(Flash {
            name: name.into(),
            size: 0,
            size_is_known: false,
            write: is_flash.then_some(WRITE),
            erase: is_flash.then_some(ERASE),
        });
        self.flashes.len() - 1
    }
}

/// Where it begins, and its size: two of three fields, or three that agree.
fn range(partition: &Yaml<'_>) -> anyhow::Result<(u32, u32)> {
    let number = |name: &str| match partition.as_mapping_get(name) {
        None => Ok(None),
        Some(value) => {
            let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
            number.map(Some).with_context(|| format!("{name} is no number of 32 bits"))
        }
    };
    let (start, end, size) = (number("address")?, number("end_address")?, number("size")?);
    let (start, size) = match (start, end, size) {
        (Some(start), Some(end), None) => (start, end.checked_sub(start).context("it ends before it begins")?),
        (None, Some(end), Some(size)) => (end.checked_sub(size).context("it begins before 0")?, size),
        (Some(start), _, Some(size)) => (start, size),
        _ => return Err(anyhow!("neither address and size nor end_address")),
    };
    let to = start.checked_add(size).context("it ends beyond 4 GiB")?;
    ensure!(end.is_none_or(|end| end == to), "it ends at {to:#x}, and end_address says {:#x}", end.unwrap_or(0));
    Ok((start, size))
}

fn list(partition: &Yaml<'_>, name: &str) -> Option<Vec<String>> {
    let list = partition.as_mapping_get(name)?.as_sequence()?;
    Some(list.iter().filter_map(Yaml::as_str).map(str::to_owned).collect())
}
