//! Seeds: when they are asked for, and who of them is greeted.

use std::net::SocketAddr;
use std::time::Duration;

use rand::seq::SliceRandom;

use super::contact::Why;
use super::{Node, Only, bounded_seeds};
use crate::identity::{NameHash, canonical};
use crate::table::Entry;
use crate::{Contact, Fill, Instant};

/// The most addresses that are remembered as our own.
const MAX_OWN_ADDRESSES: usize = 64;

/// For so long an address that led back to us is no seed. Behind a balancer it leads to another
/// node next time.
const OWN_ADDRESS_REST: Duration = Duration::from_secs(30);

/// How many seeds a node that is alone, or has company, greets after one look-up.
const SEEDS_ALONE: usize = 8;
const SEEDS_IN_COMPANY: usize = 3;

impl Node {
    pub(super) fn own_addresses_fill(&self) -> Fill {
        Fill::new("own_addresses", self.own_addresses.len(), MAX_OWN_ADDRESSES)
    }

    pub(super) fn handle_seeds(&mut self, contacts: Vec<Contact>, now: Instant) {
        self.seeds = bounded_seeds(contacts);
        let mut unseen: Vec<Contact> =
            self.seeds.iter().filter(|contact| self.is_unseen(contact, now)).cloned().collect();
        let wanted = if self.table.up() == 0 { SEEDS_ALONE } else { SEEDS_IN_COMPANY };
        // Half of them in the order given, which is that of SRV's priorities; half at random,
        // because the first ones may be dead for long.
        let in_order = (wanted / 2).min(unseen.len());
        unseen[in_order..].shuffle(&mut self.rng);
        unseen.truncate(wanted);
        for contact in unseen {
            self.knock_quietly(canonical(contact.addr), contact.expect, Why::Seed, now);
        }
    }

    /// Whether a seed leads to nobody whom we see.
    fn is_unseen(&self, contact: &Contact, now: Instant) -> bool {
        let addr = canonical(contact.addr);
        let known = match &contact.expect {
            Some(name) => {
                let entry = self.table.find(NameHash::of(name));
                *name == self.name || entry.is_some_and(Entry::is_up)
            }
            None => self.table.iter().any(|e| e.is_up() && e.endpoints().contains(addr)),
        };
        let rests = self.own_addresses.get(&addr).is_some_and(|&until| until > now);
        !known && !rests && !self.endpoints.contains(addr)
    }

    /// Sets the moment of the next look-up: soon for a node that sees nobody.
    pub(super) fn schedule_seeds(&mut self, now: Instant) {
        let cadence = self.config.seeds.clone();
        let wait = if self.table.up() > 0 {
            self.seed_wait = cadence.alone_min;
            cadence.in_company
        } else {
            let wait = self.seed_wait;
            self.seed_wait = wait.saturating_mul(2).min(cadence.alone_max);
            wait
        };
        let at = now + self.jittered(wait);
        self.schedule.set(Only::Seeds, at);
    }

    /// An address has led back to us.
    pub(super) fn rest_own_address(&mut self, addr: SocketAddr, now: Instant) {
        self.own_addresses.retain(|_, until| *until > now);
        if self.own_addresses.len() < MAX_OWN_ADDRESSES {
            self.own_addresses.insert(addr, now + OWN_ADDRESS_REST);
        }
    }
}
