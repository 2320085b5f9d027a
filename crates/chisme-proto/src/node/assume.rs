//! Members that whoever runs this node vouches for.

use foca::State;

use super::Node;
use super::membership::Claim;
use crate::identity::NameHash;
use crate::table::Held;
use crate::{Assumed, Instant, Life};

impl Node {
    /// Takes each for up, on the path of an update that a member sends, but spreads nothing.
    pub(super) fn assume(&mut self, members: &[Assumed], now: Instant) {
        for member in members {
            let hash = NameHash::of(&member.name);
            if hash == self.hash || !member.endpoints.are_usable() {
                continue;
            }
            let age = (member.session, Life::default());
            let known = self.table.find(hash).map(|entry| entry.id().age());
            if known.is_some_and(|known| age < known) {
                self.counters.updates_withheld += 1;
                continue;
            }
            let claim = Claim {
                name: &member.name,
                hash,
                age,
                endpoints: member.endpoints,
                held: Held { incarnation: 0, state: State::Alive },
            };
            self.take_claim(&claim, false, now);
        }
        self.compare_at_leisure(now);
    }
}
