//! The rules that hold in every run of a scenario, watched while it goes, and what is counted.
//!
//! The world tells it what happens; it never changes anything. `rejection` and `bounds` below it
//! look at one node at a time; what must hold once the faults are over is judged in `run`.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chisme_proto::{Event, Instant, MemberView, NameHash, NodeName, Session};

use crate::bounds::Sizes;
use crate::disturbance::{Disturbances, GRACE, before};
use crate::mixer::Mixer;
use crate::outcome::{Detection, ProcessState};
use crate::record::label;

/// What watches a run.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) disturbances: Disturbances,
    /// The names that were ever borne, by their hashes.
    names: HashMap<NameHash, usize, BuildHasherDefault<Mixer>>,
    /// By name, every process that ever bore it.
    processes: Vec<Vec<Process>>,
    /// By machine, its name and its present or last process.
    present: Vec<Option<Place>>,
    /// By machine, what is held against the bounds.
    pub(crate) sizes: Vec<Sizes>,
    pub(crate) tally: Tally,
    /// Whether the events of all nodes are kept. Until somebody wants to read them, the last one of each is.
    pub(crate) listens: bool,
    /// Datagrams looked at for what a rejection may have changed.
    pub(crate) looked: u64,
    stop: Option<Arc<AtomicBool>>,
}

/// One run of a process, among those of its name.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: usize,
    process: usize,
}

/// One run of a process.
#[derive(Debug)]
struct Process {
    machine: usize,
    /// A process goes above a newer session of its name, so that it may have had several.
    sessions: Vec<Session>,
    started: Instant,
    leaving: bool,
    ended: Option<(Instant, ProcessState)>,
    /// Living observers that show it up.
    holders: usize,
    /// When the last of them knew of its end, for the first time.
    buried: Option<Instant>,
    first_suspicion: bool,
    first_down: bool,
    /// Its number among [`Tally::last_detections`].
    last_down: Option<usize>,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) downs: u64,
    pub(crate) false_downs: u64,
    pub(crate) false_suspicions: u64,
    pub(crate) life_changes: u64,
    /// By machine, whatever was done to it.
    pub(crate) lives: Vec<u64>,
    pub(crate) detections: Vec<Detection>,
    /// Per process that ended without a goodbye: until anybody suspected it, and called it Down.
    pub(crate) first_suspicions: Vec<f64>,
    pub(crate) first_detections: Vec<f64>,
    /// Likewise, until the last of the detections of it.
    pub(crate) last_detections: Vec<f64>,
    /// The first Down without an excuse, and the first new life, of a node that nothing was done to.
    pub(crate) false_down: Option<String>,
    pub(crate) life_change: Option<String>,
}

