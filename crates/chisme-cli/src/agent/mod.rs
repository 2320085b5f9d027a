//! `chisme agent`: one node in the foreground, from its settings to its end.
//!
//! `state` is what the parts share; `follower` and `view` turn the node's events into lines,
//! `notices` into advice; `siblings` watches the runtime directory, `reload` answers SIGHUP.

pub(crate) mod follower;
pub(crate) mod notices;
mod reload;
mod siblings;
pub(crate) mod state;
mod view;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use chisme::proto::StopReason;
use chisme::seed::ResolverSettings;
use chisme::{Cluster, StartError};
use clap::ArgMatches;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::follower::Follower;
use self::notices::Notices;
use self::siblings::Siblings;
use self::state::{AgentState, Origins};
use crate::args::AgentArgs;
use crate::control::server;
use crate::control::wire::{ViewLine, unix_nanos};
use crate::cookie::{self, Found};
use crate::lines::Lines;
use crate::logs;
use crate::runtime::{NodeFile, RuntimeDir};
use crate::settings::{Settings, Surroundings};
use crate::usage::{system, with_causes};

/// How long the last lines may take to be written when the agent ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// How long a node is alone before its log says why that may be.
const ALONE_AFTER: Duration = Duration::from_secs(5);

/// How long the last events may take to become lines.
const LAST_EVENTS_PATIENCE: Duration = Duration::from_millis(200);

/// What SIGHUP reads again.
pub(crate) struct Told {
    pub(crate) args: AgentArgs,
    pub(crate) matches: ArgMatches,
}

/// Checks everything, then runs a node until it leaves. Nothing starts if anything is wrong.
pub(crate) fn run(args: AgentArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    crate::abort::on_panic();
    crate::demo::die_with_the_demo();
    let told = Told { args, matches: matches.clone() };
    let settings = Settings::resolve(&told.args, &told.matches, &Surroundings::read())?;
    let filter = logs::filter(settings.log.as_ref())?;
    let cookies = reload::Cookies::read(&settings)?;
    let log = logs::start(filter)?;
    let stdout = match settings.events {
        Some(_) => Some(Lines::to("stdout", std::io::stdout()).context("cannot start a thread")?),
        None => None,
    };
    // Files of the agent are its user's own from their first moment.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(told, settings, cookies, stdout.clone()));
    for lines in stdout.iter().chain([&log]) {
        lines.flush(FLUSH_PATIENCE);
    }
    ended
}

async fn serve(
    told: Told,
    settings: Settings,
    cookies: reload::Cookies,
    stdout: Option<Lines>,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    if let Some(warning) = cookie::weakness(&cookies.primary) {
        tracing::warn!("{warning}");
    }
    let dir = RuntimeDir::open(settings.runtime_dir.as_deref())?;
    let (claim, listener) = dir.claim(&settings.name)?;
    listener.set_nonblocking(true)?;
    let mut siblings =
        Siblings::new(dir, settings.name.clone(), settings.cluster.as_str().to_owned());
    let (found, known) = watch::channel(siblings.look());
    tokio::spawn(siblings.follow(found));

    let started = Instant::now();
    let cluster = start(&settings, &cookies, known).await?;
    let follower = Follower::new(cluster.clone());
    let local = cluster.snapshot().local.clone();
    claim.publish(NodeFile {
        name: settings.name.to_string(),
        pid: std::process::id(),
        session: local.session.to_string(),
        cluster: settings.cluster.as_str().to_owned(),
        addrs: cluster.local_addrs().to_vec(),
        socket: String::new(),
    })?;
    let state = Arc::new(AgentState {
        cluster,
        cluster_name: settings.cluster.as_str().to_owned(),
        started,
        notices: Mutex::new(Notices::default()),
        origins: Mutex::new(Origins::of(&settings, &cookies.primary)),
    });
    announce(&state, stdout.as_ref());
    let journal = tokio::spawn(journal(follower, Arc::clone(&state), stdout));
    tokio::spawn(say_if_alone(Arc::clone(&state)));
    let (stop, stopping) = watch::channel(false);
    let listener = UnixListener::from_std(listener)?;
    let control = tokio::spawn(server::serve(listener, Arc::clone(&state), stopping));

    let mut reloader = reload::Reloader::new(told, settings, cookies);
    let ended = live(&state, &mut signals, &mut reloader).await;
    if ended.is_ok() {
        // The journal ends by itself, with the node.
        _ = tokio::time::timeout(LAST_EVENTS_PATIENCE, journal).await;
    }
    stop.send_replace(true);
    if !matches!(ended, Err(Ended::Forced(_))) {
        // It bounds itself.
        _ = control.await;
    }
    drop(claim);
    match ended {
        Ok(()) => {
            tracing::info!("{} has left the cluster", state.cluster.name());
            Ok(ExitCode::SUCCESS)
        }
        Err(Ended::Forced(code)) => Ok(ExitCode::from(code)),
        Err(Ended::Conflict) => anyhow::bail!(
            "another live node holds the name {} with a newer start; this one has stopped",
            state.cluster.name()
        ),
        Err(Ended::Unknown(reason)) => anyhow::bail!("the node has stopped: {reason:?}"),
    }
}

/// Says once if the seeds lead to addresses and nobody there answers: a wrong cookie meets silence.
async fn say_if_alone(state: Arc<AgentState>) {
    loop {
        tokio::time::sleep(ALONE_AFTER).await;
        let Ok(report) = state.report().await else { return };
        if let Some(why) = notices::unanswered(&report) {
            tracing::warn!("{why}");
            return;
        }
        if report.up > 1 {
            return;
        }
    }
}

