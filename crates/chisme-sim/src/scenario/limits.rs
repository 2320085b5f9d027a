//! What a scenario may ask for: the largest numbers, and groups in which there is somebody.
//!
//! It is asked at each point of a grid, where the number of nodes is known.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::Group;
use super::model::{
    Answer, Attack, Burst, Cut, Expect, Fault, Latency, Link, MOST_SAID, Nodes, TimedFault, Tuning,
};
use crate::clock::DRIFT;
use crate::fault::GOODBYE;
use crate::host::{Common, Setup};

/// No duration of a scenario is longer, and no fault ends later: 30 days of virtual time.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The most seeds of a file.
pub(super) const MAX_SEEDS: u64 = 1_000_000;

/// The most points of a grid.
pub(super) const MAX_POINTS: usize = 10_000;

/// The most datagrams a second that an attacker sends to one node.
pub(super) const MAX_RATE: u32 = 10_000;

/// The most seconds by which a wall clock jumps: 50 years, since it must not come before 1970.
pub(super) const MAX_STEP: i64 = 50 * 365 * 24 * 60 * 60;

/// No time of a burst is shorter: each costs a step of the simulation.
const SHORTEST_BURST: Duration = Duration::from_millis(1);

/// Keys of a scenario that do nothing in its grid.
const NOT_IN_GRID: [&str; 7] = ["seeds", "grid", "why", "expected", "source", "axes", "target"];

/// A key and what is wrong with its value.
pub(crate) type Wrong = (String, String);

/// Whether a grid has points, and not too many.
pub(super) fn grid<'a>(
    grid: impl Iterator<Item = (&'a String, &'a Vec<toml::Value>)>,
) -> Result<(), Wrong> {
    let mut points = 1_usize;
    for (key, values) in grid {
        let wrong = |problem: &str| Err((format!("grid.{key}"), problem.to_owned()));
        if values.is_empty() {
            return wrong(
                "is an empty list, so that nothing would run: give it values or take it out",
            );
        }
        if NOT_IN_GRID.contains(&key.split('.').next().unwrap_or_default()) {
            return wrong(
                "does nothing in a grid: take it out (seeds come with --seeds or `seeds`)",
            );
        }
        points = points.saturating_mul(values.len());
    }
    if points > MAX_POINTS {
        let problem =
            format!("has {points} points; at most {MAX_POINTS} are possible: shorten a list");
        return Err(("grid".to_owned(), problem));
    }
    Ok(())
}

/// Whether numbers that are expected can be compared with anything.
pub(super) fn expect(place: &str, expect: &Expect) -> Result<(), Wrong> {
    let rates = [
        ("datagrams_per_second", expect.datagrams_per_second),
        ("bytes_per_second", expect.bytes_per_second),
        ("datagrams_in_faults", expect.datagrams_in_faults),
        ("datagrams_at_rest", expect.datagrams_at_rest),
        ("bytes_at_rest", expect.bytes_at_rest),
    ];
    for (key, rate) in rates {
        if let Some(rate) = rate
            && !(rate.is_finite() && rate >= 0.0)
        {
            let problem = format!("is {rate}; it must be a finite number that is not negative");
            return Err((format!("{place}.{key}"), problem));
        }
    }
    Ok(())
}

/// Whether there is somebody in each group of which something is expected.
pub(super) fn groups(expect: &Expect, nodes: &Nodes) -> Result<(), Wrong> {
    let wrong = |problem| Err(("expect.life_changes".to_owned(), problem));
    for (group, members, _) in expect.groups_with_limits(nodes) {
        if let Err(problem) = group.check(nodes.count, &nodes.zones) {
            return wrong(problem);
        }
        if members.is_empty() {
            return wrong(format!("\"{group}\" is nobody among {} nodes", nodes.count));
        }
    }
    Ok(())
}

/// Whether a node of production takes these settings, in such a cluster.
pub(super) fn config(tuning: &Tuning, nodes: &Nodes) -> Result<(), Wrong> {
    if let Some(most) = tuning.max_members
        && nodes.acquainted
        && most + 1 < nodes.count
    {
        let count = nodes.count;
        let problem =
            format!("is {most}, and each of {count} acquainted nodes remembers all others");
        return Err(("config.max_members".to_owned(), problem));
    }
    if let Some(bytes) = tuning.record_bytes.filter(|&bytes| bytes > MOST_SAID) {
        let problem = format!("is {bytes}; it is from 0 to {MOST_SAID}");
        return Err(("config.record_bytes".to_owned(), problem));
    }
    let mut setup = Setup::new("n0", ([10, 0, 0, 1], 1).into());
    tuning.apply(&mut setup);
    let config = setup.config(&mut Common::default());
    config.validate().map_err(|error| ("config".to_owned(), error.to_string()))
}

