//! How a failure repeats: which seeds a test runs, and the command that runs one of them again.

use std::env;

/// The variable that picks one seed for all tests.
const VARIABLE: &str = "CHISME_SIM_SEED";

/// The seeds from 0 to `count`, or only the one that the environment variable `CHISME_SIM_SEED` names.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    chosen(0..count)
}

/// These seeds, or only the one that the environment names.
pub(crate) fn chosen(seeds: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
    let one: Option<u64> = env::var(VARIABLE).ok().map(|text| {
        text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text:?} is not a whole number"))
    });
    let all = one.is_none().then(|| seeds.into_iter());
    one.into_iter().chain(all.into_iter().flatten())
}

/// The command that runs the present test with this seed alone.
///
/// Tests run in a thread that bears their name, inside a binary named like their file, and cargo
/// says of which package it is.
pub(crate) fn command(seed: u64) -> String {
    let thread = std::thread::current();
    let package = env::var("CARGO_PKG_NAME").ok();
    let binary = env::current_exe().ok().and_then(|path| {
        let stem = path.file_stem()?.to_str()?.to_owned();
        stem.rsplit_once('-').map(|(name, _hash)| name.to_owned())
    });
    let test = thread.name().unwrap_or("main");
    compose(seed, package.as_deref(), binary.as_deref(), test)
}

fn compose(seed: u64, package: Option<&str>, binary: Option<&str>, test: &str) -> String {
    let of_package = package.map_or_else(String::new, |package| format!(" -p {package}"));
    // The tests inside of a library are in a binary that is named like it.
    let target = match binary {
        Some(name) if package.is_some_and(|package| package.replace('-', "_") == name) => {
            " --lib".to_owned()
        }
        Some(name) => format!(" --test {name}"),
        None => String::new(),
    };
    format!("{VARIABLE}={seed} cargo test{of_package}{target} {test}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_package_and_target() {
        assert_eq!(
            compose(7, Some("my-shards"), Some("failover"), "a_leader_remains"),
            "CHISME_SIM_SEED=7 cargo test -p my-shards --test failover a_leader_remains"
        );
        assert_eq!(
            compose(7, Some("my-shards"), Some("my_shards"), "ring::moves"),
            "CHISME_SIM_SEED=7 cargo test -p my-shards --lib ring::moves"
        );
        assert_eq!(compose(7, None, None, "moves"), "CHISME_SIM_SEED=7 cargo test moves");
    }
}
