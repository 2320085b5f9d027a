//! What came of one run: the verdict, the figures, and the story that reports draw.
//!
//! Plain data; how it comes about is in `run` and `check`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::scenario::DetectorMode;

/// One run of a scenario with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The name of the scenario.
    pub scenario: String,
    /// The seed of the run.
    pub seed: u64,
    /// The parameters of the grid.
    pub point: BTreeMap<String, toml::Value>,
    /// Which detector ran.
    pub detector: DetectorMode,
    /// What its scenario compares over its grid: parameters, and figures.
    #[serde(skip)]
    pub axes: Vec<String>,
    /// The detector's protocol period, in seconds: what papers count latencies in.
    pub probe_period: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// What the scenario expects, each with what came.
    pub expectations: Vec<Expectation>,
    /// What was measured.
    pub figures: Figures,
    /// How often each thing happened that should happen at least once.
    pub marks: BTreeMap<String, u64>,
    /// The same for the same scenario and seed, on every machine and in every build.
    pub hash: u64,
    /// Happenings that the queue held: datagrams that arrived, timers, look-ups.
    pub events: u64,
    /// How long the run lasted inside, in seconds.
    pub virtual_seconds: f64,
    /// How it went, for reports; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<Story>,
}

impl Outcome {
    /// Whether the product or the simulator has failed. The baseline is there to be compared with:
    /// what it does not reach is no failure, as long as the run itself went well.
    pub const fn is_failure(&self) -> bool {
        match self.verdict {
            Verdict::Passed => false,
            Verdict::Unexpected(_) | Verdict::NotLive(_) | Verdict::Unsafe(_) => {
                matches!(self.detector, DetectorMode::Chisme)
            }
            Verdict::Crashed(_) | Verdict::Harness(_) => true,
        }
    }
}

/// How a run ended. The worst of several counts: the order is that of the variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "cause", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Passed,
    /// All is right, but a figure is not what the scenario expects.
    Unexpected(String),
    /// After the faults the views did not become right in time, or did not stay so.
    NotLive(String),
    /// A rule was broken that holds at every moment.
    Unsafe(String),
    /// The node panicked.
    Crashed(String),
    /// The scenario or the simulator is wrong, not the node: a fault never happened, for instance.
    Harness(String),
}

impl Verdict {
    /// The exit status of a command that ran it: 0 passed, 1 unexpected, 3 not live, 4 unsafe,
    /// 5 crashed, 6 an error of the harness. (2 is for usage.)
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Unexpected(_) => 1,
            Self::NotLive(_) => 3,
            Self::Unsafe(_) => 4,
            Self::Crashed(_) => 5,
            Self::Harness(_) => 6,
        }
    }

    /// The worse of two; of two that are equally bad the first.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.exit_status() > self.exit_status() { other } else { self }
    }

    /// Why, in one line; none if it passed.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Unexpected(cause)
            | Self::NotLive(cause)
            | Self::Unsafe(cause)
            | Self::Crashed(cause)
            | Self::Harness(cause) => Some(cause),
        }
    }
}

/// One line of `[expect]`.
#[derive(Clone, Debug, Serialize)]
pub struct Expectation {
    /// The key: `detection.p99`.
    pub what: String,
    /// At most.
    pub wanted: f64,
    /// What came; none if there was nothing to measure.
    pub got: Option<f64>,
    /// Seconds, or nothing.
    pub unit: &'static str,
    /// Whether it is as wanted.
    pub met: bool,
    /// The scenario says that the product misses it today.
    pub known_miss: bool,
}

/// What was measured. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// From the last start to complete views.
    pub formed: Option<f64>,
    /// From the end of the last fault to right views.
    pub converged: Option<f64>,
    /// For each process that ended without a goodbye, and each observer: until its Down.
    pub detections: Vec<Detection>,
    /// For each process that ended without a goodbye: until anybody suspected it.
    pub first_suspicions: Vec<f64>,
    /// For each process that ended without a goodbye: until anybody called it Down.
    pub first_detections: Vec<f64>,
    /// Likewise: until the last observer called it Down, so that all knew.
    pub last_detections: Vec<f64>,
    /// Downs of members that were alive and within reach.
    pub false_downs: u64,
    /// Downs of anybody, over all observers.
    pub downs: u64,
    /// Suspicions of members that were alive and within reach.
    pub false_suspicions: u64,
    /// New lives of nodes outside of all faults.
    pub life_changes: u64,
    /// New lives of each node, by number, whatever was done to it.
    pub lives: Vec<u64>,
    /// Mean per node and second.
    pub datagrams_per_second: f64,
    /// Mean of UDP payload per node and second.
    pub bytes_per_second: f64,
    /// The same while the faults last; none where there are none.
    pub datagrams_in_faults: Option<f64>,
    /// The same in the second half of the quiet phase, if the run came to one: what was told before it
    /// has been passed on by then.
    pub datagrams_at_rest: Option<f64>,
    /// Bytes of UDP payload, likewise.
    pub bytes_at_rest: Option<f64>,
    /// The most datagrams that one node sent in one second.
    pub peak_per_second: u64,
    /// Datagrams and bytes sent by kind of message.
    pub sent: BTreeMap<String, Traffic>,
}

