//! One run of a scenario: the nodes start, the faults come and go, and it is judged what came of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::check::Watch;
use crate::cluster::Cluster;
use crate::expect;
use crate::log::Errors;
use crate::network::{Effect, NodeSet, RuleId, Scope};
use crate::outcome::{Figures, Outcome, Traffic, Verdict};
use crate::panics::{self, Cause};
use crate::scenario::{DetectorMode, Fault, Group, Link, Scenario, TimedFault, Way, limits};
use crate::story::seconds;
use crate::trace::Trace;

/// The quiet phase begins so long after the last fault, and so long after the views are right: until
/// then suspicions may come and go that the faults have left behind.
const AFTER_FAULTS: Duration = Duration::from_secs(10);
const AFTER_VIEWS: Duration = Duration::from_secs(3);

/// By then every node has compared its view with that of another, even if nothing happened (PROTOCOL.md, Sync).
const COMPARED: Duration = Duration::from_secs(31);

/// How the marks of faults begin.
const FAULT: &str = "fault ";

/// How the marks of what the whole network is like begin.
const NETWORK: &str = "network: ";

/// What so many datagrams meet on average is met by one at least, but for one run in hundreds of millions.
const EXPECTED: f64 = 20.0;

/// So many periods after the start everybody has probed somebody, if there is anybody.
const PROBED: f64 = 3.0;

/// What a run keeps besides its figures.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The story for a report.
    pub story: bool,
    /// All datagrams between these two moments, in seconds.
    pub window: Option<(f64, f64)>,
    /// The bytes of every datagram, for a capture file.
    pub capture: bool,
}

/// Runs a scenario, at one point of its grid, with one seed. The same arguments give the same
/// outcome on every machine. Nothing that goes wrong in it takes the thread down.
pub fn run(
    scenario: &Scenario,
    point: &BTreeMap<String, toml::Value>,
    seed: u64,
    keep: &Keep,
) -> Outcome {
    let outcome = run_with(scenario, point, seed, keep, Company::default());
    outcome.expect("nobody has asked for its end")
}

/// After so long every run of a scenario has ended, at whatever point of its grid; none if that is drawn
/// by chance.
pub fn longest(scenario: &Scenario) -> Option<Duration> {
    let at = |here: Scenario| {
        let nodes = &here.nodes;
        let faults = here.faults.iter().map(|timed| limits::end(timed, nodes.count, &nodes.zones));
        let ends = faults.max().unwrap_or_default();
        let before = nodes.spread + nodes.formed_within;
        // What is asked of views is asked now and then, and that may be a moment later.
        let after = here.liveness + AFTER_FAULTS + AFTER_VIEWS + here.quiet;
        before + ends + after
    };
    if scenario.swarm.is_some() {
        return None;
    }
    let points = scenario.points();
    points.iter().filter_map(|point| scenario.at(point).ok()).map(at).max()
}

/// Who else looks on.
#[derive(Default)]
pub(crate) struct Company<'a> {
    /// Ends the run once it is set.
    pub(crate) stop: Option<Arc<AtomicBool>>,
    /// Follows what happens, one by one.
    pub(crate) trace: Option<&'a mut Trace>,
    /// Breaks something at a moment of the run, for tests of what watches over it.
    #[cfg(test)]
    pub(crate) sabotage: Option<Sabotage<'a>>,
}

/// Something that breaks a run, so long after the views are complete.
#[cfg(test)]
type Sabotage<'a> = (Duration, &'a dyn Fn(&mut Cluster));

/// Like [`run`]; none if it was stopped.
pub(crate) fn run_with(
    scenario: &Scenario,
    point: &BTreeMap<String, toml::Value>,
    seed: u64,
    keep: &Keep,
    mut company: Company<'_>,
) -> Option<Outcome> {
    let here = scenario.at(point).and_then(|here| here.drawn(seed));
    let here = here.and_then(Scenario::possible);
    let mut run = Run::new(here.as_ref().unwrap_or(scenario), seed, keep, &mut company);
    if let Err(error) = &here {
        run.found(Verdict::Harness(error.to_string()));
        return Some(run.into_outcome(point, keep));
    }
    let errors = Errors::default();
    let end = errors.listen(|| panics::catch(|| run.play(&company)));
    if let Some(trace) = company.trace {
        *trace = run.cluster.trace.take().map_or_else(Trace::default, |trace| *trace);
    }
    match end {
        Ok(()) => {}
        Err(Cause::Abandoned) => return None,
        Err(Cause::Verdict(verdict)) => run.found(verdict),
    }
    if let Some(error) = errors.first() {
        run.found(Verdict::Unsafe(format!("an error was logged: {error}")));
    }
    Some(run.into_outcome(point, keep))
}

