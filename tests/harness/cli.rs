//! Client commands of `chisme`: what they printed and how they ended.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::wait::until_some;

/// No client command may take longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) const CHISME: &str = env!("CARGO_BIN_EXE_chisme");

/// A command that ended.
pub(crate) struct Run {
    command: String,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained about.
    pub(crate) stderr: String,
    /// Its exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
}

impl Run {
    /// Runs a command to its end, which has to come within half a minute.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::within(command, LONGEST)
    }

    /// Runs a command to its end, which has to come in time. What it prints must fit a pipe's buffer
    /// unless it goes to a file.
    #[track_caller]
    pub(crate) fn within(command: &mut Command, deadline: Duration) -> Self {
        let text = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let end = std::time::Instant::now() + deadline;
        let status = loop {
            if let Some(status) = child.try_wait().expect("it is our child") {
                break status;
            }
            if std::time::Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{text} did not end within {deadline:?}");
            }
            std::thread::park_timeout(Duration::from_millis(5));
        };
        Self { command: text, stdout: stdout(), stderr: stderr(), status: status.code() }
    }

    /// Whether it ended with exit status 0.
    pub(crate) fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// What it printed, once it is clear that it succeeded.
    #[track_caller]
    pub(crate) fn expect_success(self) -> String {
        assert!(self.succeeded(), "it should succeed: {self}");
        self.stdout
    }

    /// Checks that it was refused as bad input: exit status 2, nothing on stdout, one error that contains all of `quotes`.
    #[track_caller]
    pub(crate) fn expect_refused(&self, quotes: &[&str]) {
        assert_eq!(self.status, Some(2), "bad input ends with status 2: {self}");
        assert_eq!(self.stdout, "", "nothing is started: {self}");
        for quote in quotes {
            assert!(self.stderr.contains(quote), "the error should contain {quote:?}: {self}");
        }
        let errors = self.stderr.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "one error: {self}");
        assert!(!self.stderr.contains("panicked"), "an error, not a panic: {self}");
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, stdout, stderr, status } = self;
        write!(f, "{command}\nended with {status:?}\nstdout: {stdout}\nstderr: {stderr}")
    }
}

/// A client command for the agents of one runtime directory.
pub(crate) fn chisme(runtime_dir: &Path, arguments: &[&str]) -> Run {
    Run::of(clean(&mut Command::new(CHISME)).env("CHISME_RUNTIME_DIR", runtime_dir).args(arguments))
}

/// The same, and what it prints is one JSON document.
#[track_caller]
pub(crate) fn chisme_json(runtime_dir: &Path, arguments: &[&str]) -> Value {
    let out = chisme(runtime_dir, arguments).expect_success();
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

/// Keeps the settings of whoever runs the tests from reaching the binary.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    let ours = std::env::vars_os().map(|(key, _)| key).filter(|key| {
        let key = key.to_string_lossy();
        key.starts_with("CHISME_") || key == "CLUSTER_DNS_NAME"
    });
    for key in ours {
        command.env_remove(key);
    }
    command.env("NO_COLOR", "1").env("HOME", "/nonexistent")
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> impl FnOnce() -> String {
    let thread = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    move || {
        until_some("the pipe is closed", Duration::from_secs(5), || {
            thread.is_finished().then_some(())
        });
        thread.join().expect("the reader does not panic")
    }
}

/// A client command that goes on until it is dropped, such as `chisme events`.
pub(crate) struct Follower {
    child: std::process::Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Follower {
    /// Starts it for the agent of a runtime directory.
    pub(crate) fn start(runtime_dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(CHISME);
        clean(&mut command).env("CHISME_RUNTIME_DIR", runtime_dir).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary is there");
        let pipe = child.stdout.take().expect("piped");
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let lines = std::io::BufRead::lines(std::io::BufReader::new(pipe));
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for a line that contains all of `texts`; those before it are gone.
    #[track_caller]
    pub(crate) fn expect(&mut self, texts: &[&str], deadline: Duration) -> String {
        until_some(&format!("a line contains {texts:?}"), deadline, || {
            self.lines.try_iter().find(|line| texts.iter().all(|text| line.contains(text)))
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
