//! Tags and services by the command line, between real agents.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::cli::{CHISME, chisme_json, clean};
use crate::harness::{Agent, Loopback, Spec, chisme, secs, until};

/// Two agents that see each other, each with a directory of its own.
struct Pair {
    dirs: [TempDir; 2],
    agents: [Agent; 2],
    addrs: [String; 2],
}

impl Pair {
    /// The first one is started with further arguments.
    fn new(arguments: &[&str]) -> Self {
        let dirs = [(); 2].map(|()| TempDir::new().expect("a directory"));
        let loopback = Loopback::new();
        let addrs = [loopback.at(1), loopback.at(2)];
        let first = Spec::named("n1").no_seeds().bind(&addrs[0]).runtime_dir(dirs[0].path());
        let second = Spec::named("n2").seeds(&[&addrs[0]]).bind(&addrs[1]);
        let first = first.args(arguments).start_ready();
        let agents = [first, second.runtime_dir(dirs[1].path()).start_ready()];
        let pair = Self { dirs, agents, addrs };
        until("they see each other", secs(10), || {
            pair.agents.iter().all(|agent| agent.view().len() == 1)
        });
        pair
    }

    fn dir(&self, agent: usize) -> &Path {
        self.dirs[agent].path()
    }

    /// What the second agent prints about the first one.
    fn seen(&self) -> Value {
        let rows = chisme_json(self.dir(1), &["members", "--json"]);
        let rows = rows.as_array().expect("a list").iter();
        let mut of_first = rows.filter(|row| row["name"] == self.agents[0].name.as_str());
        of_first.next().expect("it is a member").clone()
    }

    fn instances(&self, agent: usize) -> Vec<String> {
        let run = chisme(self.dir(agent), &["instances", "billing", "--json"]);
        let rows: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let rows = rows.as_array().expect("a list").clone();
        assert_eq!(run.status, Some(i32::from(rows.is_empty())), "{run}");
        rows.iter().map(|row| row["addrs"][0].as_str().expect("an address").to_owned()).collect()
    }
}

#[test]
fn sighup_takes_over_what_has_changed_in_the_file_and_leaves_the_rest() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("chisme.toml");
    let write = |text: &str| {
        fs::write(&path, text).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    };
    let service = |name: &str, port: u16| format!("[[service]]\nname = '{name}'\nport = {port}\n");
    write(&format!("[tags]\nzone = 'a'\nrack = '1'\n{}", service("billing", 80)));
    let pair = Pair::new(&["--config", path.to_str().expect("text")]);
    assert!(chisme(pair.dir(0), &["tags", "set", "owner=me"]).succeeded());
    assert!(chisme(pair.dir(0), &["services", "register", "mail", "--port", "25"]).succeeded());

    // What the file does not change stays as it was changed here; what is gone already need not go.
    assert!(chisme(pair.dir(0), &["tags", "set", "rack=2"]).succeeded());
    assert!(chisme(pair.dir(0), &["services", "deregister", "billing"]).succeeded());
    write(&format!("[tags]\nzone = 'b'\nrack = '1'\n{}", service("search", 90)));
    pair.agents[0].signal(Signal::HUP);
    let names = |row: &Value| -> Vec<String> {
        let services = row["services"].as_array().expect("a list").iter();
        services.map(|service| service["name"].as_str().expect("a name").to_owned()).collect()
    };
    until("the other sees it", secs(10), || {
        let row = pair.seen();
        row["tags"] == json!({ "owner": "me", "rack": "2", "zone": "b" })
            && names(&row) == ["mail", "search"]
    });

    // A tag that goes makes room for a service, and the other way round: only the whole counts.
    let long = "x".repeat(4_000);
    let four = |what: &str| (1..=4).map(|n| format!("{what}{n} = '{long}'\n")).collect::<String>();
    write(&format!("[tags]\nzone = 'b'\n{}", four("t")));
    pair.agents[0].signal(Signal::HUP);
    until("long tags are seen", secs(10), || pair.seen()["tags"]["t4"] == long.as_str());
    write(&format!(
        "[tags]\nzone = 'b'\n{}[service.metadata]\n{}",
        service("search", 91),
        four("m")
    ));
    pair.agents[0].signal(Signal::HUP);
    until("long metadata are seen", secs(10), || {
        let row = pair.seen();
        row["tags"].get("t1").is_none() && row["services"][1]["metadata"]["m4"] == long.as_str()
    });

    write(&format!("[tags]\nzone = 'c'\nlong = '{}'\n", "x".repeat(20_000)));
    pair.agents[0].signal(Signal::HUP);
    pair.agents[0].expect_log(&["SIGHUP: nothing is changed", "tags"], secs(5));
    assert_eq!(pair.seen()["tags"]["zone"], "b");
}

