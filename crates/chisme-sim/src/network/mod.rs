//! The network: what becomes of a datagram between two machines.
//!
//! It knows machines by number, and of a datagram only its length. Rules come and go; each acts by
//! itself on what the ones before it let through, and of latencies the newest counts.

mod counts;
mod draw;
mod nodes;
mod rule;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::Instant;

use crate::scenario::{Burst, Latency};
use crate::{micros, millis};

use counts::Counts;
use draw::Draw;
pub(crate) use draw::{Stream, mix};
pub(crate) use nodes::NodeSet;
use rule::Rule;
pub use rule::{Deeds, RuleId};
pub(crate) use rule::{Effect, Pulse, Scope};

/// The number of whoever is no machine: an attacker, or an address where nobody lives.
pub(crate) const NOBODY: usize = u32::MAX as usize;

/// What waits on a narrow link if its queue is not set, in bytes.
pub(crate) const DEFAULT_QUEUE: usize = 65_536;

/// The purposes of draws, so that they are independent of each other. Those of a rule follow each
/// other from 16 times its number on.
const PURPOSES: u64 = 16;
const LOSS: u64 = 0;
const DUPLICATE: u64 = 1;
const REORDER: u64 = 2;
const CORRUPT: u64 = 3;
const TRUNCATE: u64 = 4;
const REPLAY: u64 = 5;
const LATENCY: u64 = 6;
const SECOND_LATENCY: u64 = LATENCY + DETAIL;
const BURST: u64 = 7;
/// Added to a purpose: how, where the purpose itself was whether.
const DETAIL: u64 = 8;

/// One UDP payload on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The source address.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// How the network treats datagrams. Latencies differ from one to the next, which reorders them.
///
/// Time does not pass, but panics, while a number is not within its range.
#[derive(Debug)]
pub struct Network {
    /// The shortest time on the way, at most the longest. Default 0.2 ms.
    pub latency_min: Duration,
    /// The longest time on the way. Default 2 ms.
    pub latency_max: Duration,
    /// The part of the datagrams that is lost, 0.0 to 1.0. Default 0.
    pub loss: f64,
    /// The part of the datagrams that arrives twice, 0.0 to 1.0. Default 0.
    pub duplicate: f64,
    /// Whether a machine says so when nobody listens where a datagram arrives. Default no.
    pub port_unreachable: bool,
    /// How often a machine has said so.
    pub(crate) turned_away: u64,
    seed: u64,
    rules: Vec<Rule>,
    last_rule: u32,
    /// How many datagrams each machine has sent to each.
    sent: Counts,
    /// Likewise for what came from nobody, or went to nobody.
    strayed: BTreeMap<(usize, usize), u32>,
    /// Of links with bursts: whether they are bad now, and until when they stay so.
    weather: BTreeMap<(RuleId, usize, usize), Weather>,
    /// Of narrow links: when all that waits will be through.
    busy_until: BTreeMap<(RuleId, usize, usize), Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Weather {
    bad: bool,
    until: Instant,
    stream: Stream,
}

/// What becomes of one datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// Kept until nothing clogs the link any more; then it gets there like this.
    Held(Journey),
    Arrives(Journey),
}

/// How a datagram gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journey {
    /// After so long.
    pub(crate) after: Duration,
    /// And once more.
    pub(crate) again: Option<Duration>,
    /// And, from a recording, once more.
    pub(crate) replayed: Option<Duration>,
    pub(crate) damage: Damage,
}

/// What happens to the bytes, as numbers to be reduced by their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    flip: Option<u64>,
    cut: Option<u64>,
}

