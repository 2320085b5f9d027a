//! How a failure repeats: which seeds a test runs, and the command that runs one of them again.

use std::env;

/// The variable that picks one seed for all tests.
const VARIABLE: &str = "CHISME_SIM_SEED";

/// The seeds from 0 to `count`, or only the one that the environment variable `CHISME_SIM_SEED` names.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let one: Option<u64> = env::var(VARIABLE).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text:?} is not a whole number"))
    });
    one.map_or(0..count, |seed| seed..seed + 1)
}

/// The command that runs the present test with this seed alone.
///
/// Tests run in a thread that bears their name, inside a binary named like their file.
pub(crate) fn command(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("main").to_owned();
    let binary = env::current_exe().ok().and_then(|path| {
        let stem = path.file_stem()?.to_str()?.to_owned();
        stem.rsplit_once('-').map(|(name, _hash)| name.to_owned())
    });
    let target = binary.map_or_else(String::new, |name| format!("--test {name} "));
    format!("{VARIABLE}={seed} cargo test -p chisme-sim {target}{test}")
}
