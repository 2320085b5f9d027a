//! The demo's agents: child processes of this binary, their event lines, their end.
//!
//! It knows processes, and what an agent is started with; what should happen to them it does not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::control::client::Client;
use crate::control::wire::ViewLine;
use crate::runtime::RuntimeDir;

/// Names the process that an agent shall not outlive, by its id.
const PARENT: &str = "CHISME_DEMO_PARENT";

/// How many of an agent's last log lines are kept, to be shown if it ends unasked.
const LOG_LINES: usize = 12;

/// How long an agent may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Between the end of a process and the moment when that can be asked for.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// What agents say.
#[derive(Debug)]
pub(super) enum Said {
    /// One line of `--events json`.
    Line(ViewLine),
    /// The output of the agent with this index has ended. `run` tells which of its runs it was.
    Ended { agent: usize, run: u32 },
}

/// Where agents live and what they share.
pub(super) struct Home {
    /// Runtime directories, one for each agent.
    pub(super) dir: tempfile::TempDir,
    /// The secret. It goes by the environment: arguments can be read by everybody.
    pub(super) cookie: String,
    /// The only name server that they ask.
    pub(super) dns: SocketAddr,
}

/// One agent, whether it runs or not.
pub(super) struct Agent {
    index: usize,
    name: String,
    seed: String,
    bind: Vec<SocketAddr>,
    dir: PathBuf,
    child: Option<Child>,
    run: u32,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Agent {
    /// An agent that does not run yet.
    pub(super) fn new(home: &Home, index: usize, name: String, seed: String) -> Self {
        let dir = home.dir.path().join(index.to_string());
        Self { index, name, seed, bind: Vec::new(), dir, child: None, run: 0, log: Arc::default() }
    }

    /// `node1@demo`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its only seed.
    pub(super) fn seed(&self) -> &str {
        &self.seed
    }

    /// Where it listens, IPv4 first.
    pub(super) fn addrs(&self) -> &[SocketAddr] {
        &self.bind
    }

    /// Whether it was started and nobody stopped it.
    pub(super) const fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Which of its runs this is, the first one being 1.
    pub(super) const fn run(&self) -> u32 {
        self.run
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// How it ended, if it has ended although nobody stopped it.
    pub(super) async fn fallen(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let status = tokio::time::timeout(LAST_MOMENT, child.wait()).await.ok()?.ok()?;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let log: String = log.iter().map(|line| format!("\n    {line}")).collect();
        Some(format!("{} has ended unasked ({status}){log}", self.name))
    }

    /// Starts it, to listen at `bind`. What it says comes out of `said`.
    pub(super) fn start(
        &mut self,
        home: &Home,
        bind: Vec<SocketAddr>,
        said: &mpsc::Sender<Said>,
    ) -> anyhow::Result<()> {
        self.bind = bind;
        let mut command = self.command(home)?;
        let mut child = command.spawn().context("cannot start an agent")?;
        self.run += 1;
        let ended = Said::Ended { agent: self.index, run: self.run };
        let stdout = child.stdout.take().context("an agent's stdout is a pipe")?;
        let stderr = child.stderr.take().context("an agent's stderr is a pipe")?;
        let said = said.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // Nobody listens any more when the demo is over.
                match serde_json::from_str(&line) {
                    Ok(line) => _ = said.send(Said::Line(line)).await,
                    Err(_) => break,
                }
            }
            _ = said.send(ended).await;
        });
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                if log.len() == LOG_LINES {
                    log.pop_front();
                }
                log.push_back(line);
            }
        });
        self.child = Some(child);
        Ok(())
    }

    fn command(&self, home: &Home) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("who are we?")?);
        // What the user has set for an agent of theirs is not meant for ours.
        for (key, _) in std::env::vars_os() {
            let ours = key.to_str().is_some_and(|key| key.starts_with("CHISME_"));
            if ours || key == "CLUSTER_DNS_NAME" {
                command.env_remove(key);
            }
        }
        command
            .arg("agent")
            .args(["--sname", &self.name])
            .args(["--connect", &self.seed])
            .args(["--dns-server", &home.dns.to_string()])
            .args(["--events", "json"])
            .env("CHISME_COOKIE", &home.cookie)
            .env("CHISME_RUNTIME_DIR", &self.dir)
            .env("NO_COLOR", "1")
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo: it decides how its agents end.
            .process_group(0)
            .kill_on_drop(true);
        for addr in &self.bind {
            command.args(["--bind", &addr.to_string()]);
        }
        Ok(command)
    }

    /// Its control socket.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let dir = RuntimeDir::open(Some(Path::new(&self.dir)))?;
        Ok(Client::open(dir.select(Some(&self.name))?))
    }

    /// SIGKILL: it has no chance to say goodbye.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.with_context(|| format!("cannot kill {}", self.name))?;
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(super) async fn wait(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            let status = tokio::time::timeout(GOODBYE, child.wait())
                .await
                .with_context(|| format!("{} is still there after {GOODBYE:?}", self.name))??;
            anyhow::ensure!(status.success(), "{} has ended with {status}", self.name);
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL if that does not help.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended in this moment.
            _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
            _ = child.kill().await;
        }
    }
}

/// For an agent: if it was started by a demo, dies with it, however that ends.
pub(crate) fn die_with_the_demo() {
    #[cfg(target_os = "linux")]
    if let Ok(parent) = std::env::var(PARENT) {
        let told = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        let lives = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if told.is_err() || lives.as_deref() != Some(parent.as_str()) {
            std::process::exit(1);
        }
    }
}