#[test]
fn tags_that_are_set_here_are_seen_there() {
    let pair = Pair::new(&[]);
    let mark = pair.agents[1].mark();
    chisme(pair.dir(0), &["tags", "set", "zone=eu-1", "rack=b7"]).expect_success();
    let listed = chisme(pair.dir(0), &["tags", "list"]).expect_success();
    assert_eq!(listed, "rack=b7\nzone=eu-1\n");
    until("the other sees them", secs(5), || {
        pair.seen()["tags"] == json!({ "zone": "eu-1", "rack": "b7" })
    });
    let updated = format!("updated {}", pair.agents[0].name);
    until("that is an event", secs(5), || pair.agents[1].since(mark).contains(&updated));
    assert!(pair.agents[0].since(0).contains(&updated), "its own agent tells it too");

    chisme(pair.dir(0), &["tags", "unset", "rack"]).expect_success();
    until("one is gone", secs(5), || pair.seen()["tags"] == json!({ "zone": "eu-1" }));
    let tags = chisme_json(pair.dir(0), &["tags", "list", "--json"]);
    assert_eq!(tags, json!({ "zone": "eu-1" }));
    chisme(pair.dir(0), &["tags", "set", "--replace", "owner=me"]).expect_success();
    until("it stands alone", secs(5), || pair.seen()["tags"] == json!({ "owner": "me" }));
}

#[test]
fn a_service_comes_drains_and_goes() {
    let pair = Pair::new(&[]);
    let register = ["services", "register", "billing", "--port", "8080", "--version", "2.3"];
    let register = [&register[..], &["--meta", "proto=grpc", "--weight", "3"]].concat();
    chisme(pair.dir(0), &register).expect_success();
    let host = pair.addrs[0].split(':').next().expect("an address");
    until("the other finds it", secs(5), || pair.instances(1) == [format!("{host}:8080")]);
    let rows = chisme_json(pair.dir(1), &["services", "--json"]);
    let service = json!({
        "name": "billing", "version": "2.3", "port": 8080, "status": "running", "weight": 3,
        "metadata": { "proto": "grpc" },
    });
    assert_eq!((&rows[0]["service"], &rows[0]["local"]), (&service, &json!(false)));
    assert_eq!(pair.seen()["services"], json!([service]));
    let table = chisme(pair.dir(1), &["services"]).expect_success();
    assert!(table.contains("billing") && table.contains("proto=grpc"), "{table}");

    // What is on the agent's own node comes first.
    chisme(pair.dir(1), &["services", "register", "billing", "--port", "9090"]).expect_success();
    let local = pair.addrs[1].split(':').next().expect("an address");
    assert_eq!(pair.instances(1), [format!("{local}:9090"), format!("{host}:8080")]);
    chisme(pair.dir(1), &["services", "deregister", "billing"]).expect_success();

    chisme(pair.dir(0), &["services", "drain", "billing"]).expect_success();
    until("it is not routed to", secs(5), || pair.instances(1).is_empty());
    let rows = chisme_json(pair.dir(1), &["services", "--json"]);
    assert_eq!(rows[0]["service"]["status"], "draining");
    chisme(pair.dir(0), &["services", "status", "billing", "running"]).expect_success();
    until("it is again", secs(5), || pair.instances(1).len() == 1);
    chisme(pair.dir(0), &["services", "deregister", "billing"]).expect_success();
    until("it is gone", secs(5), || pair.seen()["services"] == json!([]));
}

