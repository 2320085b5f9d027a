//! What a command writes to stdout and stderr. A reader that has gone ends the command, quietly,
//! unless it has more to do; an error that nobody can be told of changes no exit status.

use std::io::{self, Write};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

/// Writes to stdout. A reader that has gone ends the command, quietly.
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    if !is_read(text)? {
        std::process::exit(0);
    }
    Ok(())
}

/// Writes to stdout, for a command whose work goes on: a reader that has gone misses what is told, and
/// nothing else changes.
pub(crate) fn out_if_read(text: &str) -> anyhow::Result<()> {
    is_read(text).map(drop)
}

/// Writes to stdout; false if its reader has gone.
fn is_read(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true).context("cannot write to stdout"),
    }
}

/// Writes a line to stderr. `eprintln!` would panic if its reader has gone.
pub(crate) fn complain(line: &str) {
    // There is no place left to say that it failed.
    _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Waits until the reader of stdout has gone, for a command that may have nothing to write for long.
/// Never ends if it cannot be known.
pub(crate) async fn reader_gone() {
    let (tell, gone) = oneshot::channel();
    // Not one of the runtime's own threads: those are waited for when a command ends.
    std::thread::spawn(move || {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        // What is asked for is nothing; an error or a hang-up is told all the same.
        while poll(&mut watched, None) == Err(Errno::INTR) {}
        if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            // The command may have ended in this moment.
            _ = tell.send(());
        }
    });
    if gone.await.is_err() {
        std::future::pending().await
    }
}
