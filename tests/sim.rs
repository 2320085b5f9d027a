//! `chisme sim`: what it says, how it ends, and that a failure can be run again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::cli::{CHISME, clean};
use crate::harness::wait::until_some;
use crate::harness::{Run, secs};

const SPLIT: &str = r#"
why = "A cut heals. Nothing else."
expected = "One view again."
source = "none"
seeds = "1..3"

[nodes]
count = 8

[[fault]]
at = "5s"
for = "20s"
cut = { off = "half" }
"#;

/// A folder with one scenario, `split`.
struct Place(TempDir);

impl Place {
    fn with(text: &str) -> Self {
        let dir = TempDir::with_prefix("chisme").expect("a directory");
        std::fs::write(dir.path().join("split.toml"), text).expect("written");
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(CHISME);
        clean(&mut command).arg("sim").args(args).arg("--dir").arg(self.0.path());
        command
    }

    #[track_caller]
    fn sim(&self, args: &[&str]) -> Run {
        Run::within(&mut self.command(args), secs(60))
    }
}

#[test]
fn a_list_names_what_there_is() {
    let place = Place::with(SPLIT);
    let list = place.sim(&["list"]).expect_success();
    assert!(list.contains("split") && list.contains("A cut heals.\n"), "{list}");
    let json: Value =
        serde_json::from_str(&place.sim(&["list", "--json"]).expect_success()).expect("it is JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["scenarios"][0]["name"], "split");
    assert_eq!(json["scenarios"][0]["seeds"], serde_json::json!([1, 3]));
}

#[test]
fn the_scenarios_that_are_shipped_can_be_read() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations");
    let mut command = Command::new(CHISME);
    let list = Run::of(clean(&mut command).args(["sim", "list", "--dir", shipped, "--json"]));
    let json: Value = serde_json::from_str(&list.expect_success()).expect("it is JSON");
    assert!(json["scenarios"].as_array().is_some_and(|all| all.len() >= 32), "{json}");
}

#[test]
fn scenarios_are_built_in_and_a_folder_named_simulations_goes_before_them() {
    let empty = TempDir::with_prefix("chisme").expect("a directory");
    let sim = |args: &[&str]| {
        let mut command = Command::new(CHISME);
        Run::of(clean(&mut command).arg("sim").args(args).current_dir(empty.path()))
    };
    let written = sim(&["show", "crash-one"]).expect_success();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations/crash-one.toml");
    assert_eq!(written, std::fs::read_to_string(file).expect("it is there"));
    let table = sim(&["run", "crash-one", "--seeds", "1"]).expect_success();
    assert!(table.contains(" crash-one "), "{table}");
    let missed = ["run", "crash-one", "--seeds", "1", "--set", "expect.detection.p50=1ms"];
    let run = sim(&missed);
    assert!(run.status == Some(1) && run.stderr.contains("sim replay crash-one --seed 1"), "{run}");
    assert!(!run.stderr.contains("--dir"), "{run}");
    sim(&["run", "crash-one", "--set", "nodes.count=1"]).expect_refused(&["crash-one (built in)"]);
    let listed = |name: &str| {
        let list = sim(&["list"]).expect_success();
        list.lines().find(|line| line.contains(name)).map(str::to_owned)
    };
    assert!(listed(" crash-one ").is_some_and(|line| line.contains(" 32 ")));
    let folder = empty.path().join("simulations");
    std::fs::create_dir(&folder).expect("it is made");
    for name in ["crash-one", "mine"] {
        let smaller = written.replace("count = 32", "count = 7");
        std::fs::write(folder.join(name).with_extension("toml"), smaller).expect("written");
        assert!(listed(&format!(" {name} ")).is_some_and(|line| line.contains(" 7 ")));
    }
    assert!(sim(&["show", "crash-one"]).expect_success().contains("count = 7"));
    assert!(listed(" split-half-heal ").is_some(), "all others are there still");
}

