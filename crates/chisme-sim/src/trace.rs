//! Whether two runs are the same, happening by happening, and which is the first that is not.
//!
//! It keeps one number for each happening of the first run and holds the second against them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::cluster::Cluster;
use crate::digest::Digest;
use crate::dissect;
use crate::drive::Happening;
use crate::network::Datagram;
use crate::outcome::{Outcome, Verdict};
use crate::run::{Keep, run_with};
use crate::scenario::Scenario;
use crate::sweep::Sweep;

/// What is kept of a run, or held against another.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// For each happening so far: what it was, of whom, and all that was sent until it was over.
    marks: Vec<u32>,
    /// Those of the run that this one must be like.
    pattern: Option<Vec<u32>>,
    /// The happening to describe, whatever it is.
    wanted: Option<usize>,
    described: Option<(usize, String)>,
}

/// The first thing in which two runs with the same seed differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How many happenings were the same before.
    pub index: usize,
    /// What it was at first.
    pub first: String,
    /// What it was when it was run again.
    pub second: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index, first, second } = self;
        write!(f, "event {index} differs: {first}; run again: {second}")
    }
}

/// Runs a scenario twice, and says in which event the second run is the first to differ.
///
/// # Errors
/// The [`Difference`], if there is one.
pub fn check_determinism(
    scenario: &Scenario,
    point: &BTreeMap<String, toml::Value>,
    seed: u64,
) -> Result<Outcome, Box<Difference>> {
    let done = Sweep::new([]).run_twice(scenario, point, seed)?;
    Ok(done.expect("nobody stops it"))
}

impl Sweep {
    /// The same, until [`stop`](Self::stop) is set: then there is neither an outcome nor a difference.
    ///
    /// # Errors
    /// The [`Difference`], if there is one.
    pub fn run_twice(
        &self,
        scenario: &Scenario,
        point: &BTreeMap<String, toml::Value>,
        seed: u64,
    ) -> Result<Option<Outcome>, Box<Difference>> {
        compare(|trace| {
            let mut company = self.company();
            company.trace = Some(trace);
            run_with(scenario, point, seed, &Keep::default(), company)
        })
    }
}

/// Runs twice, and once more if the runs differ: to see what the first had where the second differs. Nothing
/// comes of it if a run is stopped.
pub(crate) fn compare(
    mut go: impl FnMut(&mut Trace) -> Option<Outcome>,
) -> Result<Option<Outcome>, Box<Difference>> {
    let mut first = Trace::default();
    let Some(outcome) = go(&mut first) else { return Ok(None) };
    let mut second = Trace { pattern: Some(first.marks), ..Trace::default() };
    let Some(again) = go(&mut second) else { return Ok(None) };
    let pattern = second.pattern.take().unwrap_or_default();
    let described = second.described.take().or_else(|| {
        let short = second.marks.len() < pattern.len();
        short.then(|| (second.marks.len(), "it was over".to_owned()))
    });
    let Some((index, differs)) = described else {
        return if alike(&outcome, &again) {
            Ok(Some(outcome))
        } else {
            let tell = |outcome: &Outcome| format!("in the end {:?}", outcome.verdict);
            let (first, second) = (tell(&outcome), tell(&again));
            Err(Box::new(Difference { index: pattern.len(), first, second }))
        };
    };
    let mut third = Trace { wanted: Some(index), ..Trace::default() };
    if go(&mut third).is_none() {
        return Ok(None);
    }
    let same = third.marks.get(index) == pattern.get(index);
    let first = match third.described {
        Some((_, described)) if same => described,
        _ if index >= pattern.len() => "it was over".to_owned(),
        _ => "something that does not come again".to_owned(),
    };
    Err(Box::new(Difference { index, first, second: differs }))
}

