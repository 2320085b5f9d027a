//! Keeping one view: when this node compares its view with another's, and how often.
//!
//! digest differs → sums → pages of the buckets that differ (see `sync_pages`). Whatever is lost on the
//! way is repaired by the next round.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;

use super::inbound::{Peer, Written};
use super::sync_pages::MAX_POSTPONED;
use super::{Node, Only};
use crate::limit::{SourceLimits, TokenBucket};
use crate::swim::{Id, Index};
use crate::sync::digest::Sums;
use crate::table::Entry;
use crate::wire::{Body, SyncBody};
use crate::{Fill, Instant};

/// How long a node waits between two rounds while they bring something; it doubles while they do not.
pub(super) const FIRST_ROUND: Duration = Duration::from_millis(200);
const LAST_ROUND: Duration = Duration::from_secs(30);

/// While views change they differ, and rumours are about to mend that. A SWIM packet with another
/// digest than ours says something only after so long; and each comparison that it leads to and that
/// brings nothing doubles the wait for the next.
const SETTLED: Duration = Duration::from_secs(1);

/// A wait from which it goes back to the first as soon as the view changes.
const LONG_ROUND: Duration = Duration::from_secs(1);

/// After so many rounds in a row between which the view changed, many are coming or going, of whom rumours
/// tell: then it is the long wait that lies between two rounds.
const QUICK_ROUNDS: u32 = 5;

/// Comparisons begun because a digest differs, and sums answered with pages, per second and at once.
const COMPARISONS_PER_SECOND: u32 = 20;
const COMPARISONS_BURST: u32 = 20;

/// Pages sent, per second and at once: in all, and to one address.
const PAGES_PER_SECOND: u32 = 1_000;
const PAGES_BURST: u32 = 500;
pub(super) const SOURCE_PAGES_PER_SECOND: u32 = 200;
const SOURCE_PAGES_BURST: u32 = 100;
const MAX_PAGE_SOURCES: usize = 1_024;

/// Pages of a few members by chance, for those who get no other.
const SAMPLES_PER_SECOND: u32 = 1_000;
const SAMPLES_BURST: u32 = 2_000;

/// Changes learnt from pages that are told on as rumours, per second and at once. A few are news; a
/// whole table is news to nobody but us.
const TOLD_PER_SECOND: u32 = 16;
const TOLD_BURST: u32 = 16;

/// What a node remembers of its comparisons.
#[derive(Debug)]
pub(super) struct Sync {
    wait: Duration,
    /// Whether the view changed since the last round.
    changed: bool,
    /// How many rounds in a row it had changed before.
    changed_rounds: u32,
    /// Whether a page brought something since the last round: others are likely to differ.
    pub(super) differed: bool,
    /// When the view changed last.
    changed_at: Instant,
    /// When the digest of a SWIM packet may lead to a comparison again, and the wait after that.
    doubt_at: Instant,
    doubt_wait: Duration,
    /// The digest that the next SWIM packet carries.
    pub(super) to_attach: Option<u64>,
    comparisons: TokenBucket,
    pages: TokenBucket,
    page_sources: SourceLimits,
    pub(super) samples: TokenBucket,
    /// Who waits for the rest of an exchange.
    pub(super) postponed: BTreeSet<Index>,
    pub(super) told: TokenBucket,
}

impl Sync {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = |per_second, burst| TokenBucket::new(per_second, burst, now);
        Self {
            wait: FIRST_ROUND,
            changed: false,
            changed_rounds: 0,
            differed: false,
            changed_at: now,
            doubt_at: now,
            doubt_wait: SETTLED,
            to_attach: None,
            comparisons: bucket(COMPARISONS_PER_SECOND, COMPARISONS_BURST),
            pages: bucket(PAGES_PER_SECOND, PAGES_BURST),
            page_sources: SourceLimits::new(
                SOURCE_PAGES_PER_SECOND,
                SOURCE_PAGES_BURST,
                MAX_PAGE_SOURCES,
            ),
            samples: bucket(SAMPLES_PER_SECOND, SAMPLES_BURST),
            postponed: BTreeSet::new(),
            told: bucket(TOLD_PER_SECOND, TOLD_BURST),
        }
    }

    pub(super) fn fills(&self) -> [Fill; 2] {
        [
            Fill::new("pages_postponed", self.postponed.len(), MAX_POSTPONED),
            self.page_sources.fill("addresses_sent_pages"),
        ]
    }

    /// Whether one more page may go to `to`.
    pub(super) fn may_serve(&mut self, to: std::net::SocketAddr, now: Instant) -> bool {
        self.page_sources.take(to, now) && self.pages.take(now)
    }
}