impl Watch {
    /// For a run with so many machines. The flag, once set, ends the run.
    pub(crate) fn among(machines: usize, stop: Option<Arc<AtomicBool>>) -> Self {
        Self { disturbances: Disturbances::among(machines), stop, ..Self::default() }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// A process starts.
    pub(crate) fn started(
        &mut self,
        machine: usize,
        name: &NodeName,
        session: Session,
        now: Instant,
    ) {
        let next = self.processes.len();
        let name = *self.names.entry(NameHash::of(name)).or_insert(next);
        if name == next {
            self.processes.push(Vec::new());
        }
        let place = Place { name, process: self.processes[name].len() };
        self.processes[name].push(Process {
            machine,
            sessions: vec![session],
            started: now,
            leaving: false,
            ended: None,
            holders: 0,
            buried: None,
            first_suspicion: false,
            first_down: false,
            last_down: None,
        });
        if self.present.len() <= machine {
            self.present.resize(machine + 1, None);
            self.sizes.resize_with(machine + 1, Sizes::default);
        }
        self.present[machine] = Some(place);
        self.sizes[machine] = Sizes::default();
    }

    /// All that run see each other.
    pub(crate) fn acquainted(&mut self) {
        let runs = |process: &Process| process.ended.is_none();
        let others = self.processes.iter().flatten().filter(|process| runs(process)).count() - 1;
        for process in self.processes.iter_mut().flatten().filter(|process| runs(process)) {
            process.holders = others;
        }
    }

    /// A process was asked to leave.
    pub(crate) fn leaves(&mut self, machine: usize) {
        if let Some(process) = self.process_on(machine) {
            process.leaving = true;
        }
        self.disturbances.disturbed(machine);
    }

    /// A process has ended. `shows` is whom it showed up until then.
    pub(crate) fn ended<'a>(
        &mut self,
        machine: usize,
        how: ProcessState,
        shows: impl Iterator<Item = (&'a NodeName, Session)>,
        now: Instant,
    ) {
        self.disturbances.disturbed(machine);
        for (name, session) in shows {
            if let Some(place) = self.place(name, session) {
                self.at(place).lose_holder(now);
            }
        }
        if let Some(process) = self.process_on(machine) {
            process.ended = Some((now, how));
            process.buried = (process.holders == 0).then_some(now);
        }
        self.fewer_work(now);
    }

    /// A machine or its process works no longer: if all others but one do not either, that one hears
    /// nobody, may be the one that is deaf, and cannot know that it is not. So it is disturbed too.
    pub(crate) fn fewer_work(&mut self, now: Instant) {
        let runs = |place: &Place| self.processes[place.name][place.process].ended.is_none();
        let works = |&machine: &usize| {
            self.present[machine].as_ref().is_some_and(runs)
                && !self.disturbances.impaired(machine, now, now)
        };
        let mut working = (0..self.present.len()).filter(works);
        if let (Some(alone), None) = (working.next(), working.next()) {
            self.disturbances.disturbed(alone);
        }
    }

    /// A process goes by this session now. It goes above a newer one of its name.
    pub(crate) fn goes_by(&mut self, machine: usize, session: Session) {
        if let Some(process) = self.process_on(machine)
            && process.sessions.last() != Some(&session)
        {
            process.sessions.push(session);
        }
    }

    /// Somebody's view changed.
    pub(crate) fn event(
        &mut self,
        observer: usize,
        event: &Event,
        now: Instant,
    ) -> Result<(), String> {
        match event {
            Event::Up(member) => self.up(member, now),
            Event::Suspect(member) => {
                self.suspect(observer, member, now);
                Ok(())
            }
            Event::Down(member) => {
                self.down(observer, member, now);
                Ok(())
            }
            Event::Left(member) => self.left(member, now),
            _ => Ok(()),
        }
    }

    /// Only a process that exists is up, or one of whose end not everybody knows yet.
    fn up(&mut self, member: &MemberView, now: Instant) -> Result<(), String> {
        let called = label(&member.name);
        if !self.names.contains_key(&NameHash::of(&member.name)) {
            return Err(format!("{called} is up, but nobody has ever started it"));
        }
        let Some(place) = self.place(&member.name, member.session) else {
            return Err(format!("{called} is up in a session that no process ever had"));
        };
        let process = self.at(place);
        process.holders += 1;
        match process.buried {
            Some(buried) if now.saturating_since(buried) > GRACE => Err(format!(
                "{called} is up again, although its process has ended and everybody knew that for {:?}",
                now - buried
            )),
            _ => Ok(()),
        }
    }

    fn suspect(&mut self, observer: usize, member: &MemberView, now: Instant) {
        let Some(place) = self.place(&member.name, member.session) else { return };
        let excused = self.is_excused(observer, place, now);
        let process = self.at(place);
        match process.ended {
            Some((at, ProcessState::Crashed)) if !process.first_suspicion => {
                process.first_suspicion = true;
                self.tally.first_suspicions.push((now - at).as_secs_f64());
            }
            Some(_) => {}
            None => self.tally.false_suspicions += u64::from(!excused),
        }
    }

    fn down(&mut self, observer: usize, member: &MemberView, now: Instant) {
        self.tally.downs += 1;
        let Some(place) = self.place(&member.name, member.session) else { return };
        self.at(place).lose_holder(now);
        if self.at(place).ended.is_some() {
            return self.detected(observer, place, now);
        }
        if self.is_excused(observer, place, now) {
            return;
        }
        self.tally.false_downs += 1;
        let subject = self.at(place).machine;
        let disturbed = |machine| self.disturbances.has_disturbed(machine);
        if disturbed(observer) || disturbed(subject) {
            return;
        }
        self.tally.false_down.get_or_insert_with(|| {
            let subject = label(&member.name);
            format!(
                "n{observer} calls {subject} Down at {:.3} s, which lives and can be reached",
                now.as_nanos() as f64 / 1e9
            )
        });
    }

    fn detected(&mut self, observer: usize, place: Place, now: Instant) {
        let process = self.at(place);
        let Some((ended, ProcessState::Crashed)) = process.ended else { return };
        let subject = process.machine;
        let seconds = (now - ended).as_secs_f64();
        if !process.first_down {
            process.first_down = true;
            self.tally.first_detections.push(seconds);
        }
        let watched = self.process_on(observer).is_some_and(|process| process.started < ended);
        let all = &self.disturbances;
        // Whoever slept meanwhile, or could not hear the news, says nothing about the detector.
        if watched && !all.impaired(observer, ended, now) {
            let number = |machine: usize| u32::try_from(machine).expect("fewer than 65,536");
            let (observer, subject) = (number(observer), number(subject));
            self.tally.detections.push(Detection { observer, subject, seconds });
            self.detected_last(place, seconds);
        }
    }

    /// Detections come in the order of time.
    fn detected_last(&mut self, place: Place, seconds: f64) {
        let known = self.tally.last_detections.len();
        let number = *self.at(place).last_down.get_or_insert(known);
        match self.tally.last_detections.get_mut(number) {
            Some(last) => *last = seconds,
            None => self.tally.last_detections.push(seconds),
        }
    }

    /// Only who said goodbye has left.
    fn left(&mut self, member: &MemberView, now: Instant) -> Result<(), String> {
        let Some(place) = self.place(&member.name, member.session) else { return Ok(()) };
        let process = self.at(place);
        process.lose_holder(now);
        if process.leaving || process.ended.is_some_and(|(_, how)| how != ProcessState::Crashed) {
            return Ok(());
        }
        Err(format!("{} is said to have left, but it never did", label(&member.name)))
    }

    /// Whether there is a reason for which an observer may be wrong about a living process.
    fn is_excused(&self, observer: usize, place: Place, now: Instant) -> bool {
        let process = &self.processes[place.name][place.process];
        let since = before(now);
        // Two machines with one name: one of them has to give way.
        let contested = self.processes[place.name].iter().enumerate().any(|(n, other)| {
            let at_once = other.ended.is_none_or(|(ended, _)| ended > process.started);
            let lately = other.ended.is_none_or(|(ended, _)| ended >= since);
            n != place.process && at_once && lately
        });
        process.leaving
            || contested
            || self.disturbances.excuse(observer, process.machine, now).is_some()
    }

    /// The lives that the process of a machine has begun in all, at its end or at that of the run.
    pub(crate) fn lives(&mut self, machine: usize, changes: u64) {
        let lives = &mut self.tally.lives;
        lives.resize(lives.len().max(machine + 1), 0);
        lives[machine] += changes;
        if changes == 0 || self.disturbances.has_disturbed(machine) {
            return;
        }
        self.tally.life_changes += changes;
        self.tally.life_change.get_or_insert_with(|| {
            format!("n{machine} began {changes} new lives, although nothing was done to it")
        });
    }

    fn place(&self, name: &NodeName, session: Session) -> Option<Place> {
        let name = *self.names.get(&NameHash::of(name))?;
        let mut runs = self.processes[name].iter();
        let process = runs.rposition(|process| process.sessions.contains(&session))?;
        Some(Place { name, process })
    }

    fn at(&mut self, place: Place) -> &mut Process {
        &mut self.processes[place.name][place.process]
    }

    fn process_on(&mut self, machine: usize) -> Option<&mut Process> {
        let place = *self.present.get(machine)?.as_ref()?;
        Some(self.at(place))
    }
}

impl Process {
    fn lose_holder(&mut self, now: Instant) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 && self.ended.is_some() {
            self.buried.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disturbance::Disturbance;
    use crate::view::tests::named;
    use chisme_proto::MemberState;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn member(node: usize, session: u64) -> MemberView {
        named(&format!("n{node}@sim"), MemberState::Alive, session)
    }

    /// Three machines whose processes have the sessions 100, 101 and 102.
    fn started() -> Watch {
        let mut watch = Watch::among(3, None);
        for node in 0..3 {
            let name = member(node, 1).name;
            watch.started(node, &name, Session::from_u64(100 + node as u64), at(0));
        }
        watch
    }

    /// They see each other.
    fn formed() -> Watch {
        let mut watch = started();
        for observer in 0..3 {
            for subject in (0..3).filter(|subject| *subject != observer) {
                tell(&mut watch, observer, Event::Up, subject, 1).expect("it runs");
            }
        }
        watch
    }

    fn tell(
        watch: &mut Watch,
        observer: usize,
        event: fn(MemberView) -> Event,
        subject: usize,
        seconds: u64,
    ) -> Result<(), String> {
        let view = member(subject, 100 + subject as u64);
        watch.event(observer, &event(view), at(seconds))
    }

    fn end(watch: &mut Watch, node: usize, how: ProcessState, seconds: u64) {
        let none = std::iter::empty();
        watch.ended(node, how, none, at(seconds));
    }

    #[test]
    fn the_dead_stay_dead_once_everybody_knows() {
        let mut acquainted = started();
        acquainted.acquainted();
        [formed(), acquainted].into_iter().for_each(stays_dead);
    }

    fn stays_dead(mut watch: Watch) {
        end(&mut watch, 2, ProcessState::Crashed, 10);
        tell(&mut watch, 0, Event::Down, 2, 15).expect("it is dead");
        tell(&mut watch, 0, Event::Up, 2, 60).expect("n1 still believes in it");
        tell(&mut watch, 0, Event::Down, 2, 70).expect("it is dead");
        tell(&mut watch, 1, Event::Down, 2, 70).expect("it is dead");
        tell(&mut watch, 1, Event::Up, 2, 71).expect("a datagram was still on its way");
        tell(&mut watch, 1, Event::Down, 2, 72).expect("it is dead");
        let error = tell(&mut watch, 1, Event::Up, 2, 100).expect_err("risen from the dead");
        assert!(error.contains("n2 is up again") && error.contains("30s"), "{error}");
    }

    #[test]
    fn an_observer_that_ends_takes_what_it_believed_with_it() {
        let mut watch = formed();
        end(&mut watch, 2, ProcessState::Crashed, 10);
        tell(&mut watch, 0, Event::Down, 2, 15).expect("it is dead");
        let (name, session) = (member(2, 1).name, Session::from_u64(102));
        let shows = std::iter::once((&name, session));
        watch.ended(1, ProcessState::Crashed, shows, at(20));
        assert!(tell(&mut watch, 0, Event::Up, 2, 41).is_err(), "nobody believed in it since 20 s");
    }

    #[test]
    fn only_what_was_started_is_up() {
        let mut watch = formed();
        let up = |node, session| Event::Up(member(node, session));
        assert!(watch.event(0, &up(7, 107), at(5)).is_err(), "there is no n7");
        assert!(watch.event(0, &up(1, 999), at(5)).is_err(), "n1 never had that session");
        watch.goes_by(1, Session::from_u64(999));
        watch.event(0, &up(1, 999), at(5)).expect("n1 went above a session");
    }

    #[test]
    fn only_who_says_goodbye_has_left() {
        let mut watch = formed();
        assert!(tell(&mut watch, 0, Event::Left, 1, 5).is_err());
        let mut watch = formed();
        watch.leaves(1);
        tell(&mut watch, 0, Event::Left, 1, 5).expect("it is leaving");
    }

    #[test]
    fn downs_of_the_living_are_false_unless_excused() {
        let mut watch = formed();
        tell(&mut watch, 0, Event::Suspect, 1, 5).expect("legal");
        tell(&mut watch, 0, Event::Down, 1, 6).expect("legal");
        assert_eq!((watch.tally.false_suspicions, watch.tally.false_downs), (1, 1));
        let told = watch.tally.false_down.as_deref();
        assert_eq!(told, Some("n0 calls n1 Down at 6.000 s, which lives and can be reached"));
        watch.disturbances.begin(Disturbance::Impaired(vec![2]), at(10));
        tell(&mut watch, 0, Event::Suspect, 2, 11).expect("legal");
        tell(&mut watch, 0, Event::Down, 2, 12).expect("legal");
        assert_eq!((watch.tally.downs, watch.tally.false_downs), (2, 1));
        assert_eq!(watch.tally.false_suspicions, 1);
    }

    #[test]
    fn detections_count_from_the_end_of_the_process() {
        let mut watch = formed();
        end(&mut watch, 2, ProcessState::Crashed, 10);
        tell(&mut watch, 1, Event::Suspect, 2, 12).expect("legal");
        tell(&mut watch, 0, Event::Suspect, 2, 13).expect("legal");
        tell(&mut watch, 1, Event::Down, 2, 15).expect("legal");
        watch.disturbances.begin(Disturbance::Impaired(vec![0]), at(15));
        tell(&mut watch, 0, Event::Down, 2, 60).expect("legal");
        let tally = &watch.tally;
        assert_eq!((tally.downs, tally.false_downs, tally.false_suspicions), (2, 0, 0));
        assert_eq!(
            (&tally.first_suspicions[..], &tally.first_detections[..]),
            (&[2.0][..], &[5.0][..])
        );
        let [one] = tally.detections[..] else { panic!("n0 did not work: {:?}", tally.detections) };
        assert_eq!((one.observer, one.subject, one.seconds), (1, 2, 5.0));
    }

    #[test]
    fn the_first_and_the_last_to_detect_are_counted_for_each_process() {
        let mut watch = formed();
        end(&mut watch, 2, ProcessState::Crashed, 10);
        tell(&mut watch, 1, Event::Down, 2, 15).expect("legal");
        end(&mut watch, 1, ProcessState::Crashed, 16);
        tell(&mut watch, 0, Event::Down, 2, 17).expect("legal");
        tell(&mut watch, 0, Event::Down, 1, 20).expect("legal");
        assert_eq!(watch.tally.first_detections, [5.0, 4.0]);
        assert_eq!(watch.tally.last_detections, [7.0, 4.0]);
    }

    #[test]
    fn new_lives_count_only_where_nothing_was_done() {
        let mut watch = formed();
        watch.disturbances.begin(Disturbance::Apart { from: vec![0], to: vec![1, 2] }, at(5));
        watch.lives(0, 3);
        watch.lives(1, 2);
        assert_eq!(watch.tally.life_changes, 2);
        let told = watch.tally.life_change.take().expect("n1 did");
        assert!(told.starts_with("n1 began 2 new lives"), "{told}");
        assert_eq!(watch.tally.lives, [3, 2]);
    }

    #[test]
    fn who_is_left_alone_may_begin_a_new_life_and_who_has_company_may_not() {
        let new_lives = |together: bool| {
            let mut watch = formed();
            let frozen = watch.disturbances.begin(Disturbance::Impaired(vec![1]), at(5));
            watch.fewer_work(at(5));
            if !together {
                watch.disturbances.end(frozen, at(10));
            }
            end(&mut watch, 2, ProcessState::Crashed, 11);
            watch.lives(0, 1);
            watch.tally.life_changes
        };
        assert_eq!((new_lives(true), new_lives(false)), (0, 1), "n1 still slept, or was awake");
    }
}
