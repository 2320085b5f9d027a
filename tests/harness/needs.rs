//! What a machine must have for a test. A test that cannot run says so, and why; where the
//! namespace tests are required (`CHISME_REQUIRE_NETNS=1`, as in CI), that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this test can make network namespaces and filter what passes between them.
pub(crate) fn namespaces() -> bool {
    let missing: Vec<_> = ["ip", "nft", "dnsmasq"]
        .into_iter()
        .filter(|tool| find(tool).is_none())
        .map(|tool| format!("`{tool}` is not installed"))
        .chain((!is_root()).then(|| "not running as root".to_owned()))
        .collect();
    go_on_or_say(&missing)
}

/// Whether this test can start a name server.
pub(crate) fn dnsmasq() -> bool {
    let missing: Vec<_> = find("dnsmasq")
        .is_none()
        .then(|| "`dnsmasq` is not installed".to_owned())
        .into_iter()
        .collect();
    go_on_or_say(&missing)
}

/// The library that lies to a process about the time, if this machine has it.
pub(crate) fn faketime() -> Option<PathBuf> {
    let found = ["/usr/lib", "/usr/lib64", "/usr/local/lib"]
        .iter()
        .flat_map(|lib| [PathBuf::from(lib), Path::new(lib).join(multiarch())])
        .map(|dir| dir.join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    if found.is_none() {
        go_on_or_say(&["`libfaketime` is not installed".to_owned()]);
    }
    found
}

/// Where an executable is.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(tool))
        .find(|file| file.is_file())
}

fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn go_on_or_say(missing: &[String]) -> bool {
    if missing.is_empty() {
        return true;
    }
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let reasons = missing.join(", ");
    assert!(
        std::env::var_os("CHISME_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "CHISME_REQUIRE_NETNS=1, but {test} cannot run here: {reasons}"
    );
    say(&format!("SKIPPED {test}: {reasons}"));
    false
}

/// Writes past the capture of the test harness: a test that did not run must be seen.
fn say(line: &str) {
    let shown = Command::new("sh").args(["-c", r#"printf '%s\n' "$0" >&2"#, line]).status();
    if !shown.is_ok_and(|status| status.success()) {
        eprintln!("{line}");
    }
}
