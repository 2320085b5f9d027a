//! What two nodes compare to find out whether they know the same members.
//!
//! It knows names, sessions and lives; nothing of datagrams, of time, or of who is asked.

pub(crate) mod digest;
