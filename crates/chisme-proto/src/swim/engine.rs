//! One run of foca: what goes in, and the effects that come out.

use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut};
use foca::{Foca, Header, Member, NoCustomBroadcast, Notification, ProbeNumber, State, Timer};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::id::{Directory, Id, OWN_INDEX};
use super::packet::{self, Incarnation};
use crate::Detector;
use crate::roster::Run;
use crate::wire::Malformed;

/// What a foca is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) id: Id,
    pub(crate) detector: Detector,
    /// The most bytes of one packet, in its section.
    pub(crate) max_packet: usize,
    pub(crate) seed: [u8; 32],
}

/// foca with its codec. Who the members are is lent to it for each call: nothing is held twice.
pub(crate) struct Engine<D> {
    foca: Lent<D>,
    shared: Arc<Mutex<Shared<D>>>,
    config: foca::Config,
    max_transmissions: NonZeroU8,
}

/// What foca wants done.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) sends: Vec<(Id, Vec<u8>)>,
    pub(crate) timers: Vec<(Timer<Id>, Duration)>,
    pub(crate) notes: Vec<Note>,
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.timers.is_empty() && self.notes.is_empty()
    }
}

/// What foca tells of, as far as our table does not know it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    ProbeStarted(Id, ProbeNumber),
    RelayAsked(Id),
    ProbeFailed(Id),
}

/// What the codec needs besides its arguments.
struct Shared<D> {
    own: Run,
    /// Empty between two calls.
    directory: D,
    /// The header of the packet that is being handled: it was read before, by the filter.
    inbound: Option<Header<Id>>,
    scratch: Vec<u8>,
}

struct Codec<D>(Arc<Mutex<Shared<D>>>);

type Lent<D> = Foca<Id, Codec<D>, ChaCha8Rng, NoCustomBroadcast>;

impl<D: Directory> Engine<D> {
    /// A foca that knows nobody but this node, which is `own`.
    pub(crate) fn new(parameters: &Parameters, own: Run) -> Self {
        let config = foca_config(parameters);
        let max_transmissions = config.max_transmissions;
        let shared = Shared { own, directory: D::default(), inbound: None, scratch: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let rng = ChaCha8Rng::from_seed(parameters.seed);
        let foca = Foca::new(parameters.id, config.clone(), rng, Codec(Arc::clone(&shared)));
        Self { foca, shared, config, max_transmissions }
    }

    /// Says where this node can be reached from now on.
    pub(crate) fn set_own(&self, own: Run) {
        lock(&self.shared).own = own;
    }

    /// Calls foca while its codec can look members up.
    fn lend<T>(&mut self, directory: &mut D, call: impl FnOnce(&mut Lent<D>) -> T) -> T {
        lock(&self.shared).directory = std::mem::take(directory);
        let result = call(&mut self.foca);
        *directory = std::mem::take(&mut lock(&self.shared).directory);
        result
    }

    /// A rumour is sent to 4·⌈log10(n + 1)⌉ members before it is dropped (SWIM paper, §4.1, with
    /// memberlist's factor), and to ten at least: with six, one rumour in twelve misses somebody in
    /// a cluster of 32, who then learns of a crash by its own probe only.
    pub(crate) fn set_live(&mut self, live: usize) -> Result<(), foca::Error> {
        let wanted = transmissions(live);
        if wanted == self.max_transmissions {
            return Ok(());
        }
        self.max_transmissions = wanted;
        self.config.max_transmissions = wanted;
        self.foca.set_config(self.config.clone())
    }

    pub(crate) fn handle_packet(
        &mut self,
        header: Header<Id>,
        directory: &mut D,
        effects: &mut Effects,
    ) -> Result<(), foca::Error> {
        lock(&self.shared).inbound = Some(header);
        // The one byte stands for the header that `decode_header` finds in `inbound`.
        self.lend(directory, |foca| foca.handle_data(&[0], effects))
    }

    pub(crate) fn apply(
        &mut self,
        update: Member<Id>,
        broadcast: bool,
        directory: &mut D,
        effects: &mut Effects,
    ) -> Result<(), foca::Error> {
        let update = std::iter::once(update);
        self.lend(directory, |foca| foca.apply_many(update, broadcast, effects))
    }

    pub(crate) fn handle_timer(
        &mut self,
        timer: Timer<Id>,
        directory: &mut D,
        effects: &mut Effects,
    ) -> Result<(), foca::Error> {
        self.lend(directory, |foca| foca.handle_timer(timer, effects))
    }

    pub(crate) fn leave(
        &mut self,
        directory: &mut D,
        effects: &mut Effects,
    ) -> Result<(), foca::Error> {
        self.lend(directory, |foca| foca.leave_cluster(effects))
    }

    /// Sends waiting rumours, and who we are, to a few members at once.
    pub(crate) fn gossip(
        &mut self,
        directory: &mut D,
        effects: &mut Effects,
    ) -> Result<(), foca::Error> {
        self.lend(directory, |foca| foca.gossip(effects))
    }

    /// Whether there is anything that gossip would carry.
    pub(crate) fn has_rumours(&self) -> bool {
        self.rumours() > 0
    }

    /// How many members it would tell of.
    pub(crate) fn rumours(&self) -> usize {
        self.foca.updates_backlog()
    }

    #[cfg(debug_assertions)]
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member<Id>> {
        self.foca.iter_membership_state()
    }
}

impl foca::Runtime<Id> for &mut Effects {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::DataSent(Header {
                dst, message: foca::Message::Ping(number), ..
            }) => {
                self.notes.push(Note::ProbeStarted(*dst, *number));
            }
            Notification::DataSent(Header {
                dst, message: foca::Message::PingReq { .. }, ..
            }) => self.notes.push(Note::RelayAsked(*dst)),
            Notification::ProbeFailed(_, id) => self.notes.push(Note::ProbeFailed(*id)),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((event, after));
    }
}