/// What all nodes together have sent until a moment, and how long they ran.
#[derive(Default)]
struct Load {
    node_seconds: f64,
    datagrams: u64,
    bytes: u64,
}

impl Load {
    fn so_far(cluster: &Cluster) -> Self {
        let sent = cluster.recorder.iter().flat_map(|recorder| recorder.sent.values());
        let sum = |part: fn(&Traffic) -> u64| sent.clone().map(part).sum();
        Self {
            node_seconds: cluster.running_time().as_secs_f64(),
            datagrams: sum(|traffic| traffic.datagrams),
            bytes: sum(|traffic| traffic.bytes),
        }
    }

    /// Datagrams and bytes since `before`, for each second that a node ran.
    fn since(&self, before: &Self) -> Option<(f64, f64)> {
        let per = self.node_seconds - before.node_seconds;
        let rate = |now: u64, then: u64| (now - then) as f64 / per;
        (per > 0.0)
            .then(|| (rate(self.datagrams, before.datagrams), rate(self.bytes, before.bytes)))
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    cluster: Cluster,
    /// For groups only, so that a group is the same whatever else is drawn.
    rng: ChaCha8Rng,
    figures: Figures,
    marks: BTreeMap<String, u64>,
    /// What the links are like while no fault says otherwise, if that is not as ever.
    network: Option<RuleId>,
    verdict: Verdict,
    formed_at: Option<f64>,
    faults_ended_at: f64,
    /// Whether it came to the end of its faults.
    disturbed: bool,
    /// Whether nothing changed in the quiet phase; none if it did not come to one.
    quiet: Option<bool>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, seed: u64, keep: &Keep, company: &mut Company<'_>) -> Self {
        let mut cluster = Cluster::new(seed);
        cluster.write_down(keep);
        cluster.watch = Some(Box::new(Watch::among(scenario.nodes.count, company.stop.take())));
        cluster.trace = company.trace.as_mut().map(|trace| Box::new(std::mem::take(*trace)));
        Self {
            scenario,
            cluster,
            rng: ChaCha8Rng::seed_from_u64(seed),
            figures: Figures::default(),
            marks: BTreeMap::new(),
            network: None,
            verdict: Verdict::Passed,
            formed_at: None,
            faults_ended_at: 0.0,
            disturbed: false,
            quiet: None,
        }
    }

    fn found(&mut self, verdict: Verdict) {
        self.verdict = std::mem::replace(&mut self.verdict, Verdict::Passed).worse(verdict);
    }

    fn labels(&mut self, group: &Group) -> Vec<String> {
        let nodes = &self.scenario.nodes;
        let numbers = group.resolve(nodes.count, &nodes.zones, &[], &mut self.rng);
        numbers.into_iter().map(|n| format!("n{n}")).collect()
    }

    fn play(&mut self, company: &Company<'_>) {
        let seeds = self.labels(&self.scenario.nodes.seeds);
        self.cluster.seed_with(&seeds.iter().map(String::as_str).collect::<Vec<_>>());
        self.form();
        #[cfg(test)]
        if let Some((after, sabotage)) = company.sabotage {
            self.cluster.run_for(after);
            sabotage(&mut self.cluster);
        }
        #[cfg(not(test))]
        let _ = company;
        self.disturb();
        self.disturbed = true;
        if let Err(verdict) = self.converge() {
            self.found(verdict);
        }
        self.cluster.check_all_fills();
    }

