//! A datagram to a suspected member tells it so first, so that it can refute (Lifeguard's buddy, §IV-C).

use super::Node;
use crate::Instant;
use crate::swim::Id;

impl Node {
    /// Whoever sends to a member that it suspects tells it so first.
    pub(super) fn tell_suspect(&mut self, id: &Id, now: Instant) {
        if self.config.detector.buddy && self.suspected_in(id).is_some() && !self.is_reprobed(id) {
            let accusation = self.as_update(id);
            self.tell(id, accusation.as_slice(), now);
        }
    }
}
