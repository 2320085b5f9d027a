//! `chisme demo`: the main job, shown by itself.

use std::process::ExitCode;

/// What `chisme demo` may be told: nothing.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the demo to its end.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the demo is not part of this build")
}
