//! The one task that owns sockets, timers and state machine of a node.
//!
//! What has arrived is read before a due timer fires: a reader that falls behind while its timers
//! run is what makes healthy nodes look dead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chisme_proto::{
    Command, Contact, ContactReport, Event as NodeEvent, Input, KeyRing, MAX_DATAGRAM, Node,
    NodeStatus, Output, RecordEdit, RecordError, RequestId, Sibling, StopReason,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::events::Versioned;
use crate::owners::{GuardId, Owners};
use crate::seed::Seeds;
use crate::socket::Sockets;
use crate::view::Clock;
use crate::{Event, NodeName, Snapshot};

/// The most datagrams read before a due timer fires, and the longest time spent on them.
const MAX_DATAGRAMS: usize = 1_024;
const MAX_READING: Duration = Duration::from_millis(5);

/// The most ICMP errors read in one go; anybody can send them.
const MAX_REFUSED: usize = 64;

/// How long reading rests after an error of the socket itself.
const RECEIVE_ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The most addresses that can be blocked at one time.
pub(crate) const MAX_BLOCKED: usize = 1_024;

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Request {
    Connect {
        contacts: Vec<Contact>,
        answer: oneshot::Sender<Vec<ContactReport>>,
    },
    Ping {
        name: NodeName,
        answer: oneshot::Sender<Option<Duration>>,
    },
    Status {
        answer: oneshot::Sender<DriverStatus>,
    },
    Leave,
    SetKeys(KeyRing),
    SetSeeds(Arc<Seeds>),
    RefreshSeeds,
    Block(Vec<SocketAddr>),
    /// None waits for the answer of a guard that has gone. A guard changes only its own service.
    EditRecord {
        edit: RecordEdit,
        guard: Option<GuardId>,
        answer: Option<oneshot::Sender<Result<(), RecordError>>>,
    },
}

/// What the task knows about itself.
#[derive(Debug)]
pub(crate) struct DriverStatus {
    pub(crate) node: NodeStatus,
    pub(crate) seeds: Arc<Seeds>,
    /// Datagrams that the kernel would not take.
    pub(crate) not_sent: u64,
    /// Errors of the kernel while reading, ICMP's aside.
    pub(crate) not_received: u64,
    /// Datagrams dropped because their peer is blocked.
    pub(crate) blocked: u64,
}

/// What the task tells its handles.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(crate) events: broadcast::Sender<Versioned>,
    pub(crate) stopped: watch::Sender<Option<StopReason>>,
}

pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) sockets: Sockets,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) siblings: Option<watch::Receiver<Vec<Sibling>>>,
    pub(crate) seeds: Arc<Seeds>,
    pub(crate) publisher: Publisher,
    pub(crate) state: State,
}

/// What the task keeps besides the node.
#[derive(Default)]
pub(crate) struct State {
    lookups: JoinSet<Vec<Contact>>,
    lookup_wanted: bool,
    connects: BTreeMap<RequestId, oneshot::Sender<Vec<ContactReport>>>,
    pings: BTreeMap<RequestId, oneshot::Sender<Option<Duration>>>,
    edits: BTreeMap<RequestId, oneshot::Sender<Result<(), RecordError>>>,
    owners: Owners,
    last_request: u64,
    blocked: BTreeSet<SocketAddr>,
    dropped_blocked: u64,
    not_sent: u64,
    not_received: u64,
    version: u64,
}

/// Why the task woke up.
enum Wake {
    Readable,
    Due,
    Request(Option<Request>),
    Seeds(Vec<Contact>),
    Siblings(Vec<Sibling>),
}