    /// The nodes start. If their views do not become complete in time the faults begin all the same.
    fn form(&mut self) {
        let nodes = &self.scenario.nodes;
        let count = u32::try_from(nodes.count).unwrap_or(u32::MAX);
        self.cluster.network().port_unreachable = self.scenario.network.port_unreachable;
        if self.scenario.network != Link::default() {
            let effect = Effect::Impair(Box::new(self.scenario.network.clone()));
            let everywhere = Scope::Between(NodeSet::all(), NodeSet::all());
            self.network = Some(self.cluster.rule(everywhere, effect, None));
        }
        for n in 0..count {
            let setup = self.cluster.setup(&format!("n{n}"));
            self.scenario.config.apply(setup);
            if self.scenario.detector == DetectorMode::Baseline {
                setup.baseline = NonZeroU32::new(count).or(Some(NonZeroU32::MIN));
            }
        }
        self.cluster.zones.clone_from(&nodes.zones);
        // What is said while it forms is recorded too, not only from the first fault on.
        if self.scenario.faults.iter().any(|timed| timed.fault.needs_recordings()) {
            self.cluster.record_datagrams();
        }
        for n in 0..count {
            self.cluster.start(&format!("n{n}"));
            // Not `run_for`: with each start it would hold every snapshot against every event.
            let next = self.cluster.now() + nodes.spread / count;
            self.cluster.run_to(next);
        }
        if nodes.acquainted {
            self.cluster.acquaint();
        }
        let started = seconds(self.cluster.now());
        if !nodes.formed_within.is_zero()
            && self.cluster.run_until(nodes.formed_within, Cluster::is_complete)
        {
            let now = seconds(self.cluster.now());
            self.formed_at = Some(now);
            self.figures.formed = Some(now - started);
        }
    }

    fn disturb(&mut self) {
        let before = Load::so_far(&self.cluster);
        for timed in &self.scenario.faults {
            self.cluster.plan_fault(timed.clone());
        }
        self.cluster.run_faults();
        self.faults_ended_at = seconds(self.cluster.now());
        let load = Load::so_far(&self.cluster).since(&before);
        self.figures.datagrams_in_faults = load.map(|(datagrams, _)| datagrams);
    }

    /// After the faults every view becomes right, and stays so.
    fn converge(&mut self) -> Result<(), Verdict> {
        let known = |names: &[&str]| {
            self.scenario.known_misses.iter().any(|known| names.contains(&known.as_str()))
        };
        let (may_not_converge, may_be_loud) =
            (known(&[expect::CONVERGED, "converged_within"]), known(&[expect::QUIET]));
        let since = self.cluster.now();
        if self.cluster.running().is_empty() {
            let nobody = "nobody runs after the faults, so that no view can be right or wrong";
            return Err(Verdict::Harness(nobody.to_owned()));
        }
        if self.cluster.run_until(self.scenario.liveness, Cluster::is_right) {
            self.figures.converged = Some(seconds(self.cluster.now()) - seconds(since));
        } else if !may_not_converge {
            return Err(Verdict::NotLive(self.not_right()));
        }
        if self.scenario.quiet.is_zero() || self.figures.converged.is_none() {
            return Ok(());
        }
        if !self.scenario.faults.is_empty() {
            let settled = (self.cluster.now() + AFTER_VIEWS).max(since + AFTER_FAULTS);
            self.cluster.run_for(settled - self.cluster.now());
        }
        let quiet = self.cluster.now();
        self.cluster.listen();
        // What was told before has been passed on by then.
        let half = self.scenario.quiet / 2;
        self.cluster.run_for(half);
        let before = Load::so_far(&self.cluster);
        self.cluster.run_for(self.scenario.quiet - half);
        let load = Load::so_far(&self.cluster).since(&before);
        (self.figures.datagrams_at_rest, self.figures.bytes_at_rest) = load.unzip();
        let noise = self.cluster.noise_since(quiet).or_else(|| self.cluster.wrong());
        self.quiet = Some(noise.is_none());
        match noise.filter(|_| !may_be_loud) {
            Some(noise) => Err(Verdict::NotLive(format!("not quiet: {noise}"))),
            None => Ok(()),
        }
    }

    fn not_right(&self) -> String {
        let wrong = self.cluster.wrong().unwrap_or_default();
        format!("{:?} after the faults: {wrong}", self.scenario.liveness)
    }

