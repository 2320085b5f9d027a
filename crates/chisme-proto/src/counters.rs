//! What a node counts.

use std::fmt;

/// Why a datagram was dropped. Nothing that is dropped is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// Sealed with a key that we do not have: another cookie or another cluster.
    UnknownKey,
    /// The tag does not match: damaged or forged.
    BadTag,
    /// Seen before, too old, or from a process that is known to be gone.
    Replayed,
    /// A protocol version that we do not speak.
    WrongVersion,
    /// Too short, or not what its kind says it is.
    Malformed,
    /// For another process, or our own come back.
    NotForUs,
    /// Longer than a datagram of this protocol can be.
    TooLarge,
    /// Authentic, but above a limit of this node.
    OverLimit,
}

impl Rejection {
    /// All reasons, in the order in which they are printed.
    pub const ALL: [Self; 8] = [
        Self::UnknownKey,
        Self::BadTag,
        Self::Replayed,
        Self::WrongVersion,
        Self::Malformed,
        Self::NotForUs,
        Self::TooLarge,
        Self::OverLimit,
    ];

    /// The stable name, as in metrics and `chisme status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::BadTag => "bad_tag",
            Self::Replayed => "replayed",
            Self::WrongVersion => "wrong_version",
            Self::Malformed => "malformed",
            Self::NotForUs => "not_for_us",
            Self::TooLarge => "too_large",
            Self::OverLimit => "over_limit",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counts since the start of the node. All only grow.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
            rejected: [u64; Rejection::ALL.len()],
        }

        impl Counters {
            /// Every counter with its stable name; rejections are `rejected_<reason>`.
            pub fn iter(&self) -> impl Iterator<Item = (String, u64)> + '_ {
                let named = [$((stringify!($name), self.$name)),+];
                named
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .chain(self.rejections().map(|(reason, n)| (format!("rejected_{reason}"), n)))
            }
        }
    };
}

counters! {
    /// Datagrams handed out for sending.
    datagrams_sent,
    /// Bytes of UDP payload handed out for sending.
    bytes_sent,
    /// Datagrams that came in, rejected ones included.
    datagrams_received,
    /// Bytes of UDP payload that came in, rejected ones included.
    bytes_received,
    /// Datagrams that were authenticated and understood.
    datagrams_accepted,
    /// Datagrams of a kind that this version does not know.
    unknown_kinds,
    /// Sections of a kind that this version does not know.
    unknown_sections,
    /// Direct probes sent.
    probes_sent,
    /// Probes that nobody answered, directly or indirectly.
    probes_failed,
    /// Copies of probes that drew no answer in time.
    probes_retransmitted,
    /// Members asked directly because they failed our own probe; each question counts.
    reprobes_sent,
    /// Suspects that were not asked, because as many as a node asks at a time were being asked.
    reprobes_limited,
    /// Times that the network said that nobody listens where a member lives, and quoted what we had
    /// just sent there.
    unreachable_taken,
    /// Times that it quoted anything else: forged, late, or cut short.
    unreachable_rejected,
    /// Members that were not asked whether they are gone, because too many were being asked.
    inquiries_limited,
    /// Members that are Down because their hosts turned away all that was asked.
    refusals_concluded,
    /// Times that this node, as a relay, said that it could not reach a member either.
    nacks_sent,
    /// Times that it did not, because it was relay for as many as it can be.
    nacks_limited,
    /// Suspicions that lasted longer because nothing at all arrived here, or the suspect answered late.
    conclusions_postponed,
    /// Members that became Suspect.
    suspicions,
    /// Suspicions about this node that it refuted.
    refutations,
    /// Lives raised because somebody held this node Down.
    lives_raised,
    /// Times that this node yielded to the larger side of a partition.
    yields,
    /// Attempts to reach a member that is held Down.
    heal_attempts,
    /// Hello datagrams sent.
    hellos_sent,
    /// Answers to a Hello that a rate limit kept back.
    answers_limited,
    /// Nodes that were refused.
    refusals,
    /// Updates kept from foca by the inbound filter.
    updates_withheld,
    /// Who was turned away because as many members were up as may be.
    members_turned_away,
    /// Tombstones forgotten because there were too many.
    tombstones_forgotten,
    /// Times that the node found that it had been stopped for longer than half a second.
    stalls,
    /// Errors that foca reported; each is a bug or a hostile member.
    swim_errors,
    /// Rounds in which this node compared its view with a random member's.
    sync_rounds,
    /// Times that it told another what it knows, bucket by bucket.
    sync_comparisons,
    /// Pages of members sent.
    sync_pages_sent,
    /// Pages received that changed who is up in this node's view.
    sync_pages_useful,
    /// Comparisons and pages that a rate limit kept back.
    sync_limited,
    /// Versions of its record that this node published.
    records_published,
    /// Versions of other members' records that were taken over.
    records_taken,
    /// Records and parts of records that were not: too old, of no member, not wanted or malformed.
    records_refused,
    /// Comparisons of what two nodes know of records.
    record_comparisons,
    /// Fragments of records that were asked for and sent.
    record_fragments_sent,
    /// Fragments of records that a rate limit kept back.
    record_fragments_limited,
    /// Records that were asked for in vain, or not asked for because too many were.
    record_fetches_dropped,
    /// Records that were not told on because too many were.
    record_rumours_dropped,
    /// Changes of members that were not told on because too many were.
    rumours_dropped,
    /// Outputs dropped because the driver did not drain them.
    outputs_dropped,
}

impl Counters {
    /// How many datagrams were rejected for `reason`.
    pub const fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize]
    }

    /// All reasons with their counts.
    pub fn rejections(&self) -> impl Iterator<Item = (Rejection, u64)> + '_ {
        Rejection::ALL.into_iter().map(|reason| (reason, self.rejected(reason)))
    }

    pub(crate) const fn reject(&mut self, reason: Rejection) {
        self.rejected[reason as usize] += 1;
    }
}
