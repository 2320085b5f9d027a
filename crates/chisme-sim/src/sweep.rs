//! Many runs of a scenario: every point of its grid with every seed, in parallel.
//!
//! It knows threads, and of runs only that they are independent. Results come in the order of
//! points and seeds, whatever the threads do.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Serialize;

use crate::expect::quantile;
use crate::outcome::{Figures, Outcome, Verdict};
use crate::run::{Company, Keep, run_with};
use crate::scenario::Scenario;

/// Values of the parameters of a grid, by their paths.
pub type Point = BTreeMap<String, toml::Value>;

/// Which runs, and on how many threads.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The seeds, each with every point of the grid.
    pub seeds: Vec<u64>,
    /// How many runs go on at once.
    pub jobs: NonZero<usize>,
    /// Once it is set the runs under way are given up, and what is done is what comes back.
    pub stop: Arc<AtomicBool>,
}

/// How far a sweep is, told after each run.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The run that has just ended.
    pub outcome: &'a Outcome,
    /// Runs that have ended.
    pub done: usize,
    /// Runs in all.
    pub total: usize,
    /// Those of `done` that failed.
    pub failed: usize,
}

/// What came of all seeds at one point of the grid.
#[derive(Debug, Serialize)]
pub struct Results {
    /// The values of the grid's parameters.
    pub point: Point,
    /// By seed.
    pub runs: Vec<Outcome>,
}

/// Figures over all seeds of a point. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many runs there were, and how many of them failed.
    pub runs: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The slowest run; none if any run did not come to it.
    pub formed: Option<f64>,
    /// Likewise: from the end of the faults to right views.
    pub converged: Option<f64>,
    /// Over the detections of all runs together.
    pub detection: Spread,
    /// Over the processes that ended without a goodbye: until anybody suspected them.
    pub first_suspicion: Spread,
    /// Over the same: until anybody called them Down.
    pub first_detection: Spread,
    /// Over the same: until all observers had called them Down.
    pub last_detection: Spread,
    /// Sums over the runs.
    pub false_downs: u64,
    /// Downs of anybody.
    pub downs: u64,
    /// Suspicions of members that were alive and within reach.
    pub false_suspicions: u64,
    /// New lives of nodes that nothing was done to.
    pub life_changes: u64,
    /// Happenings in all.
    pub events: u64,
    /// How long the runs lasted inside, together.
    pub virtual_seconds: f64,
    /// Means over the runs, per node.
    pub datagrams_per_second: f64,
    /// Bytes of UDP payload, likewise.
    pub bytes_per_second: f64,
    /// Means of the runs that came so far, per node.
    pub datagrams_in_faults: Option<f64>,
    /// In the quiet phase, likewise.
    pub datagrams_at_rest: Option<f64>,
    /// Bytes of UDP payload in the quiet phase, likewise.
    pub bytes_at_rest: Option<f64>,
    /// The most that any node sent in any second.
    pub peak_per_second: u64,
}

/// A distribution of times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them are not above it.
    pub p50: Option<f64>,
    /// 99 of 100 are not above it.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl Spread {
    pub(crate) fn of<'a>(times: impl Iterator<Item = &'a f64>) -> Self {
        let times: Vec<f64> = times.copied().collect();
        let at = |part| quantile(&times, part);
        Self { count: times.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl Sweep {
    /// With so many seeds, on as many threads as there are processors.
    pub fn new(seeds: impl IntoIterator<Item = u64>) -> Self {
        let jobs = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Self { seeds: seeds.into_iter().collect(), jobs, stop: Arc::default() }
    }

    /// Runs the scenario at every point with every seed. `keep` says for each what to keep of it;
    /// `progress` is called after each, one at a time, from any thread.
    ///
    /// The results stand in the order of [`Scenario::points`] and of the seeds; those of runs that
    /// were stopped are missing.
    pub fn run(
        &self,
        scenario: &Scenario,
        keep: impl Fn(&Point, u64) -> Keep + Sync,
        progress: impl FnMut(Progress<'_>) + Send,
    ) -> Vec<Results> {
        let points = scenario.points();
        let total = points.len() * self.seeds.len();
        let next = AtomicUsize::new(0);
        let desk = Mutex::new(Desk { done: BTreeMap::new(), failed: 0, progress });
        let work = || {
            while !self.stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    break;
                }
                let point = &points[number / self.seeds.len()];
                let seed = self.seeds[number % self.seeds.len()];
                let keep = keep(point, seed);
                let Some(outcome) = self.run_one(scenario, point, seed, &keep) else { break };
                // A progress bar that panics takes nothing from the results.
                let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                desk.take(number, outcome, total);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(total) {
                scope.spawn(work);
            }
        });
        let desk = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut results: Vec<Results> =
            points.into_iter().map(|point| Results { point, runs: Vec::new() }).collect();
        for (number, outcome) in desk.done {
            results[number / self.seeds.len()].runs.push(outcome);
        }
        results
    }

    /// Runs the scenario at one point with one seed, whichever the sweep has; none if it was stopped.
    pub fn run_one(
        &self,
        scenario: &Scenario,
        point: &Point,
        seed: u64,
        keep: &Keep,
    ) -> Option<Outcome> {
        run_with(scenario, point, seed, keep, self.company())
    }

    /// What each run has with it: that which may stop it.
    pub(crate) fn company(&self) -> Company<'_> {
        Company { stop: Some(self.stop.clone()), ..Company::default() }
    }
}

