//! Bad input: one error that quotes it and says what is allowed, exit status 2, nothing started.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::loopback::default_port;
use crate::harness::{Agent, Loopback, Spec, chisme, secs};

fn bare(arguments: &[&str]) -> Spec {
    Spec::plain("nobody").args(arguments)
}

fn with_cookie(arguments: &[&str]) -> Spec {
    bare(arguments).cookie("a cookie that only the tests know")
}

#[test]
fn unknown_flags_and_commands() {
    with_cookie(&["--sname", "n1", "--frobnicate"]).run().expect_refused(&["--frobnicate"]);
    let dir = TempDir::new().expect("a directory");
    chisme(dir.path(), &["frobnicate"]).expect_refused(&["frobnicate"]);
}

#[test]
fn names_that_are_none() {
    let long = format!("{}@host.example", "n".repeat(250));
    for (flag, name, say) in [
        ("--sname", "two words", "not allowed"),
        ("--name", "n1@two words.example", "not allowed"),
        ("--name", "node1", "name@host"),
        ("--name", "@example.com", "name@host"),
        ("--name", long.as_str(), "255"),
        ("--cluster", "two words", "not allowed"),
    ] {
        let quoted = if name.len() > 255 { name[..30].to_owned() } else { format!("{name:?}") };
        let spec =
            if flag == "--cluster" { with_cookie(&["--sname", "n1"]) } else { with_cookie(&[]) };
        spec.args(&[flag, name]).run().expect_refused(&[quoted.as_str(), say]);
    }
    with_cookie(&["--sname", "a", "--name", "b@example.com"])
        .run()
        .expect_refused(&["--sname", "--name"]);
}

#[test]
fn seeds_and_addresses_that_are_none() {
    for seed in ["no seed", "host:99999", "10.0.0.7:port", "_only.example.com:", "http://x", ""] {
        let run = with_cookie(&["--sname", "n1", "--connect", seed]).run();
        run.expect_refused(&[&format!("{seed:?}")]);
    }
    for flag in ["--bind", "--advertise", "--dns-server"] {
        with_cookie(&["--sname", "n1", flag, "somewhere"])
            .run()
            .expect_refused(&["somewhere", flag]);
    }
    with_cookie(&["--sname", "n1", "--advertise", "0.0.0.0:4747"])
        .run()
        .expect_refused(&["0.0.0.0:4747", "--advertise"]);
}

#[test]
fn a_configuration_file_with_unknown_keys_or_that_is_none() {
    let dir = TempDir::new().expect("a directory");
    let config = |text: &str| file(dir.path(), "chisme.toml", text, 0o600);
    for (text, quotes) in [
        ("sname = 'n1'\ncoookie = 'x'\n", ["coookie", "chisme.toml"]),
        ("sname = \n", ["chisme.toml", "1"]),
        ("sname = 7\n", ["sname", "chisme.toml"]),
    ] {
        let path = config(text);
        with_cookie(&["--config", path.to_str().expect("text")]).run().expect_refused(&quotes);
    }
    with_cookie(&["--config", "/dev/zero"]).run().expect_refused(&["/dev/zero is not a file"]);
    with_cookie(&["--config", "/nowhere/chisme.toml"])
        .run()
        .expect_refused(&["/nowhere/chisme.toml"]);
}

#[test]
fn cookies_that_are_none() {
    bare(&["--sname", "n1", "--cookie", ""]).run().expect_refused(&["empty"]);
    bare(&["--sname", "n1"]).cookie("").run().expect_refused(&["empty"]);
    bare(&["--sname", "n1"]).run().expect_refused(&["cookie"]);

    let dir = TempDir::new().expect("a directory");
    let open = file(dir.path(), "open", "a secret that all can read", 0o644);
    let run = bare(&["--sname", "n1", "--cookie-file", open.to_str().expect("text")]).run();
    run.expect_refused(&["0644", "chmod"]);
    assert!(!run.stderr.contains("a secret that"), "{run}");
    let empty = file(dir.path(), "empty", "\n", 0o400);
    bare(&["--sname", "n1", "--cookie-file", empty.to_str().expect("text")])
        .run()
        .expect_refused(&["empty"]);
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    bare(&["--sname", "n1", "--cookie-file", pipe.to_str().expect("text")])
        .run()
        .expect_refused(&["is not a file"]);
    bare(&["--sname", "n1", "--cookie-file", "/nowhere/cookie"])
        .run()
        .expect_refused(&["/nowhere/cookie"]);
}

