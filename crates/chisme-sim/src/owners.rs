//! Whose an address is: asked for every datagram, twice.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::SocketAddr;

use crate::mixer::Mixer;

/// Machines by address. Looked up by address only: its order is nobody's business.
#[derive(Debug, Default)]
pub(crate) struct Owners(HashMap<SocketAddr, usize, BuildHasherDefault<Mixer>>);

impl Owners {
    /// Whose an address is, if it is anybody's.
    pub(crate) fn of(&self, addr: SocketAddr) -> Option<usize> {
        self.0.get(&addr).copied()
    }

    pub(crate) fn insert(&mut self, addr: SocketAddr, machine: usize) {
        self.0.insert(addr, machine);
    }

    pub(crate) fn remove(&mut self, addr: SocketAddr) {
        self.0.remove(&addr);
    }
}
