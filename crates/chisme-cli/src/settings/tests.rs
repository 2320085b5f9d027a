use std::io::Write;

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::args::{Cli, Command};
use crate::cookie::CookieText;

/// The environment is the process's own, so these tests set none: the rank of a variable is tested
/// through `CLUSTER_DNS_NAME` here and with the real binary in `tests/`.
fn resolve_with(line: &[&str], surroundings: &Surroundings) -> Result<Settings, UsageError> {
    let words = ["chisme", "agent"].iter().chain(line);
    let matches = Cli::command().try_get_matches_from(words).expect("clap takes it");
    let Command::Agent(args) = Cli::from_arg_matches(&matches).expect("it is a Cli").command else {
        panic!("the words say agent");
    };
    let (_, matches) = matches.subcommand().expect("agent");
    Settings::resolve(&args, matches, surroundings)
}

fn resolve(line: &[&str]) -> Result<Settings, UsageError> {
    resolve_with(line, &Surroundings::default())
}

fn refused(line: &[&str]) -> String {
    resolve(line).expect_err("refused").to_string()
}

fn config(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("made");
    file.write_all(content.as_bytes()).expect("written");
    file
}

#[test]
fn nothing_but_a_name_gives_the_defaults() {
    let settings = resolve(&["--sname", "n1@a"]).expect("valid");
    assert_eq!(settings.name.as_str(), "n1@a");
    assert_eq!(settings.cluster, ClusterName::default());
    assert_eq!(settings.seeds.value, [DEFAULT_SEED]);
    assert_eq!(settings.seeds.origin, Origin::Default);
    assert!(settings.bind.value.is_empty() && settings.bind.origin == Origin::Default);
    assert!(settings.events.is_none() && settings.versions.is_none());
}

#[test]
fn a_flag_is_taken_before_the_file_and_a_list_replaces_the_list() {
    let file = config("sname = 'f@a'\ncluster = 'from-file'\nconnect = ['a.x', 'b.x']\n");
    let path = file.path().to_str().expect("text");
    let settings = resolve(&["--config", path]).expect("valid");
    assert_eq!(settings.name.as_str(), "f@a");
    assert_eq!(settings.cluster.as_str(), "from-file");
    assert_eq!(settings.seeds.value, ["a.x", "b.x"]);
    let line = ["--config", path, "--name", "n@a.b", "--cluster", "flag", "--connect", "c.x"];
    let settings = resolve(&line).expect("valid");
    assert_eq!(settings.name.as_str(), "n@a.b", "--name outranks the file's sname");
    assert_eq!(settings.cluster.as_str(), "flag");
    assert_eq!(settings.seeds.value, ["c.x"]);
    assert_eq!(settings.seeds.origin, Origin::Flag("--connect".to_owned()));
}

#[test]
fn seeds_come_from_the_flag_else_cluster_dns_name_else_malla_local() {
    let surroundings = Surroundings {
        cluster_dns_name: Some("svc.example".to_owned()),
        ..Surroundings::default()
    };
    let settings = resolve_with(&["--sname", "n@a"], &surroundings).expect("valid");
    assert_eq!(settings.seeds.value, ["svc.example"]);
    assert_eq!(settings.seeds.origin.to_string(), "CLUSTER_DNS_NAME");
    let line = ["--sname", "n@a", "--connect", "x.y", "10.0.0.7:4747", "--connect", "z.y"];
    let settings = resolve_with(&line, &surroundings).expect("valid");
    assert_eq!(settings.seeds.value, ["x.y", "10.0.0.7:4747", "z.y"]);
    let settings =
        resolve_with(&["--sname", "n@a", "--connect", "none"], &surroundings).expect("valid");
    assert!(settings.seeds.value.is_empty());
    assert!(refused(&["--sname", "n@a", "--connect", "none", "x.y"]).contains("stands alone"));
}

