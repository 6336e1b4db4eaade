//! The table of requirements in `tests/README.md` says what the code says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A requirement's number, and a file with a test of it as the table names it.
type Shown = BTreeSet<(u32, String)>;

const REQUIREMENTS: core::ops::RangeInclusive<u32> = 1..=28;

#[test]
fn the_table_names_each_requirement_and_all_of_its_tests() {
    assert_eq!(mistakes(&readme(), &tests()), Vec::<String>::new());
}

#[test]
fn a_row_or_a_test_that_is_missing_is_found() {
    let (readme, tests) = (readme(), tests());
    for number in REQUIREMENTS {
        let row = |line: &&str| !line.starts_with(&format!("| R{number},"));
        let without: Vec<&str> = readme.lines().filter(row).collect();
        let wanted = format!("R{number} has no row");
        assert!(mistakes(&without.join("\n"), &tests).contains(&wanted), "{wanted}");
    }
    for shown in &tests {
        let mut without = tests.clone();
        without.remove(shown);
        let (number, file) = shown;
        assert_eq!(mistakes(&readme, &without), [format!("R{number}: `{file}` has no test r{number:02}_")]);
        let unnamed: BTreeSet<_> = tests.iter().cloned().chain([(*number, "another".into())]).collect();
        assert_eq!(mistakes(&readme, &unnamed), [format!("R{number}: the row does not name `another`")]);
    }
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// What the table and the tests say differently.
fn mistakes(readme: &str, tests: &Shown) -> Vec<String> {
    let rows = rows(readme);
    let missing = REQUIREMENTS
        .filter(|number| !rows.iter().any(|(of, _)| of == number))
        .map(|number| format!("R{number} has no row"));
    let empty = rows.difference(tests).map(|(number, file)| format!("R{number}: `{file}` has no test r{number:02}_"));
    let unnamed = tests
        .difference(&rows)
        .filter(|(number, _)| rows.iter().any(|(of, _)| of == number))
        .map(|(number, file)| format!("R{number}: the row does not name `{file}`"));
    missing.chain(empty).chain(unnamed).collect()
}

/// What stands between backticks in the second column of the rows that begin with `| R`.
fn rows(readme: &str) -> Shown {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let number = |cell: &str| cell.strip_prefix('R')?.split(',').next()?.parse::<u32>().ok();
    readme
        .lines()
        .map(cells)
        .filter_map(|cells| Some((number(cells.get(1)?)?, cells.get(2)?.clone())))
        .flat_map(|(number, files)| {
            files.split('`').skip(1).step_by(2).map(|file| (number, file.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

/// The functions under `#[test]` whose names begin with a requirement's number.
fn tests() -> Shown {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    sources(root)
        .into_iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = named(path.strip_prefix(root).unwrap());
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let shown: Vec<_> = (1..lines.len())
                .filter(|at| is_test(&lines[..*at]))
                .filter_map(|at| Some((number(lines[at])?, name.clone())))
                .collect();
            shown
        })
        .collect()
}

fn is_test(before: &[&str]) -> bool {
    before.iter().rev().take_while(|line| line.starts_with("#[")).any(|line| line.contains("test"))
}

/// 7, of `fn r07_anything()`.
fn number(line: &str) -> Option<u32> {
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn r")?;
    name.split_once('_')?.0.parse().ok()
}

/// As the tables name suites: without `.rs`, from `tests/tests` on, and from `tests` on where it is elsewhere.
fn named(path: &Path) -> String {
    let name = path.with_extension("").to_str().unwrap().to_owned();
    name.strip_prefix("tests/tests/").map_or_else(|| format!("../{name}"), str::to_owned)
}

/// All Rust sources of the repository, but what Cargo makes.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
