//! Whose an address is: asked for every datagram, twice.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;

use crate::network::mix;

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

/// Nobody chooses addresses to slow a simulation down, so one multiplication a word is enough.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0.rotate_left(17) ^ number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
