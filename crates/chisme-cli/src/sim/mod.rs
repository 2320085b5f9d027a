//! `chisme sim`: scenarios of whole clusters under virtual time.
//!
//! `args` is its command line, `files` finds scenarios, `shipped` has those of this program, `progress` and `print` show, `again` says how a
//! run is run again, `artifacts` writes files; `swarm` makes scenarios up. What runs is `chisme-sim`; nothing here knows a rule of it.

mod again;
mod args;
mod artifacts;
mod files;
mod print;
mod progress;
mod shipped;
mod swarm;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Judged, Keep, Patience, Point, Shrunk, Sweep, report};

use self::again::Again;
pub(crate) use self::args::SimCommand;
use self::args::{ReplayArgs, RunArgs};
use self::files::Asked;
use self::print::Batch;
use self::progress::Bar;
use crate::EXIT_USAGE;
use crate::output::{complain, out_if_read};
use crate::style;
use crate::usage::{self, UsageError};

/// The exit status of a command that Ctrl-C has ended.
const EXIT_INTERRUPTED: u8 = 130;

/// Of the JSON of a list. It grows when a field changes its meaning or goes away.
const LIST_VERSION: u32 = 1;

/// Does what is asked of the simulator. What goes wrong besides is no verdict about the product: it has the status of
/// an error of the simulator.
pub(crate) fn run(command: SimCommand) -> anyhow::Result<ExitCode> {
    match obey(command) {
        Err(error) if !error.chain().any(|cause| cause.is::<UsageError>()) => {
            let text = usage::with_causes(error.as_ref());
            complain(&format!("error: {text}"));
            Ok(ExitCode::from(Verdict::Harness(text).exit_status()))
        }
        done => done,
    }
}

fn obey(command: SimCommand) -> anyhow::Result<ExitCode> {
    match command {
        SimCommand::Run(args) => run_all(&args),
        SimCommand::Replay(args) => replay(&args),
        SimCommand::List { place, json } => list(place.dir.as_deref(), json),
        SimCommand::Show { scenario, place } => {
            out_if_read(&files::text(&scenario, place.dir.as_deref())?)?;
            Ok(ExitCode::SUCCESS)
        }
        SimCommand::Swarm(args) => swarm::run(&args, &stop_on_interrupt()?),
    }
}

fn list(dir: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let (scenarios, wrong) = files::all(dir)?;
    show_list(&scenarios, json)?;
    for error in &wrong {
        complain(&format!("error: {error}"));
    }
    if let Some(dir) = dir.filter(|_| scenarios.is_empty() && wrong.is_empty()) {
        complain(&format!("no scenario in {}: it has no file *.toml", dir.display()));
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) })
}

