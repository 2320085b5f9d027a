//! This node's own record, and telling others of records that are new.
//!
//! A change waits a moment for others like it, then it is told to a few members at each tick, who tell
//! it on. What is too long for one datagram is announced, and fetched (see `record_exchange`).

use std::sync::Arc;
use std::time::Duration;

use rand::seq::IteratorRandom;

use super::record_exchange::Outbox;
use super::{Node, Only};
use crate::identity::NameHash;
use crate::limit::{SourceLimits, TokenBucket};
use crate::record::digest::{Summary, bucket};
use crate::record::fetch::Fetches;
use crate::record::rumours::Rumours;
use crate::record::{Published, Stamp, fragments};
use crate::swim::{Id, transmissions};
use crate::table::Entry;
use crate::wire::{RecordKey, RecordPart, RecordRow, record_to_bytes};
use crate::{Event, Fill, Instant, Output, Record, RecordEdit, RequestId};

/// So long a change waits for others like it, and so much time is between two that are published.
const COALESCE: Duration = Duration::from_millis(50);
const PUBLISH_PERIOD: Duration = Duration::from_millis(200);

/// How many members are told at each tick; how soon what is new is told on; how often the rest is.
const FANOUT: usize = 3;
const FORWARD: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(100);
const SHORTEST_TICK: Duration = Duration::from_millis(50);

/// So long a record is told anew when members come up: nodes that start together do not know each other
/// when they publish.
const YOUNG: Duration = Duration::from_secs(3);

/// How often a node says what it knows of records, on a datagram that goes anyway: at rest, and for so
/// long after a record or a member came. In that time it also says that it knows of none.
const DIGEST_PERIOD: Duration = Duration::from_secs(1);
const RECENT_DIGEST_PERIOD: Duration = Duration::from_millis(250);
const RECENT: Duration = Duration::from_secs(10);

/// Digests may differ for so long after a record changed, because the change is on its way; and for
/// so long comparisons wait for each other, if they bring nothing.
const SETTLING: Duration = Duration::from_millis(400);
const FIRST_COMPARISON: Duration = Duration::from_millis(250);
const LAST_COMPARISON: Duration = Duration::from_secs(8);

/// Fragments sent to those who ask, per second and at once: in all, and to one address.
const SERVED_PER_SECOND: u32 = 1_000;
const SERVED_BURST: u32 = 500;
const SOURCE_SERVED_PER_SECOND: u32 = 400;
const SOURCE_SERVED_BURST: u32 = 128;
const MAX_SERVED_SOURCES: usize = 1_024;

/// Pages of versions sent to those whose digest differs, per second and at once.
const PAGES_PER_SECOND: u32 = 40;
const PAGES_BURST: u32 = 40;

/// What a node knows about records besides those in its table.
#[derive(Debug)]
pub(super) struct Records {
    /// What this node says of itself.
    own: Arc<Record>,
    /// The version of it that others may know.
    pub(super) published: Option<Arc<Published>>,
    /// When the present one is published, if it is not.
    publish_at: Option<Instant>,
    last_published: Option<Instant>,
    pub(super) rumours: Rumours,
    pub(super) fetches: Fetches,
    /// Fetches that found no room since the last comparison.
    pub(super) turned_away: bool,
    tick_at: Option<Instant>,
    last_tick: Option<Instant>,
    digest_at: Instant,
    /// What the next SWIM datagram carries of it.
    pub(super) to_attach: Option<u64>,
    recent_until: Instant,
    pub(super) settled_at: Instant,
    pub(super) compare_at: Instant,
    compare_wait: Duration,
    pub(super) pages: TokenBucket,
    served: TokenBucket,
    served_sources: SourceLimits,
}

impl Records {
    pub(super) fn new(own: Record, now: Instant) -> Self {
        let publish_at = (!own.is_empty()).then_some(now);
        Self {
            own: Arc::new(own),
            published: None,
            publish_at,
            last_published: None,
            rumours: Rumours::default(),
            fetches: Fetches::default(),
            turned_away: false,
            tick_at: None,
            last_tick: None,
            digest_at: now,
            to_attach: None,
            recent_until: now,
            settled_at: now,
            compare_at: now,
            compare_wait: FIRST_COMPARISON,
            pages: TokenBucket::new(PAGES_PER_SECOND, PAGES_BURST, now),
            served: TokenBucket::new(SERVED_PER_SECOND, SERVED_BURST, now),
            served_sources: SourceLimits::new(
                SOURCE_SERVED_PER_SECOND,
                SOURCE_SERVED_BURST,
                MAX_SERVED_SOURCES,
            ),
        }
    }

