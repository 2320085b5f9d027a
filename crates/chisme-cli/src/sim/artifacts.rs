//! Files that runs leave behind: reports, traces, captures.

use std::path::Path;

use anyhow::Context;
use chisme_sim::outcome::Outcome;
use chisme_sim::{Judged, Keep, report};

use super::args::Outputs;
use super::print::{self, Batch};

/// What a run must keep for the files that are wanted.
pub(super) fn keep(outputs: &Outputs) -> Keep {
    Keep { story: true, window: outputs.window, capture: outputs.pcap.is_some() }
}

/// Writes what is wanted of one run.
pub(super) fn of_run(outputs: &Outputs, word: &str, outcome: &Outcome) -> anyhow::Result<()> {
    let again = print::replay(word, &outcome.point, outcome);
    if let Some(path) = &outputs.report {
        let page = report::html(&outcome.scenario, &again, std::slice::from_ref(outcome), &[]);
        write(path, page.as_bytes())?;
    }
    details(outputs, outcome)
}

/// Writes what is wanted of a sweep. The first run that failed, or the first one, is run again: its
/// story was not kept.
pub(super) fn of_sweep(
    outputs: &Outputs,
    batches: &[Batch],
    judged: &[Judged],
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
    let place = all.iter().position(|(_, outcome)| outcome.is_failure()).unwrap_or(0);
    let Some((batch, told)) = all.get_mut(place) else { return Ok(()) };
    *told = chisme_sim::run(&batch.scenario, &told.point, told.seed, &keep(outputs));
    let again = print::replay(&batch.word, &told.point, told);
    details(outputs, told)?;
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
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