#[test]
fn a_run_is_summed_up_and_its_json_can_be_read() {
    let place = Place::with(SPLIT);
    let table = place.sim(&["run", "split"]).expect_success();
    let row = table.lines().find(|line| line.contains("split")).expect("a row").to_owned();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..3], ["split", "3", "0"], "three runs, none failed: {row}");
    let json = place.sim(&["run", "split", "--seeds", "1..2", "--json"]).expect_success();
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_baseline_stands_beside_the_product_and_its_misses_fail_nothing() {
    // foca obeys whoever calls it Down; two runs of two detectors are one row.
    let place = Place::with(&format!("{SPLIT}\n[expect]\nfalse_downs = 0\n"));
    let both = ["run", "split", "--seeds", "1..2", "--baseline"];
    let table = place.sim(&both).expect_success();
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("split")).collect();
    assert!(rows.len() == 1 && rows[0].contains(" s ("), "{table}");
    assert!(table.contains("In brackets: foca alone"), "{table}");
    let page = place.sim(&[&both[..], &["--markdown"]].concat()).expect_success();
    assert!(page.starts_with("| scenario |") && page.contains("\n| `split` |"), "{page}");
    let json = place.sim(&[&both[..], &["--json"]].concat()).expect_success();
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    let beside = &json["comparisons"][0];
    assert_eq!((&beside["chisme"]["runs"], &beside["baseline"]["runs"]), (&2.into(), &2.into()));
    assert_ne!(beside["chisme"]["events"], beside["baseline"]["events"]);
    assert_eq!(json["failed"], 0);
    // The grid of a scenario may say so too, and then it is in every run of it.
    let grid = Place::with(&format!("{SPLIT}\n[grid]\ndetector = ['chisme', 'baseline']\n"));
    let table = grid.sim(&["run", "split", "--seeds", "1..2"]).expect_success();
    assert!(table.contains("In brackets: foca alone"), "{table}");
    let alone = place.sim(&["replay", "split", "--seed", "1", "--set", "detector=baseline"]);
    assert!(alone.expect_success().contains("seed 1: "));
}

#[test]
fn a_missed_expectation_and_a_view_that_stays_wrong_have_statuses_of_their_own() {
    let missed = Place::with(&format!("{SPLIT}\n[expect]\nconverged_within = \"1ms\"\n"));
    let run = missed.sim(&["run", "split"]);
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.stderr.contains("seed 1: missed: converged"), "{run}");
    assert!(run.stderr.contains("chisme sim replay split --seed 1"), "{run}");

    let not_live = Place::with(&SPLIT.replace("seeds =", "liveness = \"10ms\"\nseeds ="));
    let run = not_live.sim(&["run", "split"]);
    assert_eq!(run.status, Some(3), "{run}");
    assert!(run.stderr.contains("not live"), "{run}");

    let known = Place::with(&format!(
        "known_misses = [\"converged_within\"]\n{SPLIT}\n[expect]\nconverged_within = \"1ms\"\n"
    ));
    let text = known.sim(&["run", "split"]).expect_success();
    assert!(text.contains("known miss: converged_within"), "{text}");
}

