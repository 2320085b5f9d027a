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
use chisme_sim::{Keep, Patience, Point, Sweep};

use super::again::{Again, quoted};
use super::args::{Changes, SwarmArgs};
use super::files::{self, Asked};
use super::progress::Bar;
use super::{EXIT_INTERRUPTED, artifacts, print};
use crate::output::{complain, out_if_read};
use crate::usage::{UsageError, with_causes};

/// How often it is looked whether the time is up.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(args: &SwarmArgs, stop: &Arc<AtomicBool>) -> anyhow::Result<ExitCode> {
    let draw = draw(args)?;
    artifacts::probe_folder(&args.failures)?;
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok());
    let jobs = jobs.map_or(1, NonZero::get);
    let next = AtomicU64::new(args.from_seed);
    let mut sweep = Sweep::new([]);
    sweep.stop = Arc::clone(stop);
    let over = AtomicBool::new(false);
    let end = args.limit.map(|limit| Instant::now() + limit);
    let bar = Bar::endless("swarm");
    let (tell, told) = mpsc::channel::<Outcome>();
    let (mut done, mut failed) = (0_u64, None);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (tell, next, over) = (tell.clone(), &next, &over);
            let (draw, sweep) = (&draw, &sweep);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let scenario = draw(seed);
                    let outcome = sweep.run_one(&scenario, &Point::new(), seed, &Keep::default());
                    if outcome.is_none_or(|outcome| tell.send(outcome).is_err()) {
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
    out_if_read(&format!("{done} scenarios, {} failed\n", u8::from(failed.is_some())))?;
    match failed {
        Some(outcome) => Ok(tell_failure(args, &draw(outcome.seed), &outcome, stop)),
        None if stop.load(Ordering::Relaxed) => {
            complain("interrupted: none of them has failed by then");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What each seed draws.
fn draw(args: &SwarmArgs) -> anyhow::Result<impl Fn(u64) -> Scenario + Sync> {
    let within = match &args.scenario {
        None => None,
        Some(word) => {
            let dir = args.place.dir.as_deref();
            let Asked { scenario, .. } = files::load(word, dir, &Changes::none())?;
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

/// Tells of a failure, then writes its scenario, and says how to run it again.
fn tell_failure(
    args: &SwarmArgs,
    scenario: &Scenario,
    outcome: &Outcome,
    stop: &Arc<AtomicBool>,
) -> ExitCode {
    let cause = outcome.verdict.cause().unwrap_or_default();
    let kind = print::verdict(&outcome.verdict);
    complain(&format!("{}, seed {}: {kind}: {cause}", scenario.name, outcome.seed));
    let patience = Patience { stop: Arc::clone(stop), ..Patience::default() };
    let step = |text: &str| complain(&format!("smaller: {text}"));
    let shrunk = args
        .shrink
        .then(|| chisme_sim::shrink(scenario, &Point::new(), outcome.seed, &patience, step))
        .flatten();
    let text = shrunk.map_or_else(|| scenario.to_toml(), |shrunk| shrunk.toml);
    let path = args.failures.join(format!("{}.toml", scenario.name));
    match artifacts::write(&path, text.as_bytes()) {
        Ok(()) => {
            let again = Again::file(&path).command(&Point::new(), outcome);
            complain(&format!("    again: {again}"));
        }
        Err(error) => {
            // The verdict counts more than a file that its seed draws again.
            complain(&format!("error: {}", with_causes(error.as_ref())));
            complain(&format!("    again: {}", draw_again(args, outcome.seed)));
        }
    }
    ExitCode::from(outcome.verdict.exit_status())
}

/// The command that draws the scenario of a seed again.
fn draw_again(args: &SwarmArgs, seed: u64) -> String {
    let mut command = "chisme sim swarm".to_owned();
    if let Some(word) = &args.scenario {
        command += &format!(" {}", quoted(word));
        if let Some(dir) = &args.place.dir {
            command += &format!(" --dir {}", quoted(&dir.display().to_string()));
        }
    }
    command + &format!(" --from-seed {seed}")
}
