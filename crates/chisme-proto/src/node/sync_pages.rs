//! Pages: what this node knows of some buckets, written down for another, and read from another.
//!
//! A page is complete for its range, so that its reader can tell what the writer lacks, and answers
//! with that. A few pages are sent at once; then the writer waits to be asked for more.

use std::net::SocketAddr;
use std::time::Duration;

use foca::State;
use rand::seq::IteratorRandom;

use super::inbound::Peer;
use super::sync::SOURCE_PAGES_PER_SECOND;
use super::{Node, Timer, room_beside_sender};
use crate::envelope::MAX_BODY;
use crate::identity::NameHash;
use crate::swim::{Id, SHORTEST_UPDATE, state_to_wire};
use crate::sync::digest::{BucketSet, is_in};
use crate::table::Entry;
use crate::wire::{Body, List, SyncBody, SyncNext, SyncPage, Update, encoded_len};
use crate::{Instant, Life, MemberState, Session};

/// How many pages are sent before the receiver has to ask for more.
const WINDOW: usize = 16;

/// How many members a page of chance has.
const SAMPLE: usize = 20;

/// The most members that a page can have.
const MOST_ROWS: usize = MAX_BODY / SHORTEST_UPDATE;

/// The most bytes of a page besides its rows.
const HEAD_BYTES: usize = 9 + 17 + 16 + 3 + 2 + 3;

const FIRST: [u8; 16] = [0; 16];
const LAST: [u8; 16] = [u8::MAX; 16];

/// What a member in the middle of an exchange has asked for, and gets when it is its turn.
#[derive(Debug)]
pub(super) struct Postponed {
    to: Id,
    addr: SocketAddr,
    buckets: BucketSet,
    above: [u8; 16],
}

/// The most members that wait for their turn; who is beyond asks again in its next round.
pub(super) const MAX_POSTPONED: usize = 64;

/// In this time the limit of one address grows by a window.
const SERVED_AGAIN: Duration =
    Duration::from_millis(1_000 * WINDOW as u64 / SOURCE_PAGES_PER_SECOND as u64);

impl Node {
    /// Sends what is known of `buckets` above a name hash, as far as a window and the limits go. Whoever is
    /// in the middle of an exchange and has reached its limit is served on a little later.
    pub(super) fn serve_pages(
        &mut self,
        to: &Id,
        addr: SocketAddr,
        buckets: BucketSet,
        above: Option<[u8; 16]>,
        now: Instant,
    ) {
        // Before any work is done for it.
        if !self.sync.may_serve(addr, now) {
            self.counters.sync_limited += 1;
            return match above {
                None => self.send_sample(to, now),
                Some(above) => self.postpone(Postponed { to: *to, addr, buckets, above }, now),
            };
        }
        let mut above = above;
        for n in 1..=WINDOW {
            let mut rows = self.rows(buckets, above, LAST, MOST_ROWS + 1, |_, _, _| true);
            let fit = self.how_many_fit(&rows);
            let is_last = fit == rows.len();
            rows.truncate(fit);
            let last = rows.last().filter(|_| !is_last);
            let up_to = last.map_or(LAST, |row| row.hash().to_bytes());
            let goes_on = n < WINDOW && !is_last && self.sync.may_serve(addr, now);
            let page = SyncPage {
                life: to.life,
                buckets,
                above,
                up_to,
                complete: true,
                more: !is_last && !goes_on,
                rows: List(rows),
            };
            self.send_page(to, page);
            if !goes_on {
                return;
            }
            above = Some(up_to);
        }
    }

    fn postpone(&mut self, asked: Postponed, now: Instant) {
        let postponed = &mut self.sync.postponed;
        if postponed.len() < MAX_POSTPONED && postponed.insert(asked.to.index) {
            self.schedule.add(now + SERVED_AGAIN, Timer::Serve(Box::new(asked)));
        }
    }

