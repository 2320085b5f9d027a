//! What others say of records: parts, news, questions; and the comparison of what two nodes know.
//!
//! digest differs → buckets → pages of the buckets that differ → each asks for what it lacks → parts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::inbound::Peer;
use super::records::row;
use super::{Node, room_beside_sender};
use crate::Instant;
use crate::identity::NameHash;
use crate::record::digest::Summary;
use crate::record::fetch::{Begin, Put, Wanted};
use crate::record::{FRAGMENT_BYTES, Published, Stamp, fragments};
use crate::swim::Id;
use crate::table::Entry;
use crate::wire::{
    Body, List, RecordAsk, RecordBody, RecordKey, RecordNews, RecordPage, RecordPart, RecordRow,
    record_from_bytes,
};

/// The most bytes that a row, a question, and a part besides its own bytes take.
const ROW_BYTES: usize = 16 + 8 + 9 + 3;
const ASK_BYTES: usize = 16 + 8 + 9 + 5;
const PART_BYTES: usize = ROW_BYTES + 1 + 3;

/// The most bytes of the heads of all sections, counts and the range of a page included.
const HEADS_BYTES: usize = 64;

/// The end of all name hashes.
const LAST: [u8; 16] = [u8::MAX; 16];

/// The most datagrams of versions that answer one page.
const MAX_ANSWER_DATAGRAMS: usize = 4;

/// Datagrams about records for one member, filled one after another.
pub(super) struct Outbox {
    bodies: Vec<RecordBody>,
    room: usize,
    left: usize,
    most: usize,
}

impl Outbox {
    pub(super) fn one_datagram(node: &Node) -> Self {
        Self::of(node, 1)
    }

    /// At most `most` datagrams.
    fn of(node: &Node, most: usize) -> Self {
        let room = node.record_room();
        Self { bodies: Vec::new(), room, left: 0, most }
    }

    fn place(&mut self, bytes: usize) -> Option<&mut RecordBody> {
        if self.left < bytes {
            if self.bodies.len() >= self.most {
                return None;
            }
            self.bodies.push(RecordBody::default());
            self.left = self.room;
        }
        self.left = self.left.saturating_sub(bytes);
        self.bodies.last_mut()
    }

    pub(super) fn add_part(&mut self, part: RecordPart) -> bool {
        let place = self.place(PART_BYTES + part.bytes.len());
        place.map(|body| body.parts.0.push(part)).is_some()
    }

    /// A row to be told on.
    pub(super) fn add_rumour(&mut self, row: RecordRow) -> bool {
        self.add_row(row, true)
    }

    fn add_row(&mut self, row: RecordRow, spread: bool) -> bool {
        let place = self.place(ROW_BYTES);
        let empty = || RecordNews { spread, rows: List::default() };
        place.map(|body| body.news.get_or_insert_with(empty).rows.0.push(row)).is_some()
    }

    fn add_ask(&mut self, wanted: &Wanted) -> bool {
        let key = RecordKey::new(wanted.hash, wanted.stamp);
        let ask = RecordAsk { key, missing: wanted.missing };
        self.place(ASK_BYTES).map(|body| body.asks.0.push(ask)).is_some()
    }
}

impl Node {
    /// What a datagram has left for records behind the longest that this node's Sender may become.
    fn record_room(&self) -> usize {
        let whole = room_beside_sender(&self.name);
        debug_assert!(whole >= HEADS_BYTES + PART_BYTES + FRAGMENT_BYTES, "{}", self.name);
        whole - HEADS_BYTES
    }

    pub(super) fn send_outbox(&mut self, to: &Id, outbox: Outbox) {
        for body in outbox.bodies {
            self.send_to_member(to, &Body::Record(body));
        }
    }

    /// The sender of a datagram, if it is a member that is up, in its present session.
    pub(super) fn member_up(&self, peer: &Peer) -> Option<Id> {
        let entry = self.table.find(peer.hash).filter(|entry| entry.is_up())?;
        (entry.id().session == peer.session).then(|| entry.id())
    }

