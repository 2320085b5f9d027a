//! The demo shows what it promises, and ends.

use std::process::Command;

use crate::harness::cli::{CHISME, clean};
use crate::harness::{Run, secs};

#[test]
fn the_demo_ends_well_within_90_s() {
    let mut command = Command::new(CHISME);
    let run = Run::within(clean(&mut command).arg("demo"), secs(90));
    assert!(run.succeeded(), "{run}");
    for word in ["SIGKILL", "down", "up"] {
        assert!(run.stdout.contains(word), "{word} is missing: {run}");
    }
    assert!(!run.stdout.contains('\u{1b}'), "plain lines when not on a terminal");
}
