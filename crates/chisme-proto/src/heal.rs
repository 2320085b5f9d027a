//! Who gives way when two sides of a healed partition meet: a pure rule.

use crate::wire::{Outcome, Standing};

/// What the two nodes of a handshake know of each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    pub(crate) ours: Standing,
    pub(crate) theirs: Standing,
    /// We hold the peer Down in its present life.
    pub(crate) we_accuse: bool,
    /// The peer holds us Down in our present life.
    pub(crate) they_accuse: bool,
}

/// What we do, and what the peer does.
///
/// Both accuse: the smaller side yields; a tie goes against the lower representative. One accuses:
/// the accused raises its life and keeps its table, unless one side is less than half of the other:
/// then that side yields, whoever accuses. (Without that, one member that wakes from a pause would
/// make each of its peers raise its life; and one that was cut off for a while, and still suspects
/// most of the others, would keep a table of which it is about to make Downs.)
pub(crate) fn decide(meeting: Meeting) -> (Outcome, Outcome) {
    let Meeting { ours, theirs, we_accuse, they_accuse } = meeting;
    match (we_accuse, they_accuse) {
        (false, false) => (Outcome::Nothing, Outcome::Nothing),
        (true, true) if (ours.live, ours.side) < (theirs.live, theirs.side) => {
            (Outcome::Yield, Outcome::Nothing)
        }
        (true, true) => (Outcome::Nothing, Outcome::Yield),
        _ if ours.live < theirs.live / 2 => (Outcome::Yield, Outcome::Nothing),
        _ if theirs.live < ours.live / 2 => (Outcome::Nothing, Outcome::Yield),
        (true, false) => (Outcome::Nothing, Outcome::RaiseLife),
        (false, true) => (Outcome::RaiseLife, Outcome::Nothing),
    }
}

/// Whether a mate whom we left for the side of `winner` comes over, too: if its side would yield as ours
/// did. Whoever has the same representative is of that side already, and we had not noticed yet that
/// we lost it.
pub(crate) fn comes_along(mate: Standing, winner: Standing) -> bool {
    mate.side != winner.side && (mate.live, mate.side) < (winner.live, winner.side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Holds;

    fn meet(ours: (u32, u64), theirs: (u32, u64), we: bool, they: bool) -> (Outcome, Outcome) {
        let standing = |(live, side)| Standing { holds: Holds::Unknown, live, side };
        decide(Meeting {
            ours: standing(ours),
            theirs: standing(theirs),
            we_accuse: we,
            they_accuse: they,
        })
    }

    #[test]
    fn the_rule_is_the_same_seen_from_either_end() {
        for ours in 1..12 {
            for theirs in 1..12 {
                for (we, they) in [(false, false), (false, true), (true, false), (true, true)] {
                    let (mine, yours) = meet((ours, 1), (theirs, 2), we, they);
                    assert_eq!(meet((theirs, 2), (ours, 1), they, we), (yours, mine));
                }
            }
        }
    }

    #[test]
    fn a_mate_comes_along_unless_it_is_of_the_winning_side_or_its_own_would_not_yield() {
        let standing = |live, side| Standing { holds: Holds::Up, live, side };
        let winner = standing(20, 2);
        assert!(comes_along(standing(11, 3), winner));
        assert!(comes_along(standing(20, 1), winner));
        assert!(!comes_along(standing(20, 3), winner));
        assert!(!comes_along(standing(19, 2), winner));
        assert!(!comes_along(standing(21, 1), winner));
    }

    #[test]
    fn the_smaller_side_yields_and_only_one_does() {
        use Outcome::{Nothing, RaiseLife, Yield};
        assert_eq!(meet((1, 0), (31, 0), true, true), (Yield, Nothing));
        assert_eq!(meet((5, 7), (5, 9), true, true), (Yield, Nothing));
        assert_eq!(meet((31, 0), (31, 0), true, false), (Nothing, RaiseLife));
        assert_eq!(meet((10, 0), (20, 0), true, false), (Nothing, RaiseLife));
        assert_eq!(meet((9, 0), (20, 0), true, false), (Yield, Nothing));
        assert_eq!(meet((9, 0), (20, 0), false, true), (Yield, Nothing));
        assert_eq!(meet((1, 0), (1, 0), false, false), (Nothing, Nothing));
    }
}