    pub(super) fn take_record(&mut self, peer: &Peer, body: RecordBody, now: Instant) {
        let Some(from) = self.member_up(peer) else {
            self.counters.records_refused += 1;
            return;
        };
        for part in body.parts.0 {
            self.take_part(&part, now);
        }
        let mut outbox = Outbox::of(self, MAX_ANSWER_DATAGRAMS);
        if let Some(news) = body.news {
            for row in &news.rows.0 {
                self.hear_of_record(row, from, news.spread, &mut outbox, now);
            }
        }
        if let Some(page) = body.page {
            self.compare_page(&page, from, &mut outbox, now);
        }
        self.send_outbox(&from, outbox);
        if let Some(theirs) = body.buckets {
            self.send_pages(&theirs, from, now);
        }
        self.answer_asks(&body.asks.0, from, peer.from, now);
        self.compare_again(from, now);
    }

    /// Whether a record would be new: of a member that is known, in its present session.
    fn is_news(&self, hash: NameHash, stamp: Stamp) -> bool {
        let entry = self.table.find(hash).filter(|_| hash != self.hash);
        entry.is_some_and(|entry| {
            entry.id().session == stamp.session
                && self.table.record_version(entry.index()) < stamp.version
        })
    }

    /// A record, or a fragment of one.
    fn take_part(&mut self, part: &RecordPart, now: Instant) {
        let (hash, stamp, len) = (part.row.key.hash(), part.row.key.stamp(), part.row.len);
        if !self.is_news(hash, stamp) {
            return;
        }
        let fetches = &mut self.records.fetches;
        match fetches.put(hash, stamp, len, part.index, &part.bytes, now) {
            Put::Whole { bytes, spread } => self.take_whole(hash, stamp, bytes, spread, now),
            Put::Taken => {}
            // Nobody asked for it: somebody tells it.
            Put::Useless if fragments(len) == 1 && part.bytes.len() == usize::from(len) => {
                fetches.end(hash);
                self.take_whole(hash, stamp, part.bytes.clone(), true, now);
            }
            Put::Useless => self.counters.records_refused += 1,
        }
    }

    fn take_whole(
        &mut self,
        hash: NameHash,
        stamp: Stamp,
        bytes: Vec<u8>,
        spread: bool,
        now: Instant,
    ) {
        let Ok(record) = record_from_bytes(&bytes) else {
            self.counters.records_refused += 1;
            return;
        };
        let Some(id) = self.table.find(hash).map(Entry::id) else { return };
        let published = Published { stamp, record: Arc::new(record), encoded: bytes.into() };
        self.table.set_record(id.index, published);
        self.counters.records_taken += 1;
        self.records.stir(now);
        self.show_record(&id);
        if spread {
            self.tell_of_record(hash, now);
        }
    }

    /// Somebody has this record: if it is news, it is asked for.
    fn hear_of_record(
        &mut self,
        row: &RecordRow,
        from: Id,
        spread: bool,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        let (hash, stamp) = (row.key.hash(), row.key.stamp());
        if !self.is_news(hash, stamp) {
            return;
        }
        match self.records.fetches.begin((hash, stamp, row.len), from, spread, now) {
            Begin::Ask(wanted) => {
                // What does not fit is asked for when it is overdue.
                outbox.add_ask(&wanted);
                self.tick_records_soon(now);
            }
            Begin::UnderWay => {}
            Begin::Full => {
                self.records.turned_away = true;
                self.counters.record_fetches_dropped += 1;
            }
        }
    }

    /// Asks again for what did not come.
    pub(super) fn ask_again(&mut self, now: Instant) {
        let (mut again, given_up) = self.records.fetches.overdue(now);
        self.counters.record_fetches_dropped += given_up;
        again.retain(|wanted| {
            let useful = self.is_news(wanted.hash, wanted.stamp);
            if !useful {
                self.records.fetches.end(wanted.hash);
            }
            useful
        });
        again.sort_by_key(|wanted| (wanted.of.index, wanted.hash));
        for group in again.chunk_by(|a, b| a.of == b.of) {
            let mut outbox = Outbox::of(self, MAX_ANSWER_DATAGRAMS);
            for wanted in group {
                outbox.add_ask(wanted);
            }
            self.send_outbox(&group[0].of, outbox);
        }
    }

