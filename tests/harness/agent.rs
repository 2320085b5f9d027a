//! One `chisme agent` process: the lines that it prints, signals by its id, its end. It never
//! outlives its test.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::Spec;
use super::cli::{self, Run};
use super::wait::{secs, until, until_some};

/// An agent is ready sooner than this even on a machine that is busy with 32 others.
const READY: Duration = secs(20);

/// One line of an agent's events.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// When we read it.
    pub(crate) at: Instant,
    /// When the agent says it was, in unix nanoseconds.
    pub(crate) t: u64,
    /// `ready`, `up`, `suspect`, ...
    pub(crate) event: String,
    /// Whom it is about; empty for `ready`.
    pub(crate) peer: String,
    /// How many members are up, the agent included.
    pub(crate) n: u64,
}

/// A running agent.
pub(crate) struct Agent {
    /// Its whole name.
    pub(crate) name: String,
    /// When it was started.
    pub(crate) started: Instant,
    spec: Spec,
    child: Child,
    dir: PathBuf,
    _own_dir: Option<TempDir>,
    changes: Arc<Mutex<Vec<Change>>>,
    log: Arc<Mutex<String>>,
}

impl Agent {
    pub(super) fn start(spec: Spec) -> Self {
        let own = spec.dir.is_none().then(|| TempDir::with_prefix("chisme").expect("a directory"));
        let dir = spec.dir.clone().or_else(|| own.as_ref().map(|dir| dir.path().to_owned()));
        let dir = dir.expect("one of the two");
        let mut command = spec.command(&dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (changes, log) = (Arc::default(), Arc::default());
        read_changes(&spec.name, child.stdout.take().expect("piped"), Arc::clone(&changes));
        read_log(child.stderr.take().expect("piped"), Arc::clone(&log));
        let name = spec.name.clone();
        Self { name, started, spec, child, dir, _own_dir: own, changes, log }
    }

    /// Waits for its `ready` line.
    #[track_caller]
    pub(crate) fn expect_ready(&mut self) {
        let end = Instant::now() + READY;
        while !self.changes().iter().any(|change| change.event == "ready") {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", self.name, self.log());
            assert!(Instant::now() < end, "{} is not ready:\n{}", self.name, self.log());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// All that its event lines said so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.lock().expect("not poisoned").clone()
    }

    /// How many lines it has printed: a mark for [`since`](Self::since).
    pub(crate) fn mark(&self) -> usize {
        self.changes.lock().expect("not poisoned").len()
    }

    /// What it said after a mark, as `event peer`.
    pub(crate) fn since(&self, mark: usize) -> Vec<String> {
        let changes = self.changes().into_iter().skip(mark);
        changes.map(|change| format!("{} {}", change.event, change.peer)).collect()
    }

    /// How often it printed `event` about `peer`.
    pub(crate) fn count(&self, event: &str, peer: &str) -> usize {
        let changes = self.changes();
        changes.iter().filter(|change| change.event == event && change.peer == peer).count()
    }

    /// When it first printed `event` about `peer` after `mark`.
    pub(crate) fn when(&self, event: &str, peer: &str, mark: usize) -> Option<Instant> {
        let mut later = self.changes().into_iter().skip(mark);
        later.find(|change| change.event == event && change.peer == peer).map(|change| change.at)
    }

    /// The names of the others that are up, as its event lines add up.
    pub(crate) fn view(&self) -> BTreeSet<String> {
        let mut view = BTreeSet::new();
        for Change { event, peer, .. } in self.changes() {
            match event.as_str() {
                "up" => {
                    assert!(view.insert(peer.clone()), "{}: a second up of {peer}", self.name);
                }
                "down" | "left" => {
                    assert!(view.remove(&peer), "{}: {event} of {peer}, not up", self.name);
                }
                _ => {}
            }
        }
        view
    }

    /// Waits until exactly these are up in its view.
    #[track_caller]
    pub(crate) fn expect_view(&self, names: &[&str], deadline: Duration) {
        let wanted: BTreeSet<_> = names.iter().map(|&name| name.to_owned()).collect();
        let what = || format!("{} sees exactly {wanted:?}; it sees {:?}", self.name, self.view());
        let end = Instant::now() + deadline;
        while self.view() != wanted {
            assert!(Instant::now() < end, "after {deadline:?} still waiting until {}", what());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits for a line.
    #[track_caller]
    pub(crate) fn expect(&self, event: &str, peer: &str, deadline: Duration) -> Instant {
        let what = format!("{} prints {event} {peer}", self.name);
        until_some(&what, deadline, || self.when(event, peer, 0))
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Waits until its log contains all of `texts`.
    #[track_caller]
    pub(crate) fn expect_log(&self, texts: &[&str], deadline: Duration) {
        let what = format!("the log of {} contains {texts:?}", self.name);
        until(&what, deadline, || {
            let log = self.log();
            texts.iter().all(|text| log.contains(text))
        });
    }

    /// A client command for this agent.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        cli::chisme(&self.dir, arguments)
    }

    /// `chisme status --json`.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        cli::chisme_json(&self.dir, &["status", "--json"])
    }

    /// One of its counters.
    #[track_caller]
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let status = self.status();
        let counter = status["counters"][name].as_u64();
        counter.unwrap_or_else(|| panic!("no counter {name} in {status}"))
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Ends it as a crash would.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("it is our child");
    }

    /// Freezes it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to leave (SIGTERM) and waits until it has ended with status 0.
    #[track_caller]
    pub(crate) fn leave(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.expect_end(secs(5)), Some(0), "a graceful end:\n{}", self.log());
    }

    /// Waits until it has ended and gives its exit status.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, deadline: Duration) -> Option<i32> {
        let what = format!("{} has ended", self.name);
        until_some(&what, deadline, || self.child.try_wait().expect("it is our child")).code()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// How it was started.
    pub(crate) const fn spec(&self) -> &Spec {
        &self.spec
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}", self.name)?;
        let changes = self.changes.lock().map(|changes| changes.clone()).unwrap_or_default();
        for Change { at, event, peer, n, .. } in &changes {
            let after = at.duration_since(self.started).as_secs_f64();
            writeln!(f, "{after:8.3} {event} {peer} ({n})")?;
        }
        let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(40)..] {
            writeln!(f, "  | {line}")?;
        }
        Ok(())
    }
}

fn read_changes(name: &str, pipe: impl Read + Send + 'static, changes: Arc<Mutex<Vec<Change>>>) {
    let name = name.to_owned();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let at = Instant::now();
            let change = parse_change(at, &line).unwrap_or_else(|| {
                panic!("{name} printed a line that is not the promised interface: {line}")
            });
            changes.lock().expect("not poisoned").push(change);
        }
    });
}

fn parse_change(at: Instant, line: &str) -> Option<Change> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let event = text("event")?;
    let peer = text("peer").unwrap_or_default();
    text("node")?;
    (event == "ready" || !peer.is_empty()).then_some(())?;
    Some(Change { at, t: value["t"].as_u64()?, event, peer, n: value["n"].as_u64()? })
}

fn read_log(mut pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = pipe.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            log.lock().expect("not poisoned").push_str(&text);
        }
    });
}
