//! What goes into a node and what comes out of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Counters, Endpoints, Instant, KeyRing, NameKind, NodeName, Record, RecordEdit, RecordError,
    Rejection, Session, VersionRange,
};

/// One thing that happened to a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A UDP payload arrived. Longer than [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) is rejected.
    Datagram {
        /// The source address.
        from: SocketAddr,
        /// The payload.
        bytes: &'a [u8],
    },
    /// The network says that no process listens where a datagram of this node was sent: an ICMP "port
    /// unreachable". Anybody can say so; it counts by what it quotes.
    Unreachable {
        /// The destination of that datagram.
        to: SocketAddr,
        /// What is quoted of its UDP payload, from the first byte on. Without its last 16 bytes it
        /// proves nothing.
        quoted: &'a [u8],
    },
    /// The embedder wants something.
    Command(Command),
    /// The answer to [`Output::ResolveSeeds`]: all addresses that the seeds stand for now.
    /// At most [`MAX_SEEDS`](crate::MAX_SEEDS) are kept.
    SeedsResolved(Vec<Contact>),
    /// The moment of `poll_timeout` has come.
    Timeout,
}

/// Names a request, so that its answer can be told from others. The driver chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What an embedder may ask of a running node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Contact these addresses and report what each said: [`Output::Connected`].
    Connect {
        /// Returned with the report.
        request: RequestId,
        /// At most [`MAX_CONTACTS`](crate::MAX_CONTACTS); what is beyond reports `NoAnswer` at once.
        contacts: Vec<Contact>,
    },
    /// Measure a round trip to a member through the protocol: [`Output::Ponged`].
    Ping {
        /// Returned with the answer.
        request: RequestId,
        /// The member.
        name: NodeName,
    },
    /// Say goodbye and stop: ends in [`Output::Stopped`] within a second.
    Leave,
    /// The other nodes of this host, as read from the runtime directory. Replaces the last list.
    SetSiblings(Vec<Sibling>),
    /// Seal with another key from now on; what sealed before is still accepted.
    SetKeys(KeyRing),
    /// Change this node's record: [`Output::RecordEdited`].
    EditRecord {
        /// Returned with the answer.
        request: RequestId,
        /// How.
        edit: RecordEdit,
    },
    /// Ask for the seeds now instead of at the next moment of the cadence.
    ResolveSeeds,
    /// Take these for up, as if a member had told of them, and spread nothing. Whoever gives it
    /// vouches for them: those that are not there are found Down as others are. Those that the node
    /// knows better, itself, and endpoints that nobody can send to are passed over.
    Assume(Vec<Assumed>),
}

/// A member that somebody vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// Its name.
    pub name: NodeName,
    /// The run of its process.
    pub session: Session,
    /// Where it can be reached.
    pub endpoints: Endpoints,
}

/// An address to try, and who is expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Where to knock.
    pub addr: SocketAddr,
    /// If set, only this node is joined; another that answers is asked where this one is.
    pub expect: Option<NodeName>,
}

/// Another node of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Its name.
    pub name: NodeName,
    /// Its port; its address is the one by which the asker reached us.
    pub port: u16,
}

/// What a node wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this payload.
    Transmit {
        /// To here.
        to: SocketAddr,
        /// At most [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes.
        bytes: Vec<u8>,
    },
    /// Something that an embedder may want to know.
    Event(Event),
    /// Look the seeds up and answer with [`Input::SeedsResolved`], however the look-up ends.
    ResolveSeeds,
    /// The answer to [`Command::Connect`].
    Connected {
        /// Which one.
        request: RequestId,
        /// One line per contact, in the order given; found siblings are added at the end. Once the
        /// node that was looked for by name is found, contacts that have not answered have none.
        report: Vec<ContactReport>,
    },
    /// The answer to [`Command::Ping`].
    Ponged {
        /// Which one.
        request: RequestId,
        /// The round trip, or none if the member is unknown or three tries in 1 s went unanswered.
        rtt: Option<Duration>,
    },
    /// The answer to [`Command::EditRecord`]. What was taken over is told to the others soon.
    RecordEdited {
        /// Which one.
        request: RequestId,
        /// Why not; nothing has changed then.
        result: Result<(), RecordError>,
    },
    /// The node has stopped; it sends nothing more and ignores what comes.
    Stopped(StopReason),
}

/// Why a node stopped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to leave.
    Left,
    /// Another live node holds its name with a newer session.
    NameConflict,
}

/// What became of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactReport {
    /// The address that was tried.
    pub addr: SocketAddr,
    /// What came of it.
    pub result: ContactResult,
}

