//! What members say of themselves, as far as it is known, and the sum over those that are up.

use std::sync::Arc;

use super::Table;
use crate::record::Published;
use crate::record::digest::Summary;
use crate::swim::Index;
use crate::{MemberState, Record};

impl Table {
    /// What is known of what those say that are held up, for a comparison; this node is not in it.
    pub(crate) const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What a member says of itself; none if it says nothing, or nothing was heard of it.
    pub(crate) fn record(&self, index: Index) -> Option<&Arc<Published>> {
        self.records.get(&index)
    }

    /// What the user is shown of that while a member is in `state`.
    pub(crate) fn record_shown(&self, index: Index, state: MemberState) -> Arc<Record> {
        let record = self.record(index).filter(|_| state.is_up());
        record.map_or_else(Record::nothing, |published| Arc::clone(&published.record))
    }

    /// The version of that; 0 while none is known.
    pub(crate) fn record_version(&self, index: Index) -> u64 {
        self.record(index).map_or(0, |published| published.stamp.version)
    }

    /// Takes over what a member says of itself in its present session.
    pub(crate) fn set_record(&mut self, index: Index, published: Published) {
        self.forget_record(index);
        let Some(entry) = self.entries.at(index) else { return };
        if entry.is_up() {
            self.summary.add(entry.hash(), published.stamp);
        }
        self.records.insert(index, Arc::new(published));
    }

    pub(super) fn forget_record(&mut self, index: Index) {
        if let Some(known) = self.records.remove(&index)
            && let Some(entry) = self.entries.at(index)
            && entry.is_up()
        {
            self.summary.subtract(entry.hash(), known.stamp);
        }
    }
}