    pub(super) fn own(&self) -> Arc<Record> {
        Arc::clone(&self.own)
    }

    /// Something was learnt: what follows is worth comparing soon.
    pub(super) fn stir(&mut self, now: Instant) {
        self.recent_until = now + RECENT;
        self.settled_at = now + SETTLING;
        self.compare_wait = FIRST_COMPARISON;
        self.compare_at = self.compare_at.min(now + FIRST_COMPARISON);
    }

    /// A comparison has helped, if not this node.
    pub(super) fn helped(&mut self) {
        self.compare_wait = FIRST_COMPARISON;
    }

    /// Whether it is time to compare; if so, the next time is twice as far, unless this one helps.
    pub(super) fn may_compare(&mut self, now: Instant) -> bool {
        // While something is always on its way, comparisons come seldom, and do come.
        let settled = now >= self.settled_at || now >= self.compare_at + LAST_COMPARISON / 4;
        if now < self.compare_at || !settled {
            return false;
        }
        self.compare_at = now + self.compare_wait;
        self.compare_wait = (self.compare_wait * 2).min(LAST_COMPARISON);
        true
    }

    pub(super) fn sources_fill(&self) -> Fill {
        self.served_sources.fill("addresses_sent_records")
    }

    pub(super) fn may_serve(&mut self, to: std::net::SocketAddr, now: Instant) -> bool {
        self.served_sources.take(to, now) && self.served.take(now)
    }
}

impl Node {
    /// Changes what this node says of itself. Others hear of it after a moment, with what changes
    /// right after it.
    pub(super) fn edit_record(&mut self, request: RequestId, edit: RecordEdit, now: Instant) {
        let result = self.records.own.edited(edit).map(|record| {
            if *self.records.own == record {
                return;
            }
            self.records.own = Arc::new(record);
            let earliest = self.records.last_published.map(|last| last + PUBLISH_PERIOD);
            let at = (now + COALESCE).max(earliest.unwrap_or(now));
            if self.records.publish_at.is_none() {
                self.records.publish_at = Some(at);
                self.tick_records_at(at);
            }
            self.event(Event::OwnRecord(self.local()));
        });
        self.output(Output::RecordEdited { request, result });
    }

    /// Who comes up has a record, and knows of records, perhaps.
    pub(super) fn member_came_up(&mut self, now: Instant) {
        self.records.stir(now);
        if self.table.up() == 1 {
            self.records.digest_at = now;
        }
        let young = |last: Instant| now - last < YOUNG;
        if self.records.published.is_some() && self.records.last_published.is_some_and(young) {
            // Who came up meanwhile may have been told before it knew us, and have dropped it.
            self.tell_of_record(self.hash, now);
        }
        if self.records.publish_at.is_some() || !self.records.rumours.is_empty() {
            self.tick_records_soon(now);
        }
    }

    /// What the settings say of this node is its first version.
    pub(super) fn publish_first_record(&mut self, now: Instant) {
        if self.records.publish_at.is_some() {
            self.tick_records_at(now + COALESCE);
        }
    }

    /// A session of its own is over for this node: what it published under it is void.
    pub(super) fn republish_record(&mut self, now: Instant) {
        let stamp = self.records.published.as_ref().map(|published| published.stamp);
        if stamp.is_some_and(|stamp| stamp.session != self.session) {
            self.records.publish_at.get_or_insert(now);
            self.tick_records_at(now);
        }
    }

    fn publish_record(&mut self, now: Instant) {
        self.records.publish_at = None;
        self.records.last_published = Some(now);
        let version = self.records.published.as_ref().map_or(0, |old| old.stamp.version) + 1;
        let encoded = record_to_bytes(&self.records.own).into();
        let stamp = Stamp { session: self.session, version };
        let record = Arc::clone(&self.records.own);
        self.records.published = Some(Arc::new(Published { stamp, record, encoded }));
        self.records.stir(now);
        self.counters.records_published += 1;
        self.tell_of_record(self.hash, now);
    }

    /// Tells a record to others, who tell it on.
    pub(super) fn tell_of_record(&mut self, hash: NameHash, now: Instant) {
        if self.records.rumours.start(hash, transmissions(self.live()).get()) {
            self.tick_records_soon(now);
        } else {
            self.counters.record_rumours_dropped += 1;
        }
    }

    pub(super) fn tick_records_soon(&mut self, now: Instant) {
        let earliest = self.records.last_tick.map(|last| last + SHORTEST_TICK);
        self.tick_records_at((now + FORWARD).max(earliest.unwrap_or(now)));
    }