#[test]
fn who_watches_instances_sees_them_come_and_go_with_their_member() {
    let mut pair = Pair::new(&[]);
    let mut watch = Command::new(CHISME);
    clean(&mut watch).env("CHISME_RUNTIME_DIR", pair.dir(1)).stdin(Stdio::null());
    let watch = watch.args(["instances", "billing", "--watch", "--json"]).stdout(Stdio::piped());
    let mut watch = watch.spawn().expect("started");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("it goes on").expect("readable");
    assert_eq!(next(), "[]");
    chisme(pair.dir(0), &["services", "register", "billing", "--port", "80"]).expect_success();
    assert!(next().contains("\"port\":80"));
    pair.agents[0].leave();
    assert_eq!(next(), "[]");
    pair.agents[1].leave();
    assert_eq!(watch.wait().expect("our child").code(), Some(0));
}

#[test]
fn a_configuration_file_has_tags_and_services() {
    let dir = TempDir::new().expect("a directory");
    let config = dir.path().join("chisme.toml");
    let text = "[tags]\nzone = 'eu-1'\n[[service]]\nname = 'billing'\nport = 8080\nweight = 2\n";
    fs::write(&config, text).expect("written");
    let pair = Pair::new(&["--config", config.to_str().expect("a path")]);
    until("the other sees them", secs(5), || {
        let seen = pair.seen();
        seen["tags"] == json!({ "zone": "eu-1" }) && seen["services"][0]["weight"] == 2
    });
    fs::write(&config, "[tags]\n'two words' = 'x'\n").expect("written");
    let spec = Spec::named("n3").no_seeds().args(&["--config", config.to_str().expect("a path")]);
    spec.run().expect_refused(&["`tags`", "\"two words\"", "chisme.toml"]);
}

#[test]
fn sixteen_kibibytes_travel_and_more_are_refused_with_their_size() {
    let pair = Pair::new(&[]);
    let value = "x".repeat(4_000);
    for key in ["a", "b", "c", "d"] {
        chisme(pair.dir(0), &["tags", "set", &format!("{key}={value}")]).expect_success();
    }
    until("all four are seen", secs(5), || {
        pair.seen()["tags"].as_object().is_some_and(|tags| tags.len() == 4)
    });
    let run = chisme(pair.dir(0), &["tags", "set", &format!("e={value}")]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{run}");
    assert!(run.stderr.contains("the record would have 200"), "{run}");
    assert!(run.stderr.contains("may have 16384"), "{run}");
}

#[test]
fn what_is_no_tag_and_no_service_is_one_error() {
    let pair = Pair::new(&[]);
    let register = |name, more: &[&'static str]| {
        [&["services", "register", name, "--port", "80"], more].concat()
    };
    for (arguments, quotes) in [
        (vec!["tags", "set", "zone"], &["\"zone\"", "KEY=VALUE"][..]),
        (vec!["tags", "set", "a=1", "a=2"], &["\"a\"", "twice"]),
        (vec!["tags", "set", "two words=x"], &["\"two words\"", "' '"]),
        (vec!["tags", "unset", "zone"], &["\"zone\"", "no tags"]),
        (vec!["services", "register", "billing"], &["--port"]),
        (vec!["services", "register", "billing", "--port", "0"], &["0"]),
        (register("b!", &[]), &["\"b!\"", "'!'"]),
        (register("billing", &["--meta", "x"]), &["--meta", "\"x\""]),
        (register("billing", &["--status", "up"]), &["\"up\"", "draining"]),
        (vec!["services", "status", "billing", "up"], &["\"up\"", "draining"]),
        (vec!["services", "drain", "mail"], &["\"mail\"", "not registered"]),
        (vec!["services", "deregister", "mail"], &["\"mail\"", "not registered"]),
        (vec!["instances", "b!"], &["\"b!\"", "'!'"]),
    ] {
        chisme(pair.dir(0), &arguments).expect_refused(quotes);
    }
    assert_eq!(pair.seen()["tags"], json!({}));
}
