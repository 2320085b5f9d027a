//! One rule of the network: which links it is about, what it does to them, and how often it did.
//!
//! It knows machines by number, and of a datagram only its length.

use std::ops::AddAssign;
use std::time::Duration;

use chisme_proto::Instant;

use super::nodes::NodeSet;
use crate::scenario::{Link, Way};

/// Names a rule, to remove it. Ids are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(pub(super) u32);

/// Which links, by direction.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// From these machines to those.
    Between(NodeSet, NodeSet),
    /// Between these machines and all others, both ways.
    Across(NodeSet),
    /// To and from these machines.
    Touching(NodeSet),
    /// Between machines of different parts, by number of the machine. Part 0 is part of each;
    /// machines without a part are on their own.
    Parts(Vec<u32>),
    /// Between machines that are more than `reach` apart on a ring of `count`.
    Ring { count: usize, reach: usize },
}

impl Scope {
    pub(crate) fn has(&self, from: usize, to: usize) -> bool {
        match self {
            Self::Between(senders, receivers) => senders.has(from) && receivers.has(to),
            Self::Across(inside) => inside.has(from) != inside.has(to),
            Self::Touching(nodes) => nodes.has(from) || nodes.has(to),
            Self::Parts(parts) => match (parts.get(from), parts.get(to)) {
                (Some(one), Some(other)) => *one != 0 && *other != 0 && one != other,
                _ => from != to,
            },
            Self::Ring { count, reach } => {
                let apart = from.abs_diff(to);
                from < *count && to < *count && apart.min(count - apart) > *reach
            }
        }
    }
}

/// What is done to a datagram on such a link.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Lose,
    /// Kept back until the rule ends.
    Clog,
    Impair(Box<Link>),
}

/// In force and not in turn, each for `period`, beginning with the one at `since`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    pub(crate) since: Instant,
    pub(crate) period: Duration,
}

impl Pulse {
    fn is_on(&self, now: Instant) -> bool {
        let turns = now.saturating_since(self.since).as_nanos() / self.period.as_nanos().max(1);
        turns.is_multiple_of(2)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) scope: Scope,
    pub(crate) effect: Effect,
    pub(crate) pulse: Option<Pulse>,
    pub(crate) since: Instant,
    pub(crate) deeds: Deeds,
}

impl Rule {
    pub(crate) fn is_about(&self, from: usize, to: usize, now: Instant) -> bool {
        self.scope.has(from, to) && self.pulse.is_none_or(|pulse| pulse.is_on(now))
    }
}

/// What a rule did, each with the number of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Were lost, each by itself, or cut off.
    pub lost: u64,
    /// Were lost in bad times.
    pub lost_in_bursts: u64,
    /// Were longer than allowed, and lost.
    pub too_long: u64,
    /// Had no room in front of a narrow link, and were lost.
    pub overflowed: u64,
    /// Kept back for some time.
    pub held: u64,
    /// Took as long as the rule says instead of as long as otherwise.
    pub delayed: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Were held up, so that others overtook them.
    pub reordered: u64,
    /// Had a bit flipped.
    pub corrupted: u64,
    /// Were cut short.
    pub truncated: u64,
    /// Waited for their turn on a narrow link.
    pub queued: u64,
    /// Were sent again long after.
    pub replayed: u64,
}

impl Deeds {
    /// Each kind with its number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("lost", self.lost),
            ("lost in bursts", self.lost_in_bursts),
            ("too long", self.too_long),
            ("overflowed", self.overflowed),
            ("held", self.held),
            ("delayed", self.delayed),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("corrupted", self.corrupted),
            ("truncated", self.truncated),
            ("queued", self.queued),
            ("replayed", self.replayed),
        ]
        .into_iter()
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, n)| n).sum()
    }

    /// What was done because a link is different in this way.
    pub(crate) const fn by(&self, way: Way) -> u64 {
        match way {
            Way::Loss => self.lost,
            Way::Burst => self.lost_in_bursts,
            Way::Latency => self.delayed,
            Way::Bandwidth => self.queued + self.overflowed,
            Way::Queue => self.overflowed,
            Way::Mtu => self.too_long,
            Way::Duplicate => self.duplicated,
            Way::Reorder => self.reordered,
            Way::Corrupt => self.corrupted,
            Way::Truncate => self.truncated,
            Way::LateReplay => self.replayed,
            Way::Clog => self.held,
            // It is of the whole network, and no rule does it.
            Way::PortUnreachable => 0,
        }
    }
}

impl AddAssign for Deeds {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.lost_in_bursts += other.lost_in_bursts;
        self.too_long += other.too_long;
        self.overflowed += other.overflowed;
        self.held += other.held;
        self.delayed += other.delayed;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.truncated += other.truncated;
        self.queued += other.queued;
        self.replayed += other.replayed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secs;

    #[test]
    fn scopes_are_about_the_links_that_they_name() {
        let across = Scope::Across(NodeSet::of(&[0, 1]));
        assert!(across.has(0, 2) && across.has(2, 0) && !across.has(0, 1) && !across.has(2, 3));
        let one_way = Scope::Between(NodeSet::of(&[0]), NodeSet::but(&[0, 1]));
        assert!(one_way.has(0, 2) && !one_way.has(0, 1) && !one_way.has(2, 0));
        let touching = Scope::Touching(NodeSet::of(&[0, 1]));
        assert!(touching.has(0, 1) && touching.has(5, 0) && !touching.has(2, 3));
        let bridge = Scope::Parts(vec![1, 0, 2]);
        assert!(bridge.has(0, 2) && !bridge.has(0, 1) && !bridge.has(1, 2) && bridge.has(0, 9));
        assert!(bridge.has(9, 8) && !bridge.has(9, 9), "those without a part are alone");
        let ring = Scope::Ring { count: 5, reach: 1 };
        for node in 0..5 {
            let reached = (0..5).filter(|&other| !ring.has(node, other)).count();
            assert_eq!(reached, 3, "a majority of five");
        }
        assert!(!ring.has(0, 4) && ring.has(0, 2));
    }

    #[test]
    fn a_pulse_begins_with_itself() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let pulse = Pulse { since: at(10), period: secs(5) };
        assert!(pulse.is_on(at(10)) && pulse.is_on(at(14)));
        assert!(!pulse.is_on(at(15)) && !pulse.is_on(at(19)) && pulse.is_on(at(20)));
    }
}