#[test]
fn a_rule_that_is_broken_has_a_status_of_its_own_and_outweighs_what_is_missed() {
    // So many are asked to probe for each other, so often, that it is a storm.
    let storm =
        "\n[config]\nprobe_period = \"10ms\"\nprobe_timeout = \"5ms\"\nindirect_probes = 90\n";
    let cut = SPLIT.replace("count = 8", "count = 90\nacquainted = true");
    let place = Place::with(&format!("{cut}{storm}"));
    std::fs::write(place.file("missed.toml"), format!("{SPLIT}{MISSED}")).expect("written");
    let run = place.sim(&["run", "missed", "split", "--seeds", "1"]);
    assert_eq!(run.status, Some(4), "{run}");
    assert!(run.stderr.contains("split, seed 1: unsafe: "), "{run}");
    assert!(run.stderr.contains("sends more than 4720 datagrams in one second"), "{run}");
    let replay = place.sim(&["replay", "split", "--seed", "1"]);
    assert_eq!(replay.status, Some(4), "{replay}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_said_with_its_line() {
    let place = Place::with(&SPLIT.replace("half", "haf"));
    place.sim(&["run", "split"]).expect_refused(&["split.toml", "line 13", "\"haf\""]);
    let place = Place::with(SPLIT);
    place.sim(&["run", "split", "nothing"]).expect_refused(&["\"nothing\"", "chisme sim list"]);
    place.sim(&["run", "split", "--set", "network.los=1"]).expect_refused(&["los", "loss"]);
    place.sim(&["run", "split", "--set", "loss"]).expect_refused(&["\"loss\"", "network.loss=0.2"]);
    place.sim(&["run", "split", "--seeds", "5..1"]).expect_refused(&["5..1", "1..1000"]);
}

#[test]
fn a_replay_is_the_same_run_and_tells_everything() {
    let place = Place::with(SPLIT);
    let replay = || place.sim(&["replay", "split", "--seed", "2", "-v"]).expect_success();
    let (first, second) = (replay(), replay());
    assert_eq!(first, second);
    assert!(first.contains("n0: down n4") && first.contains("seed 2: passed"), "{first}");
    let other = place.sim(&["replay", "split", "--seed", "2", "--set", "nodes.count=6", "-v"]);
    assert!(!other.expect_success().contains("n7"));
    let acquainted = ["replay", "split", "--seed", "2", "--set", "nodes.acquainted=true", "-v"];
    let told = place.sim(&acquainted).expect_success();
    let before = told.split("fault: ").next().unwrap_or_default();
    assert!(before.ends_with("0.000000 s  8 nodes begin acquainted\n    5.000000 s  "), "{told}");
    assert!(told.contains("n0: alive n4"), "when the cut heals: {told}");
    let twice = place.sim(&["run", "split", "--check-determinism"]).expect_success();
    assert!(twice.contains("3 runs, each twice, all alike"), "{twice}");
}

#[test]
fn ctrl_c_ends_the_runs_and_what_was_done_is_told() {
    let place = Place::with(SPLIT);
    let mut command = place.command(&["run", "split", "--seeds", "1..1000000", "-v"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // The first run has been told.
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("seed ") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut line).expect("text"), 0);
    }
    let rest = std::thread::spawn(move || std::io::read_to_string(stderr));
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, Signal::INT).expect("it runs");
    let status = until_some("it has ended", secs(20), || child.try_wait().expect("our child"));
    assert_eq!(status.code(), Some(130));
    let table = std::io::read_to_string(child.stdout.take().expect("piped")).expect("text");
    assert!(table.contains("split") && table.contains("RUNS"), "{table}");
    assert!(rest.join().expect("read").expect("text").contains("interrupted"));
}

#[test]
fn reports_traces_and_captures_are_written_where_they_are_asked_for() {
    let place = Place::with(SPLIT);
    let (page, lines, capture) =
        (place.file("r.html"), place.file("t.jsonl"), place.file("c.pcap"));
    let paths = [&page, &lines, &capture].map(|path| path.to_str().expect("text"));
    let files = ["--report", paths[0], "--trace", paths[1], "--pcap", paths[2]];
    for what in [&["run", "split"][..], &["replay", "split", "--seed", "2"]] {
        place.sim(&[what, &files].concat()).expect_success();
        let page = std::fs::read_to_string(&page).expect("a page");
        assert!(page.starts_with("<!doctype html>") && page.contains("chisme sim replay split"));
        assert!(!page.contains("http://") && !page.contains("https://"), "it needs no network");
        let lines = std::fs::read_to_string(&lines).expect("lines");
        assert!(lines.lines().count() > 100);
        for line in lines.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        let capture = std::fs::read(&capture).expect("a capture");
        assert_eq!(capture[..4], [0xa1, 0xb2, 0x3c, 0x4d], "pcap with nanoseconds");
        for path in [&place.file("r.html"), &place.file("t.jsonl"), &place.file("c.pcap")] {
            std::fs::remove_file(path).expect("it was written");
        }
    }
    let nowhere = place.file("no/such/folder.html");
    for what in [&["run", "split"][..], &["replay", "split", "--seed", "2"]] {
        for file in ["--report", "--trace", "--pcap"] {
            let run = place.sim(&[what, &[file, nowhere.to_str().expect("text")]].concat());
            run.expect_refused(&["folder.html"]);
        }
    }
    let old = place.file("old.html");
    std::fs::write(&old, "before").expect("written");
    let paths =
        ["--report", old.to_str().expect("text"), "--trace", nowhere.to_str().expect("text")];
    place.sim(&[&["run", "split"][..], &paths].concat()).expect_refused(&["folder.html"]);
    assert_eq!(std::fs::read_to_string(&old).expect("still there"), "before");
}

