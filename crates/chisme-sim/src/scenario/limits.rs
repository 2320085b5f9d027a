//! What a scenario may ask for: the largest numbers, and groups in which there is somebody.
//!
//! It is asked at each point of a grid, where the number of nodes is known.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::Group;
use super::model::{Answer, Cut, Expect, Fault, Nodes, TimedFault, Tuning};
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

/// Keys of a scenario that do nothing in its grid.
const NOT_IN_GRID: [&str; 7] = ["seeds", "grid", "why", "expected", "source", "axes", "target"];

/// A key and what is wrong with its value.
pub(super) type Wrong = (String, String);

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
    let mut setup = Setup::new("n0", ([10, 0, 0, 1], 1).into());
    tuning.apply(&mut setup);
    let config = setup.config(&mut Common::default());
    config.validate().map_err(|error| ("config".to_owned(), error.to_string()))
}

/// Whether a fault is about somebody, and its end comes. `happens`: whether it must do something.
/// There are `count` machines, in these zones.
pub(crate) fn fault(
    timed: &TimedFault,
    count: usize,
    zones: &[String],
    happens: bool,
) -> Result<(), String> {
    let members = |group: &Group, others: &[usize]| members(group, count, zones, others);
    let named = match &timed.fault {
        Fault::Cut(Cut::Islands(groups)) => {
            let mut so_far = Vec::new();
            for group in groups {
                so_far.extend(members(group, &so_far)?);
            }
            0
        }
        Fault::Link { from, to, .. } | Fault::Cut(Cut::OneWay { from, to }) => {
            let (one, other) = if from.is_rest() { (to, from) } else { (from, to) };
            let of = members(one, &[])?;
            members(other, &of)?;
            0
        }
        fault => match fault.nodes() {
            Some(group) => members(group, &[])?.len(),
            None => 0,
        },
    };
    match &timed.fault {
        Fault::Cut(Cut::Off(group) | Cut::Bridge(group)) if members(group, &[])?.len() == count => {
            return Err(format!("cuts nothing: \"{group}\" is everybody"));
        }
        Fault::Cut(Cut::Majorities) if count < 4 => {
            return Err(format!("cuts nothing among {count} nodes: each reaches a majority, all"));
        }
        Fault::Dns { answer: Answer::Disjoint, .. } if zones.is_empty() => {
            return Err("answers by zones, and there are none: set nodes.zones".to_owned());
        }
        _ => {}
    }
    if let Fault::Clock { drift_ppm: 0, step_seconds: 0, .. } = timed.fault
        && happens
    {
        return Err("changes nothing: give it a drift_ppm or step_seconds other than 0".to_owned());
    }
    let named = u32::try_from(named).unwrap_or(u32::MAX);
    let turns = match timed.fault {
        Fault::Leave { every, .. } | Fault::RollingRestart { every, .. } => every * named,
        Fault::Swizzle { step, .. } => step * 2 * named,
        _ => Duration::ZERO,
    };
    let end = timed.at + turns.max(timed.lasts.unwrap_or_default());
    if end > LONGEST {
        let (end, longest) = (told(end), told(LONGEST));
        return Err(format!("ends after {end}; the faults of a scenario end within {longest}"));
    }
    Ok(())
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

/// A duration as a file says it.
pub(super) fn told(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(span.as_secs()))
}
