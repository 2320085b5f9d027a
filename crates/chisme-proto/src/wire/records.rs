//! The payloads of the sections about records, and the encoding of a record itself.

use std::collections::BTreeMap;

use bincode::{BorrowDecode, Decode, Encode};

use super::codec::{List, Malformed, decode_record, encode_record};
use crate::identity::NameHash;
use crate::record::digest::Summary;
use crate::record::{Stamp, fragments};
use crate::{MAX_RECORD_BYTES, Record, Service, ServiceStatus, Session};

/// Whose record, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordKey {
    pub(crate) hash: [u8; 16],
    pub(crate) session: Session,
    pub(crate) version: u64,
}

impl RecordKey {
    pub(crate) const fn new(hash: NameHash, stamp: Stamp) -> Self {
        Self { hash: hash.to_bytes(), session: stamp.session, version: stamp.version }
    }

    pub(crate) const fn hash(&self) -> NameHash {
        NameHash::from_bytes(self.hash)
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        Stamp { session: self.session, version: self.version }
    }
}

/// "There is this one, so long."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordRow {
    pub(crate) key: RecordKey,
    pub(crate) len: u16,
}

/// A fragment of a record; all of it, if it is short.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordPart {
    pub(crate) row: RecordRow,
    pub(crate) index: u8,
    pub(crate) bytes: Vec<u8>,
}

impl RecordPart {
    /// Whether the numbers fit each other.
    fn is_sound(&self) -> bool {
        usize::from(self.row.len) <= MAX_RECORD_BYTES && self.index < fragments(self.row.len)
    }
}

/// "Send me these fragments": one bit for each, the lowest for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RecordAsk {
    pub(crate) key: RecordKey,
    pub(crate) missing: u32,
}

/// "There are these."
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct RecordNews {
    /// Whether it is a rumour, to be told on, or the answer to a page.
    pub(crate) spread: bool,
    pub(crate) rows: List<RecordRow>,
}

/// "These are all that I have, in these buckets, above one hash and up to another."
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct RecordPage {
    pub(crate) buckets: u16,
    pub(crate) above: Option<[u8; 16]>,
    pub(crate) up_to: [u8; 16],
    pub(crate) rows: List<RecordRow>,
}

/// What a datagram of kind Record says; at least one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordBody {
    pub(crate) buckets: Option<Summary>,
    pub(crate) page: Option<RecordPage>,
    pub(crate) news: Option<RecordNews>,
    pub(crate) parts: List<RecordPart>,
    pub(crate) asks: List<RecordAsk>,
}

impl RecordBody {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn is_sound(&self) -> bool {
        let rows = self.news.iter().flat_map(|news| &news.rows.0);
        let mut rows = rows.chain(self.page.iter().flat_map(|page| &page.rows.0));
        rows.all(|row| usize::from(row.len) <= MAX_RECORD_BYTES)
            && self.parts.0.iter().all(RecordPart::is_sound)
    }
}

/// A record as it travels. What a later version may append is skipped.
#[derive(Encode, BorrowDecode)]
struct Content {
    tags: List<(String, String)>,
    services: List<ServiceContent>,
}

#[derive(Encode, BorrowDecode)]
struct ServiceContent {
    name: String,
    version: String,
    port: u16,
    status: u8,
    weight: u16,
    metadata: List<(String, String)>,
}

/// The bytes of a record.
pub(crate) fn record_to_bytes(record: &Record) -> Vec<u8> {
    let services = record.services.values().map(|service| ServiceContent {
        name: service.name.clone(),
        version: service.version.clone(),
        port: service.port,
        status: status_to_wire(service.status),
        weight: service.weight,
        metadata: pairs(&service.metadata),
    });
    let content = Content { tags: pairs(&record.tags), services: List(services.collect()) };
    encode_record(&content)
}

fn pairs(map: &BTreeMap<String, String>) -> List<(String, String)> {
    List(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// How many bytes that would be.
pub(crate) fn record_len(record: &Record) -> usize {
    record_to_bytes(record).len()
}

/// The record that `bytes` are, if it keeps the limits.
pub(crate) fn record_from_bytes(bytes: &[u8]) -> Result<Record, Malformed> {
    let content: Content = decode_record(bytes)?;
    let mut record = Record::default().with_tags(content.tags.0.into_iter().collect());
    for service in content.services.0 {
        let mut read = Service::new(&service.name, service.port)
            .version(&service.version)
            .status(status_from_wire(service.status))
            .weight(service.weight);
        read.metadata = service.metadata.0.into_iter().collect();
        if record.services.insert(service.name, read).is_some() {
            return Err(Malformed);
        }
    }
    record.check().map_err(|_| Malformed)?;
    Ok(record)
}

const fn status_to_wire(status: ServiceStatus) -> u8 {
    match status {
        ServiceStatus::Starting => 0,
        ServiceStatus::Running => 1,
        ServiceStatus::Draining => 2,
        ServiceStatus::Paused => 3,
    }
}

/// A status that this version does not know is not one that it may route to.
const fn status_from_wire(status: u8) -> ServiceStatus {
    match status {
        0 => ServiceStatus::Starting,
        1 => ServiceStatus::Running,
        2 => ServiceStatus::Draining,
        _ => ServiceStatus::Paused,
    }
}