    /// Sets the timer, unless it is set for an earlier moment.
    pub(super) fn tick_records_at(&mut self, at: Instant) {
        if self.records.tick_at.is_none_or(|set| set > at) {
            self.records.tick_at = Some(at);
            self.schedule.set(Only::Records, at);
        }
    }

    pub(super) fn records_due(&mut self, now: Instant) {
        if self.records.tick_at.is_none_or(|at| at > now) {
            // One that was set for later, before an earlier one was.
            return;
        }
        self.records.tick_at = None;
        self.records.last_tick = Some(now);
        if self.records.publish_at.is_some_and(|at| at <= now) {
            self.publish_record(now);
        }
        self.spread_records();
        self.ask_again(now);
        if !self.records.fetches.is_empty()
            || (!self.records.rumours.is_empty() && self.table.up() > 0)
        {
            self.tick_records_at(now + TICK);
        }
        if let Some(at) = self.records.publish_at {
            self.tick_records_at(at.max(now + SHORTEST_TICK));
        }
    }

    /// Tells a few members what is new: to each of them one datagram, of what was told least.
    fn spread_records(&mut self) {
        if self.records.rumours.is_empty() {
            return;
        }
        let up = self.table.iter().filter(|entry| entry.is_up()).map(Entry::id);
        let told: Vec<Id> = up.sample(&mut self.rng, FANOUT);
        for to in told {
            let mut outbox = Outbox::one_datagram(self);
            for hash in self.records.rumours.due() {
                let Some(published) = self.published(hash) else {
                    self.records.rumours.stop(hash);
                    continue;
                };
                let row = row(hash, &published);
                let whole = published.fragment(0).filter(|_| fragments(row.len) == 1);
                let fits = match whole {
                    Some(bytes) => {
                        outbox.add_part(RecordPart { row, index: 0, bytes: bytes.to_vec() })
                    }
                    None => outbox.add_rumour(row),
                };
                if !fits {
                    break;
                }
                self.records.rumours.told(hash);
            }
            self.send_outbox(&to, outbox);
        }
    }

    /// The record of a member that is up, or our own, as it was published.
    pub(super) fn published(&self, hash: NameHash) -> Option<Arc<Published>> {
        if hash == self.hash {
            return self.records.published.clone();
        }
        let entry = self.table.find(hash).filter(|entry| entry.is_up())?;
        self.table.record(entry.index()).cloned()
    }

    /// The records of members up in these buckets, above one name hash and up to another, our own among
    /// them, by name hash.
    pub(super) fn published_in(
        &self,
        buckets: u16,
        above: Option<NameHash>,
        up_to: NameHash,
    ) -> Vec<(NameHash, &Published)> {
        let wanted = |hash: NameHash| buckets >> bucket(hash) & 1 == 1;
        let in_range = self.table.above(above).take_while(|entry| entry.hash() <= up_to);
        let of_members = in_range.filter(|entry| entry.is_up() && wanted(entry.hash()));
        let known = |entry: &Entry| Some((entry.hash(), &**self.table.record(entry.index())?));
        let mut all: Vec<(NameHash, &Published)> = of_members.filter_map(known).collect();
        let is_ours = self.hash <= up_to && above.is_none_or(|above| self.hash > above);
        if let Some(own) =
            self.records.published.as_deref().filter(|_| is_ours && wanted(self.hash))
        {
            let place = all.partition_point(|(hash, _)| *hash < self.hash);
            all.insert(place, (self.hash, own));
        }
        all
    }

    /// Sums over all records that are known of members up, our own among them.
    pub(super) fn record_summary(&self) -> Summary {
        let mut summary = *self.table.summary();
        if let Some(own) = &self.records.published {
            summary.add(self.hash, own.stamp);
        }
        summary
    }

    /// What this node knows of records, if it is time to say so on a datagram that goes anyway.
    pub(super) fn record_digest_due(&mut self, now: Instant) -> Option<u64> {
        if now < self.records.digest_at {
            return None;
        }
        let digest = self.record_summary().total();
        (digest != 0 || now < self.records.recent_until).then_some(digest)
    }

    /// It was said.
    pub(super) fn record_digest_said(&mut self, now: Instant) {
        let recent = now < self.records.recent_until;
        self.records.digest_at = now + if recent { RECENT_DIGEST_PERIOD } else { DIGEST_PERIOD };
    }
}

pub(super) fn row(hash: NameHash, published: &Published) -> RecordRow {
    RecordRow { key: RecordKey::new(hash, published.stamp), len: published.len() }
}
