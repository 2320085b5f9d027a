//! What the user is shown of a member, and the events that lead there.

use super::Node;
use crate::swim::Id;
use crate::{Event, Instant, MemberState, MemberView, Record};

impl Node {
    /// Tells the user of the difference between what it was shown of a member and what holds now.
    pub(super) fn show(&mut self, id: &Id, now: Instant) {
        let Some(entry) = self.table.at(id.index) else { return };
        let state = match entry.held() {
            Some(held) => held.member_state(),
            None if entry.is_carried() => return,
            None => MemberState::Down,
        };
        let shown = self.table.view(entry);
        let was_up = shown.as_ref().is_some_and(|view| view.state.is_up());
        let same_run = shown.as_ref().is_some_and(|view| view.session == entry.id().session);
        let since = match &shown {
            Some(view) if same_run && was_up == state.is_up() => view.since,
            _ => now,
        };
        let view = MemberView {
            name: entry.name().clone(),
            state,
            session: entry.id().session,
            endpoints: entry.endpoints(),
            since,
            record: self.table.record_shown(entry.index(), state),
        };
        // What was never up is nobody's news.
        if shown.is_some() || state.is_up() {
            self.table.set_shown(id.index, state, since);
        }
        for event in view_events(shown, view, same_run) {
            self.counters.suspicions += u64::from(matches!(event, Event::Suspect(_)));
            self.event(event);
        }
    }
}

impl Node {
    /// Tells the user that a member says something else of itself, if it is shown as up.
    pub(super) fn show_record(&mut self, id: &Id) {
        let view = self.table.at(id.index).and_then(|entry| self.table.view(entry));
        if let Some(view) = view.filter(|view| view.state.is_up()) {
            self.event(Event::Updated(view));
        }
    }
}

/// The events that lead from one view of a member to the next.
fn view_events(shown: Option<MemberView>, view: MemberView, same_run: bool) -> Vec<Event> {
    use MemberState::{Alive, Down, Left, Suspect};
    let was_up = shown.as_ref().is_some_and(|view| view.state.is_up());
    let gone = |view: MemberView| match view.state {
        Left => Event::Left(view),
        _ => Event::Down(MemberView { state: Down, ..view }),
    };
    let mut events = Vec::new();
    let mut before = shown.filter(|_| was_up);
    if let Some(old) = before.take_if(|_| !same_run) {
        let record = Record::nothing();
        events.push(Event::Down(MemberView { state: Down, since: view.since, record, ..old }));
    }
    match (before, view.state) {
        (None, Alive) => events.push(Event::Up(view)),
        (None, Suspect) => {
            events.push(Event::Up(MemberView { state: Alive, ..view.clone() }));
            events.push(Event::Suspect(view));
        }
        (None, Down | Left) => {}
        (Some(_), Down | Left) => events.push(gone(view)),
        (Some(old), _) => {
            if old.endpoints != view.endpoints {
                events.push(Event::Updated(MemberView { state: old.state, ..view.clone() }));
            }
            match (old.state, view.state) {
                (Alive, Suspect) => events.push(Event::Suspect(view)),
                (Suspect, Alive) => events.push(Event::Recovered(view)),
                _ => {}
            }
        }
    }
    events
}
