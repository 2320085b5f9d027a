//! Files that runs leave behind: reports, traces, captures.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chisme_sim::outcome::Outcome;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Judged, Keep, Sweep, longest, report};

use super::again::Again;
use super::args::Outputs;
use super::print::Batch;
use crate::output::complain;
use crate::usage::{UsageError, system};

/// What a run must keep for the files that are wanted.
pub(super) fn keep(outputs: &Outputs) -> Keep {
    Keep { story: true, window: outputs.window, capture: outputs.pcap.is_some() }
}

/// Whether all files that are wanted can be written, each by itself, before anything runs.
pub(super) fn probe(outputs: &Outputs) -> Result<(), UsageError> {
    let wanted =
        [("--report", &outputs.report), ("--trace", &outputs.trace), ("--pcap", &outputs.pcap)];
    let mut files: Vec<(PathBuf, &str)> = Vec::new();
    for (flag, path) in wanted {
        let Some(path) = path else { continue };
        if path.as_os_str() == "-" {
            return Err(UsageError::new(format!(
                "{flag} - names no file: stdout has what is told of the runs; name a file, or ./- for one that is called so"
            )));
        }
        probe_file(path)?;
        let Some(file) = real(path) else { continue };
        if let Some((_, other)) = files.iter().find(|(known, _)| *known == file) {
            let path = path.display();
            return Err(UsageError::new(format!(
                "{other} and {flag} are both {path}, and one would overwrite the other: give each its own file"
            )));
        }
        files.push((file, flag));
    }
    Ok(())
}

/// The file that a path leads to, there or not yet; none for a pipe or a device, which may be given twice.
fn real(path: &Path) -> Option<PathBuf> {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file().then(|| path.canonicalize().ok())?,
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            Some(folder.join(path.file_name()?))
        }
    }
}

/// Whether the window that is wanted can have anything in it, before anything runs.
pub(super) fn probe_window<'a>(
    outputs: &Outputs,
    scenarios: impl IntoIterator<Item = &'a Scenario>,
) -> Result<(), UsageError> {
    if outputs.window.is_none() {
        return Ok(());
    }
    let ends = scenarios.into_iter().map(longest).collect::<Option<Vec<_>>>();
    match ends.and_then(|ends| ends.into_iter().max()) {
        Some(end) => begins_by(outputs, end.as_secs_f64(), "no run lasts longer than"),
        None => Ok(()),
    }
}

fn begins_by(outputs: &Outputs, end: f64, why: &str) -> Result<(), UsageError> {
    match outputs.window {
        Some((from, to)) if from >= end => Err(UsageError::new(format!(
            "--window {from}..{to} begins too late: {why} {end:.1} s, so begin before that"
        ))),
        _ => Ok(()),
    }
}

/// Leaves what is there as it is, and nothing where there was nothing.
fn probe_file(path: &Path) -> Result<(), UsageError> {
    let opened = match File::create_new(path) {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => probe_existing(path),
        Err(error) => Err(error),
    };
    opened.map_err(|error| cannot_write(path, &error))
}

/// A pipe or a terminal is not opened: its reader would take that for the end.
fn probe_existing(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
        _ => OpenOptions::new().append(true).create(true).open(path).map(drop),
    }
}

/// Makes a folder in which files will be written, if there is none.
pub(super) fn probe_folder(path: &Path) -> Result<(), UsageError> {
    fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
    probe_file(&path.join(format!(".chisme-{}", std::process::id())))
}

fn cannot_write(path: &Path, error: &io::Error) -> UsageError {
    let (path, why) = (path.display(), system(error));
    UsageError::new(format!("cannot write {path}: {why}; nothing was run"))
}

/// Writes what is wanted of one run.
pub(super) fn of_run(outputs: &Outputs, again: &Again, outcome: &Outcome) -> anyhow::Result<()> {
    begins_by(outputs, outcome.virtual_seconds, "this run ends after")?;
    let again = again.command(&outcome.point, outcome);
    if let Some(path) = &outputs.report {
        let page = report::html(&outcome.scenario, &again, std::slice::from_ref(outcome), &[]);
        write(path, page.as_bytes())?;
    }
    details(outputs, outcome)
}

/// Writes what is wanted of a sweep. The first of the runs that failed worst, or of all, is run again: its
/// story was not kept. After Ctrl-C it is not, and only a report is written, without a story.
pub(super) fn of_sweep(
    outputs: &Outputs,
    batches: &[Batch],
    judged: &[Judged],
    sweep: &Sweep,
) -> anyhow::Result<()> {
    if outputs.report.is_none() && outputs.trace.is_none() && outputs.pcap.is_none() {
        return Ok(());
    }
    let mut all: Vec<(&Batch, Outcome)> = batches
        .iter()
        .flat_map(|batch| {
            batch.results.iter().flat_map(move |r| r.runs.iter().map(move |o| (batch, o)))
        })
        .map(|(batch, outcome)| (batch, outcome.clone()))
        .collect();
    let failed = |(_, (_, outcome)): &(usize, &(&Batch, Outcome))| outcome.is_failure();
    let worst = all.iter().enumerate().filter(failed).rev();
    let worst = worst.max_by_key(|(_, (_, outcome))| outcome.verdict.exit_status());
    let place = worst.map_or(0, |(place, _)| place);
    let Some((batch, told)) = all.get_mut(place) else {
        complain("no run had ended: there is nothing to write into files");
        return Ok(());
    };
    match sweep.run_one(&batch.scenario, &told.point, told.seed, &keep(outputs)) {
        Some(outcome) => {
            begins_by(outputs, outcome.virtual_seconds, "the run that is told ends after")?;
            *told = outcome;
            details(outputs, told)?;
        }
        None => skipped(outputs),
    }
    let again = batch.again.command(&told.point, told);
    if let Some(path) = &outputs.report {
        let mut names: Vec<&str> = batches.iter().map(|b| b.scenario.name.as_str()).collect();
        names.dedup();
        let title = match names.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("{} scenarios", several.len()),
        };
        let outcomes: Vec<Outcome> = all.into_iter().map(|(_, outcome)| outcome).collect();
        write(path, report::html(&title, &again, &outcomes, judged).as_bytes())?;
    }
    Ok(())
}

/// Says which files an interruption leaves out.
fn skipped(outputs: &Outputs) {
    for path in [&outputs.trace, &outputs.pcap].into_iter().flatten() {
        complain(&format!("interrupted: {} is not written", path.display()));
    }
}

fn details(outputs: &Outputs, outcome: &Outcome) -> anyhow::Result<()> {
    if let Some(path) = &outputs.trace {
        write(path, report::trace_jsonl(outcome).as_bytes())?;
    }
    if let (Some(path), Some(story)) = (&outputs.pcap, &outcome.story) {
        write(path, &report::pcap(&story.captured))?;
    }
    Ok(())
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
