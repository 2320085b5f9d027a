//! The rules that hold in every run of a scenario, watched while it goes.
//!
//! The world tells it what happens; it never changes anything. What must hold once the faults are
//! over is judged in `run`.

use crate::cluster::Cluster;
use crate::disturbance::{Disturbance, DisturbanceId, Disturbances};

/// What watches a run.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) disturbances: Disturbances,
}

impl Cluster {
    /// Says that something is done to machines from now on. Without a watch it is of no account.
    pub(crate) fn disturb(&mut self, disturbance: Disturbance) -> Option<DisturbanceId> {
        let now = self.now;
        self.watch.as_mut().map(|watch| watch.disturbances.begin(disturbance, now))
    }

    /// Says that it is over.
    pub(crate) fn calm(&mut self, id: Option<DisturbanceId>) {
        let now = self.now;
        if let (Some(watch), Some(id)) = (&mut self.watch, id) {
            watch.disturbances.end(id, now);
        }
    }
}
