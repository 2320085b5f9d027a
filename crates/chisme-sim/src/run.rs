//! One run of a scenario: the nodes start, the faults come and go, and it is seen what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::cluster::Cluster;
use crate::outcome::{Figures, Outcome, Story, Verdict};
use crate::scenario::{Cut, Fault, Group, Scenario, TimedFault};
use crate::story::seconds;

/// What a run keeps besides its figures.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The story for a report.
    pub story: bool,
    /// All datagrams between these two moments, in seconds.
    pub window: Option<(f64, f64)>,
}

/// Runs a scenario, at one point of its grid, with one seed. The same arguments give the same
/// outcome on every machine.
pub fn run(
    scenario: &Scenario,
    point: &BTreeMap<String, toml::Value>,
    seed: u64,
    keep: &Keep,
) -> Outcome {
    let mut run = Run::start(scenario, seed);
    let verdict = run.play().err().unwrap_or(Verdict::Passed);
    run.into_outcome(point, verdict, keep)
}

struct Run<'a> {
    scenario: &'a Scenario,
    cluster: Cluster,
    /// For groups only, so that a group is the same whatever else is drawn.
    rng: ChaCha8Rng,
    figures: Figures,
    formed_at: Option<f64>,
    faults_ended_at: f64,
}

/// Something that a fault does at one moment.
enum Step<'a> {
    Begin(&'a TimedFault),
    End(&'a TimedFault),
}

impl<'a> Run<'a> {
    fn start(scenario: &'a Scenario, seed: u64) -> Self {
        let mut cluster = Cluster::new(seed);
        cluster.write_down();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut run = Self {
            scenario,
            cluster,
            rng,
            figures: Figures::default(),
            formed_at: None,
            faults_ended_at: 0.0,
        };
        let seeds = run.labels(&scenario.nodes.seeds);
        run.cluster.seed_with(&seeds.iter().map(String::as_str).collect::<Vec<_>>());
        run
    }

    fn labels(&mut self, group: &Group) -> Vec<String> {
        let nodes = &self.scenario.nodes;
        let numbers = group.resolve(nodes.count, &nodes.zones, &[], &mut self.rng);
        numbers.into_iter().map(|n| format!("n{n}")).collect()
    }

    fn play(&mut self) -> Result<(), Verdict> {
        self.form()?;
        self.disturb()?;
        self.converge()
    }

    fn form(&mut self) -> Result<(), Verdict> {
        let nodes = &self.scenario.nodes;
        let count = u32::try_from(nodes.count).unwrap_or(u32::MAX);
        for n in 0..count {
            self.cluster.start(&format!("n{n}"));
            self.cluster.run_for(nodes.spread / count);
        }
        if nodes.formed_within.is_zero() {
            return Ok(());
        }
        let started = seconds(self.cluster.now());
        if !self.cluster.run_until(nodes.formed_within, Cluster::is_complete) {
            return Err(Verdict::NotLive(self.cluster.why_incomplete()));
        }
        let now = seconds(self.cluster.now());
        self.formed_at = Some(now);
        self.figures.formed = Some(now - started);
        Ok(())
    }

    fn disturb(&mut self) -> Result<(), Verdict> {
        let begin = self.cluster.now();
        let mut steps: Vec<(Duration, Step<'a>)> = Vec::new();
        for fault in &self.scenario.faults {
            steps.push((fault.at, Step::Begin(fault)));
            if let Some(lasts) = fault.lasts {
                steps.push((fault.at + lasts, Step::End(fault)));
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        for (at, step) in steps {
            let wait = (begin + at).saturating_since(self.cluster.now());
            self.cluster.run_for(wait);
            self.step(&step)?;
        }
        self.faults_ended_at = seconds(self.cluster.now());
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), Verdict> {
        match step {
            Step::Begin(fault) => self.begin(&fault.fault),
            Step::End(fault) => self.end(&fault.fault),
        }
    }

    fn begin(&mut self, fault: &Fault) -> Result<(), Verdict> {
        match fault {
            Fault::Cut(Cut::Off(group)) => {
                let labels = self.labels(group);
                self.cluster.partition(&labels.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Fault::Crash { nodes } => {
                for label in self.labels(nodes) {
                    self.cluster.crash(&label);
                }
            }
            other => return Err(Verdict::Harness(format!("not built yet: {other:?}"))),
        }
        Ok(())
    }

    fn end(&mut self, fault: &Fault) -> Result<(), Verdict> {
        match fault {
            Fault::Cut(_) => self.cluster.heal(),
            Fault::Crash { nodes } => {
                for label in self.labels(nodes) {
                    self.cluster.start(&label);
                }
            }
            other => return Err(Verdict::Harness(format!("not built yet: {other:?}"))),
        }
        Ok(())
    }

    fn converge(&mut self) -> Result<(), Verdict> {
        let since = self.cluster.now();
        if !self.cluster.run_until(self.scenario.liveness, Cluster::is_complete) {
            return Err(Verdict::NotLive(self.cluster.why_incomplete()));
        }
        self.figures.converged = Some(seconds(self.cluster.now()) - seconds(since));
        let quiet = self.cluster.now();
        self.cluster.run_for(self.scenario.quiet);
        match self.cluster.noise_since(quiet) {
            Some(noise) => Err(Verdict::NotLive(format!("not quiet: {noise}"))),
            None => Ok(()),
        }
    }

    fn into_outcome(
        self,
        point: &BTreeMap<String, toml::Value>,
        verdict: Verdict,
        keep: &Keep,
    ) -> Outcome {
        let Self { scenario, cluster, mut figures, formed_at, faults_ended_at, .. } = self;
        let virtual_seconds = seconds(cluster.now());
        let (seed, hash, events) = (cluster.seed, cluster.digest(), cluster.events);
        let recorder = cluster.into_recorder();
        let per = virtual_seconds * scenario.nodes.count as f64;
        let total = |part: fn(&crate::outcome::Traffic) -> u64| {
            recorder.sent.values().map(part).sum::<u64>() as f64 / per
        };
        figures.datagrams_per_second = total(|traffic| traffic.datagrams);
        figures.bytes_per_second = total(|traffic| traffic.bytes);
        figures.sent =
            recorder.sent.iter().map(|(kind, traffic)| ((*kind).to_owned(), *traffic)).collect();
        let story = keep.story.then(|| Story {
            nodes: (0..scenario.nodes.count).map(|n| format!("n{n}")).collect(),
            seconds: virtual_seconds,
            formed_at,
            faults_ended_at,
            changes: recorder.changes,
            processes: recorder.processes,
            ..Story::default()
        });
        Outcome {
            scenario: scenario.name.clone(),
            seed,
            point: point.clone(),
            detector: scenario.detector,
            verdict,
            expectations: Vec::new(),
            figures,
            marks: BTreeMap::new(),
            hash,
            events,
            virtual_seconds,
            story,
        }
    }
}
