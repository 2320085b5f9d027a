//! Seeds: where a node looks for its first contacts, again and again while it runs.
//!
//! Seeds only add: what they name is greeted, nobody is removed because a seed no longer names it.
//! This module knows texts, names and addresses, and nothing of membership.

mod dns;
mod grammar;
mod source;
mod system;

pub use chisme_proto::Contact;
pub use dns::{Resolver, ResolverSettings};
pub use grammar::{ParseSeedError, Seed};
pub use source::{
    ChannelSeeds, DnsSeeds, FileSeeds, SeedFuture, SeedOutcome, SeedSource, SeedStatus, Seeds,
    StaticSeeds,
};

/// Why a look-up gave no contacts. What was known before stays in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The name exists, without records of the kinds that were asked for.
    #[error("the name has no address")]
    NoData,
    /// The name server answered with an error (SERVFAIL, REFUSED, ...).
    #[error("the name server answered with an error: {0}")]
    ServerFailure(String),
    /// No answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// Anything else: no name server is configured, a file cannot be read.
    #[error("{0}")]
    Other(String),
}
