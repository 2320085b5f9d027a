//! Replay windows.
use crate::Session;
use crate::envelope::Sequence;
use crate::identity::NameHash;
use std::collections::{BTreeMap, BTreeSet};
pub(crate) enum Verdict {
    Fresh,
    Replayed,
    OlderSession,
    OverLimit,
}
pub(crate) struct Windows {
    map: BTreeMap<NameHash, BTreeMap<Session, BTreeSet<u64>>>,
}
impl Windows {
    pub(crate) fn new() -> Self {
        Self { map: BTreeMap::new() }
    }
    pub(crate) fn set_live(&mut self, _live: usize) {}
    pub(crate) fn accept(
        &mut self,
        name: NameHash,
        session: Session,
        sequence: Sequence,
        proven: bool,
    ) -> Verdict {
        let m = self.map.entry(name).or_default();
        if !m.contains_key(&session) && !proven && m.keys().any(|&s| s > session) {
            return Verdict::OlderSession;
        }
        if m.len() > 1000000 {
            return Verdict::OverLimit;
        }
        if m.entry(session).or_default().insert(sequence.0) {
            Verdict::Fresh
        } else {
            Verdict::Replayed
        }
    }
    pub(crate) fn newest(&self, name: NameHash) -> Option<Session> {
        self.map.get(&name)?.keys().last().copied()
    }
    pub(crate) fn forget(&mut self, name: NameHash) {
        self.map.remove(&name);
    }
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}
#[derive(Default)]
pub(crate) struct RecentTags(BTreeSet<[u8; 16]>);
impl RecentTags {
    pub(crate) fn insert(&mut self, tag: [u8; 16]) -> bool {
        self.0.insert(tag)
    }
}
