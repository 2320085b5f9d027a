//! The control socket: a client that misbehaves is dropped, alone.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{Loopback, Spec, chisme, secs, until};

fn socket_in(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir).expect("the runtime directory");
    let mut paths = entries.map(|entry| entry.expect("readable").path());
    let socket = paths.find(|path| path.metadata().is_ok_and(|meta| meta.file_type().is_socket()));
    socket.expect("a socket in the runtime directory")
}

#[test]
fn a_client_that_misbehaves_is_dropped_alone() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let agent = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let mut agent = agent.start_ready();
    let socket = socket_in(dir.path());
    let mode = socket.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "only its owner may talk to an agent");
    let works = || chisme(dir.path(), &["status"]).succeeded();

    for garbage in [&b"\0\xff\xfegarbage\r\n\r\n"[..], &[b'A'; 100_000], b"GET"] {
        let mut client = UnixStream::connect(&socket).expect("it listens");
        let _ = client.write_all(garbage);
        assert!(works(), "others are served while {:?}... is there", &garbage[..3]);
    }
    let mut half = UnixStream::connect(&socket).expect("it listens");
    half.write_all(b"POST /connect HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
        .expect("taken");
    assert!(works(), "others are served while half a request waits");

    let crowd: Vec<_> = (0..200).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    until("others are served although many connect and say nothing", secs(30), works);
    drop(crowd);
    until("and still when they are gone", secs(5), works);
    assert!(agent.is_running());
    assert!(agent.changes().len() == 1, "none of that is an event: {agent:?}");
}

#[test]
fn a_client_that_never_reads_does_not_hold_up_the_agent() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let agent = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let agent = agent.start_ready();
    let socket = socket_in(dir.path());
    let deaf: Vec<_> = (0..4)
        .map(|_| {
            let mut client = UnixStream::connect(&socket).expect("it listens");
            client.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").expect("taken");
            client
        })
        .collect();
    for round in 0..5 {
        let two = Spec::named("n2").seeds(&[&loopback.at(1)]).bind(&loopback.at(2));
        let mut two = two.start_ready();
        until(&format!("visit {round} is seen"), secs(10), || {
            agent.count("up", &two.name) == round + 1
        });
        two.leave();
        until("its end is seen", secs(10), || agent.count("left", &two.name) == round + 1);
    }
    assert!(chisme(dir.path(), &["nodes"]).expect_success().is_empty());
    drop(deaf);
}

#[test]
fn the_socket_of_a_crashed_agent_is_no_obstacle() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let spec = Spec::named("n1").no_seeds().bind(&loopback.at(1)).runtime_dir(dir.path());
    let mut agent = spec.start_ready();
    agent.crash();
    let run = chisme(dir.path(), &["nodes"]);
    assert_eq!(run.status, Some(1), "nobody is there: {run}");
    let mut agent = spec.start_ready();
    assert!(chisme(dir.path(), &["nodes"]).succeeded());
    agent.leave();
    let left = std::fs::read_dir(dir.path()).expect("there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != ".lock").collect();
    assert!(left.is_empty(), "nothing is left behind: {left:?}");
}

#[test]
fn a_second_agent_of_the_same_name_does_not_take_the_socket() {
    let dir = TempDir::new().expect("a directory");
    let loopback = Loopback::new();
    let spec = Spec::named("n1").no_seeds().runtime_dir(dir.path());
    let mut first = spec.clone().bind(&loopback.at(1)).start_ready();
    let run = spec.bind(&loopback.at(2)).run();
    assert!(!run.succeeded() && run.stderr.contains("n1@chisme.test"), "{run}");
    assert!(first.is_running() && first.run(&["status"]).succeeded());
    let mut answer = String::new();
    let mut client = UnixStream::connect(socket_in(dir.path())).expect("it listens");
    client
        .write_all(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("taken");
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