#[test]
fn what_is_wrong_is_quoted_with_who_asked_for_it() {
    let error = refused(&["--sname", "n 1@a"]);
    assert!(error.starts_with("--sname: \"n 1@a\""), "{error}");
    let error = refused(&["--sname", "n@a", "--bind", "localhost"]);
    assert!(error.contains("--bind: \"localhost\"") && error.contains("IP:PORT"), "{error}");
    let error = refused(&["--sname", "n@a", "--dns-server", "10.0.0.7:0"]);
    assert!(error.contains("\"10.0.0.7:0\" needs a port"), "{error}");
    let line = ["--sname", "n@a", "--bind", "10.0.0.7:1", "--bind", "10.0.0.8:1"];
    assert!(refused(&line).contains("10.0.0.8:1 is a second address"), "{}", refused(&line));
    let error = refused(&["--sname", "n@a", "--cluster", "a b"]);
    assert!(error.starts_with("--cluster: \"a b\""), "{error}");
    let error = refused(&["--sname", "n@a", "--events", "xml"]);
    assert!(error.contains("\"xml\"") && error.contains("json"), "{error}");
    let error = refused(&["--sname", "n@a", "--connect", "no seed"]);
    assert!(error.starts_with("--connect: ") && error.contains("no seed"), "{error}");
    for addr in ["0.0.0.0:4747", "[::]:0", "224.0.0.1:4747", "255.255.255.255:4747"] {
        let error = refused(&["--sname", "n@a", "--advertise", addr]);
        assert!(error.starts_with(&format!("--advertise: \"{addr}\"")), "{error}");
    }
    for flag in ["--cookie-file", "--accept-cookie-file", "--config", "--runtime-dir"] {
        let error = refused(&["--sname", "n@a", flag, ""]);
        assert!(error.starts_with(flag) && error.contains("path"), "{error}");
    }
    let file = config("bind = ['nowhere']\n");
    let path = file.path().to_str().expect("text");
    let error = refused(&["--sname", "n@a", "--config", path]);
    assert!(error.contains(&format!("`bind` in {path}: \"nowhere\"")), "{error}");
    assert!(refused(&[]).contains("--sname node1"));
}

#[test]
fn one_node_has_one_name() {
    let error = refused(&["--sname", "n@a", "--name", "n@a.b"]);
    assert!(error.contains("--sname \"n@a\" and --name \"n@a.b\""), "{error}");
}

#[test]
fn the_cookie_of_a_flag_comes_before_files_and_theirs_before_the_config_file() {
    let file = config("cookie = 'from the config file'\n");
    let path = file.path().to_str().expect("text");
    let with = |more: &[&str]| {
        let line: Vec<&str> =
            ["--sname", "n@a", "--config", path].iter().chain(more).copied().collect();
        resolve(&line).expect("valid").cookie
    };
    let origin =
        |text: &Option<(String, CookieText)>| text.as_ref().map(|(origin, _)| origin.clone());
    assert_eq!(origin(&with(&[]).text), Some(format!("`cookie` in {path}")));
    let named = with(&["--cookie-file", "/c"]);
    assert!(named.text.is_none());
    assert_eq!(named.file, Some(("--cookie-file".to_owned(), PathBuf::from("/c"))));
    let flag = with(&["--cookie-file", "/c", "--cookie", "-secret"]);
    assert_eq!(origin(&flag.text), Some("--cookie".to_owned()));
    let both = config("cookie = 'x'\ncookie_file = '/c'\n");
    let error = refused(&["--sname", "n@a", "--config", both.path().to_str().expect("text")]);
    assert!(error.contains("both set"), "{error}");
}

#[test]
fn no_cookie_is_shown_by_debug() {
    let settings = resolve(&["--sname", "n@a", "--cookie", "hunter2"]).expect("valid");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn versions_for_tests_are_one_or_a_range() {
    let with = |text: &str| {
        let surroundings =
            Surroundings { test_protocol: Some(text.to_owned()), ..Surroundings::default() };
        resolve_with(&["--sname", "n@a"], &surroundings).map(|settings| settings.versions)
    };
    assert_eq!(with("2").expect("valid"), Some(VersionRange { min: 2, max: 2 }));
    assert_eq!(with("2-3").expect("valid"), Some(VersionRange { min: 2, max: 3 }));
    for bad in ["3-2", "x", "300", ""] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_preset_is_lan_unless_another_is_asked_for_by_its_name() {
    let preset = |line: &[&str]| resolve(line).expect("valid").preset;
    assert_eq!(preset(&["--sname", "n@a"]), Preset::Lan);
    let file = config("sname = 'n@a'\npreset = 'wan'\n");
    let path = file.path().to_str().expect("text");
    assert_eq!(preset(&["--config", path]), Preset::Wan);
    assert_eq!(preset(&["--config", path, "--preset", "fast"]), Preset::Fast);
    let error = refused(&["--sname", "n@a", "--preset", "quick"]);
    assert!(error.starts_with("--preset: \"quick\"") && error.contains("local"), "{error}");
}
