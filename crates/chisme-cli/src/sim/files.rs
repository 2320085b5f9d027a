//! Scenario files: finding them by name, reading them, and changing settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chisme_sim::Point;
use chisme_sim::scenario::Scenario;

use super::again::{Again, quoted};
use super::args::{Changes, USUAL_DIR};
use super::shipped::{self, SHIPPED};
use crate::usage::UsageError;

/// The longest scenario file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A scenario, and how it is asked for again.
pub(super) struct Asked {
    pub(super) again: Again,
    pub(super) scenario: Scenario,
}

/// Where a scenario stands.
enum Found<'a> {
    /// In a file; with the folder, if it was looked up in one that somebody named.
    File(PathBuf, Option<&'a Path>),
    /// In this program.
    Shipped(&'static str),
}

/// Reads the scenario that a word stands for: a file, or a name. Names are looked up in `dir`, or, without
/// one, in the folder `simulations` and then among those of this program.
pub(super) fn load(word: &str, dir: Option<&Path>, changes: &Changes) -> Result<Asked, UsageError> {
    let found = find(word, dir)?;
    let scenario = parse(word, &found)?;
    let scenario = scenario.with(&point(changes)?);
    let scenario = scenario.map_err(|error| wrong(word, &found, &error))?;
    let looked_up = if let Found::File(_, dir) = found { dir } else { None };
    Ok(Asked { again: Again::new(word, looked_up, changes), scenario })
}

/// The text of the scenario that a word stands for, as it is written.
pub(super) fn text(word: &str, dir: Option<&Path>) -> Result<String, UsageError> {
    let found = find(word, dir)?;
    found.text().map_err(|error| wrong(word, &found, &format_args!("{error:#}")))
}

fn parse(word: &str, found: &Found<'_>) -> Result<Scenario, UsageError> {
    let name = match found {
        Found::File(path, _) => path.file_stem().unwrap_or_default().to_string_lossy(),
        Found::Shipped(_) => word.into(),
    };
    let text = found.text().map_err(|error| wrong(word, found, &format_args!("{error:#}")))?;
    Scenario::parse(&name, &text).map_err(|error| wrong(word, found, &error))
}

fn wrong(word: &str, found: &Found<'_>, error: &dyn std::fmt::Display) -> UsageError {
    match found {
        Found::File(path, _) => UsageError::new(format!("{}: {error}", path.display())),
        Found::Shipped(_) => UsageError::new(format!("{word} (built in): {error}")),
    }
}

impl Found<'_> {
    fn text(&self) -> anyhow::Result<String> {
        let path = match self {
            Found::Shipped(text) => return Ok((*text).to_owned()),
            Found::File(path, _) => path,
        };
        let metadata = std::fs::metadata(path)?;
        anyhow::ensure!(metadata.is_file(), "not a regular file");
        anyhow::ensure!(metadata.len() <= MAX_FILE, "longer than {MAX_FILE} bytes");
        std::fs::read_to_string(path).context("not text")
    }
}

fn find<'a>(word: &str, dir: Option<&'a Path>) -> Result<Found<'a>, UsageError> {
    let as_file = PathBuf::from(word);
    if word.ends_with(".toml") || as_file.is_file() {
        return Ok(Found::File(as_file, None));
    }
    let by_name = dir.unwrap_or(Path::new(USUAL_DIR)).join(format!("{word}.toml"));
    if by_name.is_file() {
        return Ok(Found::File(by_name, dir));
    }
    let Some(dir) = dir else {
        return shipped::text(word).map(Found::Shipped).ok_or_else(|| {
            UsageError::new(format!(
                "{word:?} is neither a file nor a scenario; `chisme sim list` names those that there are"
            ))
        });
    };
    if !dir.is_dir() {
        return Err(UsageError::new(format!("{word:?} is no file, and {}", no_folder(dir))));
    }
    let place = dir.display().to_string();
    Err(UsageError::new(format!(
        "{word:?} is neither a file nor a scenario in {place}; `chisme sim list --dir {}` names those that there are",
        quoted(&place)
    )))
}

fn no_folder(dir: &Path) -> String {
    format!(
        "scenarios are looked for in {}, which is no folder here: name another with --dir DIR or CHISME_SIM_DIR, or none",
        dir.display()
    )
}

/// All scenarios that can be named, by name, and what is wrong with files that are none.
pub(super) fn all(dir: Option<&Path>) -> Result<(Vec<Scenario>, Vec<UsageError>), UsageError> {
    let mut found: BTreeMap<String, Found<'_>> = BTreeMap::new();
    if dir.is_none() {
        let shipped = SHIPPED.iter().map(|&(name, text)| (name.to_owned(), Found::Shipped(text)));
        found.extend(shipped);
    }
    let folder = dir.unwrap_or(Path::new(USUAL_DIR));
    if folder.is_dir() {
        for path in files(folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, Found::File(path, dir));
        }
    } else if dir.is_some() {
        return Err(UsageError::new(no_folder(folder)));
    }
    let (mut scenarios, mut wrong) = (Vec::new(), Vec::new());
    for (name, found) in &found {
        match parse(name, found) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => wrong.push(error),
        }
    }
    Ok((scenarios, wrong))
}

/// The scenario files of a folder.
fn files(dir: &Path) -> Result<Vec<PathBuf>, UsageError> {
    let wrong = |error: std::io::Error| UsageError::new(format!("{}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The settings that `--set` names.
fn point(changes: &Changes) -> Result<Point, UsageError> {
    let mut point = BTreeMap::new();
    for text in &changes.set {
        let wrong = || {
            UsageError::new(format!(
                "--set {text:?} is no setting: give the path of a key and a value, as network.loss=0.2 or fault.0.for=\"1m\""
            ))
        };
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        // A word that is no TOML value is a text: shells eat quotation marks.
        let line = format!("value = {value}");
        let parsed = line.parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
        let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        if point.insert(key.trim().to_owned(), value).is_some() {
            return Err(UsageError::new(format!("--set {key} is given twice")));
        }
    }
    Ok(point)
}