/// Expects what does not come.
const MISSED: &str = "\n[expect]\nconverged_within = \"1ms\"\n";

/// A range that fails whatever is drawn: nothing converges in no time.
const FAILING_SWARM: &str = "why = 'a'\nexpected = 'b'\nsource = 'c'\nliveness = '10ms'\n\
    [swarm]\nnodes = '4..6'\nfaults = '1..2'\nbegin_within = '5s'\nlast_at_most = '5s'\n";

/// Runs the first command that a text says after `again:` as a shell does.
#[track_caller]
fn again(text: &str) -> Run {
    let command = text.lines().find_map(|line| line.trim().strip_prefix("again: chisme "));
    let command = command.unwrap_or_else(|| panic!("no command in {text}"));
    let mut shell = Command::new("sh");
    Run::within(clean(&mut shell).args(["-c", &format!("'{CHISME}' {command}")]), secs(60))
}

#[test]
fn the_command_that_is_told_fails_as_the_run_did() {
    let place = Place::with(SPLIT);
    let odd = place.file("an odd' file.toml");
    std::fs::write(&odd, SPLIT).expect("written");
    let odd = odd.to_str().expect("text");
    let changes =
        ["--seeds", "3", "--set", "expect.converged_within=1ms", "--set", "nodes.count=6"];
    for word in ["split", odd] {
        let run = place.sim(&[&["run", word][..], &changes].concat());
        assert_eq!(run.status, Some(1), "{run}");
        let repeated = again(&run.stderr);
        assert_eq!(repeated.status, Some(1), "{repeated}");
        assert!(repeated.stdout.contains("seed 3: missed: converged"), "{repeated}");
        assert_eq!(again(&repeated.stdout).status, Some(1), "a replay says it too");
    }
    let page = place.file("r.html");
    let report = ["--report", page.to_str().expect("text")];
    place.sim(&[&["run", "split"][..], &changes, &report].concat());
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("--set expect.converged_within=1ms --set nodes.count=6"));
    assert!(page.contains(&format!("--dir {}", place.0.path().display())));
    // The grid has the last word on what it varies.
    let grid = Place::with(&format!("{SPLIT}{MISSED}\n[grid]\n'nodes.count' = [4]\n"));
    let run = grid.sim(&["run", "split", "--seeds", "1"]);
    assert_eq!((run.status, again(&run.stderr).status), (Some(1), Some(1)), "{run}");
}

