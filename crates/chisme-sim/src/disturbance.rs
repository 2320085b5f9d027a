//! What was done to whom, and when: what excuses a Down, and who counts as disturbed.
//!
//! Whoever begins a fault says so here; `check` asks. It knows machines by number, and no datagram.

use std::collections::BTreeSet;
use std::time::Duration;

use chisme_proto::Instant;

/// How long after a disturbance its consequences are excused: a suspicion of a thousand members,
/// from the probe that failed to the last observer who hears how it ended.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// What is done to machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// They do not work as they should: frozen, stalled, slow.
    Impaired(Vec<usize>),
    /// What the one sends to the other does not arrive, or only much later; perhaps both ways.
    Apart { from: Vec<usize>, to: Vec<usize> },
    /// Datagrams on these links fare worse than on others.
    Links { from: Vec<usize>, to: Vec<usize> },
}

/// Names a disturbance, to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DisturbanceId(usize);

/// Why an observer could not know better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// One of the two did not work, or was behind links that are worse than those of others.
    Impaired,
    /// What one of the two sent did not reach the other.
    Apart,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    until: Option<Instant>,
}

impl Span {
    fn touches(&self, since: Instant, now: Instant) -> bool {
        self.from <= now && self.until.is_none_or(|until| until >= since)
    }
}

#[derive(Debug)]
struct Entry {
    span: Span,
    /// Whoever is disturbed by it, sorted.
    disturbed: Vec<usize>,
    /// Those whom its `from` does not reach, sorted; only of cuts.
    unreached: Vec<usize>,
}

/// All disturbances of a run.
#[derive(Debug, Default)]
pub(crate) struct Disturbances {
    machines: usize,
    entries: Vec<Entry>,
    /// Per machine, the entries that impair it, and those that keep what it sends from others.
    impairing: Vec<Vec<usize>>,
    silencing: Vec<Vec<usize>>,
    ever: BTreeSet<usize>,
}

impl Disturbances {
    /// Among so many machines; what is about all of them at once disturbs nobody in particular.
    pub(crate) fn among(machines: usize) -> Self {
        Self { machines, ..Self::default() }
    }

    pub(crate) fn begin(&mut self, disturbance: Disturbance, at: Instant) -> DisturbanceId {
        let span = Span { from: at, until: None };
        let id = self.entries.len();
        let entry = match disturbance {
            Disturbance::Impaired(nodes) => {
                self.note(true, &nodes, id);
                Entry { span, disturbed: sorted(nodes), unreached: Vec::new() }
            }
            Disturbance::Apart { from, to } => {
                self.note(false, &from, id);
                let disturbed = smaller(&from, &to);
                Entry { span, disturbed: sorted(disturbed), unreached: sorted(to) }
            }
            Disturbance::Links { from, to } => {
                let mut disturbed = smaller(&from, &to);
                if disturbed.len() >= self.machines {
                    disturbed.clear();
                }
                self.note(true, &disturbed, id);
                Entry { span, disturbed: sorted(disturbed), unreached: Vec::new() }
            }
        };
        self.ever.extend(&entry.disturbed);
        self.entries.push(entry);
        DisturbanceId(id)
    }

    fn note(&mut self, impairs: bool, nodes: &[usize], id: usize) {
        let lists = if impairs { &mut self.impairing } else { &mut self.silencing };
        for &node in nodes {
            if lists.len() <= node {
                lists.resize(node + 1, Vec::new());
            }
            lists[node].push(id);
        }
    }

    pub(crate) fn end(&mut self, id: DisturbanceId, at: Instant) {
        self.entries[id.0].span.until.get_or_insert(at);
    }

    /// A machine was disturbed by something that has no end of its own: its process was ended.
    pub(crate) fn disturbed(&mut self, node: usize) {
        self.ever.insert(node);
    }

    /// Whether a machine was ever among the disturbed.
    pub(crate) fn has_disturbed(&self, node: usize) -> bool {
        self.ever.contains(&node)
    }

