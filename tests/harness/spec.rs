//! How an agent is to be started: its arguments, environment and place. It starts nothing by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cli::{self, CHISME, Run};
use super::{Agent, Dns, Host};

/// How an agent is to be started.
#[derive(Clone)]
pub(crate) struct Spec {
    /// Its whole name.
    pub(crate) name: String,
    cookie: Option<String>,
    host: Option<Host>,
    pub(super) dir: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Spec {
    /// An agent with a long name and no seeds.
    pub(crate) fn named(local: &str) -> Self {
        let name = format!("{local}@chisme.test");
        let spec = Self::plain(&name).args(&["--name", &name]);
        spec.cookie("a cookie that only the tests know")
    }

    /// An agent with a short name, on this host as far as its name is concerned.
    pub(crate) fn short(local: &str) -> Self {
        let name = format!("{local}@{}", short_hostname());
        let spec = Self::plain(&name).args(&["--sname", local]);
        spec.cookie("a cookie that only the tests know")
    }

    /// An agent that is given nothing but what the test gives it; it is known to go by this name.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cookie: None,
            host: None,
            dir: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With this cookie, through the environment.
    pub(crate) fn cookie(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self
    }

    /// On this host, instead of the machine that the tests run on.
    pub(crate) fn on(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// With these contacts.
    pub(crate) fn seeds(mut self, seeds: &[&str]) -> Self {
        for seed in seeds {
            self = self.args(&["--connect", seed]);
        }
        self
    }

    /// With no contacts at all.
    pub(crate) fn no_seeds(self) -> Self {
        self.args(&["--connect", "none"])
    }

    /// At this address.
    pub(crate) fn bind(self, addr: &str) -> Self {
        self.args(&["--bind", addr])
    }

    /// Asking this name server.
    pub(crate) fn dns(self, dns: &Dns) -> Self {
        self.args(&["--dns-server", &dns.addr()])
    }

    /// In this runtime directory, which it may share with others; otherwise it gets one of its own.
    pub(crate) fn runtime_dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// With these further arguments.
    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// With this environment variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts it, without waiting for anything.
    pub(crate) fn start(&self) -> Agent {
        Agent::start(self.clone())
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_ready(&self) -> Agent {
        let mut agent = self.start();
        agent.expect_ready();
        agent
    }

    /// Starts what is expected to end by itself at once.
    #[track_caller]
    pub(crate) fn run(&self) -> Run {
        let own = TempDir::with_prefix("chisme").expect("a temporary directory");
        Run::of(&mut self.command(self.dir.as_deref().unwrap_or_else(|| own.path())))
    }

    pub(super) fn command(&self, dir: &Path) -> Command {
        let mut command = match &self.host {
            Some(host) => host.command(CHISME),
            None => Command::new(CHISME),
        };
        cli::clean(&mut command).env("CHISME_RUNTIME_DIR", dir).arg("agent");
        command.args(&self.arguments).args(["--events", "json"]);
        if let Some(cookie) = &self.cookie {
            command.env("CHISME_COOKIE", cookie);
        }
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }
}

/// The name of this machine up to the first dot.
pub(crate) fn short_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}