/// Why an agent ended otherwise than by leaving.
enum Ended {
    /// By a second signal: the exit status.
    Forced(u8),
    /// Another node has its name.
    Conflict,
    /// For a reason that this version does not know, or without one.
    Unknown(Option<StopReason>),
}

/// Waits for the end, and does what signals say until then.
async fn live(
    state: &AgentState,
    signals: &mut Signals,
    reloader: &mut reload::Reloader,
) -> Result<(), Ended> {
    let stopped = state.cluster.stopped();
    tokio::pin!(stopped);
    let mut leaving = false;
    loop {
        tokio::select! {
            reason = &mut stopped => return match reason {
                Some(StopReason::Left) => Ok(()),
                Some(StopReason::NameConflict) => Err(Ended::Conflict),
                reason => Err(Ended::Unknown(reason)),
            },
            asked = signals.next() => match asked {
                Asked::Reload => reloader.reload(state).await,
                Asked::Leave { signal, status } if leaving => {
                    tracing::warn!("{signal} again: stopping at once, without saying goodbye");
                    return Err(Ended::Forced(status));
                }
                Asked::Leave { signal, .. } => {
                    leaving = true;
                    tracing::info!("{signal}: leaving the cluster (a second one stops at once)");
                    let cluster = state.cluster.clone();
                    tokio::spawn(async move { cluster.leave().await });
                }
            },
        }
    }
}

async fn start(
    settings: &Settings,
    cookies: &reload::Cookies,
    siblings: watch::Receiver<Vec<chisme::proto::Sibling>>,
) -> anyhow::Result<Cluster> {
    let resolver = ResolverSettings::with_nameservers(settings.dns_servers.clone());
    let mut builder = Cluster::builder(settings.name.as_str())
        .cookie(cookies.primary.cookie.clone())
        .cluster_name(settings.cluster.as_str())
        .resolver(resolver)
        .detector(settings.preset.detector())
        .siblings(siblings);
    for cookie in &cookies.accepted {
        builder = builder.accept_cookie(cookie.clone());
    }
    for &addr in &settings.bind.value {
        builder = builder.bind(addr);
    }
    for &addr in &settings.advertise {
        builder = builder.advertise(addr);
    }
    for seed in &settings.seeds.value {
        builder = builder.seed(seed);
    }
    for (key, value) in &settings.record.tags {
        builder = builder.tag(key, value);
    }
    for service in settings.record.services.values() {
        builder = builder.service(service.clone());
    }
    if let Some(versions) = settings.versions {
        builder = builder.versions(versions);
    }
    builder.start().await.map_err(|error| explain(&error, settings))
}

/// An address that is taken: who asked for it?
fn explain(error: &StartError, settings: &Settings) -> anyhow::Error {
    match error {
        StartError::Bind { addr, error } => {
            let (origin, why) = (&settings.bind.origin, system(error));
            anyhow::anyhow!("cannot bind {addr}, asked for by {origin}: {why}")
        }
        other => anyhow::anyhow!("cannot start: {}", with_causes(other)),
    }
}

/// Says that gossip can start.
fn announce(state: &AgentState, stdout: Option<&Lines>) {
    let name = state.cluster.name().to_string();
    let addrs: Vec<String> = state.cluster.local_addrs().iter().map(|a| a.to_string()).collect();
    tracing::info!(cluster = state.cluster_name, "{name} is ready at {}", addrs.join(" and "));
    if let Some(stdout) = stdout {
        print(
            stdout,
            &ViewLine {
                t: unix_nanos(SystemTime::now()),
                node: name.clone(),
                event: "ready".to_owned(),
                peer: name,
                n: 1,
            },
        );
    }
}

/// Writes every change of the view to stdout, and keeps what an operator should look at.
async fn journal(mut follower: Follower, state: Arc<AgentState>, stdout: Option<Lines>) {
    let mut dropped = 0;
    while let Some(step) = follower.next().await {
        state.notices.lock().expect("no holder of the lock panics").add(&step.event, step.at);
        let Some(stdout) = &stdout else { continue };
        for change in &step.changes {
            print(
                stdout,
                &ViewLine {
                    t: unix_nanos(step.at),
                    node: state.cluster.name().to_string(),
                    event: change.event.to_owned(),
                    peer: change.peer.to_string(),
                    n: change.n,
                },
            );
        }
        if stdout.dropped() > dropped {
            dropped = stdout.dropped();
            tracing::warn!(dropped, "nobody reads stdout fast enough: event lines were dropped");
        }
    }
}

fn print(stdout: &Lines, line: &ViewLine) {
    match serde_json::to_vec(line) {
        Ok(mut json) => {
            json.push(b'\n');
            stdout.send(json);
        }
        Err(error) => tracing::error!(%error, "an event line could not be written"),
    }
}

impl Origins {
    /// For people.
    fn of(settings: &Settings, cookie: &Found) -> Self {
        Self { cookie: cookie.origin.clone(), seeds: settings.seeds.origin.to_string() }
    }
}

/// The signals that an agent listens to, from before it starts anything.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Leave { signal: "SIGTERM", status: 128 + 15 },
            _ = self.interrupt.recv() => Asked::Leave { signal: "Ctrl-C", status: 128 + 2 },
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

/// What a signal asks for.
enum Asked {
    /// To leave; `status` is what shells know for an end by this signal.
    Leave { signal: &'static str, status: u8 },
    /// To read settings again.
    Reload,
}
