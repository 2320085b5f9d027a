//! Precedence, places, what is shown, and that what is counted is what is there.

use proptest::prelude::{prop, proptest};

use super::*;
use crate::Record;
use crate::record::Stamp;

fn held(state: State, incarnation: Incarnation) -> Held {
    Held { incarnation, state }
}

fn table() -> (Table, Id) {
    let mut table = Table::new(None);
    let name = NodeName::parse("a@host").expect("valid");
    let id = table.insert(name, (Session::from_u64(5), Life(0)), Endpoints::default());
    (table, id)
}

#[test]
fn precedence_is_that_of_the_swim_paper() {
    let rows = [
        // held, update, taken
        (held(State::Alive, 1), held(State::Alive, 1), false),
        (held(State::Alive, 1), held(State::Alive, 2), true),
        (held(State::Alive, 1), held(State::Suspect, 1), true),
        (held(State::Alive, 2), held(State::Suspect, 1), false),
        (held(State::Suspect, 1), held(State::Alive, 1), false),
        (held(State::Suspect, 1), held(State::Alive, 2), true),
        (held(State::Suspect, 1), held(State::Suspect, 2), true),
        (held(State::Suspect, 9), held(State::Down, 0), true),
        (held(State::Down, 0), held(State::Alive, 9), false),
    ];
    for (before, update, taken) in rows {
        let (mut table, id) = table();
        assert!(table.apply(&id, before));
        assert_eq!(table.apply(&id, update), taken, "{before:?} then {update:?}");
    }
}

#[test]
fn a_newer_life_replaces_a_down_and_an_older_one_changes_nothing() {
    let (mut table, id) = table();
    assert!(table.apply(&id, held(State::Down, 0)));
    let newer = Id { life: Life(1), ..id };
    assert!(table.apply(&newer, held(State::Alive, 0)));
    assert!(!table.apply(&id, held(State::Down, 0)));
    assert_eq!((table.up(), table.gone()), (1, 0));
}

#[test]
fn tombstones_go_oldest_left_first() {
    let mut table = Table::new(None);
    let mut bury = |name: &str, incarnation| {
        let name = NodeName::parse(name).expect("valid");
        let id = table.insert(name, (Session::from_u64(1), Life(0)), Endpoints::default());
        table.apply(&id, held(State::Down, incarnation));
        id
    };
    let (down, left, later) = (bury("a@h", 0), bury("b@h", u16::MAX), bury("c@h", u16::MAX));
    for expected in [left, later, down] {
        assert_eq!(table.oldest_tombstone(), Some(expected));
        table.remove(expected.index);
    }
    assert_eq!((table.departed(), table.gone()), (0, 0));
}

#[test]
fn a_place_that_goes_to_another_name_is_not_taken_for_the_one_before() {
    let (mut table, old) = table();
    table.apply(&old, held(State::Down, 0));
    table.remove(old.index);
    let name = NodeName::parse("b@host").expect("valid");
    let new = table.insert(name, old.age(), Endpoints::default());
    assert_eq!(new.index.place(), old.index.place());
    assert_ne!(new, old);
    assert!(table.exactly(&old).is_none() && table.entries().run(old.index).is_none());
    assert!(!table.apply(&old, held(State::Alive, 9)));
    assert_eq!(table.exactly(&new).map(Entry::held), Some(None));
}

#[test]
fn what_was_shown_stays_as_it_was_until_it_is_shown_anew() {
    let (mut table, id) = table();
    let at = |second: u64| Instant::from_nanos(second * 1_000_000_000);
    let shown = |table: &Table| {
        let view = table.at(id.index).and_then(|entry| table.view(entry));
        view.map(|view| (view.state, view.session, view.endpoints, view.since))
    };
    assert_eq!(shown(&table), None);
    table.apply(&id, held(State::Alive, 0));
    table.set_shown(id.index, MemberState::Alive, at(1));
    let first = (MemberState::Alive, id.session, Endpoints::default(), at(1));
    let moved = Endpoints::one("10.0.0.1:1".parse().expect("valid"));
    table.set_endpoints(id.index, moved);
    let next = Id { session: Session::from_u64(6), ..id };
    table.apply(&next, held(State::Alive, 0));
    assert_eq!(shown(&table), Some(first));
    table.set_shown(id.index, MemberState::Alive, at(2));
    assert_eq!(shown(&table), Some((MemberState::Alive, next.session, moved, at(2))));
}

#[test]
fn who_goes_over_carries_all_but_the_winner_itself() {
    let mut table = Table::new(None);
    let session = Session::from_u64(2);
    let run = |name| NodeName::parse(name).expect("valid");
    for name in ["winner@h", "namesake-of-its-session@h"] {
        let id = table.insert(run(name), (session, Life(0)), Endpoints::default());
        table.apply(&id, held(State::Alive, 0));
        table.set_shown(id.index, MemberState::Alive, Instant::default());
    }
    table.go_over((NameHash::of(&run("winner@h")), session), Instant::default());
    let carried: Vec<String> =
        table.iter().filter(|e| e.is_carried()).map(|e| e.name().to_string()).collect();
    assert_eq!(carried, ["namesake-of-its-session@h"]);
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_there(
        steps in prop::collection::vec((0_u8..7, 0_u64..8, 0_u64..3), 0..200)
    ) {
        let mut table = Table::new(None);
        for (step, n, age) in steps {
            let name = NodeName::parse(&format!("n{n}@h")).expect("valid");
            let age = (Session::from_u64(age + 1), Life(0));
            let known = table.find(NameHash::of(&name)).map(Entry::index);
            let index = known.unwrap_or_else(|| {
                table.insert(name, age, Endpoints::default()).index
            });
            let id = Id::new(age, index);
            match step {
                0 => drop(table.apply(&id, held(State::Alive, 0))),
                1 => drop(table.apply(&id, held(State::Down, 0))),
                2 => table.set_shown(index, MemberState::Alive, Instant::default()),
                3 => {
                    let hash = table.at(index).expect("just inserted").hash();
                    let winner = (hash, Session::from_u64(2));
                    table.go_over(winner, Instant::default());
                }
                4 => table.end_carry(index),
                5 => {
                    let version = table.record_version(index) + n;
                    let stamp = Stamp { session: id.session, version };
                    let (record, encoded) = (Record::nothing(), [].into());
                    table.set_record(index, Published { stamp, record, encoded });
                }
                _ => table.remove(index),
            }
            let count = |what: fn(&Entry) -> bool| table.iter().filter(|e| what(e)).count();
            assert_eq!(table.up(), count(Entry::is_up));
            assert_eq!(table.gone(), count(Entry::is_gone));
            assert_eq!(table.departed(), count(Entry::is_departed));
            let (mut sums, mut summary) = (Sums::default(), Summary::default());
            for entry in table.iter().filter(|entry| entry.is_up()) {
                sums.add(entry.hash(), entry.id().age());
                if let Some(known) = table.record(entry.index()) {
                    summary.add(entry.hash(), known.stamp);
                }
            }
            assert_eq!((table.sums(), table.summary()), (&sums, &summary));
            let hashes: Vec<NameHash> = table.iter().map(Entry::hash).collect();
            assert!(hashes.is_sorted());
        }
    }
}
