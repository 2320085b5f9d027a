//! What runs in a process: the node of production, or the baseline that it is compared with.
//!
//! Both have the same inputs and outputs; nobody else needs to know which it is.

use chisme_proto::{Fill, Input, Instant, MemberView, Node, NodeName, NodeStatus, Output, Session};

use crate::baseline::Baseline;
use crate::panics;

/// One member of a cluster.
pub(crate) enum Member {
    Chisme(Box<Node>),
    Baseline(Box<Baseline>),
    /// One of them, and what a test makes it do besides.
    #[cfg(test)]
    Sabotaged(Box<crate::sabotage::Saboteur>),
}

/// Both have the method. A panic in there is theirs, also where somebody only reads.
macro_rules! either {
    ($member:expr, $node:ident => $call:expr) => {
        panics::node(|| match $member {
            Member::Chisme($node) => $call,
            Member::Baseline($node) => $call,
            #[cfg(test)]
            Member::Sabotaged($node) => $call,
        })
    };
}

impl Member {
    pub(crate) fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        either!(self, node => node.handle_input(input, now));
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        either!(self, node => node.poll_output())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        either!(self, node => node.poll_timeout())
    }

    pub(crate) fn local(&self) -> MemberView {
        either!(self, node => node.local())
    }

    pub(crate) fn session(&self) -> Session {
        either!(self, node => node.session())
    }

    pub(crate) fn members(&self) -> Vec<MemberView> {
        either!(self, node => node.members())
    }

    pub(crate) fn member(&self, name: &NodeName) -> Option<MemberView> {
        either!(self, node => node.member(name))
    }

    pub(crate) fn status(&self) -> NodeStatus {
        either!(self, node => node.status())
    }

    /// A map or queue that holds more than it may.
    pub(crate) fn overfull(&self) -> Option<Fill> {
        match self {
            Member::Chisme(node) => node.fills().find(Fill::is_over),
            // The baseline is measured. What it keeps is its own affair.
            Member::Baseline(_) => None,
            #[cfg(test)]
            Member::Sabotaged(saboteur) => saboteur.overfull(),
        }
    }
}