/// What became of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContactResult {
    /// It is a member now, and so are we in its view.
    Joined(NodeName),
    /// It was a member already.
    AlreadyKnown(NodeName),
    /// The address leads back to this node.
    Ourselves,
    /// It is somebody else than the one expected, who was not joined.
    SomebodyElse(NodeName),
    /// It answered, and said no.
    Refused(Refusal),
    /// Nothing came back that could be authenticated: nobody there, or another cookie or cluster.
    NoAnswer,
}

/// Why a node is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No protocol version in common.
    #[error("incompatible protocol versions: {by} speaks {theirs}, this node speaks {ours}")]
    Version {
        /// Who refused, or whom we refused.
        by: NodeName,
        /// The peer's range.
        theirs: VersionRange,
        /// Our range.
        ours: VersionRange,
    },
    /// Short and long names in one cluster.
    #[error(
        "{by} uses {theirs} names and this node {ours} ones: a cluster uses one kind (give --sname or --name to all)"
    )]
    NameKind {
        /// Who refused, or whom we refused.
        by: NodeName,
        /// The peer's kind.
        theirs: NameKind,
        /// Our kind.
        ours: NameKind,
    },
    /// A live node already has the name.
    #[error(
        "the name {name} is taken by a live node at {holder}; choose another name or stop that one"
    )]
    NameConflict {
        /// The name.
        name: NodeName,
        /// Where its holder lives.
        holder: SocketAddr,
    },
    /// The newcomer's clock is more than ten years ahead of everybody's.
    #[error(
        "the clock of {name} is more than ten years ahead of the cluster's: set it and start again"
    )]
    SessionTooFar {
        /// The newcomer.
        name: NodeName,
    },
    /// The address that the newcomer advertises does not answer.
    #[error(
        "the advertised address {advertised} does not answer; the node is seen at {observed} (set --advertise)"
    )]
    AdvertisedUnreachable {
        /// What the newcomer said.
        advertised: SocketAddr,
        /// Where its datagrams come from.
        observed: SocketAddr,
    },
    /// As many members are up as may be.
    #[error("{by} already holds as many members up as it may (max_members)")]
    Full {
        /// Who refused.
        by: NodeName,
    },
    /// A reason that this version does not know.
    #[error("refused for a reason that this version does not know (code {code})")]
    Unknown {
        /// The code on the wire.
        code: u8,
    },
}

/// How this node sees a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// Somebody's probe of it failed; it counts as up until the suspicion is concluded.
    Suspect,
    /// It was concluded to have failed.
    Down,
    /// It said goodbye.
    Left,
}

impl MemberState {
    /// Alive or Suspect.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// One member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// Its name.
    pub name: NodeName,
    /// How it is.
    pub state: MemberState,
    /// Which run of its process.
    pub session: Session,
    /// Where it can be reached.
    pub endpoints: Endpoints,
    /// Since when it is up, Down or Left (Suspect does not restart it).
    pub since: Instant,
    /// What it says of itself; nothing unless it is up.
    pub record: Arc<Record>,
}

/// A change of the node's view, or something that an operator should see.
///
/// For one member, `Up` alternates with `Down` or `Left`; `Suspect` and `Recovered` come between.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member is up.
    Up(MemberView),
    /// A member is suspected; it counts as up.
    Suspect(MemberView),
    /// A suspected member answered.
    Recovered(MemberView),
    /// A member has failed.
    Down(MemberView),
    /// A member said goodbye.
    Left(MemberView),
    /// A member's endpoints or its record changed while it was up.
    Updated(MemberView),
    /// This node's own record changed.
    OwnRecord(MemberView),
    /// Two live nodes hold one name. If it is ours, `ours` is true.
    NameConflict {
        /// The name.
        name: NodeName,
        /// One holder.
        holder: SocketAddr,
        /// The other.
        claimant: SocketAddr,
        /// Whether it is the name of this node.
        ours: bool,
    },
    /// We refused a node, or were refused by one.
    Refused {
        /// The other node's address.
        peer: SocketAddr,
        /// Whether it was the peer who refused.
        by_peer: bool,
        /// Why.
        reason: Refusal,
    },
    /// A member is seen at another address than the one that it advertises.
    AddressMismatch {
        /// The member.
        name: NodeName,
        /// What it says.
        advertised: SocketAddr,
        /// Where its datagrams come from.
        observed: SocketAddr,
    },
    /// Datagrams were rejected. At most one such event per source address and ten seconds,
    /// for at most [`MAX_REJECTION_SOURCES`](crate::MAX_REJECTION_SOURCES) sources at a time.
    Rejected {
        /// Where they came from.
        from: SocketAddr,
        /// Why the last one was.
        reason: Rejection,
        /// How many since the last such event of this source.
        count: u64,
    },
}

/// A look at a node's counters and sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// What was counted since the start.
    pub counters: Counters,
    /// Members that are up, this node included.
    pub live: usize,
    /// Down and Left members that are remembered.
    pub tombstones: usize,
    /// Replay windows in use.
    pub windows: usize,
}