impl Driver {
    /// Runs until the node stops, or until the last handle is dropped: then the sockets close
    /// without a word, which to others looks like a crash.
    pub(crate) async fn run(mut self) {
        // One byte more than a datagram may have, so that a longer one shows.
        let mut buffer = [0; MAX_DATAGRAM + 1];
        self.drain_outputs();
        loop {
            let wake = self.wait().await;
            if !self.read_arrived(&mut buffer) {
                self.state.not_received += 1;
                // The socket says that it is readable and is not: that must not become a busy loop.
                tokio::time::sleep(RECEIVE_ERROR_PAUSE).await;
            }
            self.read_refused(&mut buffer);
            match wake {
                Wake::Readable | Wake::Due => {}
                Wake::Request(Some(request)) => self.take_request(request),
                Wake::Request(None) => return,
                Wake::Seeds(contacts) => self.input(Input::SeedsResolved(contacts)),
                Wake::Siblings(siblings) => {
                    self.input(Input::Command(Command::SetSiblings(siblings)));
                }
            }
            if self.node.poll_timeout().is_some_and(|due| due <= self.clock.now()) {
                self.input(Input::Timeout);
            }
            if self.publisher.stopped.borrow().is_some() {
                return;
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let due = self.node.poll_timeout().map(|at| self.clock.to_tokio(at));
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.sockets.readable() => Wake::Readable,
            () = timer => Wake::Due,
            request = self.requests.recv() => Wake::Request(request),
            Some(found) = self.state.lookups.join_next() => Wake::Seeds(found.unwrap_or_default()),
            siblings = changed(&mut self.siblings) => Wake::Siblings(siblings),
        }
    }

    /// Reads what has arrived, within bounds: a flood must not starve the timers. False if the
    /// kernel reports an error that is about no datagram.
    fn read_arrived(&mut self, buffer: &mut [u8]) -> bool {
        let begun = std::time::Instant::now();
        for n in 0..MAX_DATAGRAMS {
            let (len, from) = match self.sockets.try_receive(buffer) {
                Ok(arrived) => arrived,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            if self.state.blocked.contains(&from) {
                self.state.dropped_blocked += 1;
                continue;
            }
            self.input(Input::Datagram { from, bytes: &buffer[..len] });
            if n % 16 == 15 && begun.elapsed() >= MAX_READING {
                break;
            }
        }
        true
    }

    /// Reads what ICMP said, after what members said: an answer weighs more.
    fn read_refused(&mut self, buffer: &mut [u8]) {
        for _ in 0..MAX_REFUSED {
            let Some((len, to)) = self.sockets.try_refused(buffer) else { return };
            if !self.state.blocked.contains(&to) {
                self.input(Input::Unreachable { to, quoted: &buffer[..len] });
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(input, self.clock.now());
        if let Some((member, rtt)) = self.node.take_measured() {
            self.clock.rtts.set(member, rtt);
        }
        self.drain_outputs();
    }

    fn drain_outputs(&mut self) {
        let mut events = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit { to, bytes } => self.transmit(to, &bytes),
                Output::Event(event) => events.push(event),
                Output::ResolveSeeds => self.state.lookup_wanted = true,
                Output::Connected { request, report } => {
                    if let Some(answer) = self.state.connects.remove(&request) {
                        // Whoever asked may have gone.
                        let _ = answer.send(report);
                    }
                }
                Output::Ponged { request, rtt } => {
                    if let Some(answer) = self.state.pings.remove(&request) {
                        let _ = answer.send(rtt);
                    }
                }
                Output::RecordEdited { request, result } => {
                    // Who reads the snapshot after the answer finds the change in it.
                    self.publish(std::mem::take(&mut events));
                    self.state.owners.ended(request, result.is_ok());
                    if let Some(answer) = self.state.edits.remove(&request) {
                        let _ = answer.send(result);
                    }
                }
                Output::Stopped(reason) => {
                    self.publish(std::mem::take(&mut events));
                    // No snapshot contains it.
                    self.state.version += 1;
                    self.publish_event(Event::Stopped(reason));
                    self.publisher.stopped.send_replace(Some(reason));
                }
                _ => {}
            }
        }
        self.publish(events);
        self.start_lookup();
    }

    fn transmit(&mut self, to: SocketAddr, bytes: &[u8]) {
        if self.state.blocked.contains(&to) {
            self.state.dropped_blocked += 1;
        } else if !self.sockets.send(bytes, to) {
            self.state.not_sent += 1;
        }
    }

    /// Asks all seed sources, unless that is under way.
    fn start_lookup(&mut self) {
        if self.state.lookup_wanted && self.state.lookups.is_empty() {
            self.state.lookup_wanted = false;
            let seeds = Arc::clone(&self.seeds);
            let lookup = async move { seeds.resolve_all().await };
            self.state.lookups.spawn(lookup.instrument(crate::log::lookup_span()));
        }
    }

    fn publish(&mut self, events: Vec<NodeEvent>) {
        if events.is_empty() {
            return;
        }
        // The snapshot first: an Up comes after its member is in it, a Down after it has gone.
        self.state.version += 1;
        if events.iter().any(changes_view) {
            let snapshot = self.clock.snapshot(&self.node, self.state.version);
            let up = snapshot.members.iter().map(|member| member.session).collect();
            self.clock.rtts.keep_only(&up);
            self.publisher.snapshots.send_replace(Arc::new(snapshot));
        }
        for event in events {
            if let Some(event) = self.clock.event(event) {
                crate::log::event(&event);
                self.publish_event(event);
            }
        }
    }

    fn publish_event(&mut self, event: Event) {
        // Nobody may be listening.
        let version = self.state.version;
        let _ = self.publisher.events.send(Versioned { version, event });
    }

    fn take_request(&mut self, request: Request) {
        self.state.last_request += 1;
        let id = RequestId(self.state.last_request);
        let command = match request {
            Request::Connect { contacts, answer } => {
                self.state.connects.insert(id, answer);
                Command::Connect { request: id, contacts }
            }
            Request::Ping { name, answer } => {
                self.state.pings.insert(id, answer);
                Command::Ping { request: id, name }
            }
            Request::EditRecord { edit, guard, answer } => {
                let registers = guard.is_some() && matches!(edit, RecordEdit::Register(_));
                if registers && answer.as_ref().is_some_and(oneshot::Sender::is_closed) {
                    // Whoever wanted it does not wait for it any more, and would never drop its guard.
                    return;
                }
                if let Some(name) = self.state.owners.lost(&edit, guard) {
                    let refused = Err(RecordError::NotRegistered(name.to_owned()));
                    let _ = answer.map(|answer| answer.send(refused));
                    return;
                }
                self.state.owners.begins(id, &edit, guard);
                answer.map(|answer| self.state.edits.insert(id, answer));
                Command::EditRecord { request: id, edit }
            }
            Request::Leave => Command::Leave,
            Request::SetKeys(keys) => Command::SetKeys(keys),
            Request::RefreshSeeds => Command::ResolveSeeds,
            Request::SetSeeds(seeds) => {
                self.seeds = seeds;
                Command::ResolveSeeds
            }
            Request::Block(addrs) => {
                self.state.blocked = addrs.into_iter().take(MAX_BLOCKED).collect();
                return;
            }
            Request::Status { answer } => {
                let _ = answer.send(DriverStatus {
                    node: self.node.status(),
                    seeds: Arc::clone(&self.seeds),
                    not_sent: self.state.not_sent,
                    not_received: self.state.not_received,
                    blocked: self.state.dropped_blocked,
                });
                return;
            }
        };
        self.input(Input::Command(command));
    }
}

/// The siblings, when they have changed; never, if nobody keeps them current.
async fn changed(siblings: &mut Option<watch::Receiver<Vec<Sibling>>>) -> Vec<Sibling> {
    if let Some(receiver) = siblings {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *siblings = None;
    }
    std::future::pending().await
}

const fn changes_view(event: &NodeEvent) -> bool {
    matches!(
        event,
        NodeEvent::Up(_)
            | NodeEvent::Suspect(_)
            | NodeEvent::Recovered(_)
            | NodeEvent::Down(_)
            | NodeEvent::Left(_)
            | NodeEvent::Updated(_)
            | NodeEvent::OwnRecord(_)
    )
}