    /// What the watch has counted becomes figures, and what it holds against the nodes a verdict.
    fn tally(&mut self) {
        // It reads the nodes once more, and one of them may be what ended the run.
        let watch = match panics::catch(|| self.cluster.end_watch()) {
            Ok(watch) => watch,
            Err(Cause::Verdict(verdict)) => return self.found(verdict),
            Err(Cause::Abandoned) => None,
        };
        let Some(watch) = watch else { return };
        let peak = watch.sizes.iter().map(|sizes| sizes.peak).max().unwrap_or(0);
        let tally = watch.tally;
        self.figures.detections = tally.detections;
        self.figures.first_suspicions = tally.first_suspicions;
        self.figures.first_detections = tally.first_detections;
        self.figures.last_detections = tally.last_detections;
        self.figures.false_downs = tally.false_downs;
        self.figures.downs = tally.downs;
        self.figures.false_suspicions = tally.false_suspicions;
        self.figures.life_changes = tally.life_changes;
        self.figures.lives = tally.lives;
        self.figures.peak_per_second = peak;
        if self.scenario.detector == DetectorMode::Chisme {
            let expect = &self.scenario.expect;
            let false_down = tally.false_down.filter(|_| expect.false_downs.is_none());
            let life_change = tally.life_change.filter(|_| expect.life_changes.is_none());
            for cause in [false_down, life_change].into_iter().flatten() {
                self.found(Verdict::NotLive(cause));
            }
        }
    }

    /// What was asked of the network must have been seen of it, unless it is so rare that chance explains why
    /// it was not, or a limit that nothing has to reach.
    fn network(&mut self) {
        let Some(rule) = self.network.take() else { return };
        let deeds = self.cluster.end_rule(rule);
        let turned_away = self.cluster.network.turned_away;
        let done = |way: Way| if way == Way::PortUnreachable { turned_away } else { deeds.by(way) };
        let (link, sent) = (&self.scenario.network, self.cluster.tape.sent as f64);
        for (way, words) in link.asked() {
            let is_expected = link.part(way).is_some_and(|part| part * sent >= EXPECTED);
            if done(way) > 0 || is_expected {
                self.marks.insert(format!("{NETWORK}{words}"), done(way));
            }
        }
    }

    /// What happens in every run, and what this one's faults bring about, must have been seen.
    fn messages(&mut self) {
        if self.scenario.detector == DetectorMode::Baseline {
            return;
        }
        let sent = self.cluster.recorder.as_ref().map(|recorder| &recorder.sent);
        let ran = Ran {
            together: self.cluster.together(),
            left: self.cluster.hosts.iter().filter(|host| host.process.is_some()).count(),
            formed: self.formed_at.is_some(),
            converged: self.figures.converged.is_some(),
        };
        for kind in implied(self.scenario, ran) {
            let count = sent.and_then(|sent| sent.get(kind)).map_or(0, |kind| kind.datagrams);
            self.marks.insert(format!("message: {kind}"), count);
        }
    }

    fn judge_marks(&mut self) {
        let missing: Vec<&str> = self
            .marks
            .iter()
            .filter(|(_, count)| **count == 0)
            .filter(|(mark, _)| self.scenario.all_faults_happen || !is_of_chance(mark))
            .map(|(mark, _)| mark.as_str())
            .collect();
        if self.disturbed && !missing.is_empty() {
            let mut cause = format!("it never happened: {}", missing.join(", "));
            if missing.iter().any(|mark| is_of_chance(mark)) {
                cause += " (ask for more of it or for longer, or set all_faults_happen = false)";
            }
            self.found(Verdict::Harness(cause));
        }
    }