/// From the end of a process to the moment when an observer called it Down.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Detection {
    /// The number of whoever noticed.
    pub observer: u32,
    /// The number of whose process had ended.
    pub subject: u32,
    /// How long it took.
    pub seconds: f64,
}

/// How much was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// How many.
    pub datagrams: u64,
    /// Their payloads together.
    pub bytes: u64,
}

/// How a run went. Times are in seconds since its start, nodes are numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Story {
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// How long it lasted.
    pub seconds: f64,
    /// When faults could begin.
    pub formed_at: Option<f64>,
    /// When the last fault had ended.
    pub faults_ended_at: f64,
    /// Every change of every view.
    pub changes: Vec<Change>,
    /// When nodes were told of each other, and how many, if they begin so: at this moment each is alive
    /// for all others.
    pub acquainted: Option<(f64, u32)>,
    /// Starts and ends of processes.
    pub processes: Vec<ProcessChange>,
    /// Which faults there were, and when.
    pub faults: Vec<Ribbon>,
    /// What was sent in each `bucket` seconds, by kind.
    pub bucket: f64,
    /// By kind: one entry for each bucket.
    pub traffic: BTreeMap<String, Vec<Traffic>>,
    /// Pairs of live nodes that did not see each other, or saw a dead one up: when that changed.
    pub missing: Vec<(f64, u64)>,
    /// The datagrams of the window that was asked for.
    pub flights: Vec<Flight>,
    /// The bytes of all datagrams that were sent, for a capture file; only if asked for.
    #[serde(skip)]
    pub captured: Vec<Captured>,
}

/// A datagram as a tap at its sender sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When it was sent, in nanoseconds since the start of the run.
    pub at: u64,
    /// The source address. Both addresses are of one family.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
    /// The UDP payload, of at most 65,507 bytes.
    pub bytes: Vec<u8>,
}

/// An observer changed its mind.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Change {
    /// When.
    pub at: f64,
    /// Whose view.
    pub observer: u32,
    /// Of whom.
    pub subject: u32,
    /// How it is seen from then on.
    pub to: Seen,
}

/// How a member is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Not heard of, or the observer has just started.
    Unknown,
    /// It answers.
    Alive,
    /// Somebody's probe of it failed.
    Suspect,
    /// It was concluded to have failed.
    Down,
    /// It said goodbye.
    Left,
}

/// A process started, ended or stood still.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProcessChange {
    /// When.
    pub at: f64,
    /// Whose process.
    pub node: u32,
    /// What it does from then on.
    pub to: ProcessState,
}

/// What the process of a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It works, or works again.
    Running,
    /// It stands still.
    Frozen,
    /// It was ended without a word.
    Crashed,
    /// It said goodbye and ended.
    Left,
    /// It stopped by itself: somebody else has its name.
    Stopped,
}

/// A fault, as it is drawn.
#[derive(Clone, Debug, Serialize)]
pub struct Ribbon {
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// What it was, in a few words.
    pub label: String,
    /// Whom it was about.
    pub nodes: Vec<u32>,
}

/// A datagram on its way.
#[derive(Clone, Debug, Serialize)]
pub struct Flight {
    /// When it was sent.
    pub sent: f64,
    /// None if it was lost.
    pub arrived: Option<f64>,
    /// By whom.
    pub from: u32,
    /// To whom.
    pub to: u32,
    /// What it was.
    pub kind: String,
    /// The length of its payload.
    pub bytes: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_status_and_the_worst_one_counts() {
        let why = || "why".to_owned();
        let rising = [
            (Verdict::Passed, 0),
            (Verdict::Unexpected(why()), 1),
            (Verdict::NotLive(why()), 3),
            (Verdict::Unsafe(why()), 4),
            (Verdict::Crashed(why()), 5),
            (Verdict::Harness(why()), 6),
        ];
        for (place, (verdict, status)) in rising.iter().enumerate() {
            assert_eq!(verdict.exit_status(), *status);
            for (better, _) in &rising[..place] {
                assert_eq!(verdict.clone().worse(better.clone()), *verdict);
                assert_eq!(better.clone().worse(verdict.clone()), *verdict);
            }
        }
    }
}
