//! The acts of the demo, each with its check: what did not happen is an error.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use tokio::time::{Instant, MissedTickBehavior};

use super::stage::{AGENTS, MOVED, Stage, ZONE, seconds};
use crate::control::wire::ViewLine;

/// The limits of the acts; that of the whole is in `demo`.
const READY: Duration = Duration::from_secs(8);
const FORMED: Duration = Duration::from_secs(16);
const DETECTED: Duration = Duration::from_secs(18);
const RESTARTED: Duration = Duration::from_secs(9);
const CUT: Duration = Duration::from_secs(18);
const HEALED: Duration = Duration::from_secs(12);
const LEFT: Duration = Duration::from_secs(4);

/// Who is killed, and who leaves.
const VICTIM: usize = 2;
const LEAVER: usize = 3;

/// The two sides of the cut.
const SIDES: [&[usize]; 2] = [&[0, 1], &[2, 3, 4]];

const ALL: [usize; AGENTS] = [0, 1, 2, 3, 4];

/// Everything, from the first agent to the last.
pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    stage.say(&format!(
        "a DNS server in this process serves {ZONE} at {} over UDP and TCP; it has no names yet",
        stage.dns.addr()
    ))?;
    start(stage).await.context("starting the agents")?;
    let formed = form(stage).await.context("forming the cluster")?;
    let detected = crash(stage).await.context("noticing the crash")?;
    let back = restart(stage).await.context("taking the restarted node back")?;
    let cut = partition(stage).await.context("cutting the cluster in two")?;
    let healed = heal(stage).await.context("healing the cut")?;
    let left = leave(stage).await.context("leaving")?;
    stage.title("Everything happened:")?;
    for (what, took) in [
        ("from the first DNS record to five whole views", formed),
        ("from SIGKILL to the last survivor's \"down\"", detected),
        ("from the restart to the last \"up\"", back),
        ("from the cut to two separate clusters", cut),
        ("from the end of the cut to one cluster again", healed),
        ("from `leave` to the last \"left\"", left),
    ] {
        stage.note(&format!("{:>9}  {what}", short(took)))?;
    }
    Ok(())
}

/// Five processes that know one name, which does not exist.
async fn start(stage: &mut Stage) -> anyhow::Result<()> {
    stage.title("1. Five agents start. All that they know is a name, which has no records yet.")?;
    for n in ALL {
        stage.start(n, n)?;
        let agent = &stage.agents[n];
        let addrs: Vec<String> = agent.addrs().iter().map(ToString::to_string).collect();
        let (name, seed) = (agent.name(), agent.seed());
        let pid = agent.pid().unwrap_or_default();
        let text = format!("{name}: pid {pid}, listens at {}, seed {seed}", addrs.join(" and "));
        stage.say(&text)?;
    }
    if !stage.has_v6() {
        stage.say("this host has no IPv6: no AAAA records")?;
    }
    let ready = |stage: &Stage| stage.after(0).iter().filter(|line| line.event == "ready").count();
    stage.until("five agents are ready", READY, |stage| ready(stage) == AGENTS).await?;
    for n in ALL {
        // The zone itself exists, so about its own name DNS says something else.
        let said = seed_says(stage, n, &["no_such_name", "no_data"]).await?;
        stage.say(&format!("{} asked DNS: {said}", stage.agents[n].name()))?;
    }
    Ok(())
}

/// Waits until an agent has one of these answers from its seed, and gives it for people.
async fn seed_says(stage: &Stage, n: usize, wanted: &[&str]) -> anyhow::Result<String> {
    let client = stage.agents[n].client()?;
    let end = Instant::now() + READY;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let seeds = client.status().await?.seeds;
        let seed = seeds.first().context("an agent has a seed")?;
        if wanted.contains(&seed.last.as_str()) {
            return Ok(format!("{}: {}", seed.source, seed.detail));
        }
        ensure!(Instant::now() < end, "DNS said {}, not {wanted:?}", seed.last);
        ticks.tick().await;
    }
}

async fn form(stage: &mut Stage) -> anyhow::Result<f64> {
    stage
        .title("2. The records appear. The agents ask again by themselves, and form a cluster.")?;
    let (mark, at) = (stage.mark(), SystemTime::now());
    for entry in stage.publish().await? {
        stage.say(&entry.to_string())?;
    }
    stage.until_view(&ALL, FORMED).await?;
    stage.table()?;
    let took = last(stage.after(mark), at);
    stage.say(&format!("all five see all five, {} after the records appeared", short(took)))?;
    Ok(took)
}

async fn crash(stage: &mut Stage) -> anyhow::Result<f64> {
    let name = stage.agents[VICTIM].name().to_owned();
    stage.title(&format!("3. {name} is killed by SIGKILL: it cannot say goodbye."))?;
    let mark = stage.mark();
    let pid = stage.agents[VICTIM].pid().unwrap_or_default();
    let at = stage.kill(VICTIM).await?;
    stage.say(&format!("SIGKILL to pid {pid}, {name}"))?;
    let survivors: Vec<usize> = ALL.into_iter().filter(|&n| n != VICTIM).collect();
    stage.until_view(&survivors, DETECTED).await?;
    stage.table()?;
    let lines = stage.after(mark);
    nobody_else_fell(lines, &[&name])?;
    let times = each(lines, "down", at, &name);
    ensure!(times.len() == survivors.len(), "{} of 4 survivors said so", times.len());
    let suspected = lines.iter().find(|line| line.event == "suspect" && line.peer == name);
    if let Some(line) = suspected {
        let text = format!("first suspected by {} after {}", line.node, short(seconds(at, line)));
        stage.say(&text)?;
    }
    Ok(report(stage, "known to be down", &times)?)
}

