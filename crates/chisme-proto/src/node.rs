//! The node: where a datagram, a command or a timeout meets the parts of the protocol.

use std::collections::VecDeque;

use crate::{
    Config, ConfigError, Counters, Endpoints, Input, Instant, MemberState, MemberView, NodeName,
    NodeStatus, Output, Session,
};

/// Who a node is at its start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name, unique in its cluster.
    pub name: NodeName,
    /// New for every start of the process; it must not repeat.
    pub session: Session,
    /// Where the others reach it; may be empty if [`Config::endpoint_is_guess`] is set.
    pub endpoints: Endpoints,
}

/// One member of a cluster, as a state machine.
pub struct Node {
    identity: Identity,
    counters: Counters,
    outputs: VecDeque<Output>,
    started: Instant,
}

impl Node {
    /// A node that knows nobody. It asks for its seeds at once.
    ///
    /// `seed` feeds its generator of random numbers: the same seed and the same inputs give the
    /// same bytes out.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings cannot work together.
    pub fn new(
        config: Config,
        identity: Identity,
        _seed: u64,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { identity, counters: Counters::default(), outputs: VecDeque::new(), started: now })
    }

    /// Takes one input. Drain [`poll_output`](Self::poll_output) afterwards.
    pub fn handle_input(&mut self, _input: Input<'_>, _now: Instant) {}

    /// The next thing that the node wants done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Timeout`]; none once the node has stopped.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// This node as its peers should see it.
    pub fn local(&self) -> MemberView {
        MemberView {
            name: self.identity.name.clone(),
            state: MemberState::Alive,
            session: self.identity.session,
            endpoints: self.identity.endpoints,
            since: self.started,
        }
    }

    /// All other members that are remembered, by name: up, Down and Left.
    pub fn members(&self) -> Vec<MemberView> {
        Vec::new()
    }

    /// Counters and sizes.
    pub fn status(&self) -> NodeStatus {
        NodeStatus { counters: self.counters.clone(), live: 1, tombstones: 0, windows: 0 }
    }
}