    /// It is the turn of somebody who had to wait.
    pub(super) fn serve_due(&mut self, asked: &Postponed, now: Instant) {
        self.sync.postponed.remove(&asked.to.index);
        if self.table.exactly(&asked.to).is_some_and(Entry::is_up) {
            self.serve_pages(&asked.to, asked.addr, asked.buckets, Some(asked.above), now);
        }
    }

    /// Who gets no page for now gets a few members, whom it can ask instead.
    fn send_sample(&mut self, to: &Id, now: Instant) {
        if !self.sync.samples.take(now) {
            return;
        }
        let up = self.table.iter().filter(|entry| entry.is_up() && entry.index() != to.index);
        let rows: Vec<Update> = up.filter_map(row_of).sample(&mut self.rng, SAMPLE);
        self.send_rows(to, &rows, 1);
    }

    /// Sends rows that are not all of anything.
    fn send_rows(&mut self, to: &Id, rows: &[Update], most: usize) {
        let mut left = rows;
        for _ in 0..most {
            let (on_page, rest) = left.split_at(self.how_many_fit(left));
            if on_page.is_empty() {
                return;
            }
            let page = SyncPage {
                life: to.life,
                buckets: 0,
                above: None,
                up_to: FIRST,
                complete: false,
                more: false,
                rows: List(on_page.to_vec()),
            };
            self.send_page(to, page);
            left = rest;
        }
    }

    fn send_page(&mut self, to: &Id, page: SyncPage) {
        self.counters.sync_pages_sent += 1;
        let page = Some(page);
        self.send_to_member(to, &Body::Sync(SyncBody { page, ..SyncBody::default() }));
    }

    fn how_many_fit(&self, rows: &[Update]) -> usize {
        let mut room = room_beside_sender(&self.name) - HEAD_BYTES;
        let fits = |row: &&Update| {
            let len = encoded_len(*row);
            let fits = len <= room;
            room = room.saturating_sub(len);
            fits
        };
        rows.iter().take_while(fits).count()
    }

    /// What is known of the members in these buckets above one name hash and up to another, ourselves among
    /// them, by name hash: of the first so many of whom `wanted` says so, told their age and whether they left.
    fn rows(
        &self,
        buckets: BucketSet,
        above: Option<[u8; 16]>,
        up_to: [u8; 16],
        most: usize,
        wanted: impl Fn(NameHash, (Session, Life), bool) -> bool,
    ) -> Vec<Update> {
        let (above, up_to) = (above.map(NameHash::from_bytes), NameHash::from_bytes(up_to));
        let in_range = self.table.above(above).take_while(|entry| entry.hash() <= up_to);
        let of_members = in_range.filter(|entry| {
            let hash = entry.hash();
            is_in(buckets, hash) && wanted(hash, entry.id().age(), entry.has_left())
        });
        let mut rows: Vec<Update> = of_members.filter_map(row_of).take(most).collect();
        let is_ours = is_in(buckets, self.hash)
            && self.hash <= up_to
            && above.is_none_or(|above| self.hash > above)
            && wanted(self.hash, (self.session, self.life), false);
        if is_ours && self.endpoints.are_usable() {
            let place = rows.partition_point(|row| row.hash() < self.hash);
            if place == most {
                return rows;
            }
            let own = Update {
                name: self.name.clone(),
                endpoints: self.endpoints,
                session: self.session,
                life: self.life,
                incarnation: self.incarnation,
                state: 0,
            };
            rows.insert(place, own);
        }
        rows
    }