#[test]
fn a_made_cookie_is_strong_private_and_works() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("cookie");
    let path = path.to_str().expect("text");
    let printed = chisme(dir.path(), &["cookie", "--output", path]).expect_success();
    let text = fs::read_to_string(path).expect("it was made");
    let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o400);
    assert!(text.trim().len() >= 32 && !printed.contains(text.trim()), "{printed}");
    assert!(
        !chisme(dir.path(), &["cookie", "--output", path]).succeeded(),
        "nothing is overwritten"
    );

    let loopback = Loopback::new();
    let agent = |name: &str, host| {
        let spec = Spec::plain(name).args(&["--name", name, "--cookie-file", path]);
        spec.bind(&loopback.at(host))
    };
    let one = agent("n1@chisme.test", 1).no_seeds().start_ready();
    let two = agent("n2@chisme.test", 2).seeds(&[&loopback.at(1)]).start_ready();
    one.expect_view(&[&two.name], secs(10));
    assert!(!one.log().contains("WARN"), "nothing to warn of: {}", one.log());
}

#[test]
fn a_port_that_was_asked_for_and_is_taken() {
    let loopback = Loopback::new();
    let _taken = UdpSocket::bind(loopback.at(1)).expect("loopback");
    let run = with_cookie(&["--sname", "n1", "--bind", &loopback.at(1), "--connect", "none"]).run();
    assert!(!run.succeeded() && run.status.is_some(), "{run}");
    assert!(run.stderr.contains(&loopback.at(1)) && run.stderr.contains("--bind"), "{run}");
    assert_eq!(run.stdout, "", "{run}");
}

#[test]
fn the_default_port_that_is_taken_is_followed_by_the_next_free_one() {
    let _port = default_port();
    let first = Spec::named("n1").cookie("for the test of default ports").no_seeds().start_ready();
    let second = Spec::named("n2").cookie("for the test of default ports").no_seeds().start_ready();
    let ports: Vec<_> = [&first, &second].iter().map(|agent| port(agent)).collect();
    assert_ne!(ports[0], ports[1]);
    assert!(ports.iter().all(|port| (4747..=4762).contains(port)), "{ports:?}");
}

fn port(agent: &Agent) -> u16 {
    let status = agent.status();
    let bound = status["bound"][0].as_str().unwrap_or_else(|| panic!("no address in {status}"));
    bound.parse::<SocketAddr>().expect("an address").port()
}

#[test]
fn an_empty_runtime_directory() {
    let dir = TempDir::new().expect("a directory");
    let run = chisme(dir.path(), &["nodes"]);
    assert!(run.status == Some(1) && run.stderr.contains("agent"), "{run}");
}

#[test]
fn help_and_completions() {
    let dir = TempDir::new().expect("a directory");
    let help = chisme(dir.path(), &["--help"]).expect_success();
    for command in [
        "agent", "connect", "nodes", "members", "events", "ping", "leave", "status", "cookie",
        "demo",
    ] {
        assert!(help.contains(command), "{command} is missing in\n{help}");
        let help = chisme(dir.path(), &[command, "--help"]).expect_success();
        assert!(help.contains("Example"), "no example in\n{help}");
        assert!(!help.contains('\u{1b}'), "colours only on a terminal");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(chisme(dir.path(), &["completions", shell]).expect_success().contains("chisme"));
    }
}

fn file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("the directory is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path
}
