//! `chisme sim swarm`: other scenarios for each seed, until one fails.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use chisme_sim::outcome::Outcome;
use chisme_sim::scenario::Scenario;
use chisme_sim::{Keep, Patience, Point};

use super::args::{Changes, SwarmArgs};
use super::files::{self, Asked};
use super::progress::Bar;
use super::{artifacts, print};
use crate::output::{complain, out};
use crate::usage::UsageError;

/// How often it is looked whether the time is up.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(args: &SwarmArgs, stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    let draw = draw(args)?;
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok());
    let jobs = jobs.map_or(1, NonZero::get);
    let next = AtomicU64::new(args.from_seed);
    let over = AtomicBool::new(false);
    let end = args.limit.map(|limit| Instant::now() + limit);
    let bar = Bar::endless("swarm");
    let (tell, told) = mpsc::channel::<Outcome>();
    let (mut done, mut failed) = (0_u64, None);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (tell, next, over, draw) = (tell.clone(), &next, &over, &draw);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let scenario = draw(seed);
                    let outcome = chisme_sim::run(&scenario, &Point::new(), seed, &Keep::default());
                    if tell.send(outcome).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        loop {
            let up = end.is_some_and(|end| Instant::now() >= end);
            if up || stop.load(Ordering::Relaxed) || failed.is_some() {
                over.store(true, Ordering::Relaxed);
            }
            match told.recv_timeout(LOOK) {
                Ok(outcome) => {
                    done += 1;
                    bar.count(done);
                    if outcome.is_failure() && failed.is_none() {
                        failed = Some(outcome);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    bar.done();
    out(&format!("{done} scenarios, {} failed\n", u8::from(failed.is_some())))?;
    match failed {
        Some(outcome) => tell_failure(args, &draw(outcome.seed), &outcome, stop),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What each seed draws.
fn draw(args: &SwarmArgs) -> anyhow::Result<impl Fn(u64) -> Scenario + Sync> {
    let within = match &args.scenario {
        None => None,
        Some(word) => {
            let Asked { scenario, .. } = files::load(word, &args.place.dir, &Changes::none())?;
            if scenario.swarm.is_none() {
                let wrong = format!("{word:?} has no [swarm], which says within what is drawn");
                return Err(UsageError::new(wrong).into());
            }
            // Whatever its seed, it is refused before anything runs.
            scenario.drawn(args.from_seed)?;
            Some(scenario)
        }
    };
    Ok(move |seed| match &within {
        None => chisme_sim::swarm(seed),
        Some(within) => {
            let mut drawn = within.drawn(seed).expect("one seed draws as another");
            drawn.name = format!("{}-{seed}", within.name);
            drawn
        }
    })
}

/// Writes the scenario of a failure, and says how to run it again.
fn tell_failure(
    args: &SwarmArgs,
    scenario: &Scenario,
    outcome: &Outcome,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    let patience = Patience { stop: Arc::clone(stop), ..Patience::default() };
    let step = |text: &str| complain(&format!("smaller: {text}"));
    let shrunk = args
        .shrink
        .then(|| chisme_sim::shrink(scenario, &Point::new(), outcome.seed, &patience, step))
        .flatten();
    let text = shrunk.map_or_else(|| scenario.to_toml(), |shrunk| shrunk.toml);
    let path = args.failures.join(format!("{}.toml", scenario.name));
    artifacts::write(&path, text.as_bytes())?;
    let cause = outcome.verdict.cause().unwrap_or_default();
    let kind = print::verdict(&outcome.verdict);
    complain(&format!("{}, seed {}: {kind}: {cause}", scenario.name, outcome.seed));
    let word = path.display().to_string();
    complain(&format!("    again: {}", print::replay(&word, &Point::new(), outcome)));
    Ok(ExitCode::from(outcome.verdict.exit_status()))
}
