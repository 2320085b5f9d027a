//! What an operator should look at, in words: the last few of each kind, repetitions counted.

use std::collections::VecDeque;
use std::time::SystemTime;

use chisme::Event;
use chisme::proto::Rejection;

use crate::control::wire::{Notice, StatusReport, rfc3339};

/// The most notices of one kind that are kept; the one that is longest ago goes first.
const MAX_NOTICES_PER_KIND: usize = 8;

/// The question that a node of another cookie or cluster should lead to.
pub(crate) const WRONG_KEY_HINT: &str = "different cookie or cluster name?";

/// Why a node may be alone although its seeds led to addresses; nothing if that is not so. Those of
/// the node itself do not count.
pub(crate) fn unanswered(report: &StatusReport) -> Option<String> {
    let contacts = report.seeds.iter().flat_map(|seed| &seed.contacts);
    let others = contacts.filter(|addr| !report.advertised.contains(addr)).count();
    (report.up == 1 && others > 0).then(|| {
        format!(
            "alone: none of the addresses from the seeds has answered ({others}): nobody there yet, or a {}",
            WRONG_KEY_HINT
        )
    })
}

/// The notices, latest last.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    at: SystemTime,
    described: Described,
    count: u64,
}

/// An event in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Its stable name.
    pub(crate) kind: &'static str,
    /// For people; equal for repetitions.
    pub(crate) text: String,
    /// How many of it the event stands for.
    pub(crate) count: u64,
}

impl Notices {
    /// Takes in what `event` says to an operator, if it does.
    pub(crate) fn add(&mut self, event: &Event, at: SystemTime) {
        let Some(described) = describe(event) else { return };
        let same = |entry: &Entry| {
            entry.described.kind == described.kind && entry.described.text == described.text
        };
        let before = match self.entries.iter().position(same) {
            Some(index) => self.entries.remove(index).map_or(0, |entry| entry.count),
            None => 0,
        };
        let of_kind = |entry: &&Entry| entry.described.kind == described.kind;
        if self.entries.iter().filter(of_kind).count() >= MAX_NOTICES_PER_KIND {
            let oldest = self.entries.iter().position(|entry| of_kind(&entry));
            oldest.map(|index| self.entries.remove(index));
        }
        let count = before.saturating_add(described.count);
        self.entries.push_back(Entry { at, described, count });
    }

    /// All of them, latest last.
    pub(crate) fn list(&self) -> Vec<Notice> {
        self.entries
            .iter()
            .map(|entry| Notice {
                at: rfc3339(entry.at),
                kind: entry.described.kind.to_owned(),
                text: entry.described.text.clone(),
                count: entry.count,
            })
            .collect()
    }
}

/// What `event` says to an operator; nothing if it is only a change of the view.
pub(crate) fn describe(event: &Event) -> Option<Described> {
    let one = |kind, text| Some(Described { kind, text, count: 1 });
    match event {
        Event::NameConflict { name, holder, claimant, ours } => {
            let whose = if *ours { " (the name of this node)" } else { "" };
            one("name_conflict", format!("{name}{whose} is held at {holder} and at {claimant}"))
        }
        Event::Refused { peer, by_peer, reason } => {
            let who = if *by_peer { "refused by" } else { "refused" };
            one("refused", format!("{who} {peer}: {reason}"))
        }
        // Seen from the host that it runs on: that is how loopback looks, and no news.
        Event::AddressMismatch { observed, .. } if observed.ip().is_loopback() => None,
        Event::AddressMismatch { name, advertised, observed } => one(
            "address_mismatch",
            format!(
                "{name} advertises {advertised} and was seen at {observed}; if the former cannot \
                 be reached, set its --advertise"
            ),
        ),
        Event::Rejected { from, reason, count } => {
            let text = match reason {
                Rejection::UnknownKey | Rejection::BadTag => {
                    format!(
                        "datagrams from {} failed authentication ({reason}): {WRONG_KEY_HINT}",
                        from.ip()
                    )
                }
                _ => format!("datagrams from {} were dropped ({reason})", from.ip()),
            };
            Some(Described { kind: "rejected", text, count: *count })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(ip: u8, reason: Rejection) -> Event {
        Event::Rejected { from: ([10, 0, 0, ip], 4747).into(), reason, count: 3 }
    }

    #[test]
    fn repetitions_are_counted_and_move_to_the_end() {
        let mut notices = Notices::default();
        let now = SystemTime::UNIX_EPOCH;
        notices.add(&rejected(7, Rejection::UnknownKey), now);
        notices.add(&rejected(8, Rejection::Malformed), now);
        notices.add(&rejected(7, Rejection::UnknownKey), now);
        let list = notices.list();
        assert_eq!(list.len(), 2);
        assert_eq!(list[1].count, 6);
        assert_eq!(
            list[1].text,
            "datagrams from 10.0.0.7 failed authentication (unknown_key): different cookie or cluster name?"
        );
    }

    #[test]
    fn a_neighbour_that_comes_by_loopback_is_no_news() {
        let seen_at = |ip: [u8; 4]| Event::AddressMismatch {
            name: "n1@a".parse().expect("valid"),
            advertised: ([192, 0, 2, 2], 4747).into(),
            observed: (ip, 4747).into(),
        };
        assert_eq!(describe(&seen_at([127, 0, 0, 1])), None);
        assert!(describe(&seen_at([192, 0, 2, 9])).is_some());
    }

    #[test]
    fn a_flood_of_one_kind_leaves_the_others() {
        let mut notices = Notices::default();
        let now = SystemTime::UNIX_EPOCH;
        let conflict = Event::NameConflict {
            name: "n1@a".parse().expect("valid"),
            holder: ([10, 0, 0, 1], 1).into(),
            claimant: ([10, 0, 0, 2], 1).into(),
            ours: false,
        };
        notices.add(&conflict, now);
        for ip in 0..100 {
            notices.add(&rejected(ip, Rejection::UnknownKey), now);
        }
        let list = notices.list();
        assert_eq!(list.len(), MAX_NOTICES_PER_KIND + 1);
        assert_eq!(list[0].kind, "name_conflict");
    }
}