impl<D: Directory> foca::Codec<Id> for Codec<D> {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Id>, buf: impl BufMut) -> Result<(), Malformed> {
        let shared = &mut *lock(&self.0);
        shared.scratch.clear();
        packet::encode_header(header, &shared.directory, &mut shared.scratch)?;
        put_whole(&shared.scratch, buf)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Id>, Malformed> {
        buf.advance(1);
        lock(&self.0).inbound.take().ok_or(Malformed)
    }

    fn encode_member(&mut self, member: &Member<Id>, buf: impl BufMut) -> Result<(), Malformed> {
        let shared = &mut *lock(&self.0);
        shared.scratch.clear();
        let index = member.id().index;
        let is_self = index == OWN_INDEX;
        let run = if is_self { Some(&shared.own) } else { shared.directory.run(index) };
        let encoded = &run.ok_or(Malformed)?.encoded;
        packet::encode_member(member, encoded, is_self, &mut shared.scratch);
        put_whole(&shared.scratch, buf)
    }

    fn decode_member(&mut self, _buf: impl Buf) -> Result<Member<Id>, Malformed> {
        // Updates pass the filter and come by `apply`.
        Err(Malformed)
    }
}

/// All of `bytes` or nothing: foca wants a buffer that is too small left clean.
fn put_whole(bytes: &[u8], mut buf: impl BufMut) -> Result<(), Malformed> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Malformed);
    }
    buf.put_slice(bytes);
    Ok(())
}

fn lock<D>(shared: &Mutex<Shared<D>>) -> MutexGuard<'_, Shared<D>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn foca_config(parameters: &Parameters) -> foca::Config {
    let detector = &parameters.detector;
    let at_least_one = |n: usize| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
    foca::Config {
        probe_period: detector.probe_period,
        probe_rtt: detector.probe_timeout,
        num_indirect_probes: at_least_one(detector.indirect_probes.into()),
        max_transmissions: transmissions(1),
        // Ours to decide: we conclude suspicions ourselves.
        suspect_to_down_after: detector.probe_period,
        // Tombstones are kept and forgotten by our table.
        remove_down_after: None,
        max_packet_size: at_least_one(parameters.max_packet),
        notify_down_members: false,
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(foca::PeriodicParams {
            frequency: detector.gossip_period,
            num_members: at_least_one(3),
        }),
    }
}

pub(crate) fn transmissions(live: usize) -> NonZeroU8 {
    const FEWEST: u8 = 10;
    let digits = log10_tenths(live.saturating_add(1)).div_ceil(10);
    let wanted = u8::try_from(4 * digits).unwrap_or(u8::MAX);
    NonZeroU8::new(wanted.max(FEWEST)).unwrap_or(NonZeroU8::MIN)
}

/// Ten times the decimal logarithm of `n`, rounded down; integer arithmetic, alike everywhere.
fn log10_tenths(n: usize) -> u32 {
    // 10^(k/10) in thousandths, for k = 1..=9.
    const STEPS: [u128; 9] = [1259, 1585, 1996, 2512, 3163, 3982, 5012, 6310, 7944];
    let n = n.max(1);
    let whole = n.ilog10();
    let scaled = n as u128 * 1000;
    let unit = 10_u128.pow(whole);
    let tenths = STEPS.iter().take_while(|&&step| scaled >= step * unit).count();
    whole * 10 + u32::try_from(tenths).expect("at most nine")
}

/// Whether a rumour says that its subject left.
pub(crate) fn is_farewell(state: State, incarnation: Incarnation) -> bool {
    state == State::Down && incarnation == packet::LEFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_to_a_tenth() {
        for n in 1..100_000_usize {
            let exact = (n as f64).log10() * 10.0;
            let ours = f64::from(log10_tenths(n));
            assert!(ours <= exact + 1e-2 && exact < ours + 1.01, "{n}: {ours} for {exact}");
        }
    }
}