/// Where results are handed in.
struct Desk<P> {
    done: BTreeMap<usize, Outcome>,
    failed: usize,
    progress: P,
}

impl<P: FnMut(Progress<'_>)> Desk<P> {
    fn take(&mut self, number: usize, outcome: Outcome, total: usize) {
        self.failed += usize::from(outcome.is_failure());
        let done = self.done.len() + 1;
        (self.progress)(Progress { outcome: &outcome, done, total, failed: self.failed });
        self.done.insert(number, outcome);
    }
}

impl Results {
    /// The figures of all runs together.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.runs.iter().collect::<Vec<_>>())
    }
}

impl Summary {
    /// The figures of these runs together.
    pub fn of(outcomes: &[&Outcome]) -> Self {
        let runs = || outcomes.iter().copied();
        let figures: Vec<&Figures> = runs().map(|run| &run.figures).collect();
        Self {
            failed: runs().filter(|run| run.is_failure()).count(),
            events: runs().map(|run| run.events).sum(),
            virtual_seconds: runs().map(|run| run.virtual_seconds).sum(),
            ..Self::of_figures(&figures)
        }
    }

    /// The same without what figures do not tell: failures, events, virtual time.
    pub(crate) fn of_figures(all: &[&Figures]) -> Self {
        let figures = || all.iter().copied();
        // A run that did not come to it is worse than any that did.
        let worst = |each: fn(&Figures) -> Option<f64>| {
            let all: Option<Vec<f64>> = figures().map(each).collect();
            all.and_then(|all| all.into_iter().reduce(f64::max))
        };
        let count = all.len().max(1) as f64;
        Self {
            runs: all.len(),
            failed: 0,
            formed: worst(|one| one.formed),
            converged: worst(|one| one.converged),
            detection: Spread::of(
                figures().flat_map(|one| one.detections.iter().map(|detection| &detection.seconds)),
            ),
            first_suspicion: Spread::of(figures().flat_map(|one| &one.first_suspicions)),
            first_detection: Spread::of(figures().flat_map(|one| &one.first_detections)),
            last_detection: Spread::of(figures().flat_map(|one| &one.last_detections)),
            false_downs: figures().map(|one| one.false_downs).sum(),
            downs: figures().map(|one| one.downs).sum(),
            false_suspicions: figures().map(|one| one.false_suspicions).sum(),
            life_changes: figures().map(|one| one.life_changes).sum(),
            events: 0,
            virtual_seconds: 0.0,
            datagrams_per_second: figures().map(|one| one.datagrams_per_second).sum::<f64>()
                / count,
            bytes_per_second: figures().map(|one| one.bytes_per_second).sum::<f64>() / count,
            datagrams_in_faults: mean(figures().filter_map(|one| one.datagrams_in_faults)),
            datagrams_at_rest: mean(figures().filter_map(|one| one.datagrams_at_rest)),
            bytes_at_rest: mean(figures().filter_map(|one| one.bytes_at_rest)),
            peak_per_second: figures().map(|one| one.peak_per_second).max().unwrap_or(0),
        }
    }
}

fn mean(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = figures.fold((0_u32, 0.0), |(count, sum), one| (count + 1, sum + one));
    (count > 0).then(|| sum / f64::from(count))
}

/// The worst verdict of all runs that count as failed; passed if none does.
pub fn worst(results: &[Results]) -> Verdict {
    let failed = results.iter().flat_map(|results| &results.runs).filter(|run| run.is_failure());
    failed.fold(Verdict::Passed, |worst, run| worst.worse(run.verdict.clone()))
}

/// Which known misses of a scenario were met in every run of the product: they can be taken out.
pub fn no_longer_missed(scenario: &Scenario, results: &[Results]) -> Vec<String> {
    let ours = |run: &&Outcome| run.detector == crate::scenario::DetectorMode::Chisme;
    let runs: Vec<&Outcome> =
        results.iter().flat_map(|results| &results.runs).filter(ours).collect();
    let met = |name: &&String| {
        !runs.is_empty()
            && runs.iter().all(|run| {
                let mut lines = run.expectations.iter();
                lines.find(|line| line.what == **name).is_some_and(|line| line.met)
            })
    };
    scenario.known_misses.iter().filter(met).cloned().collect()
}