impl Damage {
    pub(crate) fn inflict(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if let Some(flip) = self.flip {
            let bit = (flip % (bytes.len() as u64 * 8)) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if let Some(cut) = self.cut {
            bytes.truncate((cut % bytes.len() as u64) as usize);
        }
    }
}

/// What the rules want of one datagram, as far as they have been asked.
struct Wish {
    latency: Option<Latency>,
    waits: Duration,
    held_up: u32,
    again: bool,
    replay: Option<Duration>,
    damage: Damage,
}

impl Network {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            latency_min: micros(200),
            latency_max: millis(2),
            loss: 0.0,
            duplicate: 0.0,
            port_unreachable: false,
            turned_away: 0,
            seed,
            rules: Vec::new(),
            last_rule: 0,
            sent: Counts::new(),
            strayed: BTreeMap::new(),
            weather: BTreeMap::new(),
            busy_until: BTreeMap::new(),
        }
    }

    /// A rule in force from `now` on.
    pub(crate) fn push(
        &mut self,
        scope: Scope,
        effect: Effect,
        pulse: Option<Pulse>,
        now: Instant,
    ) -> RuleId {
        self.last_rule += 1;
        let id = RuleId(self.last_rule);
        self.rules.push(Rule { id, scope, effect, pulse, since: now, deeds: Deeds::default() });
        id
    }

    /// Ends a rule and says what it did; none if it has ended already.
    pub(crate) fn remove(&mut self, id: RuleId) -> Option<Deeds> {
        let place = self.rules.iter().position(|rule| rule.id == id)?;
        self.weather.retain(|key, _| key.0 != id);
        self.busy_until.retain(|key, _| key.0 != id);
        Some(self.rules.remove(place).deeds)
    }

    /// What a rule has done so far; none if it has ended.
    #[cfg(test)]
    fn deeds(&self, id: RuleId) -> Option<Deeds> {
        self.rules.iter().find(|rule| rule.id == id).map(|rule| rule.deeds)
    }

    /// Whether what goes from one machine to another would be kept back now; lost goes first.
    pub(crate) fn is_clogged(&self, from: usize, to: usize, now: Instant) -> bool {
        let mut about = self.rules.iter().filter(|rule| rule.is_about(from, to, now));
        about.any(|rule| match &rule.effect {
            Effect::Clog => true,
            Effect::Impair(link) => link.clog,
            Effect::Lose => false,
        })
    }

    /// Panics if a number is not within its range.
    pub(crate) fn check(&self) {
        part_of_all("loss", self.loss);
        part_of_all("duplicate", self.duplicate);
        in_order(self.latency_min, self.latency_max);
    }

    /// Decides over the next datagram from one machine to another. The numbers are those of the
    /// machines, or [`NOBODY`].
    pub(crate) fn fate(&mut self, from: usize, to: usize, len: usize, now: Instant) -> Fate {
        let draw = self.next_draw(from, to);
        if draw.stream(LOSS).chance(self.loss) {
            return Fate::Lost;
        }
        let mut wish = Wish {
            latency: None,
            waits: Duration::ZERO,
            held_up: 0,
            again: draw.stream(DUPLICATE).chance(self.duplicate),
            replay: None,
            damage: Damage::default(),
        };
        let mut clogged = false;
        for place in 0..self.rules.len() {
            let rule = &self.rules[place];
            if !rule.is_about(from, to, now) {
                continue;
            }
            match rule.effect {
                Effect::Lose => {
                    self.rules[place].deeds.lost += 1;
                    return Fate::Lost;
                }
                Effect::Clog => {
                    self.rules[place].deeds.held += 1;
                    clogged = true;
                }
                Effect::Impair(_) => {
                    match self.impair(place, (from, to), draw, &mut wish, len, now) {
                        Passes::Yes => {}
                        Passes::Later => clogged = true,
                        Passes::Never => return Fate::Lost,
                    }
                }
            }
        }
        let journey = self.journey(&wish, draw);
        if clogged { Fate::Held(journey) } else { Fate::Arrives(journey) }
    }

    /// One rule with all that it can do to a datagram.
    fn impair(
        &mut self,
        place: usize,
        (from, to): (usize, usize),
        draw: Draw,
        wish: &mut Wish,
        len: usize,
        now: Instant,
    ) -> Passes {
        let rule = &mut self.rules[place];
        let Effect::Impair(link) = &rule.effect else { return Passes::Yes };
        let (id, since, deeds) = (rule.id, rule.since, &mut rule.deeds);
        let of = |purpose: u64| draw.stream(u64::from(id.0) * PURPOSES + purpose);
        let hits = |part: Option<f64>, purpose| of(purpose).chance(part.unwrap_or(0.0));
        // Each is drawn by itself, so that it is known what it would have done alone.
        let (too_long, by_chance) = (link.mtu.is_some_and(|mtu| len > mtu), hits(link.loss, LOSS));
        let mut in_burst = false;
        if let Some(burst) = &link.burst {
            let key = (id, from, to);
            let weather = self.weather.entry(key).or_insert_with(|| {
                Weather::first(
                    burst,
                    Draw::of(self.seed, from as u32, to as u32, 0)
                        .stream(u64::from(id.0) * PURPOSES + BURST),
                    since,
                )
            });
            in_burst = weather.is_bad(burst, now) && of(BURST).chance(burst.loss);
        }
        deeds.too_long += u64::from(too_long);
        deeds.lost += u64::from(by_chance);
        deeds.lost_in_bursts += u64::from(in_burst);
        if too_long || by_chance || in_burst {
            return Passes::Never;
        }
        if let Some(bandwidth) = link.bandwidth {
            let free = self.busy_until.entry((id, from, to)).or_insert(now);
            let backlog = free.saturating_since(now).as_nanos() * u128::from(bandwidth);
            let room = link.queue.unwrap_or(DEFAULT_QUEUE) as u128 * 1_000_000_000;
            if backlog > 0 && backlog + len as u128 * 1_000_000_000 > room {
                deeds.overflowed += 1;
                return Passes::Never;
            }
            deeds.queued += u64::from(backlog > 0);
            let takes = len as u128 * 1_000_000_000 / u128::from(bandwidth);
            let through = (*free).max(now) + Duration::from_nanos(takes as u64);
            *free = through;
            wish.waits += through.saturating_since(now);
        }
        if link.latency.is_some() {
            wish.latency = link.latency;
            deeds.delayed += 1;
        }
        if hits(link.duplicate, DUPLICATE) {
            wish.again = true;
            deeds.duplicated += 1;
        }
        if hits(link.reorder, REORDER) {
            wish.held_up += 1 + of(REORDER + DETAIL).below(3) as u32;
            deeds.reordered += 1;
        }
        let (flips, cuts) = (hits(link.corrupt, CORRUPT), hits(link.truncate, TRUNCATE));
        if flips {
            wish.damage.flip = Some(of(CORRUPT + DETAIL).next());
        }
        if cuts {
            wish.damage.cut = Some(of(TRUNCATE + DETAIL).next());
        }
        deeds.corrupted += u64::from(flips);
        deeds.truncated += u64::from(cuts);
        if let Some((part, after)) = link.late_replay
            && of(REPLAY).chance(part)
        {
            wish.replay = Some(after);
            deeds.replayed += 1;
        }
        if link.clog {
            deeds.held += 1;
            return Passes::Later;
        }
        Passes::Yes
    }

    fn journey(&self, wish: &Wish, draw: Draw) -> Journey {
        let mut stream = draw.stream(LATENCY);
        let mut after = wish.waits + self.takes(wish.latency, &mut stream);
        for _ in 0..wish.held_up {
            after += self.takes(wish.latency, &mut stream);
        }
        let mut second = || {
            let mut stream = draw.stream(SECOND_LATENCY);
            wish.waits + self.takes(wish.latency, &mut stream)
        };
        let again = wish.again.then(&mut second);
        let replayed = wish.replay.map(|late| after + late);
        Journey { after, again, replayed, damage: wish.damage }
    }

    /// The time on the way of what nobody has sent who is a machine.
    pub(crate) fn latency(&mut self, to: usize) -> Duration {
        let mut stream = self.next_draw(NOBODY, to).stream(LATENCY);
        self.takes(None, &mut stream)
    }

    fn takes(&self, latency: Option<Latency>, stream: &mut Stream) -> Duration {
        match latency {
            None => stream.between(self.latency_min, self.latency_max),
            Some(Latency::Constant(time)) => time,
            Some(Latency::Uniform(least, most)) => stream.between(least, most),
            Some(Latency::Exponential(least, mean)) => least + stream.exponential(mean),
            Some(Latency::Bimodal(usual, rare, percent)) => {
                if stream.below(100) < u64::from(percent) { rare } else { usual }
            }
        }
    }

    fn next_draw(&mut self, from: usize, to: usize) -> Draw {
        let counter = if from == NOBODY || to == NOBODY {
            self.strayed.entry((from, to)).or_insert(0)
        } else {
            self.sent.of(from, to)
        };
        *counter = counter.wrapping_add(1);
        let number = |node: usize| u32::try_from(node).expect("machines are numbered from zero");
        Draw::of(self.seed, number(from), number(to), *counter)
    }
}