/// Whether a fault is about somebody, each number of it is possible, and its end comes, but not before
/// all have had their turn. `happens`: whether it must do something. There are `count` machines, in
/// these zones.
///
/// The key is that within its `[[fault]]`; the problem can be understood without it.
pub(crate) fn fault(
    timed: &TimedFault,
    count: usize,
    zones: &[String],
    happens: bool,
) -> Result<(), Wrong> {
    numbers(&timed.fault).map_err(|(key, problem)| {
        let problem = format!("{key} {problem}");
        (key, problem)
    })?;
    groups_of(&timed.fault, count, zones, happens)
        .map_err(|problem| (timed.fault.key().to_owned(), problem))?;
    let turns = turns(&timed.fault, count, zones);
    let end = end(timed, count, zones);
    if let Some(lasts) = timed.lasts.filter(|lasts| *lasts < turns) {
        let (lasts, turns) = (exactly(lasts), exactly(turns));
        let problem = format!(
            "takes {turns} until the last has had its turn, and would be cut short after {lasts}: make its `for` as long, or leave it out"
        );
        return Err(("for".to_owned(), problem));
    }
    if end > LONGEST {
        let (end, longest) = (told(end), told(LONGEST));
        let problem = format!("ends after {end}; the faults of a scenario end within {longest}");
        return Err((timed.fault.key().to_owned(), problem));
    }
    Ok(())
}

/// When a fault is over.
pub(crate) fn end(timed: &TimedFault, count: usize, zones: &[String]) -> Duration {
    let turns = turns(&timed.fault, count, zones);
    timed.at.saturating_add(turns.max(timed.lasts.unwrap_or_default()))
}

/// Whether there is somebody in each group, and something that it can do to them.
fn groups_of(fault: &Fault, count: usize, zones: &[String], happens: bool) -> Result<(), String> {
    let members = |group: &Group, others: &[usize]| members(group, count, zones, others);
    let everybody = |group: &Group| format!("cuts nothing: \"{group}\" is everybody");
    match fault {
        Fault::Cut(Cut::Islands(groups)) => {
            let mut so_far = Vec::new();
            for group in groups {
                let island = members(group, &so_far)?;
                // Whoever is in several islands is in the last of them.
                if groups.last() == Some(group) && island.len() == count {
                    return Err(everybody(group));
                }
                so_far.extend(island);
            }
        }
        Fault::Link { from, to, .. } | Fault::Cut(Cut::OneWay { from, to }) => {
            let (one, other) = if from.is_rest() { (to, from) } else { (from, to) };
            let of = members(one, &[])?;
            let others = members(other, &of)?;
            let drawn = one.is_drawn() || other.is_drawn();
            if !drawn && of.len() == 1 && of == others {
                return Err(format!(
                    "does nothing: \"{from}\" and \"{to}\" are one and the same node; name two"
                ));
            }
        }
        Fault::Cut(Cut::Off(group) | Cut::Bridge(group)) | Fault::FlipFlop { nodes: group, .. } => {
            if members(group, &[])?.len() == count {
                return Err(everybody(group));
            }
        }
        Fault::Cut(Cut::Majorities) if count < 4 => {
            return Err(format!("cuts nothing among {count} nodes: each reaches a majority, all"));
        }
        fault => {
            if let Some(group) = fault.nodes() {
                members(group, &[])?;
            }
        }
    }
    match fault {
        Fault::Dns { answer: Answer::Disjoint, .. } if zones.is_empty() => {
            Err("answers by zones, and there are none: set nodes.zones".to_owned())
        }
        Fault::Clock { drift_ppm: 0, step_seconds: 0, .. } if happens => {
            Err("changes nothing: give it a drift_ppm or step_seconds other than 0".to_owned())
        }
        _ => Ok(()),
    }
}

/// How long it takes until the last of those to whom something is done one after another has had its
/// turn, and is back if it comes back.
fn turns(fault: &Fault, count: usize, zones: &[String]) -> Duration {
    let of = fault.nodes().and_then(|group| members(group, count, zones, &[]).ok());
    let nodes = u32::try_from(of.map_or(0, |nodes| nodes.len())).unwrap_or(u32::MAX);
    let after_the_first = nodes.saturating_sub(1);
    match *fault {
        Fault::Leave { every, .. } => every.saturating_mul(after_the_first),
        Fault::RollingRestart { every, .. } => {
            every.saturating_mul(after_the_first).saturating_add(GOODBYE)
        }
        Fault::Swizzle { step, .. } => step.saturating_mul(nodes.saturating_add(after_the_first)),
        _ => Duration::ZERO,
    }
}

