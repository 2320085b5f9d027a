//! A record: tags and services, and how its owner changes it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::wire::record_len;

/// The longest encoding of a record, in bytes.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;

/// The longest key of a tag or of a service's metadata, in bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// The longest value of a tag or of a service's metadata, in bytes.
pub const MAX_VALUE_BYTES: usize = 4_096;

/// The longest name of a service, in bytes.
pub const MAX_SERVICE_NAME_BYTES: usize = 128;

/// The longest version text of a service, in bytes.
pub const MAX_SERVICE_VERSION_BYTES: usize = 128;

/// What a member says of itself: tags, and the services that it offers.
///
/// Only its owner writes it. The others see it as long as the member is up, and the last version
/// wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Free text by key.
    pub tags: BTreeMap<String, String>,
    /// The services by name.
    pub services: BTreeMap<String, Service>,
}

/// One service that a member offers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its name, one of a kind on its member: ASCII letters, digits, `_`, `-`, `.` and `/`.
    pub name: String,
    /// Free text, such as `2.3.1`; may be empty.
    pub version: String,
    /// Where it listens, at the member's address; 0 if it has no port.
    pub port: u16,
    /// Whether it can be used.
    pub status: ServiceStatus,
    /// How often weighted selection takes it, compared with others; 0 is never.
    pub weight: u16,
    /// Free text by key.
    pub metadata: BTreeMap<String, String>,
}

impl Service {
    /// A service that runs, with weight 1 and nothing else to say.
    pub fn new(name: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            port,
            status: ServiceStatus::Running,
            weight: 1,
            metadata: BTreeMap::new(),
        }
    }

    /// With this version text.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// In this status.
    #[must_use]
    pub fn status(mut self, status: ServiceStatus) -> Self {
        self.status = status;
        self
    }

    /// With this weight.
    #[must_use]
    pub const fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// With one more entry of metadata.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    fn check(&self) -> Result<(), RecordError> {
        check_service_name(&self.name)?;
        if self.version.len() > MAX_SERVICE_VERSION_BYTES {
            let limit = MAX_SERVICE_VERSION_BYTES;
            return Err(too_long("version of a service", &self.version, limit));
        }
        check_map("metadata key", &self.metadata)
    }
}

/// Whether a service can be used. Only [`Running`](Self::Running) ones are routed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServiceStatus {
    /// Not ready yet.
    Starting,
    /// Takes work.
    #[default]
    Running,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Takes nothing for a while.
    Paused,
}

impl ServiceStatus {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Running, Self::Draining, Self::Paused];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for ServiceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServiceStatus {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| RecordError::Status(text.to_owned()))
    }
}

/// Why a record cannot be changed in this way. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The whole would be longer than others take.
    #[error(
        "the record would have {bytes} bytes, and may have {limit}: remove tags, or keep the \
         data elsewhere and publish where it is",
        limit = MAX_RECORD_BYTES
    )]
    TooLarge {
        /// Its length, encoded.
        bytes: usize,
    },
    /// A key or a name of nothing.
    #[error("a {what} may not be empty")]
    Empty {
        /// What it is.
        what: &'static str,
    },
    /// Longer than its limit.
    #[error("a {what} may have {limit} bytes, this one has {len}: {start:?}...")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// How it begins.
        start: String,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A key with a character that would not survive a command line.
    #[error("{text:?} is no {what}: {character:?} is not allowed in it")]
    Character {
        /// What it should be.
        what: &'static str,
        /// The text.
        text: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// A name that services do not have.
    #[error(
        "{name:?} is no name of a service: {character:?} is not allowed (letters, digits, '_', '-', '.' and '/' are)"
    )]
    ServiceName {
        /// What was given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Not one of the four.
    #[error("{0:?} is no status of a service: starting, running, draining and paused are")]
    Status(String),
    /// The name is in use on this node.
    #[error("this node has registered a service {0:?} already: deregister it first, or change it")]
    AlreadyRegistered(String),
    /// Nothing to change.
    #[error("this node has not registered a service {0:?}")]
    NotRegistered(String),
}

/// A change of a node's own record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordEdit {
    /// Puts this in the place of all that there was.
    Replace(Record),
    /// Puts these in the place of all tags.
    SetTags(BTreeMap<String, String>),
    /// Adds these tags, or changes their values.
    MergeTags(BTreeMap<String, String>),
    /// Removes the tags of these keys; a key that is not there is no error.
    RemoveTags(Vec<String>),
    /// Adds a service that is not registered yet.
    Register(Service),
    /// Adds a service, or puts it in the place of the one of its name.
    Put(Service),
    /// Changes the status of a service.
    SetStatus {
        /// Which.
        name: String,
        /// To what.
        status: ServiceStatus,
    },
    /// Removes a service.
    Deregister(String),
    /// All of these, one after another, or none of them. The limits hold for what comes of all.
    All(Vec<Self>),
}