    /// Takes what is new to us by the way of a rumour, and answers with what the sender lacks.
    pub(super) fn take_page(&mut self, page: SyncPage, from: &Id, by: &Peer, now: Instant) {
        if page.life != self.life {
            // Written for a life that is over, by somebody who may be on the side that we left.
            self.counters.updates_withheld += page.rows.0.len() as u64;
            return;
        }
        let before = self.table.sums().total();
        let mut contested = Vec::new();
        let mut held_up = Vec::new();
        let mut contradicts = false;
        for row in &page.rows.0 {
            let mut known = self.table.find(row.hash());
            if !known.is_some_and(|entry| is_known(entry, row)) {
                let told = self.sync.told.take(now);
                self.filter_update(row, by, told, now);
                known = self.table.find(row.hash());
            }
            let entry = known.filter(|entry| entry.id().age() == (row.session, row.life));
            match row.swim_state() {
                State::Alive => {
                    contested.extend(entry.and_then(accusation));
                    let unproved = known.filter(|known| self.is_unproved(known, by));
                    contradicts |= unproved.is_some();
                    let lost = unproved.or(entry.filter(|entry| entry.is_lost()));
                    held_up.extend(lost.map(Entry::id));
                }
                State::Suspect => {
                    if let Some(id) = entry.map(Entry::id) {
                        self.suspect_contested(&id, by, now);
                        self.take_accusation(&id, now);
                    }
                }
                State::Down => {}
            }
        }
        if !contested.is_empty() && self.sync.may_serve(by.from, now) {
            self.send_rows(from, &contested, WINDOW);
        }
        if contradicts {
            self.take_contradiction(now);
        }
        self.heal_contested(&held_up, now);
        if before != self.table.sums().total() {
            self.counters.sync_pages_useful += 1;
            self.sync.differed = true;
        }
        if page.complete {
            let lacking = self.lacking(&page);
            if !lacking.is_empty() && self.sync.may_serve(by.from, now) {
                self.send_rows(from, &lacking, WINDOW);
            }
        }
        if page.more {
            let next = Some(SyncNext { buckets: page.buckets, above: page.up_to });
            self.send_to_member(from, &Body::Sync(SyncBody { next, ..SyncBody::default() }));
        }
    }

    /// What we know in the range of a page and its writer does not.
    fn lacking(&self, page: &SyncPage) -> Vec<Update> {
        let mut theirs: Vec<&Update> = page.rows.0.iter().collect();
        theirs.sort_by_key(|row| row.hash());
        self.rows(page.buckets, page.above, page.up_to, WINDOW * MOST_ROWS, |hash, ours, left| {
            let known = theirs.binary_search_by_key(&hash, |row| row.hash());
            known.map_or(true, |at| {
                let age = (theirs[at].session, theirs[at].life);
                ours > age || (ours == age && left && !is_down(theirs[at]))
            })
        })
    }
}

/// Whether a row says nothing that we do not hold already, as nearly all do.
fn is_known(entry: &Entry, row: &Update) -> bool {
    entry.id().age() == (row.session, row.life)
        && entry.held().is_some_and(|held| match (held.state, row.swim_state()) {
            (State::Down, _) => true,
            (_, State::Down) => false,
            _ => held.incarnation >= row.incarnation,
        })
}

fn is_down(row: &Update) -> bool {
    row.swim_state() == State::Down
}

/// A member as a page says it: up or Left, for its subject said so. Whether it is suspected is not for
/// pages to spread; nor is a Down, which may be what one side of a partition held of the other.
fn row_of(entry: &Entry) -> Option<Update> {
    match entry.held()?.member_state() {
        MemberState::Left => row(entry, State::Down),
        MemberState::Down => None,
        _ => row(entry, State::Alive),
    }
}

/// What is answered to a page that has a member up which we hold Down: a suspicion, which it can refute.
fn accusation(entry: &Entry) -> Option<Update> {
    row(entry, State::Suspect).filter(|_| entry.is_down())
}

fn row(entry: &Entry, state: State) -> Option<Update> {
    let (held, endpoints) = (entry.held()?, entry.endpoints());
    endpoints.are_usable().then(|| Update {
        name: entry.name().clone(),
        endpoints,
        session: entry.id().session,
        life: entry.id().life,
        incarnation: held.incarnation,
        state: state_to_wire(state),
    })
}