#[test]
fn a_reader_that_has_gone_changes_neither_the_status_nor_the_files() {
    let place = Place::with(&format!("{SPLIT}{MISSED}"));
    let page = place.file("r.html");
    let mut command = place.command(&["run", "split", "--report", page.to_str().expect("text")]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    drop(child.stdout.take());
    let status = until_some("it has ended", secs(60), || child.try_wait().expect("our child"));
    assert_eq!(status.code(), Some(1));
    assert!(page.is_file(), "the report is written");
}

#[test]
fn a_failure_of_a_swarm_is_told_even_if_it_cannot_be_written() {
    let place = Place::with(FAILING_SWARM);
    let folder = place.file("f f");
    let swarm = ["swarm", "split", "--jobs", "1", "--failures"];
    let here = |folder: &std::path::Path| {
        place.sim(&[&swarm[..], &[folder.to_str().expect("text")]].concat())
    };
    let run = here(&folder);
    assert_eq!((run.status, again(&run.stderr).status), (Some(3), Some(3)), "{run}");
    let mut files = std::fs::read_dir(&folder).expect("it was made");
    let file = files.next().expect("a file").expect("read").path();
    assert!(files.next().is_none(), "only the failure");
    std::fs::remove_file(&file).expect("it is there");
    std::fs::create_dir(&file).expect("a folder in its place");
    let run = here(&folder);
    assert!(run.status == Some(3) && run.stderr.contains(": not live: "), "{run}");
    assert!(run.stderr.contains("cannot write") && run.stderr.contains("--from-seed "), "{run}");
    here(&place.file("split.toml/x")).expect_refused(&["split.toml/x"]);
}

#[test]
fn what_is_written_in_vain_at_last_is_an_error_of_the_harness() {
    let place = Place::with(SPLIT);
    let full = place.sim(&["run", "split", "--seeds", "1", "--trace", "/dev/full"]);
    assert!(full.status == Some(6) && full.stderr.contains("/dev/full"), "{full}");
}

/// Starts a command, lets it work, and presses Ctrl-C.
fn interrupted(mut command: Command) -> (Option<i32>, String, String) {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        let mask = u64::from_str_radix(mask, 16).ok()?;
        (mask & (1 << (Signal::INT.as_raw() - 1)) != 0).then_some(())
    };
    until_some("it heeds Ctrl-C", secs(20), caught);
    kill_process(pid, Signal::INT).expect("it runs");
    let status = until_some("it has ended", secs(20), || child.try_wait().expect("our child"));
    let read = |text: Option<&mut dyn std::io::Read>| {
        text.map(|text| std::io::read_to_string(text).expect("text")).unwrap_or_default()
    };
    let out = read(child.stdout.as_mut().map(|out| out as &mut dyn std::io::Read));
    let err = read(child.stderr.as_mut().map(|err| err as &mut dyn std::io::Read));
    (status.code(), out, err)
}

#[test]
fn ctrl_c_is_heeded_by_all_that_runs() {
    let long = SPLIT.replace("for = \"20s\"", "for = \"700h\"");
    let place = Place::with(&long);
    let page = place.file("r.html");
    let page = page.to_str().expect("text");
    let (status, _, err) = interrupted(place.command(&["replay", "split", "--seed", "1"]));
    assert!(status == Some(130) && err.contains("interrupted"), "{status:?} {err}");
    let (status, _, err) = interrupted(place.command(&["run", "split", "--report", page]));
    assert!(status == Some(130) && err.contains("no run had ended"), "{status:?} {err}");
    let short = Place::with(SPLIT);
    let twice = ["run", "split", "--seeds", "1..100000", "--check-determinism"];
    let (status, out, err) = interrupted(short.command(&twice));
    assert!(status == Some(130) && err.contains("interrupted"), "{status:?} {err}");
    assert!(out.contains(" of 100000 runs"), "{out}");
    // A run of an hour of a thousand nodes is not waited for.
    let long = ["run", "split", "--check-determinism", "--set", "nodes.count=1000"];
    let (status, out, err) = interrupted(short.command(&long));
    assert!(status == Some(130) && err.contains("interrupted"), "{status:?} {err}");
    assert!(out.contains("split: 0 of 3 runs"), "{out}");
    let (status, _, err) = interrupted(short.command(&["swarm"]));
    assert!(status == Some(130) && err.contains("interrupted"), "{status:?} {err}");
}

#[test]
fn a_grid_is_replayed_at_its_first_point_and_names_are_told_apart() {
    let grid = "\n[grid]\n\"nodes.count\" = [5, 7]\n";
    let place = Place::with(&format!("{SPLIT}{grid}"));
    let run = place.sim(&["replay", "split", "--seed", "1"]);
    assert!(run.status == Some(0) && run.stderr.contains("at nodes.count=5, the first"), "{run}");
    let run = place.sim(&["replay", "split", "--seed", "1", "--set", "nodes.count=7"]);
    assert!(run.status == Some(0) && !run.stderr.contains("first point"), "{run}");
    place.sim(&["run", "split", "split"]).expect_refused(&["two of these", "\"split\""]);
    let json = place.sim(&["run", "split", "--json"]).expect_success();
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["interrupted"], false);
}

