//! The scenarios of the folder `simulations`, as they were when this program was built.

/// Names, each with the text of its file.
macro_rules! scenarios {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../../../simulations/", $name, ".toml"))),)*]
    };
}

/// By name.
pub(super) const SHIPPED: &[(&str, &str)] = scenarios![
    "address-reuse",
    "auth-hostile",
    "bootstrap-1000",
    "bootstrap-2000",
    "bridge",
    "clock-step-back",
    "crash-one",
    "crash-ten",
    "detector-sweep",
    "dns-faults",
    "faulty-1000",
    "flipflop-ingress",
    "isolate-one-heal",
    "isolate-one-heal-100",
    "join-1000",
    "lifeguard-detection",
    "lifeguard-interval",
    "lifeguard-interval-full",
    "lifeguard-threshold",
    "long-partition",
    "loss-in-bursts",
    "loss-ten-minutes",
    "loss80-egress",
    "loss80-ingress",
    "majorities-ring",
    "name-twice",
    "one-way-half",
    "outage-heal",
    "parameter-sweep",
    "pause-ladder",
    "pause-one-wakes",
    "port-unreachable",
    "preset-sweep",
    "records",
    "replay-after-restart",
    "rest-load",
    "restart-new-address",
    "rolling-restart",
    "scale-down",
    "split-half-heal",
    "split-half-heal-100",
    "split-half-heal-5",
    "split-half-heal-500",
    "split-three-ways",
    "split-uneven-heal",
    "starved-readers",
    "steady-loss",
    "suspected-load",
    "swarm",
    "swim-detection",
    "swim-load",
    "swizzle-clog",
    "together-1000",
    "together-2000",
    "two-islands",
    "wan",
    "zone-loss",
];

/// The text of the one of this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    let place = SHIPPED.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(SHIPPED[place].1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_program() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../simulations"));
        let files = std::fs::read_dir(folder).expect("the folder is there");
        let paths = files.map(|file| file.expect("it can be read").path());
        let mut names: Vec<String> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "toml"))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        assert_eq!(names, SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        assert!(names.iter().all(|name| text(name).is_some()));
    }
}
