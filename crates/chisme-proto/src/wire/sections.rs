//! The payloads of the sections, field by field as they stand on the wire.

use std::net::SocketAddr;

use bincode::{BorrowDecode, Decode, Encode};

use crate::identity::NameHash;
use crate::{Endpoints, Life, NameKind, NodeName, Refusal, Session, VersionRange};

/// Who sends. Its session stands in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "crate::names::Names")]
pub(crate) struct Sender {
    pub(crate) name: NodeName,
    pub(crate) endpoints: Endpoints,
    pub(crate) life: Life,
}

/// Chosen by who says Hello, echoed by who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct Nonce(pub(crate) u64);

/// What a newcomer must echo to prove that it receives at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Challenge(pub(crate) [u8; 16]);

/// "Who is there?"
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "crate::names::Names")]
pub(crate) struct Hello {
    pub(crate) versions: VersionRange,
    /// Reserved: no bit has a meaning in version 1.
    pub(crate) capabilities: u32,
    pub(crate) nonce: Nonce,
    /// The address that was dialled.
    pub(crate) to: SocketAddr,
    /// Who is looked for, if only that node will do.
    pub(crate) expect: Option<NodeName>,
}

/// "It is me; prove that you are where you say."
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Ack {
    pub(crate) nonce: Nonce,
    pub(crate) versions: VersionRange,
    pub(crate) capabilities: u32,
    /// The source address of the Hello.
    pub(crate) observed: SocketAddr,
    pub(crate) challenge: Challenge,
    /// The newest session of the asker's name that the answerer knows.
    pub(crate) known_session: Option<Session>,
    /// The port of the node that is looked for, if it lives on the same host.
    pub(crate) sibling_port: Option<u16>,
}

/// "Here is your challenge; let me in."
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Proof {
    pub(crate) nonce: Nonce,
    pub(crate) challenge: Challenge,
    pub(crate) versions: VersionRange,
    /// The address that was dialled.
    pub(crate) to: SocketAddr,
    pub(crate) standing: Standing,
}

/// "You are in", and what has to happen for both to hold each other up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Welcome {
    pub(crate) nonce: Nonce,
    pub(crate) outcome: Outcome,
    pub(crate) standing: Standing,
}

/// How the sender holds the receiver, and how large its side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Standing {
    pub(crate) holds: Holds,
    /// Members up and not suspected in the sender's view, itself included.
    pub(crate) live: u32,
    /// The lowest name hash among them (its first 64 bits): equal for all of one side.
    pub(crate) side: u64,
}

/// How the sender holds one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Holds {
    Unknown,
    Up,
    /// Down, or Left, in this life of the present session.
    Gone(Life),
}

impl Holds {
    /// Whether a member in `life` is held Down by this.
    pub(crate) fn accuses(self, life: Life) -> bool {
        matches!(self, Self::Gone(held) if held >= life)
    }
}

/// What the receiver of a Welcome has to do: the healing rule, decided by its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Outcome {
    Nothing,
    RaiseLife,
    Yield,
}

/// A refusal, as it travels. `challenge` makes one by a newcomer worth believing, `nonce` one by
/// the node that it asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RefusalBody {
    pub(crate) nonce: Nonce,
    pub(crate) challenge: Challenge,
    pub(crate) code: u8,
    pub(crate) versions: VersionRange,
    /// Whatever address the reason speaks of.
    pub(crate) addr: Option<SocketAddr>,
}

impl RefusalBody {
    pub(crate) fn new(
        reason: &Refusal,
        nonce: Nonce,
        challenge: Challenge,
        versions: VersionRange,
    ) -> Self {
        let (code, addr) = match reason {
            Refusal::Version { .. } => (1, None),
            Refusal::NameKind { .. } => (2, None),
            Refusal::NameConflict { holder, .. } => (3, Some(*holder)),
            Refusal::SessionTooFar { .. } => (4, None),
            Refusal::AdvertisedUnreachable { observed, .. } => (5, Some(*observed)),
            Refusal::Full { .. } => (6, None),
            Refusal::Unknown { code } => (*code, None),
        };
        Self { nonce, challenge, code, versions, addr }
    }

    /// The reason as the refused node shows it.
    pub(crate) fn reason(
        &self,
        by: &NodeName,
        ours: &NodeName,
        our_versions: VersionRange,
        advertised: Option<SocketAddr>,
        from: SocketAddr,
    ) -> Refusal {
        let other = |kind| match kind {
            NameKind::Short => NameKind::Long,
            NameKind::Long => NameKind::Short,
        };
        let by = by.clone();
        match self.code {
            1 => Refusal::Version { by, theirs: self.versions, ours: our_versions },
            2 => Refusal::NameKind { by, theirs: other(ours.kind()), ours: ours.kind() },
            3 => Refusal::NameConflict { name: ours.clone(), holder: self.addr.unwrap_or(from) },
            4 => Refusal::SessionTooFar { name: ours.clone() },
            5 => Refusal::AdvertisedUnreachable {
                advertised: advertised.unwrap_or(from),
                observed: self.addr.unwrap_or(from),
            },
            6 => Refusal::Full { by },
            code => Refusal::Unknown { code },
        }
    }
}

/// Ties an EchoReply to its Echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct Token(pub(crate) u64);

/// "Are you there?" and "I am".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct EchoBody {
    pub(crate) token: Token,
}

/// "I went over to the other side; greet this one."
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "crate::names::Names")]
pub(crate) struct Introduction {
    pub(crate) name: NodeName,
    pub(crate) endpoints: Endpoints,
}

/// What somebody should know about its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Notice {
    /// A newer session of your name was here and is gone: go above it.
    Superseded { session: Session },
    /// A newer session of your name is held up, at this address: if it answers you, stop; else go
    /// above it.
    Conflict { session: Session, holder: SocketAddr },
    /// Another process wanted your name, and was refused or has to stop.
    Claimed { claimant: SocketAddr },
}

/// One rumour about one member.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "crate::names::Names")]
pub(crate) struct Update {
    pub(crate) name: NodeName,
    pub(crate) endpoints: Endpoints,
    pub(crate) session: Session,
    pub(crate) life: Life,
    pub(crate) incarnation: u16,
    /// 0 alive, 1 suspect, 2 down.
    pub(crate) state: u8,
}

impl Update {
    pub(crate) fn hash(&self) -> NameHash {
        NameHash::of(&self.name)
    }

    /// Whether state and endpoints are such as a member can have.
    pub(crate) fn is_sound(&self) -> bool {
        self.state <= 2 && self.endpoints.are_usable()
    }
}
