//! The map in a TOML file.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::map::{Area, Flash, FlashMap};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    flash: BTreeMap<String, Memory>,
    #[serde(default)]
    region: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    size: u32,
    write: u32,
    erase: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    name: String,
    flash: String,
    offset: u32,
    size: u32,
}

/// Reads it.
pub(crate) fn read(text: &str) -> anyhow::Result<FlashMap> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        anyhow::anyhow!("{place}{}", error.message().replace('\n', " "))
    })?;
    let mut map = FlashMap::default();
    for (name, Memory { size, write, erase }) in file.flash {
        ensure!(write.is_power_of_two() && erase.is_power_of_two(), "flash {name}: no power of two");
        ensure!(size > 0 && size.is_multiple_of(erase), "flash {name}: it is not made of whole sectors");
        map.flashes.push(Flash { name, size, size_is_known: true, write: Some(write), erase: Some(erase) });
    }
    for Region { name, flash, offset, size } in file.region {
        let at = map.flashes.iter().position(|known| known.name == flash);
        let at = at.with_context(|| format!("region {name}: there is no flash {flash}"))?;
        ensure!(map.areas.iter().all(|area| area.name != name), "region {name} is there twice");
        ensure!(offset.checked_add(size).is_some(), "region {name} ends beyond 4 GiB");
        map.areas.push(Area { name, flash: at, offset, size, parts: Vec::new(), depth: 0 });
    }
    Ok(map.sorted())
}