/// Whether each number of a fault is possible, and does something.
pub(super) fn numbers(fault: &Fault) -> Result<(), Wrong> {
    let step = |key: &str, seconds: i64| {
        if (-MAX_STEP..=MAX_STEP).contains(&seconds) {
            return Ok(());
        }
        wrong(key, format!("is {seconds}; it goes from -{MAX_STEP} to {MAX_STEP} seconds"))
    };
    match fault {
        Fault::Link { link, .. } => {
            self::link(link).map_err(|(key, problem)| (format!("link.is.{key}"), problem))?;
            if link.port_unreachable {
                let problem = "is of the whole network: put it into [network]";
                return wrong("link.is.port_unreachable", problem);
            }
            if *link == Link::default() {
                let problem = "is empty and changes nothing: say what the links are like";
                return wrong("link.is", problem);
            }
        }
        Fault::Clock { drift_ppm, .. } if !DRIFT.contains(drift_ppm) => {
            let (least, most) = (DRIFT.start(), DRIFT.end());
            let problem = format!("is {drift_ppm}; it goes from {least} to {most}");
            return wrong("clock.drift_ppm", problem);
        }
        Fault::Clock { step_seconds, .. } => step("clock.step_seconds", *step_seconds)?,
        Fault::Restart { clock: Some(seconds), .. } => step("restart.clock", *seconds)?,
        Fault::Slow { per_datagram, .. } if per_datagram.is_zero() => {
            return wrong("slow.per_datagram", "is 0s and slows nobody: make it longer");
        }
        Fault::Swizzle { step, .. } if step.is_zero() => {
            return wrong("swizzle.step", "is 0s and clogs nobody: make it longer");
        }
        Fault::FlipFlop { period, .. } if period.is_zero() => {
            return wrong("flip_flop.period", "is 0s: make it longer");
        }
        Fault::Cut(Cut::Islands(islands)) if islands.is_empty() => {
            let problem = "is empty: name the groups that reach only themselves";
            return wrong("cut.islands", problem);
        }
        Fault::Attack(Attack { rate, .. }) if !(1..=MAX_RATE).contains(rate) => {
            let problem = format!("is {rate}; it goes from 1 to {MAX_RATE} a second");
            return wrong("attack.rate", problem);
        }
        _ => {}
    }
    Ok(())
}

/// Whether each number of a link is possible.
pub(crate) fn link(link: &Link) -> Result<(), Wrong> {
    let parts = [
        ("loss", link.loss),
        ("duplicate", link.duplicate),
        ("reorder", link.reorder),
        ("corrupt", link.corrupt),
        ("truncate", link.truncate),
        ("burst.loss", link.burst.map(|burst| burst.loss)),
        ("late_replay.part", link.late_replay.map(|(part, _)| part)),
    ];
    for (key, part) in parts {
        if let Some(part) = part
            && !(0.0..=1.0).contains(&part)
        {
            let problem = format!("is {part}; it is a part of all datagrams, from 0.0 to 1.0");
            return wrong(key, problem);
        }
    }
    if link.bandwidth == Some(0) {
        return wrong("bandwidth", "is 0: make it larger; `clog = true` lets nothing through");
    }
    if let Some(Burst { good, bad, .. }) = link.burst
        && good.min(bad) < SHORTEST_BURST
    {
        let (key, is) =
            if good < SHORTEST_BURST { ("burst.good", good) } else { ("burst.bad", bad) };
        let problem =
            format!("is {is:?}; it is {SHORTEST_BURST:?} or longer; `loss` alone has no bursts");
        return wrong(key, problem);
    }
    if link.queue.is_some() && link.bandwidth.is_none() {
        return wrong("queue", "does nothing without bandwidth: give it one");
    }
    match link.latency {
        Some(Latency::Uniform(min, max)) if min > max => {
            let problem = format!("is {min:?}; it is at most latency.max, {max:?}");
            wrong("latency.min", problem)
        }
        Some(Latency::Bimodal(_, _, percent)) if percent > 100 => {
            wrong("latency.percent", format!("is {percent}; it goes from 0 to 100"))
        }
        _ => Ok(()),
    }
}

fn wrong(key: &str, problem: impl Into<String>) -> Result<(), Wrong> {
    Err((key.to_owned(), problem.into()))
}

/// Whoever is in a group; there must be somebody.
fn members(
    group: &Group,
    count: usize,
    zones: &[String],
    others: &[usize],
) -> Result<Vec<usize>, String> {
    group.check(count, zones)?;
    // How many are drawn is the same whoever they are.
    let members = group.resolve(count, zones, others, &mut ChaCha8Rng::seed_from_u64(0));
    if members.is_empty() {
        return Err(format!("\"{group}\" is nobody among {count} nodes"));
    }
    Ok(members)
}

/// Whether somebody is left to be right after all faults.
pub(super) fn survivors(faults: &[TimedFault], nodes: &Nodes) -> Result<(), String> {
    let starts = |timed: &TimedFault| {
        matches!(
            timed.fault,
            Fault::Restart { .. } | Fault::RollingRestart { .. } | Fault::ReuseAddress { .. }
        ) || matches!(timed.fault, Fault::Crash { .. }) && timed.lasts.is_some()
    };
    if faults.iter().any(starts) {
        return Ok(());
    }
    for timed in faults {
        if let Fault::Crash { nodes: group } = &timed.fault
            && members(group, nodes.count, &nodes.zones, &[])?.len() == nodes.count
        {
            return Err(format!("\"{group}\" crash for ever and nobody is left: give it a `for`"));
        }
    }
    Ok(())
}

/// A duration as a file says it, to the last of its digits.
fn exactly(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(span)
}

/// A duration as a file says it, in whole seconds.
pub(super) fn told(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(span.as_secs()))
}
