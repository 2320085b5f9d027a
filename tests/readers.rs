//! Readers that go away, and commands that follow an agent to its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::cli::{CHISME, clean};
use crate::harness::wait::until_some;
use crate::harness::{Loopback, Run, Spec, secs};

fn command(runtime_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(CHISME);
    clean(&mut command).env("CHISME_RUNTIME_DIR", runtime_dir).args(arguments);
    command.stdin(Stdio::null());
    command
}

/// The end of a pipe that nobody reads from.
fn abandoned() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}

#[track_caller]
fn end(mut child: Child) -> Option<i32> {
    until_some("the command has ended", secs(10), || child.try_wait().expect("our child")).code()
}

#[test]
fn an_error_that_nobody_reads_is_an_error_all_the_same() {
    let dir = TempDir::new().expect("a directory");
    for (arguments, status) in [(&["nodes"][..], 1), (&["ping", "no name"], 2)] {
        let child = command(dir.path(), arguments).stderr(abandoned()).spawn().expect("started");
        assert_eq!(end(child), Some(status), "{arguments:?}");
    }
}

#[test]
fn who_follows_ends_with_its_reader() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let agent = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let _agent = agent.start_ready();
    for arguments in [&["events"][..], &["members", "--watch"]] {
        let mut follower = command(dir.path(), arguments);
        let mut follower = follower.stdout(Stdio::piped()).spawn().expect("started");
        let mut story = BufReader::new(follower.stdout.take().expect("piped"));
        story.read_line(&mut String::new()).expect("a first line");
        drop(story);
        // Nothing happens in this cluster, so it has nothing to write that could fail.
        assert_eq!(end(follower), Some(0), "{arguments:?}");
    }
}

#[test]
fn who_follows_ends_with_the_agent() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let agent = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let mut agent = agent.start_ready();
    let follow = |arguments: &[&str]| {
        let mut follower = command(dir.path(), arguments);
        let follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut follower = follower.spawn().expect("started");
        let mut story = BufReader::new(follower.stdout.take().expect("piped"));
        story.read_line(&mut String::new()).expect("a first line");
        (follower, story)
    };
    let followers = [follow(&["events"]), follow(&["members", "--watch"])];
    agent.leave();
    for (mut follower, _story) in followers {
        let mut complaints = follower.stderr.take().expect("piped");
        assert_eq!(end(follower), Some(0));
        let mut text = String::new();
        complaints.read_to_string(&mut text).expect("text");
        assert_eq!(text, "the agent has stopped\n");
    }
}

#[test]
fn a_demo_that_nobody_watches_ends_quietly() {
    let dir = TempDir::new().expect("a directory");
    let mut demo = command(dir.path(), &["demo"]);
    demo.env("TMPDIR", dir.path()).stdout(abandoned()).stderr(Stdio::piped());
    let mut demo = demo.spawn().expect("started");
    let mut complaints = demo.stderr.take().expect("piped");
    assert_eq!(end(demo), Some(1), "it has not shown everything");
    let mut text = String::new();
    complaints.read_to_string(&mut text).expect("text");
    assert_eq!(text, "");
}

#[test]
fn output_that_cannot_be_written_is_an_error_that_says_so() {
    let dir = TempDir::new().expect("a directory");
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut shell = command(dir.path(), &["completions", "bash"]);
    let child = shell.stdout(full).stderr(Stdio::piped()).spawn().expect("started");
    let ended = child.wait_with_output().expect("our child");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot write to stdout"), "{ended:?}");
    assert!(Run::of(&mut command(dir.path(), &["completions", "bash"])).succeeded());
}