fn show_list(scenarios: &[Scenario], json: bool) -> anyhow::Result<()> {
    if json {
        let rows: Vec<_> = scenarios
            .iter()
            .map(|one| {
                serde_json::json!({
                    "name": one.name, "nodes": one.nodes.count, "why": one.why.trim(),
                    "expected": one.expected.trim(), "source": one.source.trim(),
                    "swarm": one.swarm.is_some(),
                    "seeds": [one.seeds.start(), one.seeds.end()], "points": one.points().len(),
                    "known_misses": one.known_misses,
                })
            })
            .collect();
        let document = serde_json::json!({ "version": LIST_VERSION, "scenarios": rows });
        return out_if_read(&(serde_json::to_string_pretty(&document)? + "\n"));
    }
    let mut table = style::table(style::stdout_has_colours(), &["NAME", "NODES", "RUNS", "WHY"]);
    for one in scenarios {
        let why = one.why.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = why.split_inclusive(". ").next().unwrap_or(&why).trim().to_owned();
        let runs = one.seeds.clone().count().saturating_mul(one.points().len());
        let nodes = match &one.swarm {
            Some(ranges) => format!("{}-{}", ranges.nodes.start(), ranges.nodes.end()),
            None => one.nodes.count.to_string(),
        };
        table.add_row(vec![one.name.clone(), nodes, runs.to_string(), first]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    out_if_read(&(lines.join("\n") + "\n"))
}

fn run_all(args: &RunArgs) -> anyhow::Result<ExitCode> {
    // Everything is read before anything runs.
    let mut asked = Vec::new();
    for word in &args.scenarios {
        asked.push(files::load(word, args.place.dir.as_deref(), &args.changes)?);
    }
    told_apart(&asked)?;
    if args.baseline {
        asked = with_baseline(asked)?;
    }
    artifacts::probe(&args.outputs)?;
    artifacts::probe_window(&args.outputs, asked.iter().map(|one| &one.scenario))?;
    let stop = stop_on_interrupt()?;
    if args.check_determinism {
        return repeat_all(args, &asked, &stop);
    }
    let mut batches = Vec::new();
    for Asked { again, scenario } in asked {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let results = sweep(args, &scenario, &stop);
        batches.push(Batch { scenario, again, results });
    }
    let judged: Vec<Judged> = batches.iter().flat_map(Batch::judged).collect();
    tell(args, &batches, &judged, &stop)?;
    let runs = batches.iter().map(|batch| chisme_sim::worst(&batch.results));
    let worst = runs.chain(judged.iter().map(Judged::verdict));
    let worst = worst.fold(Verdict::Passed, Verdict::worse);
    if stop.load(Ordering::Relaxed) {
        complain("interrupted: what is told above is what was done by then");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    Ok(ExitCode::from(worst.exit_status()))
}

/// Tables hold the runs of one name together.
fn told_apart(asked: &[Asked]) -> Result<(), UsageError> {
    let mut names: Vec<&str> = asked.iter().map(|one| one.scenario.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(UsageError::new(format!(
            "two of these scenarios are called {:?}, and a table would not tell them apart: run one at a time, or rename a file",
            pair[0]
        ))),
    }
}

/// Each scenario once more, with foca as it comes.
fn with_baseline(asked: Vec<Asked>) -> anyhow::Result<Vec<Asked>> {
    let baseline: Point =
        [("detector".to_owned(), toml::Value::String("baseline".to_owned()))].into();
    let mut both = Vec::new();
    for one in asked {
        let other = one.scenario.with(&baseline)?;
        let again = one.again.clone();
        both.extend([one, Asked { again, scenario: other }]);
    }
    Ok(both)
}

fn seeds(args: &RunArgs, scenario: &Scenario) -> Vec<u64> {
    args.seeds.map_or_else(|| scenario.seeds.clone(), |(from, to)| from..=to).collect()
}

fn sweep(args: &RunArgs, scenario: &Scenario, stop: &Arc<AtomicBool>) -> Vec<chisme_sim::Results> {
    let mut sweep = Sweep::new(seeds(args, scenario));
    sweep.stop = Arc::clone(stop);
    if let Some(jobs) = args.jobs {
        sweep.jobs = jobs;
    }
    let total = sweep.seeds.len() * scenario.points().len();
    let bar = Bar::new(&print::title(scenario), total, args.outputs.json);
    let keep = |_: &Point, _| Keep { story: args.outputs.verbose, ..Keep::default() };
    let results = sweep.run(scenario, keep, |progress| {
        bar.step(progress.done, progress.failed);
        if let Some(story) = &progress.outcome.story {
            let lines = print::changes(story);
            bar.line(&format!("seed {}:\n{}", progress.outcome.seed, lines.trim_end()));
        }
    });
    bar.done();
    results
}

/// Runs everything twice.
fn repeat_all(args: &RunArgs, asked: &[Asked], stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    for one in asked {
        repeat(args, &one.scenario, stop)?;
        if stop.load(Ordering::Relaxed) {
            complain("interrupted: what is told above is what was compared by then");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every seed twice.
fn repeat(args: &RunArgs, scenario: &Scenario, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut sweep = Sweep::new([]);
    sweep.stop = Arc::clone(stop);
    let seeds = seeds(args, scenario);
    let points = scenario.points();
    let bar = Bar::new(&scenario.name, seeds.len() * points.len(), args.outputs.json);
    let mut done = 0;
    for point in &points {
        for &seed in &seeds {
            let same = sweep.run_twice(scenario, point, seed).map_err(|difference| {
                anyhow::anyhow!("{}, seed {seed}: not deterministic: {difference}", scenario.name)
            })?;
            if same.is_none() {
                break;
            }
            done += 1;
            bar.step(done, 0);
        }
    }
    bar.done();
    let all = seeds.len().saturating_mul(points.len());
    let of = if done < all { format!(" of {all}") } else { String::new() };
    out_if_read(&format!("{}: {done}{of} runs, each twice, all alike\n", scenario.name))
}

fn tell(
    args: &RunArgs,
    batches: &[Batch],
    judged: &[Judged],
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let runs = batches.iter().flat_map(|batch| batch.results.iter().flat_map(|r| &r.runs));
    let outcomes: Vec<_> = runs.cloned().collect();
    // With JSON all that is told on stdout is one document: it waits for what is shrunk.
    if args.markdown {
        out_if_read(&print::markdown(&outcomes))?;
    } else if !args.outputs.json {
        out_if_read(&print::table(&outcomes, style::stdout_has_colours()))?;
        out_if_read(&print::targets(judged))?;
        out_if_read(&print::known_misses(batches))?;
    }
    let failures = print::failures(batches);
    if !failures.is_empty() {
        complain(failures.trim_end());
    }
    for verdict in judged.iter().map(Judged::verdict) {
        if let Some(cause) = verdict.cause() {
            complain(&format!("target missed: {cause}"));
        }
    }
    let shrunk = if args.shrink { shrink_first(batches, stop) } else { None };
    if args.outputs.json {
        let (json, interrupted) = (report::json(&outcomes, judged), stop.load(Ordering::Relaxed));
        out_if_read(&print::with_ending(&json, interrupted, shrunk.as_ref())?)?;
    } else if let Some(shrunk) = &shrunk {
        let seed = shrunk.outcome.seed;
        let toml = format!("# seed {seed}\n{}\n", shrunk.toml.trim_end());
        out_if_read(&if args.markdown { format!("\n```toml\n{toml}```\n") } else { toml })?;
    }
    let mut sweep = Sweep::new([]);
    sweep.stop = Arc::clone(stop);
    artifacts::of_sweep(&args.outputs, batches, judged, &sweep)
}

/// Makes the first failure smaller, and says how what is left of it is run.
fn shrink_first(batches: &[Batch], stop: &Arc<AtomicBool>) -> Option<Shrunk> {
    let mut runs = batches.iter().flat_map(|batch| {
        batch.results.iter().flat_map(|results| &results.runs).map(move |run| (batch, run))
    });
    let Some((batch, run)) = runs.find(|(_, run)| run.is_failure()) else {
        complain(
            "nothing to shrink: no run has failed by itself; a target is of all seeds together",
        );
        return None;
    };
    let patience = Patience { stop: Arc::clone(stop), ..Patience::default() };
    let step = |text: &str| complain(&format!("smaller: {text}"));
    let shrunk = chisme_sim::shrink(&batch.scenario, &run.point, run.seed, &patience, step)?;
    let file = format!("{}.toml", shrunk.scenario.name);
    let again = Again::file(Path::new(&file)).command(&Point::new(), &shrunk.outcome);
    complain(&format!("shrunk: save it as {file}\n    again: {again}"));
    Some(shrunk)
}

fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let Asked { again, scenario } =
        files::load(&args.scenario, args.place.dir.as_deref(), &args.changes)?;
    artifacts::probe(&args.outputs)?;
    artifacts::probe_window(&args.outputs, [&scenario])?;
    let mut sweep = Sweep::new([args.seed]);
    sweep.stop = stop_on_interrupt()?;
    let keep = artifacts::keep(&args.outputs);
    // Without a grid it is the one empty point.
    let point = scenario.points().remove(0);
    if !point.is_empty() {
        let at: Vec<String> = point.iter().map(|(key, value)| format!("{key}={value}")).collect();
        complain(&format!(
            "at {}, the first point of its grid: others come with --set",
            at.join(" ")
        ));
    }
    let Some(outcome) = sweep.run_one(&scenario, &point, args.seed, &keep) else {
        complain("interrupted before the run had ended");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    };
    if args.outputs.json {
        out_if_read(&report::json(std::slice::from_ref(&outcome), &[]))?;
    } else {
        out_if_read(&print::run(&outcome, &again, args.outputs.verbose))?;
    }
    artifacts::of_run(&args.outputs, &again, &outcome)?;
    let judged = if outcome.is_failure() { outcome.verdict.exit_status() } else { 0 };
    Ok(ExitCode::from(judged))
}

/// Ctrl-C ends the runs, and what is done is told; a second one ends everything.
fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                told.store(true, Ordering::Relaxed);
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(EXIT_INTERRUPTED.into());
                }
            }
        });
    };
    std::thread::Builder::new().spawn(wait).context("cannot start a thread")?;
    Ok(stop)
}