/// Panics unless it is a part of all datagrams; gives it back.
pub(crate) fn part_of_all(what: &str, part: f64) -> f64 {
    let range = 0.0..=1.0;
    assert!(range.contains(&part), "{what} is {part}; it is a part of all, from 0.0 to 1.0");
    part
}

/// Panics unless latencies can be spread between these.
pub(crate) fn in_order(least: Duration, most: Duration) {
    assert!(
        least <= most,
        "latency is at least {least:?}; it is at most {most:?}, which is shorter"
    );
}

/// What a rule says to a datagram.
enum Passes {
    Yes,
    Later,
    Never,
}

impl Weather {
    /// A link begins bad as often as it is bad in the long run. It begins with its rule, whenever
    /// somebody uses it first: the weather is the same for all who send.
    fn first(burst: &Burst, mut stream: Stream, since: Instant) -> Self {
        let share = stream.between(Duration::ZERO, burst.good + burst.bad);
        Self { bad: share < burst.bad, until: since, stream }.settled(burst)
    }

    fn settled(mut self, burst: &Burst) -> Self {
        let mean = if self.bad { burst.bad } else { burst.good };
        self.until = self.until + self.stream.exponential(mean).max(micros(1));
        self
    }

    fn is_bad(&mut self, burst: &Burst, now: Instant) -> bool {
        while self.until <= now {
            self.bad = !self.bad;
            *self = self.settled(burst);
        }
        self.bad
    }
}

#[cfg(test)]
mod tests;