impl Record {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.services.is_empty()
    }

    /// A record that says nothing, shared by all that have none.
    pub fn nothing() -> Arc<Self> {
        static NOTHING: LazyLock<Arc<Record>> = LazyLock::new(Arc::default);
        Arc::clone(&NOTHING)
    }

    /// The record with these tags in the place of its own.
    #[must_use]
    pub fn with_tags(mut self, tags: BTreeMap<String, String>) -> Self {
        self.tags = tags;
        self
    }

    /// The record with one more service, or another in the place of the one of that name.
    #[must_use]
    pub fn with_service(mut self, service: Service) -> Self {
        self.services.insert(service.name.clone(), service);
        self
    }

    /// Its length in bytes, as it travels.
    pub fn encoded_len(&self) -> usize {
        record_len(self)
    }

    /// Checks every name, key and value, and the length of the whole.
    ///
    /// # Errors
    /// [`RecordError`] quotes what is wrong, and names the limit.
    pub fn check(&self) -> Result<(), RecordError> {
        check_map("tag", &self.tags)?;
        for (name, service) in &self.services {
            if *name != service.name {
                return Err(RecordError::NotRegistered(name.clone()));
            }
            service.check()?;
        }
        match self.encoded_len() {
            bytes if bytes > MAX_RECORD_BYTES => Err(RecordError::TooLarge { bytes }),
            _ => Ok(()),
        }
    }

    /// The record after a change.
    ///
    /// # Errors
    /// [`RecordError`] if the change asks for what is not there, or its result breaks a limit.
    pub fn edited(&self, edit: RecordEdit) -> Result<Self, RecordError> {
        let mut record = self.clone();
        record.edit(edit)?;
        record.check()?;
        Ok(record)
    }

    /// Makes a change, whatever the limits say of what comes of it.
    fn edit(&mut self, edit: RecordEdit) -> Result<(), RecordError> {
        match edit {
            RecordEdit::Replace(other) => *self = other,
            RecordEdit::SetTags(tags) => self.tags = tags,
            RecordEdit::MergeTags(tags) => self.tags.extend(tags),
            RecordEdit::RemoveTags(keys) => self.tags.retain(|key, _| !keys.contains(key)),
            RecordEdit::Register(service) if self.services.contains_key(&service.name) => {
                return Err(RecordError::AlreadyRegistered(service.name));
            }
            RecordEdit::Register(service) | RecordEdit::Put(service) => {
                self.services.insert(service.name.clone(), service);
            }
            RecordEdit::SetStatus { name, status } => {
                let service = self.services.get_mut(&name);
                service.ok_or(RecordError::NotRegistered(name))?.status = status;
            }
            RecordEdit::Deregister(name) => {
                let removed = self.services.remove(&name);
                removed.map(drop).ok_or(RecordError::NotRegistered(name))?;
            }
            RecordEdit::All(edits) => edits.into_iter().try_for_each(|edit| self.edit(edit))?,
        }
        Ok(())
    }
}

fn check_map(what: &'static str, map: &BTreeMap<String, String>) -> Result<(), RecordError> {
    for (key, value) in map {
        if key.is_empty() {
            return Err(RecordError::Empty { what });
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(too_long(what, key, MAX_KEY_BYTES));
        }
        let wrong = |c: &char| *c == '=' || c.is_whitespace() || c.is_control();
        if let Some(character) = key.chars().find(wrong) {
            return Err(RecordError::Character { what, text: key.clone(), character });
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(too_long("value", value, MAX_VALUE_BYTES));
        }
    }
    Ok(())
}

fn check_service_name(name: &str) -> Result<(), RecordError> {
    if name.is_empty() {
        return Err(RecordError::Empty { what: "name of a service" });
    }
    if name.len() > MAX_SERVICE_NAME_BYTES {
        return Err(too_long("name of a service", name, MAX_SERVICE_NAME_BYTES));
    }
    let wrong = |c: &char| !c.is_ascii_alphanumeric() && !"_-./".contains(*c);
    match name.chars().find(wrong) {
        Some(character) => Err(RecordError::ServiceName { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

fn too_long(what: &'static str, text: &str, limit: usize) -> RecordError {
    const SHOWN: usize = 40;
    let start = text.chars().take(SHOWN).collect();
    RecordError::TooLong { what, start, len: text.len(), limit }
}
