//! Which guard a service of this node belongs to: an old guard must not end what took its service's name since.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chisme_proto::{RecordEdit, RequestId};

/// One registration of a service, different from any other in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuardId(u64);

impl GuardId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The services that have a guard; at most as many as the record has.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    by_service: BTreeMap<String, GuardId>,
    /// What edits that are under way change if they succeed.
    pending: BTreeMap<RequestId, Change>,
}

#[derive(Debug)]
enum Change {
    Belongs(String, GuardId),
    AreFree(Vec<String>),
    AllAreFree,
}

impl Owners {
    /// The service that an edit of a guard is about and that is not this guard's any more.
    pub(crate) fn lost<'a>(&self, edit: &'a RecordEdit, guard: Option<GuardId>) -> Option<&'a str> {
        let (RecordEdit::SetStatus { name, .. } | RecordEdit::Deregister(name)) = edit else {
            return None;
        };
        (guard.is_some() && self.by_service.get(name) != guard.as_ref()).then_some(name)
    }

    pub(crate) fn begins(&mut self, request: RequestId, edit: &RecordEdit, guard: Option<GuardId>) {
        let change = match (edit, guard) {
            (RecordEdit::Register(service), Some(guard)) => {
                Change::Belongs(service.name.clone(), guard)
            }
            (edit, _) => frees(edit),
        };
        self.pending.insert(request, change);
    }

    pub(crate) fn ended(&mut self, request: RequestId, succeeded: bool) {
        match self.pending.remove(&request).filter(|_| succeeded) {
            Some(Change::Belongs(name, guard)) => drop(self.by_service.insert(name, guard)),
            Some(Change::AreFree(names)) => {
                self.by_service.retain(|service, _| !names.contains(service));
            }
            Some(Change::AllAreFree) => self.by_service.clear(),
            None => {}
        }
    }
}

/// Whose services belong to no guard any more after an edit.
fn frees(edit: &RecordEdit) -> Change {
    match edit {
        RecordEdit::Register(service) | RecordEdit::Put(service) => {
            Change::AreFree(vec![service.name.clone()])
        }
        RecordEdit::Deregister(name) => Change::AreFree(vec![name.clone()]),
        RecordEdit::Replace(_) => Change::AllAreFree,
        RecordEdit::All(edits) => {
            edits.iter().map(frees).fold(Change::AreFree(Vec::new()), |all, one| match (all, one) {
                (Change::AreFree(all), Change::AreFree(one)) => {
                    Change::AreFree([all, one].concat())
                }
                _ => Change::AllAreFree,
            })
        }
        _ => Change::AreFree(Vec::new()),
    }
}