    fn into_outcome(mut self, point: &BTreeMap<String, toml::Value>, keep: &Keep) -> Outcome {
        let (marks, ribbons) = self.cluster.faults_told();
        self.marks.extend(marks);
        self.network();
        self.tally();
        self.messages();
        self.judge_marks();
        let Self { scenario, cluster, mut figures, marks, mut verdict, quiet, .. } = self;
        let virtual_seconds = seconds(cluster.now());
        let load = Load::so_far(&cluster).since(&Load::default());
        (figures.datagrams_per_second, figures.bytes_per_second) = load.unwrap_or_default();
        let (seed, hash, events) = (cluster.seed, cluster.digest(), cluster.events);
        let labels = cluster.hosts.iter().map(|host| host.label.clone()).collect();
        let recorder = cluster.into_recorder();
        figures.sent =
            recorder.sent.iter().map(|(kind, traffic)| ((*kind).to_owned(), *traffic)).collect();
        let mut expectations = expect::judge(scenario, &figures);
        expectations.extend(expect::known(scenario, figures.converged, quiet));
        if self.disturbed {
            verdict = verdict.worse(expect::verdict(&expectations));
        }
        let story = keep.story.then(|| {
            let mut story = recorder.into_story(labels, virtual_seconds);
            story.formed_at = self.formed_at;
            story.faults_ended_at = self.faults_ended_at;
            story.faults = ribbons;
            story
        });
        Outcome {
            scenario: scenario.name.clone(),
            seed,
            point: point.clone(),
            detector: scenario.detector,
            axes: scenario.axes.clone(),
            probe_period: probe_period(scenario),
            verdict,
            expectations,
            figures,
            marks,
            hash,
            events,
            virtual_seconds,
            story,
        }
    }
}

/// What came of a run, as far as it says what must have been sent.
#[derive(Clone, Copy)]
struct Ran {
    /// How long the two oldest of the processes that run at the end have run side by side.
    together: Duration,
    /// Processes that run at the end.
    left: usize,
    /// Whether all views were complete before the faults, and whether they became right after them.
    formed: bool,
    converged: bool,
}

/// Kinds of datagrams and messages of SWIM that are sent for certain, or the run was not what its scenario says.
fn implied(scenario: &Scenario, ran: Ran) -> Vec<&'static str> {
    let Ran { together, left, formed, converged } = ran;
    let (nodes, config) = (&scenario.nodes, &scenario.config);
    let mut kinds = Vec::new();
    // Whoever sees anybody probes it.
    if together.as_secs_f64() > PROBED * probe_period(scenario) {
        kinds.extend(["ping", "ack"]);
    }
    if together > COMPARED {
        kinds.push("sync");
        if config.record_bytes.is_some_and(|bytes| bytes > 0) {
            kinds.push("record");
        }
    }
    // What a drawn scenario does may do nothing.
    let faults = scenario.faults.iter().filter(|_| scenario.all_faults_happen);
    let any = |is: fn(&TimedFault) -> bool| faults.clone().any(is);
    // It is seen by all afterwards: that takes an admission.
    let joins = |timed: &TimedFault| match timed.fault {
        Fault::Restart { .. } | Fault::RollingRestart { .. } | Fault::ReuseAddress { .. } => true,
        Fault::Crash { .. } => timed.lasts.is_some(),
        _ => false,
    };
    if !nodes.acquainted || (converged && any(joins)) {
        kinds.extend(["hello", "hello_ack", "proof", "welcome"]);
    }
    // The rest is certain only if nothing else happens: others may have no relays left, or nobody who answers.
    let only = |is: fn(&TimedFault) -> bool| any(is) && faults.clone().all(is);
    // It is seen Down by all afterwards: that begins with a probe that failed, with which others had helped.
    let dies =
        |timed: &TimedFault| matches!(timed.fault, Fault::Crash { .. }) && timed.lasts.is_none();
    let relays = config.indirect_probes.is_none_or(|relays| relays > 0) && left > 2;
    let known = nodes.acquainted || formed;
    if converged && relays && known && only(dies) {
        kinds.push("ping_req");
    }
    let leaves = |timed: &TimedFault| match timed.fault {
        Fault::Leave { .. } => true,
        Fault::RollingRestart { every, .. } => !every.is_zero(),
        _ => false,
    };
    if left > 0 && known && only(leaves) {
        kinds.extend(["leaving", "leaving_ack"]);
    }
    kinds
}

/// Whether a drawn scenario may ask for it in vain.
fn is_of_chance(mark: &str) -> bool {
    mark.starts_with(FAULT) || mark.starts_with(NETWORK)
}

