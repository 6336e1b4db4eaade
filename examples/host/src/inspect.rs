//! `inspect`: what a firmware file is, and whether it is right.

mod modem;
mod padding;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use console::style;
use dfu_target::image::{ImageKind, sniff};
use dfu_target_mcuboot::Refusal;
use indicatif::HumanCount;
use serde_json::{Value, json};

use self::padding::Padding;
pub(crate) use self::padding::{mark_facts, mark_text};
use crate::console::Console;
use crate::ending::{End, Outcome, Problem};
use crate::image::{HashVerdict, Image, SignatureVerdict, flag_names, shown, tlv_name};
use crate::key::Key;
use crate::notation::hex;

/// Shows what a firmware file is, and checks its hash and, with a key, its signature.
///
/// Knows MCUboot images, signed or not, padded or not, and what is public of the nRF91 modem's updates (delta and full).
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 the file is right as far as it can be checked, 1 it is not, or is of no known kind, 2 wrong usage")]
pub(crate) struct Inspect {
    /// The file
    file: PathBuf,
    /// Check the signature with this public key, as `imgtool getpub -e pem` (or raw) writes it
    #[arg(long, value_name = "PUB.pem")]
    key: Option<PathBuf>,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Inspect {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let key = self.key.as_deref().map(Key::read).transpose()?;
        let path = self.file.display();
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {path}"))?;
        let mut facts = json!({ "file": path.to_string(), "size": bytes.len() });
        console.line("file", format_args!("{path}, {} bytes", HumanCount(bytes.len() as u64)));
        let verdict = match sniff(&bytes) {
            Some(ImageKind::Mcuboot) => mcuboot(&bytes, key.as_ref(), console, &mut facts),
            Some(ImageKind::ModemDelta) => modem::delta(&self.file, &bytes, console, &mut facts),
            Some(ImageKind::ModemFull) => modem::full(&bytes, console, &mut facts),
            _ => Err(anyhow::anyhow!("not a firmware image of any known kind")),
        };
        if let (Ok(()), Some(key)) = (&verdict, &key)
            && facts["kind"] != "mcuboot"
        {
            let why = "only the modem has the key to such a file";
            return Err(Problem::Refused(anyhow::anyhow!("{}: {why}", key.path.display())));
        }
        facts["result"] = if verdict.is_ok() { "right" } else { "refused" }.into();
        facts["error"] = verdict.as_ref().err().map(|error| format!("{error:#}")).into();
        console.result(&facts);
        verdict.with_context(|| name(&self.file))?;
        Ok(End::Done)
    }
}

/// A file's name for people, without its folders.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn mcuboot(file: &[u8], key: Option<&Key>, console: &Console, facts: &mut Value) -> anyhow::Result<()> {
    facts["kind"] = "mcuboot".into();
    console.line("kind", ImageKind::Mcuboot);
    let image = Image::parse(file)?;
    show_header(&image, console, facts);
    show_tlvs(&image, console, facts);

    let (hash_kind, hash) = image.hash();
    facts["hash"] = json!({ "kind": hash_kind, "verdict": hash });
    let prefix = hash_kind.map(|kind| format!("{kind}, ")).unwrap_or_default();
    console.line("hash", format_args!("{prefix}{}", hash.text()));
    let signatures = key.map(|key| image.signatures(key));
    if let (Some(key), Some(verdicts)) = (key, &signatures) {
        facts["key"] = json!({ "file": key.path.display().to_string(), "kind": key.kind.name() });
        facts["signatures"] = json!(verdicts);
        for verdict in verdicts {
            console.line("signature", format_args!("{}, {}", key.kind.name(), verdict.text()));
        }
    }
    if !image.rest.is_empty() {
        let padding = Padding::of(file.len(), image.rest);
        console.line("behind it", &padding);
        facts["behind"] = padding.facts();
    }

    let pure = image.of_kind(0x25).any(|tlv| tlv.value == [1]);
    match (hash, signatures) {
        (HashVerdict::Wrong, _) => Err(Refusal::Hash.into()),
        (HashVerdict::None, _) if !pure => Err(Refusal::NoHash.into()),
        (_, Some(verdicts)) if !verdicts.is_empty() && verdicts.contains(&SignatureVerdict::Wrong) => {
            Err(Refusal::Signature.into())
        }
        (_, Some(verdicts)) if verdicts.iter().all(|verdict| *verdict == SignatureVerdict::OtherKey) => {
            Err(anyhow::anyhow!("no signature by this key"))
        }
        _ => Ok(()),
    }
}

fn show_header(image: &Image<'_>, console: &Console, facts: &mut Value) {
    let header = &image.header;
    let flags = flag_names(header.flags);
    let all = [
        ("version", header.version.to_string().into()),
        ("header_size", header.header_size.into()),
        ("payload_size", header.image_size.into()),
        ("protected_size", header.protected_size.into()),
        ("load_addr", header.load_addr.into()),
        ("flags", flags.clone().into()),
        ("flags_raw", header.flags.into()),
        ("image_size", image.bytes.len().into()),
    ];
    for (name, value) in all {
        facts[name] = value;
    }
    console.line("version", header.version);
    let [payload, protected] = [header.image_size, header.protected_size.into()].map(|size| HumanCount(size.into()));
    let total = HumanCount(image.bytes.len() as u64);
    console.line(
        "sizes",
        format_args!(
            "header {} + payload {payload} + protected TLVs {protected} + TLVs = {total} bytes",
            header.header_size
        ),
    );
    let load = format!(", load address {:#x}", header.load_addr);
    let load = if header.load_addr == 0 { "" } else { &load };
    let names = if flags.is_empty() { "none".into() } else { flags.join(" ") };
    console.line("flags", format_args!("{:#x}, {names}{load}", header.flags));
}

fn show_tlvs(image: &Image<'_>, console: &Console, facts: &mut Value) {
    let head = "  offset  length  area         type                       value";
    console.line("tlvs", style(head.trim_start()).bold());
    let mut list = Vec::new();
    for tlv in &image.tlvs {
        let (name, area) = (tlv_name(tlv.kind), if tlv.protected { "protected" } else { "unprotected" });
        let shown = shown(tlv);
        let kind = format!("{:#06x} {name}", tlv.kind);
        let row = format!("{:#08x}  {:>6}  {area:<11}  {kind:<25}  ", tlv.offset, tlv.value.len());
        for (nth, part) in wrapped(&shown.text).into_iter().enumerate() {
            let before = if nth == 0 { row.clone() } else { " ".repeat(row.len()) };
            console.write(format_args!("           {before}{part}"));
        }
        let mut entry = json!({
            "type": tlv.kind, "name": name, "area": area, "offset": tlv.offset, "length": tlv.value.len(),
            "value": hex(tlv.value),
        });
        if let (Some(entry), Value::Object(meaning)) = (entry.as_object_mut(), shown.meaning) {
            entry.extend(meaning);
        }
        list.push(entry);
    }
    facts["tlvs"] = list.into();
}

/// Long values in lines of 64 characters.
fn wrapped(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let lines: Vec<String> = characters.chunks(64).map(|line| line.iter().collect()).collect();
    if lines.is_empty() { vec!["-".into()] } else { lines }
}
