//! Scenario files: finding them by name, reading them, and changing settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chisme_sim::Point;
use chisme_sim::scenario::Scenario;

use super::again::{Again, quoted};
use super::args::{Changes, DEFAULT_DIR};
use crate::usage::UsageError;

/// The longest scenario file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A scenario, and how it is asked for again.
pub(super) struct Asked {
    pub(super) again: Again,
    pub(super) scenario: Scenario,
}

/// Reads the scenario that a word stands for: a file, or a name in `dir`.
pub(super) fn load(word: &str, dir: &Path, changes: &Changes) -> Result<Asked, UsageError> {
    let (path, looked_up) = find(word, dir)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let wrong =
        |error: &dyn std::fmt::Display| UsageError::new(format!("{}: {error}", path.display()));
    let text = read(&path).map_err(|error| wrong(&format_args!("{error:#}")))?;
    let scenario = Scenario::parse(&name, &text).map_err(|error| wrong(&error))?;
    let scenario = scenario.with(&point(changes)?).map_err(|error| wrong(&error))?;
    Ok(Asked { again: Again::new(word, looked_up, changes), scenario })
}

fn read(path: &Path) -> anyhow::Result<String> {
    let metadata = std::fs::metadata(path)?;
    anyhow::ensure!(metadata.is_file(), "not a regular file");
    anyhow::ensure!(metadata.len() <= MAX_FILE, "longer than {MAX_FILE} bytes");
    std::fs::read_to_string(path).context("not text")
}

/// The file, and the folder if the word was looked up in it.
fn find<'a>(word: &str, dir: &'a Path) -> Result<(PathBuf, Option<&'a Path>), UsageError> {
    let by_name = dir.join(format!("{word}.toml"));
    let as_file = PathBuf::from(word);
    if word.ends_with(".toml") || as_file.is_file() {
        return Ok((as_file, None));
    }
    if by_name.is_file() {
        return Ok((by_name, Some(dir)));
    }
    if !dir.is_dir() {
        return Err(UsageError::new(format!("{word:?} is no file, and {}", no_folder(dir))));
    }
    Err(UsageError::new(format!(
        "{word:?} is neither a file nor a scenario in {}; `chisme sim list{}` names those that there are",
        dir.display(),
        if dir == Path::new(DEFAULT_DIR) {
            String::new()
        } else {
            format!(" --dir {}", quoted(&dir.display().to_string()))
        }
    )))
}

fn no_folder(dir: &Path) -> String {
    format!(
        "scenarios are looked for in {}, which is no folder here; name another with --dir DIR or CHISME_SIM_DIR",
        dir.display()
    )
}

/// All scenarios of a folder, by name, and what is wrong with files that are none.
pub(super) fn all(dir: &Path) -> Result<(Vec<Scenario>, Vec<UsageError>), UsageError> {
    if !dir.is_dir() {
        return Err(UsageError::new(no_folder(dir)));
    }
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
    let (mut scenarios, mut wrong) = (Vec::new(), Vec::new());
    for path in &paths {
        match load(path) {
            Ok(asked) => scenarios.push(asked.scenario),
            Err(error) => wrong.push(error),
        }
    }
    Ok((scenarios, wrong))
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
