//! Scenario files: finding them by name, reading them, and changing settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chisme_sim::Point;
use chisme_sim::scenario::Scenario;

use super::args::Changes;
use crate::usage::UsageError;

/// The longest scenario file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A scenario and the word by which it was asked for.
pub(super) struct Asked {
    pub(super) word: String,
    pub(super) scenario: Scenario,
}

/// Reads the scenario that a word stands for: a file, or a name in `dir`.
pub(super) fn load(word: &str, dir: &Path, changes: &Changes) -> Result<Asked, UsageError> {
    let path = find(word, dir)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let wrong =
        |error: &dyn std::fmt::Display| UsageError::new(format!("{}: {error}", path.display()));
    let text = read(&path).map_err(|error| wrong(&format_args!("{error:#}")))?;
    let scenario = Scenario::parse(&name, &text).map_err(|error| wrong(&error))?;
    let scenario = scenario.with(&point(changes)?).map_err(|error| wrong(&error))?;
    Ok(Asked { word: word.to_owned(), scenario })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let metadata = std::fs::metadata(path)?;
    anyhow::ensure!(metadata.is_file(), "not a regular file");
    anyhow::ensure!(metadata.len() <= MAX_FILE, "longer than {MAX_FILE} bytes");
    std::fs::read_to_string(path).context("not text")
}

fn find(word: &str, dir: &Path) -> Result<PathBuf, UsageError> {
    let by_name = dir.join(format!("{word}.toml"));
    let as_file = PathBuf::from(word);
    if word.ends_with(".toml") || as_file.is_file() {
        return Ok(as_file);
    }
    if by_name.is_file() {
        return Ok(by_name);
    }
    Err(UsageError::new(format!(
        "{word:?} is neither a file nor a scenario in {}; `chisme sim list` names those that there are",
        dir.display()
    )))
}

/// All scenarios of a folder, by name.
pub(super) fn all(dir: &Path) -> Result<Vec<Scenario>, UsageError> {
    let wrong = |error: std::io::Error| UsageError::new(format!("{}: {error}", dir.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let load = |path: &PathBuf| load(&path.to_string_lossy(), dir, &Changes::none());
    paths.iter().map(|path| load(path).map(|asked| asked.scenario)).collect()
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
