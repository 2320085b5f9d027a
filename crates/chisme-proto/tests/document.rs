//! PROTOCOL.md names the test that holds each rule: those tests exist.
#![expect(clippy::disallowed_methods, reason = "it reads sources; the state machine does not")]

use std::path::{Path, PathBuf};

/// Where the tests are that the document names.
const PLACES: [&str; 10] = [
    "src/detect",
    "tests",
    "src",
    "src/wire",
    "src/record",
    "src/table",
    "src/swim",
    "src/node",
    "../chisme-sim/tests",
    "../../tests",
];

#[test]
fn every_test_that_the_protocol_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named: Vec<(&str, &str)> = include_str!("../PROTOCOL.md")
        .split('`')
        .filter_map(|code| code.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs") && *file != "file.rs")
        .collect();
    assert!(named.len() > 50, "only {} tests are named", named.len());
    let missing: Vec<String> = named
        .into_iter()
        .filter(|&(file, test)| !exists(root, file, test))
        .map(|(file, test)| format!("{file}::{test}"))
        .collect();
    assert!(missing.is_empty(), "named in PROTOCOL.md, found nowhere: {missing:#?}");
}

fn exists(root: &Path, file: &str, test: &str) -> bool {
    let files = PLACES.iter().map(|place| root.join(place).join(file));
    let holds = |path: PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|code| code.contains(&format!("fn {test}(")))
    };
    files.into_iter().any(holds)
}