fn alike(one: &Outcome, other: &Outcome) -> bool {
    let same_verdict = match (&one.verdict, &other.verdict) {
        // What a harness failure says may hold an address of this machine.
        (Verdict::Harness(_), Verdict::Harness(_)) => true,
        (one, other) => one == other,
    };
    same_verdict && (one.hash, one.events) == (other.hash, other.events)
}

impl Trace {
    /// Whether the happening that comes next has to be put in words, if it turns out to differ.
    fn listens(&self) -> bool {
        match self.wanted {
            Some(wanted) => self.marks.len() == wanted,
            None => self.pattern.is_some() && self.described.is_none(),
        }
    }

    fn note(&mut self, mark: u32, words: impl FnOnce() -> String) {
        let index = self.marks.len();
        self.marks.push(mark);
        let differs =
            self.pattern.as_ref().is_some_and(|pattern| pattern.get(index) != Some(&mark));
        if self.described.is_none() && (differs || self.wanted == Some(index)) {
            self.described = Some((index, words()));
        }
    }
}

/// What is to be told of a happening, taken down before it happens.
pub(crate) struct Told {
    /// What it is, and of whom.
    is: Digest,
    sent: u64,
    words: Option<String>,
}

impl Cluster {
    pub(crate) fn before_happening(&self, happening: &Happening) -> Option<Told> {
        let trace = self.trace.as_ref()?;
        let mut is = Digest::default();
        match happening {
            Happening::Arrive(datagram) => {
                is.number(1);
                is.bytes(datagram.from.to_string().as_bytes());
                is.bytes(datagram.to.to_string().as_bytes());
                is.bytes(&datagram.bytes);
            }
            Happening::Wake(host) => mark(&mut is, 2, *host),
            Happening::SeedsResolved { host, .. } => mark(&mut is, 3, *host),
            Happening::Read { host, .. } => mark(&mut is, 4, *host),
            Happening::Unreachable { host, to, quoted } => {
                mark(&mut is, 5, *host);
                is.bytes(to.to_string().as_bytes());
                is.bytes(quoted);
            }
        }
        let words = trace.listens().then(|| self.words_for(happening));
        Some(Told { is, sent: self.tape.sent, words })
    }

    fn words_for(&self, happening: &Happening) -> String {
        let label = |host: usize| self.hosts[host].label.as_str();
        let at = |addr: SocketAddr| match self.owners.of(addr) {
            Some(owner) => format!("{} ({addr})", label(owner)),
            None => addr.to_string(),
        };
        match happening {
            Happening::Arrive(Datagram { from, to, bytes }) => {
                let (kind, len) = (dissect::kind(bytes), bytes.len());
                format!("{kind} of {len} bytes from {} to {}", at(*from), at(*to))
            }
            Happening::Unreachable { host, to, quoted } => {
                let kind = dissect::kind(quoted);
                format!("{} is told that nobody listens at {} to its {kind}", label(*host), at(*to))
            }
            Happening::Wake(host) => format!("timer of {}", label(*host)),
            Happening::Read { host, .. } => format!("{} reads on", label(*host)),
            Happening::SeedsResolved { host, .. } => format!("seeds for {}", label(*host)),
        }
    }

    pub(crate) fn after_happening(&mut self, told: Option<Told>) {
        let (Some(told), Some(trace)) = (told, &mut self.trace) else { return };
        let mut mark = told.is;
        mark.number(self.now.as_nanos());
        mark.number(self.tape.digest.value());
        let folded = (mark.value() ^ (mark.value() >> 32)) as u32;
        let (at, sent) = (self.now.as_nanos() as f64 / 1e9, self.tape.sent - told.sent);
        trace.note(folded, || {
            let what = told.words.unwrap_or_default();
            format!("{what} at {at:.6} s, upon which {sent} datagrams were sent")
        });
    }
}

/// A happening of this kind at a machine.
const fn mark(digest: &mut Digest, kind: u64, host: usize) {
    digest.number(kind);
    digest.number(host as u64);
}
