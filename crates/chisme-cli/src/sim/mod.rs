//! `chisme sim`: scenarios of whole clusters under virtual time.
//!
//! `args` is its command line, `files` finds scenarios, `progress` and `print` show, `artifacts`
//! writes files; `swarm` makes scenarios up. What runs is `chisme-sim`; nothing here knows a rule of it.

mod args;
mod artifacts;
mod files;
mod print;
mod progress;
mod swarm;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use chisme_sim::outcome::Verdict;
use chisme_sim::{Judged, Keep, Patience, Point, Sweep, check_determinism, report};

pub(crate) use self::args::SimCommand;
use self::args::{ReplayArgs, RunArgs};
use self::files::Asked;
use self::print::Batch;
use self::progress::Bar;
use crate::output::{complain, out};
use crate::style;

/// Does what is asked of the simulator.
pub(crate) fn run(command: SimCommand) -> anyhow::Result<ExitCode> {
    match command {
        SimCommand::Run(args) => run_all(&args),
        SimCommand::Replay(args) => replay(&args),
        SimCommand::List { place, json } => list(&place.dir, json),
        SimCommand::Swarm(args) => swarm::run(&args, &stop_on_interrupt()?),
    }
}

fn list(dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let scenarios = files::all(dir)?;
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
        out(&(serde_json::to_string_pretty(&rows)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = style::table(style::stdout_has_colours(), &["NAME", "NODES", "RUNS", "WHY"]);
    for one in &scenarios {
        let why = one.why.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = why.split_inclusive(". ").next().unwrap_or(&why).trim().to_owned();
        let runs = one.seeds.clone().count() * one.points().len();
        let nodes = match &one.swarm {
            Some(ranges) => format!("{}-{}", ranges.nodes.start(), ranges.nodes.end()),
            None => one.nodes.count.to_string(),
        };
        table.add_row(vec![one.name.clone(), nodes, runs.to_string(), first]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    out(&(lines.join("\n") + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn run_all(args: &RunArgs) -> anyhow::Result<ExitCode> {
    // Everything is read before anything runs.
    let mut asked = Vec::new();
    for word in &args.scenarios {
        asked.push(files::load(word, &args.place.dir, &args.changes)?);
    }
    if args.baseline {
        asked = with_baseline(asked)?;
    }
    let stop = stop_on_interrupt()?;
    let mut batches = Vec::new();
    for Asked { word, scenario } in asked {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if args.check_determinism {
            repeat(args, &word, &scenario, &stop)?;
        } else {
            let results = sweep(args, &scenario, &stop);
            batches.push(Batch { scenario, word, results });
        }
    }
    if args.check_determinism {
        return Ok(ExitCode::SUCCESS);
    }
    let judged: Vec<Judged> = batches.iter().flat_map(Batch::judged).collect();
    tell(args, &batches, &judged)?;
    if args.shrink {
        shrink_first(&batches, &stop)?;
    }
    let runs = batches.iter().map(|batch| chisme_sim::worst(&batch.results));
    let worst = runs.chain(judged.iter().map(Judged::verdict));
    let worst = worst.fold(Verdict::Passed, Verdict::worse);
    if stop.load(Ordering::Relaxed) {
        complain("interrupted: what is told above is what was done by then");
        return Ok(ExitCode::from(130));
    }
    Ok(ExitCode::from(worst.exit_status()))
}

/// Each scenario once more, with foca as it comes.
fn with_baseline(asked: Vec<Asked>) -> anyhow::Result<Vec<Asked>> {
    let baseline: Point =
        [("detector".to_owned(), toml::Value::String("baseline".to_owned()))].into();
    let mut both = Vec::new();
    for one in asked {
        let other = one.scenario.with(&baseline)?;
        let word = one.word.clone();
        both.extend([one, Asked { word, scenario: other }]);
    }
    Ok(both)
}

fn seeds(args: &RunArgs, scenario: &chisme_sim::scenario::Scenario) -> Vec<u64> {
    args.seeds.map_or_else(|| scenario.seeds.clone(), |(from, to)| from..=to).collect()
}

fn sweep(
    args: &RunArgs,
    scenario: &chisme_sim::scenario::Scenario,
    stop: &Arc<AtomicBool>,
) -> Vec<chisme_sim::Results> {
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

/// Runs every seed twice.
fn repeat(
    args: &RunArgs,
    word: &str,
    scenario: &chisme_sim::scenario::Scenario,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let seeds = seeds(args, scenario);
    let points = scenario.points();
    let bar = Bar::new(&scenario.name, seeds.len() * points.len(), args.outputs.json);
    let mut done = 0;
    for point in &points {
        for &seed in &seeds {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            check_determinism(scenario, point, seed).map_err(|difference| {
                anyhow::anyhow!("{word}, seed {seed}: not deterministic: {difference}")
            })?;
            done += 1;
            bar.step(done, 0);
        }
    }
    bar.done();
    out(&format!("{}: {done} runs, each twice, all alike\n", scenario.name))
}

fn tell(args: &RunArgs, batches: &[Batch], judged: &[Judged]) -> anyhow::Result<()> {
    let runs = batches.iter().flat_map(|batch| batch.results.iter().flat_map(|r| &r.runs));
    let outcomes: Vec<_> = runs.cloned().collect();
    if args.outputs.json {
        out(&report::json(&outcomes, judged))?;
    } else if args.markdown {
        out(&print::markdown(&outcomes))?;
    } else {
        out(&print::table(&outcomes, style::stdout_has_colours()))?;
        out(&print::targets(judged))?;
        out(&print::known_misses(batches))?;
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
    artifacts::of_sweep(&args.outputs, batches, judged)
}

/// Makes the first failure smaller, and shows what is left of it.
fn shrink_first(batches: &[Batch], stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut runs = batches.iter().flat_map(|batch| {
        batch.results.iter().flat_map(|results| &results.runs).map(move |run| (batch, run))
    });
    let Some((batch, run)) = runs.find(|(_, run)| run.is_failure()) else { return Ok(()) };
    let patience = Patience { stop: Arc::clone(stop), ..Patience::default() };
    let step = |text: &str| complain(&format!("smaller: {text}"));
    match chisme_sim::shrink(&batch.scenario, &run.point, run.seed, &patience, step) {
        Some(shrunk) => out(&format!("# seed {}\n{}\n", run.seed, shrunk.toml.trim_end())),
        None => Ok(()),
    }
}

fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let Asked { word, scenario } = files::load(&args.scenario, &args.place.dir, &args.changes)?;
    let keep = artifacts::keep(&args.outputs);
    let outcome = chisme_sim::run(&scenario, &Point::new(), args.seed, &keep);
    if args.outputs.json {
        out(&report::json(std::slice::from_ref(&outcome), &[]))?;
    } else {
        out(&print::run(&outcome, &word, args.outputs.verbose))?;
    }
    artifacts::of_run(&args.outputs, &word, &outcome)?;
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
                    std::process::exit(130);
                }
            }
        });
    };
    std::thread::Builder::new().spawn(wait).context("cannot start a thread")?;
    Ok(stop)
}
