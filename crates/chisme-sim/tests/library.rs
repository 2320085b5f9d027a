//! The scenarios that are shipped: those that take no longer than a few seconds run here, and a few
//! runs are held to the hashes that they have had in another build.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;

use chisme_sim::outcome::Verdict;
use chisme_sim::scenario::{DetectorMode, Scenario};
use chisme_sim::{Keep, Results, Sweep, dissect};

/// What takes minutes of a processor: a thousand nodes that have to form, or a grid of many points. `chisme sim run` has them.
const LARGE: [&str; 13] = [
    "bootstrap-1000",
    "bootstrap-2000",
    "detector-sweep",
    "faulty-1000",
    "lifeguard-interval-full",
    "lifeguard-threshold",
    "parameter-sweep",
    "pause-ladder",
    "rest-load",
    "split-half-heal-500",
    "starved-readers",
    "together-1000",
    "together-2000",
];

/// Hashes of the traces of a release build. A change of the protocol, or of what a scenario draws, changes
/// them: then these are replaced by those that the test prints. Nothing else may.
const HASHES: [(&str, u64, u64); 6] = [
    ("auth-hostile", 1, 0xbb73_3241_eca6_b4d9),
    ("clock-step-back", 2, 0xde11_b91b_f46a_0880),
    ("dns-faults", 1, 0x6db4_836d_5493_294e),
    ("replay-after-restart", 1, 0x332d_ad8c_a121_b326),
    ("split-half-heal", 2, 0xa22e_46cb_e88c_9165),
    ("swizzle-clog", 1, 0xd0a0_3493_54aa_a38e),
];

fn shipped(name: &str) -> Scenario {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations"));
    let file = folder.join(name).with_extension("toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    Scenario::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
}

fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations");
    let files = fs::read_dir(folder).expect("the folder is there");
    let paths = files.map(|file| file.expect("it can be read").path());
    let scenarios = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let name = |path: &Path| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
    let mut names: Vec<String> = scenarios.filter_map(|path| name(&path)).collect();
    names.sort();
    names
}

fn run(name: &str, seed: u64) -> Vec<Results> {
    let mut sweep = Sweep::new([seed]);
    sweep.jobs = NonZero::new(2).expect("not zero");
    sweep.run(&shipped(name), |_, _| Keep::default(), |_| ())
}

/// What came of seed 1 of each that does not take minutes, by name.
fn of_all() -> &'static [(String, Vec<Results>)] {
    static ALL: OnceLock<Vec<(String, Vec<Results>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let names = names().into_iter().filter(|name| !LARGE.contains(&name.as_str()));
        names.map(|name| (name.clone(), run(&name, 1))).collect()
    })
}

#[test]
fn what_is_shipped_passes() {
    let names = names();
    assert!(LARGE.iter().all(|large| names.iter().any(|name| name == large)), "{names:?}");
    let mut failures = Vec::new();
    for (name, results) in of_all() {
        for run in results.iter().flat_map(|results| &results.runs) {
            if run.verdict != Verdict::Passed {
                failures.push(format!("{name} {:?}: {:?}", run.point, run.verdict));
            }
        }
    }
    assert!(failures.is_empty(), "seed 1 of\n{}", failures.join("\n"));
}

#[test]
fn every_kind_of_datagram_and_every_message_of_swim_is_seen_in_what_is_shipped() {
    let runs = of_all().iter().flat_map(|(_, all)| all.iter().flat_map(|results| &results.runs));
    // The baseline has its own format, and calls what it sends by the same names.
    let runs = runs.filter(|run| run.detector == DetectorMode::Chisme);
    let seen: BTreeSet<&str> =
        runs.flat_map(|run| run.figures.sent.keys().map(String::as_str)).collect();
    let missing: Vec<&str> = dissect::kinds().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "in none of the scenarios is anything sent of {missing:?}");
}

#[test]
fn a_run_is_the_same_in_every_build() {
    let hash = |name: &str, seed| run(name, seed)[0].runs[0].hash;
    let is: Vec<_> = HASHES.map(|(name, seed, _)| (name, seed, hash(name, seed))).into();
    assert_eq!(is, HASHES, "now they are {is:#x?}");
}