impl Node {
    /// What is up in this node's view, itself included.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = *self.table.sums();
        sums.add(self.hash, (self.session, self.life));
        sums
    }

    /// The same in one number.
    pub(super) fn view_digest(&self) -> u64 {
        self.table.sums().total_with(self.hash, (self.session, self.life))
    }

    /// Who is up has changed: it is compared soon, not by all at one moment.
    pub(super) fn view_changed(&mut self, now: Instant) {
        self.sync.changed = true;
        self.sync.changed_at = now;
        self.sync.doubt_wait = SETTLED;
        self.gossip_news(now);
        if self.sync.wait > LONG_ROUND || self.table.up() == 1 {
            self.sync.wait = FIRST_ROUND;
            let wait = FIRST_ROUND * self.rng.random_range(50..=250) / 100;
            self.schedule.set(Only::Sync, now + wait);
        }
    }

    /// Whoever told us of our members told the others too: nothing is likely to differ.
    pub(super) fn compare_at_leisure(&mut self, now: Instant) {
        self.sync.wait = LAST_ROUND;
        self.sync.changed = false;
        let wait = LAST_ROUND * self.rng.random_range(1..=100) / 100;
        self.schedule.set(Only::Sync, now + wait);
    }

    /// Compares with one random member.
    pub(super) fn sync_due(&mut self, now: Instant) {
        let changed = std::mem::take(&mut self.sync.changed);
        let differed = std::mem::take(&mut self.sync.differed);
        self.sync.changed_rounds = if changed { self.sync.changed_rounds + 1 } else { 0 };
        self.sync.wait = match self.sync.changed_rounds {
            0 => (self.sync.wait * 2).min(LAST_ROUND),
            1..=QUICK_ROUNDS => FIRST_ROUND,
            _ => LONG_ROUND,
        };
        if let Some(id) = self.random_member(Entry::is_up) {
            self.counters.sync_rounds += 1;
            if differed {
                self.send_sums(&id);
            } else {
                let digest = Some(self.view_digest());
                let body = SyncBody { digest, ..SyncBody::default() };
                self.send_to_member(&id, &Body::Sync(body));
            }
            let wait = self.jittered(self.sync.wait);
            self.schedule.set(Only::Sync, now + wait);
        }
    }

    /// Asks a member for all that it knows and we do not.
    pub(super) fn send_sums(&mut self, to: &Id) {
        self.counters.sync_comparisons += 1;
        let sums = Some(Box::new(self.sums()));
        self.send_to_member(to, &Body::Sync(SyncBody { sums, ..SyncBody::default() }));
    }

    /// A prober says what it sees. Whoever is alone with its view meets somebody who differs at
    /// every probe.
    pub(super) fn take_view_digest(&mut self, peer: &Peer, digest: u64, now: Instant) {
        let settled = now.saturating_since(self.sync.changed_at) >= SETTLED;
        if !settled || now < self.sync.doubt_at || digest == self.view_digest() {
            return;
        }
        let Some(from) = self.member_up(peer) else { return };
        if self.may_compare(now) {
            self.sync.doubt_at = now + self.jittered(self.sync.doubt_wait);
            self.sync.doubt_wait = (self.sync.doubt_wait * 2).min(LAST_ROUND);
            self.send_sums(&from);
        }
    }

    pub(super) fn take_sync(&mut self, peer: Peer, body: SyncBody, now: Instant) {
        let life = body.page.as_ref().map(|page| page.life);
        let peer = &Peer { written: life.map_or(Written::Sometime, Written::To), ..peer };
        let Some(from) = self.admit_sender(peer, 0, now) else { return };
        if let Some(page) = body.page {
            self.take_page(page, &from, peer, now);
        }
        if let Some(digest) = body.digest
            && digest != self.view_digest()
            && self.may_compare(now)
        {
            self.send_sums(&from);
        }
        if let Some(theirs) = body.sums {
            let buckets = self.sums().differences(&theirs);
            if buckets != 0 {
                self.serve_pages(&from, peer.from, buckets, None, now);
            }
        }
        if let Some(next) = body.next {
            self.serve_pages(&from, peer.from, next.buckets, Some(next.above), now);
        }
    }

    fn may_compare(&mut self, now: Instant) -> bool {
        let may = self.sync.comparisons.take(now);
        self.counters.sync_limited += u64::from(!may);
        may
    }
}
