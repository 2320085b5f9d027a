//! The control socket: HTTP/1.1 with JSON over a Unix socket that only its user can reach.
//!
//! `wire` is what is said, `server` answers for an agent, `client` asks. `guard` keeps a client that
//! says half a sentence, or never listens, from costing anybody else anything.

pub(crate) mod client;
mod guard;
pub(crate) mod server;
pub(crate) mod wire;
