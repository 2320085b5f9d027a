//! A fault in a few words, as reports, traces and marks tell it: what a file calls something is called so here.

use std::fmt;
use std::time::Duration;

use super::Group;
use super::model::{Answer, AttackKind, Cut, Fault, Latency, Link, Way};
use crate::network::DEFAULT_QUEUE;

/// What is told of a link that is different in more ways ends with an ellipsis.
const MOST_WAYS: usize = 2;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Link { from, to, both_ways, link } => {
                return write!(f, "{}: {}", links(from, to, *both_ways), ways(link));
            }
            Self::Cut(Cut::OneWay { from, to }) => return write!(f, "cut from {from} to {to}"),
            Self::Cut(Cut::Islands(groups)) => {
                let groups: Vec<String> = groups.iter().map(Group::to_string).collect();
                return write!(f, "islands {}", groups.join(", "));
            }
            Self::Cut(Cut::Majorities) => return f.write_str("a ring of majorities"),
            Self::Cut(Cut::Off(_)) => "cut off",
            Self::Cut(Cut::Bridge(_)) => "only a bridge:",
            Self::FlipFlop { ingress: true, .. } => "ingress comes and goes:",
            Self::FlipFlop { .. } => "comes and goes:",
            Self::Swizzle { .. } => "swizzled:",
            Self::Crash { .. } => "crash",
            Self::Restart { .. } => "restart",
            Self::Leave { .. } => "leave",
            Self::RollingRestart { .. } => "rolling restart",
            Self::Freeze { .. } => "frozen:",
            Self::Stall { .. } => "stalled:",
            Self::Slow { .. } => "slow:",
            Self::SmallBuffer { .. } => "small buffers:",
            Self::ReuseAddress { .. } => "addresses reused:",
            Self::DuplicateName { .. } => "names twice:",
            Self::Clock { .. } => "wrong clocks:",
            Self::Dns { answer, .. } => &format!("DNS {}:", said(answer)),
            Self::Attack(attack) => &format!("attack {}:", sent(attack.kind)),
        };
        f.write_str(what)?;
        self.nodes().map_or(Ok(()), |nodes| write!(f, " {nodes}"))
    }
}

impl Fault {
    /// One of several things that it does, in words.
    pub(crate) fn doing(&self, what: &str) -> String {
        match self {
            Self::Link { from, to, both_ways, .. } => {
                format!("{}: {what}", links(from, to, *both_ways))
            }
            _ => format!("{self}: {what}"),
        }
    }
}

fn links(from: &Group, to: &Group, both_ways: bool) -> String {
    let (between, and) = if both_ways { ("between", "and") } else { ("from", "to") };
    format!("links {between} {from} {and} {to}")
}

/// In which ways a link is different.
fn ways(link: &Link) -> String {
    if link.clog {
        return "clogged".to_owned();
    }
    let ways: Vec<String> = link.ways().into_iter().map(|(_, way)| way).collect();
    let rest = if ways.len() > MOST_WAYS { ", …" } else { "" };
    if ways.is_empty() {
        return "as ever".to_owned();
    }
    ways[..ways.len().min(MOST_WAYS)].join(", ") + rest
}

impl Link {
    /// Each way in which it is different, in words.
    fn ways(&self) -> Vec<(Way, String)> {
        let part =
            |name: &str, part: Option<f64>| part.map(|part| format!("{name} {}", percent(part)));
        let is = |name: &str, so: bool| so.then(|| name.to_owned());
        let ways = [
            (Way::Loss, part("loss", self.loss)),
            (Way::Burst, part("bursts of loss", self.burst.map(|burst| burst.loss))),
            (Way::Latency, self.latency.map(|latency| format!("latency {}", times(latency)))),
            (Way::Bandwidth, self.bandwidth.map(|bandwidth| format!("bandwidth {bandwidth} B/s"))),
            (Way::Queue, self.queue.map(|queue| format!("queue {queue} B"))),
            (Way::Mtu, self.mtu.map(|mtu| format!("mtu {mtu} B"))),
            (Way::Duplicate, part("duplicate", self.duplicate)),
            (Way::Reorder, part("reorder", self.reorder)),
            (Way::Corrupt, part("corrupt", self.corrupt)),
            (Way::Truncate, part("truncate", self.truncate)),
            (Way::LateReplay, part("late_replay", self.late_replay.map(|(part, _)| part))),
            (Way::Clog, is("clogged", self.clog)),
            (Way::PortUnreachable, is("port_unreachable", self.port_unreachable)),
        ];
        ways.into_iter().filter_map(|(way, words)| Some((way, words?))).collect()
    }