async fn restart(stage: &mut Stage) -> anyhow::Result<f64> {
    let name = stage.agents[VICTIM].name().to_owned();
    stage
        .title(&format!("4. {name} starts again, at another address: a name is not an address."))?;
    let (mark, at) = (stage.mark(), SystemTime::now());
    stage.start(VICTIM, MOVED)?;
    stage.publish().await?;
    let addrs: Vec<String> = stage.agents[VICTIM].addrs().iter().map(ToString::to_string).collect();
    stage.say(&format!("{name} listens at {}; DNS says so too", addrs.join(" and ")))?;
    stage.until_view(&ALL, RESTARTED).await?;
    stage.table()?;
    let lines = stage.after(mark);
    nobody_else_fell(lines, &[])?;
    let times = each(lines, "up", at, &name);
    ensure!(times.len() == AGENTS - 1, "{} of 4 have said that it is up", times.len());
    Ok(report(stage, "up again", &times)?)
}

async fn partition(stage: &mut Stage) -> anyhow::Result<f64> {
    stage
        .title("5. The cluster is cut in two: the agents drop all datagrams of the other side.")?;
    let (mark, at) = (stage.mark(), SystemTime::now());
    let [left, right] = SIDES;
    for (side, other) in [(left, right), (right, left)] {
        let addrs: Vec<_> = other.iter().flat_map(|&n| stage.agents[n].addrs().to_vec()).collect();
        for &n in side {
            stage.agents[n].client()?.block(addrs.clone()).await?;
        }
    }
    let names = |side: &[usize]| {
        side.iter().map(|&n| stage.agents[n].name()).collect::<Vec<_>>().join(", ")
    };
    let text = format!("cut between {} and {}", names(left), names(right));
    stage.say(&text)?;
    // Both at once: what one side says while the other is waited for counts too.
    let apart = |stage: &Stage| SIDES.iter().all(|side| stage.sees_exactly(side));
    stage.until("each side has given up the other", CUT, apart).await?;
    stage.table()?;
    let took = last(stage.after(mark), at);
    stage.say(&format!("each side is a cluster of its own after {}", short(took)))?;
    Ok(took)
}

async fn heal(stage: &mut Stage) -> anyhow::Result<f64> {
    stage.title("6. The cut ends. Nobody is told: nodes go on looking for those they lost.")?;
    let (mark, at) = (stage.mark(), SystemTime::now());
    for n in ALL {
        stage.agents[n].client()?.block(Vec::new()).await?;
    }
    stage.until_view(&ALL, HEALED).await?;
    stage.table()?;
    let took = last(stage.after(mark), at);
    stage.say(&format!("all five see all five again after {}", short(took)))?;
    Ok(took)
}

async fn leave(stage: &mut Stage) -> anyhow::Result<f64> {
    let name = stage.agents[LEAVER].name().to_owned();
    stage.title(&format!("7. {name} leaves. That is no failure, and nobody calls it one."))?;
    let (mark, at) = (stage.mark(), SystemTime::now());
    stage.agents[LEAVER].client()?.leave().await?;
    stage.wait_for_end(LEAVER).await?;
    let rest: Vec<usize> = ALL.into_iter().filter(|&n| n != LEAVER).collect();
    stage.until_view(&rest, LEFT).await?;
    stage.table()?;
    let lines = stage.after(mark);
    nobody_else_fell(lines, &[])?;
    let times = each(lines, "left", at, &name);
    ensure!(times.len() == rest.len(), "{} of 4 have said that it left", times.len());
    Ok(report(stage, "known to have left", &times)?)
}

/// After how many seconds each agent first said `event` of `peer`.
fn each(lines: &[ViewLine], event: &str, start: SystemTime, peer: &str) -> BTreeMap<String, f64> {
    let mut times = BTreeMap::new();
    for line in lines.iter().filter(|line| line.event == event && line.peer == peer) {
        times.entry(line.node.clone()).or_insert_with(|| seconds(start, line));
    }
    times
}

/// Shows when each agent knew; the time of the last one.
fn report(stage: &mut Stage, what: &str, times: &BTreeMap<String, f64>) -> std::io::Result<f64> {
    let list: Vec<String> = times.iter().map(|(name, &s)| format!("{name} {}", short(s))).collect();
    stage.say(&format!("{what} after: {}", list.join(", ")))?;
    Ok(times.values().copied().fold(0.0, f64::max))
}

/// A time for people.
fn short(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// When the last of `lines` was said, in seconds since `start`.
fn last(lines: &[ViewLine], start: SystemTime) -> f64 {
    lines.iter().map(|line| seconds(start, line)).fold(0.0, f64::max)
}

/// Fails if anybody but `fallen` was called down.
fn nobody_else_fell(lines: &[ViewLine], fallen: &[&str]) -> anyhow::Result<()> {
    let wrong =
        lines.iter().find(|line| line.event == "down" && !fallen.contains(&line.peer.as_str()));
    match wrong {
        Some(line) => bail!("{} called {} down, which lives", line.node, line.peer),
        None => Ok(()),
    }
}
