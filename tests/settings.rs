//! Where settings come from, and what SIGHUP reads again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::cli::{CHISME, clean};
use crate::harness::{Agent, Loopback, Run, Spec, secs, until};

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the directory is ours");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(new, path).expect("the directory is ours");
}

fn name(agent: &Agent) -> String {
    agent.status()["name"].as_str().expect("a name").to_owned()
}

#[test]
fn a_flag_comes_before_the_environment_and_that_before_the_file() {
    let loopback = Loopback::new();
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("chisme.toml");
    let at = loopback.at(1);
    let keys = format!(
        "name = 'file@chisme.test'\nconnect = ['none']\nbind = ['{at}']\ncookie = 'only in this file'\n"
    );
    write(&path, &keys);
    let with_file = Spec::plain("?").args(&["--config", path.to_str().expect("text")]);
    assert_eq!(name(&with_file.start_ready()), "file@chisme.test");
    let with_env = with_file.env("CHISME_NAME", "env@chisme.test");
    assert_eq!(name(&with_env.start_ready()), "env@chisme.test");
    let with_flag = with_env.args(&["--name", "flag@chisme.test"]);
    assert_eq!(name(&with_flag.start_ready()), "flag@chisme.test");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loopback = Loopback::new();
    let mut spec = Spec::named("n1").no_seeds().bind(&loopback.at(1));
    for key in [
        "SNAME",
        "NAME",
        "CLUSTER",
        "COOKIE_FILE",
        "ACCEPT_COOKIE_FILE",
        "BIND",
        "ADVERTISE",
        "CONNECT",
        "DNS_SERVER",
        "CONFIG",
        "EVENTS",
        "LOG",
    ] {
        spec = spec.env(&format!("CHISME_{key}"), "");
    }
    assert_eq!(name(&spec.start_ready()), "n1@chisme.test");
    // For the directory of agents the default is taken, so whoever runs there may be asked.
    let mut command = Command::new(CHISME);
    clean(&mut command).env("CHISME_RUNTIME_DIR", "").env("CHISME_NODE", "");
    let run = Run::of(command.args(["nodes", "--node", "nobody-of-that-name"]));
    assert!(run.stderr.contains("no agent"), "{run}");
}

#[test]
fn sighup_reads_the_seeds_again() {
    let loopback = Loopback::new();
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("chisme.toml");
    write(&path, &format!("bind = ['{}']\nconnect = ['none']\n", loopback.at(1)));
    let one = Spec::named("n1").args(&["--config", path.to_str().expect("text")]).start_ready();
    let two = Spec::named("n2").no_seeds().bind(&loopback.at(2)).start_ready();
    write(&path, &format!("bind = ['{}']\nconnect = ['{}']\n", loopback.at(1), loopback.at(2)));
    one.signal(Signal::HUP);
    one.expect_view(&[&two.name], secs(10));

    write(&path, "connect = ['no seed at all']\n");
    one.signal(Signal::HUP);
    one.expect_log(&["no seed at all"], secs(5));
    two.expect_view(&[&one.name], secs(1));
}

#[test]
fn sighup_reads_the_cookie_again_and_loses_no_member() {
    let loopback = Loopback::new();
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("cookie");
    write(&path, "the cookie of yesterday");
    let start = |host: u8| {
        let name = format!("n{host}@chisme.test");
        let spec = Spec::plain(&name).args(&["--name", &name, "--bind", &loopback.at(host)]);
        let spec = spec.args(&["--cookie-file", path.to_str().expect("text")]);
        if host == 1 { spec.no_seeds() } else { spec.seeds(&[&loopback.at(1)]) }.start_ready()
    };
    let agents = [start(1), start(2), start(3)];
    until("they see each other", secs(10), || agents.iter().all(|agent| agent.view().len() == 2));

    // The new cookie is made known as accepted first, in a deployment; here all change at once.
    write(&path, "the cookie of tomorrow");
    for agent in &agents {
        agent.signal(Signal::HUP);
    }
    let newcomer = start(4);
    until("the newcomer with the new cookie is in", secs(20), || newcomer.view().len() == 3);
    for agent in &agents {
        assert!(!agent.changes().iter().any(|change| change.event == "down"), "{agent:?}");
        assert!(!agent.log().contains("the cookie of"), "{agent:?}");
    }
}