    /// Sends what is asked for, as far as the limits go; what is kept back is asked for again.
    fn answer_asks(&mut self, asks: &[RecordAsk], to: Id, addr: SocketAddr, now: Instant) {
        let mut outbox = Outbox::of(self, usize::MAX);
        for ask in asks {
            let hash = ask.key.hash();
            let Some(published) = self.published(hash) else { continue };
            if published.stamp > ask.key.stamp() {
                outbox.add_row(row(hash, &published), false);
                continue;
            }
            if published.stamp < ask.key.stamp() {
                continue;
            }
            let row = row(hash, &published);
            for index in (0..fragments(row.len)).filter(|n| ask.missing >> n & 1 == 1) {
                let Some(bytes) = published.fragment(index) else { continue };
                if !self.records.may_serve(addr, now) {
                    self.counters.record_fragments_limited += 1;
                    continue;
                }
                self.counters.record_fragments_sent += 1;
                self.records.helped();
                outbox.add_part(RecordPart { row, index, bytes: bytes.to_vec() });
            }
        }
        self.send_outbox(&to, outbox);
    }

    /// What a member says that it knows of records, in one number.
    pub(super) fn take_record_digest(&mut self, peer: &Peer, digest: u64, now: Instant) {
        let Some(from) = self.member_up(peer) else { return };
        if self.record_summary().total() != digest && self.records.may_compare(now) {
            self.send_buckets(&from);
        }
    }

    /// There was no room to fetch all that another has: the next comparison is not far.
    fn compare_again(&mut self, from: Id, now: Instant) {
        if self.records.turned_away
            && self.records.fetches.is_empty()
            && self.records.pages.take(now)
        {
            self.records.turned_away = false;
            self.send_buckets(&from);
        }
    }

    fn send_buckets(&mut self, to: &Id) {
        self.counters.record_comparisons += 1;
        let buckets = Some(self.record_summary());
        self.send_to_member(to, &Body::Record(RecordBody { buckets, ..RecordBody::default() }));
    }

    /// Answers a member's sums with all that we have where they differ from ours.
    fn send_pages(&mut self, theirs: &Summary, to: Id, now: Instant) {
        let buckets = self.record_summary().differences(theirs);
        if buckets == 0 {
            return;
        }
        let published = self.published_in(buckets, None, NameHash::from_bytes(LAST));
        let rows: Vec<RecordRow> =
            published.into_iter().map(|(hash, published)| row(hash, published)).collect();
        let per_page = self.record_room() / ROW_BYTES;
        let pages = rows.len().div_ceil(per_page).max(1);
        let mut above = None;
        for n in 0..pages {
            if !self.records.pages.take(now) {
                return;
            }
            let rows: Vec<RecordRow> =
                rows.iter().skip(n * per_page).take(per_page).copied().collect();
            let last = rows.last().filter(|_| n + 1 < pages);
            let up_to = last.map_or(LAST, |row| row.key.hash);
            let page = Some(RecordPage { buckets, above, up_to, rows: List(rows) });
            self.send_to_member(&to, &Body::Record(RecordBody { page, ..RecordBody::default() }));
            above = Some(up_to);
        }
    }

    /// Asks for what a page has and we have not, and tells what it has not.
    fn compare_page(&mut self, page: &RecordPage, from: Id, outbox: &mut Outbox, now: Instant) {
        for row in &page.rows.0 {
            self.hear_of_record(row, from, false, outbox, now);
        }
        if !self.records.pages.take(now) {
            return;
        }
        let theirs: BTreeMap<NameHash, Stamp> =
            page.rows.0.iter().map(|row| (row.key.hash(), row.key.stamp())).collect();
        let (above, up_to) =
            (page.above.map(NameHash::from_bytes), NameHash::from_bytes(page.up_to));
        for (hash, published) in self.published_in(page.buckets, above, up_to) {
            let behind = theirs.get(&hash).is_none_or(|stamp| *stamp < published.stamp);
            if behind && !outbox.add_row(row(hash, published), false) {
                return;
            }
        }
    }
}