/// That of production is also that of foca's preset for a LAN.
fn probe_period(scenario: &Scenario) -> f64 {
    let default = chisme_proto::Detector::default().probe_period;
    scenario.config.probe_period.unwrap_or(default).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is implied by a scenario of a minute besides a Ping, an Ack and a Sync.
    fn besides(settings: &str, converged: bool) -> Vec<&'static str> {
        let text = format!("why = ''\nexpected = ''\nsource = ''\n{settings}");
        let scenario = Scenario::parse("test", &text).unwrap_or_else(|error| panic!("{error}"));
        let minute = Ran { together: Duration::from_secs(60), left: 4, formed: true, converged };
        let kinds = implied(&scenario, minute);
        assert!(kinds.starts_with(&["ping", "ack", "sync"]), "{kinds:?}");
        let but = |not: &[&str]| {
            let others = kinds.iter().copied().filter(|kind| !not.contains(kind));
            others.collect::<Vec<&str>>()
        };
        // What takes its time is not demanded of what is short, nor what takes two of one who is alone.
        let short = Ran { together: Duration::from_secs(4), ..minute };
        assert_eq!(implied(&scenario, short), but(&["sync", "record"]));
        let probed = ["ping", "ack", "sync", "record"];
        let shorter = Ran { together: Duration::from_secs(1), ..minute };
        assert_eq!(implied(&scenario, shorter), but(&probed));
        let alone = ["ping", "ack", "sync", "record", "ping_req"];
        let one = Ran { together: Duration::ZERO, left: 1, ..minute };
        assert_eq!(implied(&scenario, one), but(&alone));
        kinds[3..].to_vec()
    }

    #[test]
    fn kinds_are_demanded_of_a_run_whose_settings_and_faults_imply_them() {
        let handshake = ["hello", "hello_ack", "proof", "welcome"];
        let of = |nodes: &str, fault: &str| {
            format!("[nodes]\ncount = 4\n{nodes}\n[[fault]]\nat = '1s'\n{fault}")
        };
        let acquainted = |fault: &str| of("acquainted = true", fault);
        assert_eq!(besides(&of("", "freeze = 'node[1]'\nfor = '5s'"), true), handshake);
        assert!(besides(&acquainted("freeze = 'node[1]'\nfor = '5s'"), true).is_empty());
        for fault in ["restart = { nodes = 'node[1]' }", "crash = 'node[1]'\nfor = '5s'"] {
            assert_eq!(besides(&acquainted(fault), true), handshake);
            assert!(besides(&acquainted(fault), false).is_empty(), "it may not have come back");
        }
        let crash = acquainted("crash = 'node[1]'");
        assert_eq!(besides(&crash, true), ["ping_req"]);
        for config in ["indirect_probes = 0", "record_bytes = 0"] {
            let text = format!("{crash}\n[config]\n{config}");
            assert_eq!(besides(&text, true).is_empty(), config.starts_with("indirect"));
        }
        let died = Ran { together: Duration::from_secs(9), left: 3, formed: true, converged: true };
        let scenario = |text: &str| {
            let text = format!("why = ''\nexpected = ''\nsource = ''\n{text}");
            Scenario::parse("test", &text).unwrap_or_else(|error| panic!("{error}"))
        };
        assert!(implied(&scenario(&crash), died).contains(&"ping_req"));
        let restarted =
            format!("{crash}\n[[fault]]\nat = '1200ms'\nrestart = {{ nodes = 'node[1]' }}");
        assert!(!implied(&scenario(&restarted), died).contains(&"ping_req"), "it is back");
        let none_left = Ran { left: 2, ..died };
        assert!(!implied(&scenario(&crash), none_left).contains(&"ping_req"), "no relay");
        let leave = acquainted("leave = { nodes = 'node[1]' }");
        let cut = format!("{leave}\n[[fault]]\nfor = '5s'\ncut = {{ off = 'node[1]' }}");
        assert!(besides(&cut, true).is_empty(), "nobody answers");
        assert_eq!(besides(&leave, true), ["leaving", "leaving_ack"]);
        assert!(besides(&format!("all_faults_happen = false\n{leave}"), true).is_empty());
        let records = format!("{leave}\n[config]\nrecord_bytes = 9");
        assert_eq!(besides(&records, true), ["record", "leaving", "leaving_ack"]);
    }
}