#[test]
fn what_is_shrunk_is_a_field_of_the_json_and_says_how_it_is_replayed() {
    let place = Place::with(&format!("{SPLIT}{MISSED}"));
    let run = place.sim(&["run", "split", "--seeds", "1", "--shrink", "--json"]);
    let json: Value = serde_json::from_str(&run.stdout).expect("one document");
    assert_eq!((run.status, &json["shrunk"]["seed"]), (Some(1), &1.into()), "{run}");
    let smaller = place.file("smaller.toml");
    std::fs::write(&smaller, json["shrunk"]["toml"].as_str().expect("text")).expect("written");
    let replay = place.sim(&["replay", smaller.to_str().expect("text"), "--seed", "1"]);
    assert_eq!(replay.status, Some(1), "{replay}");
    let command = "chisme sim replay split-shrunk.toml --seed 1";
    assert!(run.stderr.contains(command), "{run}");
    let page = place.sim(&["run", "split", "--seeds", "1", "--shrink", "--markdown"]);
    assert!(page.stdout.contains("|\n\n```toml\n# seed 1\n"), "{page}");
    let none = Place::with(SPLIT).sim(&["run", "split", "--seeds", "1", "--shrink"]);
    assert!(none.status == Some(0) && none.stderr.contains("nothing to shrink"), "{none}");
    // A target is of all seeds together: no single run can be made smaller.
    let target = "\n[[target]]\nexpect = { converged_within = \"1ms\" }\n";
    let missed = Place::with(&format!("{SPLIT}{target}")).sim(&["run", "split", "--shrink"]);
    assert!(missed.status == Some(1) && missed.stderr.contains("nothing to shrink"), "{missed}");
}

#[test]
fn what_does_not_go_together_or_is_too_much_is_refused() {
    let place = Place::with(SPLIT);
    for flag in ["--json", "--shrink", "-v"] {
        let run = place.sim(&["run", "split", "--check-determinism", flag]);
        run.expect_refused(&["--check-determinism"]);
    }
    place.sim(&["run", "split", "--window", "1..2"]).expect_refused(&["--report"]);
    let files = ["--report", "/dev/null", "--pcap", "/dev/null", "--window", "1..2"];
    place.sim(&[&["run", "split", "--seeds", "1"][..], &files].concat()).expect_success();
    let refused = |args: &[&str], quote: &str| {
        place.sim(&[&["run", "split"][..], args].concat()).expect_refused(&[quote]);
    };
    refused(&["--seeds", "1..18446744073709551615"], "1000000");
    refused(&["--seeds", "1..===3"], "1..1000");
    refused(&["--jobs", "100000"], "at most 256");
    refused(&["--jobs", "0"], "jobs: at least 1");
    let endless = Place::with(&SPLIT.replace("1..3", "1..9223372036854775807"));
    endless.sim(&["run", "split"]).expect_refused(&["split", "1000000", "--seeds"]);
}

#[test]
fn each_file_that_is_written_is_one_of_its_own() {
    let place = Place::with(SPLIT);
    std::os::unix::fs::symlink(place.0.path(), place.file("here")).expect("a link");
    let (one, same) = (place.file("one"), place.file("here/one"));
    let (one, same) = (one.to_str().expect("text"), same.to_str().expect("text"));
    let pairs = [("--report", "--trace"), ("--report", "--pcap"), ("--trace", "--pcap")];
    for what in [&["run", "split"][..], &["replay", "split", "--seed", "2"]] {
        for (first, second) in pairs {
            for other in [one, same] {
                let run = place.sim(&[what, &[first, one, second, other]].concat());
                run.expect_refused(&[first, second, "its own file"]);
                assert!(!place.file("one").exists(), "nothing was run");
            }
        }
        for file in ["--report", "--trace", "--pcap"] {
            place.sim(&[what, &[file, "-"]].concat()).expect_refused(&[file, "./-"]);
        }
    }
}