    /// Each way in which it is to do something, in words. No part of all datagrams is nothing, and a
    /// queue that is longer than usual only keeps something from happening.
    pub(crate) fn asked(&self) -> Vec<(Way, String)> {
        let some = |part: Option<f64>| part.is_none_or(|part| part > 0.0);
        let is_asked = |way: &Way| match way {
            Way::Loss => some(self.loss),
            Way::Burst => some(self.burst.map(|burst| burst.loss)),
            Way::Queue => self.queue.is_some_and(|queue| queue < DEFAULT_QUEUE),
            Way::Duplicate => some(self.duplicate),
            Way::Reorder => some(self.reorder),
            Way::Corrupt => some(self.corrupt),
            Way::Truncate => some(self.truncate),
            Way::LateReplay => some(self.late_replay.map(|(part, _)| part)),
            Way::Latency | Way::Bandwidth | Way::Mtu | Way::Clog | Way::PortUnreachable => true,
        };
        self.ways().into_iter().filter(|(way, _)| is_asked(way)).collect()
    }

    /// The part of all datagrams that one of them meets, each by itself; none where that is for limits or
    /// for the weather to say.
    pub(crate) fn part(&self, way: Way) -> Option<f64> {
        match way {
            Way::Loss => self.loss,
            Way::Duplicate => self.duplicate,
            Way::Reorder => self.reorder,
            Way::Corrupt => self.corrupt,
            Way::Truncate => self.truncate,
            Way::LateReplay => self.late_replay.map(|(part, _)| part),
            Way::Latency => Some(1.0),
            Way::Burst
            | Way::Bandwidth
            | Way::Queue
            | Way::Mtu
            | Way::Clog
            | Way::PortUnreachable => None,
        }
    }
}

fn percent(part: f64) -> String {
    format!("{} %", (part * 1e4).round() / 1e2)
}

fn times(latency: Latency) -> String {
    match latency {
        Latency::Constant(always) => span(always),
        Latency::Uniform(min, max) => format!("{} to {}", span(min), span(max)),
        Latency::Exponential(least, mean) => format!("{} + {}", span(least), span(mean)),
        Latency::Bimodal(usual, rare, _) => format!("{} or {}", span(usual), span(rare)),
    }
}

/// `200 ms`, `1.5 s`.
fn span(span: Duration) -> String {
    let text = format!("{span:?}");
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    format!("{number} {unit}")
}

fn said(answer: &Answer) -> String {
    let word = match answer {
        Answer::Empty => "empty",
        Answer::NoSuchName => "no_such_name",
        Answer::Timeout => "timeout",
        Answer::Stale => "stale",
        Answer::Partial(1) => "partial",
        Answer::Partial(addresses) => return format!("partial, addresses = {addresses}"),
        Answer::Disjoint => "disjoint",
        Answer::Flapping => "flapping",
    };
    word.to_owned()
}

const fn sent(kind: AttackKind) -> &'static str {
    match kind {
        AttackKind::WrongKey => "wrong_key",
        AttackKind::ForeignCluster => "foreign_cluster",
        AttackKind::Tamper => "tamper",
        AttackKind::Replay => "replay",
        AttackKind::Reflect => "reflect",
        AttackKind::Flood => "flood",
        AttackKind::Unreachable => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::TimedFault;

    fn of(text: &str) -> String {
        let timed = TimedFault::try_from(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        timed.fault.to_string()
    }

    #[test]
    fn answers_and_attacks_are_called_as_files_call_them() {
        for word in ["empty", "no_such_name", "timeout", "stale", "partial", "disjoint", "flapping"]
        {
            let told = of(&format!("dns = {{ nodes = 'half', answer = '{word}' }}"));
            assert_eq!(told, format!("DNS {word}: half"));
        }
        for word in
            ["wrong_key", "foreign_cluster", "tamper", "replay", "reflect", "flood", "unreachable"]
        {
            let told = of(&format!("attack = {{ nodes = 'all', kind = '{word}', rate = 9 }}"));
            assert_eq!(told, format!("attack {word}: all"));
        }
        let told = of("dns = { nodes = 'half', answer = 'partial', addresses = 3 }");
        assert_eq!(told, "DNS partial, addresses = 3: half");
    }

    #[test]
    fn a_link_says_how_it_is_different() {
        let told = |is: &str| of(&format!("link = {{ from = 'node[1]', to = 'rest', {is} }}"));
        for (is, how) in [
            ("clog = true, loss = 0.1", "clogged"),
            ("loss = 0.8", "loss 80 %"),
            ("latency = { min = '200ms', max = '400ms' }", "latency 200 ms to 400 ms"),
            ("latency = '1500ms'", "latency 1.5 s"),
            ("duplicate = 0.3, reorder = 0.25", "duplicate 30 %, reorder 25 %"),
            ("bandwidth = 2000, queue = 4000, mtu = 200", "bandwidth 2000 B/s, queue 4000 B, …"),
            ("burst = { good = '1s', bad = '1s', loss = 0.5 }", "bursts of loss 50 %"),
            ("late_replay = { part = 0.002, after = '3s' }", "late_replay 0.2 %"),
        ] {
            assert_eq!(
                told(&format!("is = {{ {is} }}")),
                format!("links from node[1] to rest: {how}")
            );
            let both = format!("both_ways = true, is = {{ {is} }}");
            assert_eq!(told(&both), format!("links between node[1] and rest: {how}"));
        }
    }
}
