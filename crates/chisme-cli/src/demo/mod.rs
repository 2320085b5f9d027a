//! `chisme demo`: the main job, shown by itself and checked while it is shown.
//!
//! `story` is what happens; `stage` is what it happens on: `agents` (child processes), `dns` (a real
//! name server) and `table` (who sees whom). The agents are those that a user would start.

mod agents;
mod dns;
mod stage;
mod story;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::agents::die_with_the_demo;
use self::stage::Stage;

/// Whatever happens, the story ends by then; its end takes three seconds at most.
const LIMIT: Duration = Duration::from_secs(85);

/// What `chisme demo` may be told: nothing.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the demo to its end. It succeeds if everything happened that it shows.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(show())
}

async fn show() -> anyhow::Result<ExitCode> {
    let interrupted = interrupted()?;
    let mut stage = Stage::set_up().await?;
    let ended = tokio::select! {
        played = tokio::time::timeout(LIMIT, story::play(&mut stage)) => match played {
            Ok(Ok(())) => Ok(ExitCode::SUCCESS),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("not done after {} s", LIMIT.as_secs())),
        },
        status = interrupted => Ok(ExitCode::from(status)),
    };
    let fallen = if ended.is_err() { stage.fallen().await } else { Vec::new() };
    // Before anything is said about the end, nobody is left behind.
    stage.clear().await;
    if ended.as_ref().is_err_and(nobody_watches) {
        return Ok(ExitCode::FAILURE);
    }
    ended.map_err(|error| match fallen.as_slice() {
        [] => error,
        fallen => anyhow::anyhow!("{error:#}\n{}", fallen.join("\n")),
    })
}

/// Whether the demo ended because its reader has gone, who needs no reason.
fn nobody_watches(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Waits for a signal that asks for the end, and gives the exit status that shells know for it.
fn interrupted() -> anyhow::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => 128 + 2,
            _ = terminate.recv() => 128 + 15,
            _ = hangup.recv() => 128 + 1,
        }
    })
}
