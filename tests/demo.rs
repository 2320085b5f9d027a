//! The demo shows what it promises, and ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::cli::{CHISME, clean};
use crate::harness::wait::until_some;
use crate::harness::{Run, secs, until};

#[test]
fn the_demo_ends_well_within_90_s() {
    let mut command = Command::new(CHISME);
    let run = Run::within(clean(&mut command).arg("demo"), secs(90));
    assert!(run.succeeded(), "{run}");
    for word in ["SIGKILL", "down", "up"] {
        assert!(run.stdout.contains(word), "{word} is missing: {run}");
    }
    assert!(!run.stdout.contains('\u{1b}'), "plain lines when not on a terminal");
}

/// A demo in the middle of its story, and the processes that it started.
struct Running {
    demo: Child,
    agents: Vec<u32>,
    /// The rest of the story is not read, but the pipe stays open.
    _story: BufReader<ChildStdout>,
    /// Where it leaves its files: if it is killed it cannot remove them.
    _dir: TempDir,
}

impl Running {
    /// Starts a demo and reads along until all agents are ready.
    fn start() -> Self {
        let dir = TempDir::with_prefix("chisme").expect("a directory");
        let mut command = Command::new(CHISME);
        clean(&mut command).arg("demo").env("TMPDIR", dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut demo = command.spawn().expect("started");
        let mut story = BufReader::new(demo.stdout.take().expect("piped"));
        let mut agents = Vec::new();
        let mut ready = 0;
        while ready < 5 {
            let mut line = String::new();
            assert_ne!(story.read_line(&mut line).expect("text"), 0, "the story goes on");
            if let Some((_, pid)) = line.split_once(" pid ") {
                let (pid, _) = pid.split_once(',').expect("more follows");
                agents.push(pid.parse().expect("a number"));
            }
            ready += usize::from(line.contains("ready"));
        }
        assert_eq!(agents.len(), 5);
        assert!(agents.iter().all(|&pid| lives(pid)));
        Self { demo, agents, _story: story, _dir: dir }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.demo.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end, and for that of all its agents.
    fn expect_end(mut self) -> ExitStatus {
        let status = until_some("the demo has ended", secs(10), || {
            self.demo.try_wait().expect("it is our child")
        });
        until("no agent is left", secs(10), || !self.agents.iter().any(|&pid| lives(pid)));
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then this does nothing.
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

/// Whether a process runs; one that waits to be reaped does not.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_demo_that_is_interrupted_takes_its_agents_with_it() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let demo = Running::start();
        demo.signal(signal);
        assert_eq!(demo.expect_end().code(), Some(status));
    }
}

#[test]
fn even_a_demo_that_is_killed_leaves_no_agent_behind() {
    let demo = Running::start();
    demo.signal(Signal::KILL);
    assert_eq!(demo.expect_end().code(), None);
}

#[test]
fn a_demo_in_which_something_does_not_happen_fails() {
    let demo = Running::start();
    let victim = Pid::from_raw(demo.agents[0].cast_signed()).expect("a process");
    kill_process(victim, Signal::KILL).expect("it runs");
    assert_eq!(demo.expect_end().code(), Some(1));
}