#[test]
fn a_window_begins_before_the_run_ends() {
    let place = Place::with(SPLIT);
    let page = place.file("r.html");
    let report = ["--report", page.to_str().expect("text"), "--window"];
    for what in [&["run", "split"][..], &["replay", "split", "--seed", "2"]] {
        let window = |window: &str| place.sim(&[what, &report, &[window]].concat());
        window("9..9").expect_refused(&["9..9", "5..20"]);
        let run = window("9000..9001");
        run.expect_refused(&["--window 9000..9001", "no run lasts longer than 178.0 s"]);
        // Until it has ended nobody knows when.
        let run = window("100..101");
        assert!(run.status == Some(2) && run.stderr.contains("ends after"), "{run}");
        assert!(!page.exists(), "{run}");
        window("40..9000").expect_success();
        std::fs::remove_file(&page).expect("it was written");
    }
}

#[test]
fn a_list_says_where_it_looks_and_one_bad_file_does_not_break_it() {
    let place = Place::with(SPLIT);
    let nowhere = |args: &[&str]| {
        let mut command = Command::new(CHISME);
        clean(&mut command).arg("sim").args(args).current_dir(place.0.path());
        Run::of(&mut command)
    };
    nowhere(&["list", "--dir", "not-there"]).expect_refused(&["not-there", "--dir"]);
    nowhere(&["run", "crash-onne"]).expect_refused(&["crash-onne", "`chisme sim list`"]);
    let there = ["run", "crash-one", "--dir", "not-there"];
    nowhere(&there).expect_refused(&["crash-one", "not-there", "--dir"]);
    place.sim(&["run", "crash-one"]).expect_refused(&["crash-one", "list --dir"]);
    std::fs::write(place.file("bad.toml"), "nonsense = 1").expect("written");
    let run = place.sim(&["list"]);
    assert!(run.status == Some(2) && run.stderr.contains("bad.toml"), "{run}");
    assert!(run.stdout.contains("split"), "{run}");
    for file in ["bad.toml", "split.toml"] {
        std::fs::remove_file(place.file(file)).expect("it is there");
    }
    let run = place.sim(&["list"]);
    assert!(run.status == Some(0) && run.stderr.contains("no scenario in"), "{run}");
}

#[test]
fn a_swarm_is_also_a_scenario_that_is_listed_run_and_replayed() {
    const SWARM: &str = "why = 'a'\nexpected = 'b'\nsource = 'c'\nliveness = '180s'\n\
        [swarm]\nnodes = '4..6'\nfaults = '1..2'\nbegin_within = '5s'\nlast_at_most = '5s'\n";
    let place = Place::with(SWARM);
    assert!(place.sim(&["list"]).expect_success().contains("4-6"));
    let json = place.sim(&["run", "split", "--seeds", "1..6", "--json"]).expect_success();
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    let runs = json["runs"].as_array().expect("a list");
    let marks = |run: &Value| run["marks"].as_object().map(|marks| marks.keys().cloned().collect());
    let drawn: std::collections::BTreeSet<Option<Vec<String>>> = runs.iter().map(marks).collect();
    assert!(runs.len() == 6 && drawn.len() > 3, "each seed draws other faults: {drawn:?}");
    let replay = place.sim(&["replay", "split", "--seed", "3"]).expect_success();
    assert!(replay.contains(&format!("hash {}", runs[2]["hash"].as_str().expect("text"))));
    let swarm = place.sim(&["swarm", "split", "--for", "500ms"]).expect_success();
    assert!(swarm.ends_with(" scenarios, 0 failed\n"), "{swarm}");
    let both = Place::with(&format!("{SWARM}[nodes]\ncount = 5\n"));
    both.sim(&["run", "split"]).expect_refused(&["nodes", "[swarm]"]);
    Place::with(SPLIT).sim(&["swarm", "split"]).expect_refused(&["\"split\"", "[swarm]"]);
}

#[test]
fn a_swarm_draws_scenarios_that_all_pass_and_ends_when_its_time_is_up() {
    let mut command = Command::new(CHISME);
    let run = Run::within(clean(&mut command).args(["sim", "swarm", "--for", "2s"]), secs(60));
    let text = run.expect_success();
    assert!(text.ends_with(" scenarios, 0 failed\n") && !text.starts_with("0 "), "{text}");
}
