//! Names of nodes and clusters: what is allowed in them, and short against long.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::NameHash;

/// The longest name of a node, in bytes, host included.
pub const MAX_NAME_LEN: usize = 255;

/// The longest name of a cluster, in bytes.
pub const MAX_CLUSTER_NAME_LEN: usize = 64;

/// The name of a node, `name@host`: the key by which a cluster knows a member.
///
/// Both parts consist of ASCII letters, digits, `_`, `-` and `.`; the whole is at most 255 bytes.
/// As in Erlang, a host with a dot makes the name *long*, one without makes it *short*.
#[derive(Clone)]
pub struct NodeName(Arc<Spelled>);

/// A name and its hash, which is asked for far more often than it changes.
struct Spelled {
    hash: NameHash,
    text: Box<str>,
}

/// Whether a cluster uses host names without a dot or fully qualified ones; never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `node1@host`
    Short,
    /// `node1@host.example.com`
    Long,
}

/// Why a text is not a name; it quotes the text and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No `@`, or nothing on one side of it.
    #[error("{0:?} is not a node name: it must look like name@host")]
    NotNameAtHost(String),
    /// A character that names do not have.
    #[error(
        "{name:?} is not a name: {character:?} is not allowed (letters, digits, '_', '-' and '.' are)"
    )]
    Character {
        /// What was given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// Longer than the limit.
    #[error("a name may have {limit} bytes, this one has {len}: {start:?}...")]
    TooLong {
        /// How it begins.
        start: String,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A cluster name without a character.
    #[error("the name of a cluster may not be empty")]
    Empty,
}

impl NodeName {
    /// Reads `name@host`.
    ///
    /// # Errors
    /// [`NameError`] if the text is not `name@host`, too long, or has a character that is not allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, MAX_NAME_LEN)?;
        let Some((local, host)) = text.split_once('@') else {
            return Err(NameError::NotNameAtHost(text.to_owned()));
        };
        check_characters(text, local)?;
        check_characters(text, host)?;
        if local.is_empty() || host.is_empty() {
            return Err(NameError::NotNameAtHost(text.to_owned()));
        }
        Ok(Self(Arc::new(Spelled { hash: NameHash::of_text(text), text: text.into() })))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What a cluster compares it by.
    pub(crate) fn hash(&self) -> NameHash {
        self.0.hash
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        self.parts().0
    }

    /// The part after the `@`.
    pub fn host(&self) -> &str {
        self.parts().1
    }

    /// Short if the host has no dot, long if it has one.
    pub fn kind(&self) -> NameKind {
        if self.host().contains('.') { NameKind::Long } else { NameKind::Short }
    }

    fn parts(&self) -> (&str, &str) {
        self.as_str().split_once('@').expect("parse accepts nothing without an @")
    }
}

impl PartialEq for NodeName {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for NodeName {}

/// As texts are ordered.
impl Ord for NodeName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for NodeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for NodeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "short",
            Self::Long => "long",
        })
    }
}

/// The name of a cluster. Nodes of different clusters are deaf to each other: it is part of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// Reads the name of a cluster: 1 to 64 bytes of letters, digits, `_`, `-` and `.`.
    ///
    /// # Errors
    /// [`NameError`] if it is empty, too long, or has a character that is not allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text, MAX_CLUSTER_NAME_LEN)?;
        check_characters(text, text)?;
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("default".into())
    }
}

fn check_length(text: &str, limit: usize) -> Result<(), NameError> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(NameError::TooLong { start: text.chars().take(32).collect(), len: text.len(), limit })
}

fn check_characters(whole: &str, part: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match part.chars().find(|&c| !allowed(c)) {
        None => Ok(()),
        Some(character) => Err(NameError::Character { name: whole.to_owned(), character }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_the_host_makes_a_name_long() {
        assert_eq!(NodeName::parse("n1@host").expect("valid").kind(), NameKind::Short);
        assert_eq!(NodeName::parse("n.1@host").expect("valid").kind(), NameKind::Short);
        assert_eq!(NodeName::parse("n1@host.example").expect("valid").kind(), NameKind::Long);
    }

    #[test]
    fn what_is_not_a_name_is_quoted_in_the_error() {
        for bad in ["", "n1", "@host", "n1@", "n 1@host", "n1@ho st", "a@b@c", "nö@host"] {
            let error = NodeName::parse(bad).expect_err(bad).to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
        let long = format!("{}@host", "n".repeat(251));
        assert!(NodeName::parse(&long).expect_err("too long").to_string().contains("255"));
        assert!(NodeName::parse(&long[1..]).is_ok());
    }
}
