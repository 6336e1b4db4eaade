//! [`Fixture`]: the images that imgtool made, and what imgtool says of them.

use std::fs;
use std::path::{Path, PathBuf};

/// One line of `fixtures/manifest.tsv`, with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    fields: Vec<(String, String)>,
    bytes: Vec<u8>,
}

impl Fixture {
    /// All of them, in the manifest's order.
    ///
    /// Panics where the files are not there.
    pub fn all() -> Vec<Self> {
        let manifest = fs::read_to_string(folder().join("manifest.tsv")).expect("the manifest of the fixtures");
        let mut lines = manifest.lines();
        let columns: Vec<&str> = lines.next().expect("the line with the column names").split('\t').collect();
        lines
            .map(|line| {
                let fields: Vec<(String, String)> = columns
                    .iter()
                    .zip(line.split('\t'))
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect();
                let bytes = fs::read(folder().join(&fields[0].1)).expect("the file of a fixture");
                Self { fields, bytes }
            })
            .collect()
    }

    /// The one of this name, without `.bin`.
    pub fn named(name: &str) -> Self {
        let file = format!("{name}.bin");
        Self::all()
            .into_iter()
            .find(|fixture| fixture.field("file") == file)
            .unwrap_or_else(|| panic!("no fixture {name}"))
    }

    /// Its file's name, without `.bin`.
    pub fn name(&self) -> &str {
        self.field("file").trim_end_matches(".bin")
    }

    /// What the manifest says in a column.
    pub fn field(&self, column: &str) -> &str {
        let field = self.fields.iter().find(|(name, _)| name == column);
        field.map(|(_, value)| &value[..]).unwrap_or_else(|| panic!("the manifest has no column {column}"))
    }

    /// A number from the manifest, decimal or hexadecimal.
    pub fn number(&self, column: &str) -> u32 {
        let text = self.field(column);
        let number = match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => text.parse(),
        };
        number.unwrap_or_else(|error| panic!("{column} {text} of {}: {error}", self.name()))
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