    /// Whether a machine did not work as it should at some time from `since` to `now`.
    pub(crate) fn impaired(&self, node: usize, since: Instant, now: Instant) -> bool {
        let ids = self.impairing.get(node).map_or(&[][..], Vec::as_slice);
        ids.iter().any(|&id| self.entries[id].span.touches(since, now))
    }

    /// Whether what `from` sent did not reach `to` at some time from `since` to `now`.
    pub(crate) fn silenced(&self, from: usize, to: usize, since: Instant, now: Instant) -> bool {
        let ids = self.silencing.get(from).map_or(&[][..], Vec::as_slice);
        ids.iter().any(|&id| {
            let entry = &self.entries[id];
            entry.span.touches(since, now) && entry.unreached.binary_search(&to).is_ok()
        })
    }

    /// Why `observer` may hold `subject` Down at `now` although it lives, if there is a reason.
    pub(crate) fn excuse(&self, observer: usize, subject: usize, now: Instant) -> Option<Excuse> {
        let since = before(now);
        if self.impaired(observer, since, now) || self.impaired(subject, since, now) {
            return Some(Excuse::Impaired);
        }
        let apart = self.silenced(observer, subject, since, now)
            || self.silenced(subject, observer, since, now);
        apart.then_some(Excuse::Apart)
    }

    /// Whether anything of it goes on beyond `now`.
    pub(crate) fn go_on(&self, now: Instant) -> bool {
        let mut spans = self.entries.iter().map(|entry| entry.span);
        spans.any(|span| span.from <= now && span.until.is_none_or(|until| until > now))
    }
}

/// The beginning of the time whose disturbances still count at `now`.
pub(crate) fn before(now: Instant) -> Instant {
    let grace = u64::try_from(GRACE.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(now.as_nanos().saturating_sub(grace))
}

/// Of two groups whose links suffer the smaller one is the disturbed one; both if none is smaller.
fn smaller(from: &[usize], to: &[usize]) -> Vec<usize> {
    match from.len().cmp(&to.len()) {
        std::cmp::Ordering::Less => from.to_vec(),
        std::cmp::Ordering::Greater => to.to_vec(),
        std::cmp::Ordering::Equal => [from, to].concat(),
    }
}

fn sorted(mut nodes: Vec<usize>) -> Vec<usize> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_cut_excuses_its_pairs_until_the_grace_is_over() {
        let mut all = Disturbances::among(4);
        let cut = all.begin(Disturbance::Apart { from: vec![0], to: vec![1, 2, 3] }, at(10));
        all.end(cut, at(30));
        assert_eq!(all.excuse(0, 2, at(9)), None);
        assert_eq!(all.excuse(0, 2, at(10)), Some(Excuse::Apart));
        assert_eq!(all.excuse(2, 0, at(50)), Some(Excuse::Apart));
        assert_eq!(all.excuse(2, 0, at(51)), None);
        assert_eq!(all.excuse(1, 2, at(20)), None, "both on the same side");
        assert!(all.has_disturbed(0) && !all.has_disturbed(1), "the smaller side");
        assert!(all.go_on(at(20)) && !all.go_on(at(30)));
    }

    #[test]
    fn whoever_does_not_work_excuses_both_ways() {
        let mut all = Disturbances::among(4);
        all.begin(Disturbance::Impaired(vec![3]), at(10));
        assert_eq!(all.excuse(3, 1, at(500)), Some(Excuse::Impaired));
        assert_eq!(all.excuse(1, 3, at(500)), Some(Excuse::Impaired));
        assert_eq!(all.excuse(1, 2, at(500)), None);
    }

    #[test]
    fn bad_links_disturb_a_part_but_never_everybody() {
        let mut all = Disturbances::among(4);
        let everybody = vec![0, 1, 2, 3];
        all.begin(Disturbance::Links { from: everybody.clone(), to: everybody.clone() }, at(0));
        assert_eq!(all.excuse(0, 1, at(5)), None);
        all.begin(Disturbance::Links { from: everybody, to: vec![2] }, at(0));
        assert_eq!(all.excuse(0, 2, at(5)), Some(Excuse::Impaired));
        assert_eq!(all.excuse(0, 1, at(5)), None);
        assert!(all.has_disturbed(2) && !all.has_disturbed(1));
    }
}
