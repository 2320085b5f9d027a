//! What a datagram costs: `cargo bench -p chisme-proto --features internals`.
//!
//! Sealing and opening stand beside the bare HMAC of the same bytes; the design allows 1.5 times
//! as much. The bare HMAC starts from a key that is already scheduled, as ours does.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use chisme_proto::internals::{News, Rumours, Views, open, seal, unsealed};
use chisme_proto::{
    ClusterName, Command, Config, Contact, Cookie, Endpoints, Identity, Input, Instant, KeyRing,
    Node, NodeName, Output, RequestId, Session, StretchedCookie,
};
use divan::Bencher;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// An Echo, a probe with a few updates, and the longest body there is.
const BODIES: [usize; 3] = [64, 200, 1_186];

fn main() {
    divan::main();
}

fn keys() -> KeyRing {
    let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
    KeyRing::new(&StretchedCookie::stretch(&cookie), &ClusterName::default())
}

mod envelope {
    use super::{
        BODIES, Bencher, Hmac, KeyInit, Mac, Sha256, black_box, keys, open, seal, unsealed,
    };

    #[divan::bench(args = BODIES)]
    fn bare_hmac(bencher: Bencher<'_, '_>, body: usize) {
        let key = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("any length");
        let bytes = unsealed(&vec![7; body]);
        bencher.bench(|| key.clone().chain_update(black_box(&bytes)).finalize().into_bytes());
    }

    #[divan::bench(args = BODIES, name = "seal")]
    fn sealing(bencher: Bencher<'_, '_>, body: usize) {
        let keys = keys();
        let bytes = vec![7; body];
        bencher.with_inputs(|| unsealed(&bytes)).bench_refs(|datagram| seal(&keys, datagram));
    }

    #[divan::bench(args = BODIES, name = "open")]
    fn opening(bencher: Bencher<'_, '_>, body: usize) {
        let keys = keys();
        let mut datagram = unsealed(&vec![7; body]);
        seal(&keys, &mut datagram);
        bencher.bench(|| open(&keys, black_box(&datagram)).expect("authentic").len());
    }

    /// What a stranger without the key costs: his key is looked up, and not found.
    #[divan::bench(args = BODIES)]
    fn turn_a_stranger_away(bencher: Bencher<'_, '_>, body: usize) {
        let keys = keys();
        let datagram = unsealed(&vec![7; body]);
        bencher.bench(|| open(&keys, black_box(&datagram)).is_none());
    }
}

mod updates {
    use super::{Bencher, Rumours, black_box};

    #[divan::bench(args = [1, 10, 30])]
    fn encode(bencher: Bencher<'_, '_>, count: u16) {
        let rumours = Rumours::new(count);
        bencher.bench(|| black_box(&rumours).encode());
    }

    #[divan::bench(args = [1, 10, 30])]
    fn decode(bencher: Bencher<'_, '_>, count: u16) {
        let rumours = Rumours::new(count);
        let packet = rumours.encode();
        assert_eq!(rumours.decode(&packet), Some(count.into()));
        bencher.bench(|| rumours.decode(black_box(&packet)));
    }
}

/// What one update costs in a view of so many members: foca's own part, what our table with its digest adds, and
/// what of that is the digest.
mod views {
    use super::{Bencher, News, Views, black_box};

    const MEMBERS: [u32; 3] = [100, 1_000, 10_000];

    #[divan::bench(args = MEMBERS)]
    fn foca_takes_an_incarnation(bencher: Bencher<'_, '_>, members: u32) {
        let mut views = Views::of(members);
        bencher.bench_local(|| views.update_foca(News::Incarnation));
    }

    #[divan::bench(args = MEMBERS)]
    fn our_table_takes_an_incarnation(bencher: Bencher<'_, '_>, members: u32) {
        let mut views = Views::of(members);
        bencher.bench_local(|| views.update_ours(News::Incarnation));
    }

    #[divan::bench(args = MEMBERS)]
    fn foca_takes_a_life(bencher: Bencher<'_, '_>, members: u32) {
        let mut views = Views::of(members);
        bencher.bench_local(|| views.update_foca(News::Life));
    }

    #[divan::bench(args = MEMBERS)]
    fn our_table_takes_a_life(bencher: Bencher<'_, '_>, members: u32) {
        let mut views = Views::of(members);
        bencher.bench_local(|| views.update_ours(News::Life));
    }

    #[divan::bench(args = MEMBERS)]
    fn the_digest_alone(bencher: Bencher<'_, '_>, members: u32) {
        let views = Views::of(members);
        bencher.bench_local(|| black_box(&views).digest());
    }
}

/// One Ping and its Ack through two nodes: timer, seal, open, filter, foca, seal, open, filter.
/// The seed and announce timers of both fire too, and now and then send something.
#[divan::bench(sample_count = 1_000)]
fn ping_and_ack(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::joined();
    bencher.bench_local(|| {
        let before = pair.carried;
        pair.run_for(PROBE_PERIOD);
        assert!(pair.carried >= before + 2, "a Ping and its Ack");
    });
}

const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// Two nodes under virtual time, and a network that loses nothing and takes no time.
struct Pair {
    nodes: [(SocketAddr, Node); 2],
    now: Instant,
    carried: u64,
}

impl Pair {
    /// Two members of one cluster; only the first one probes.
    fn joined() -> Self {
        let node = |n: u8, probe_period| {
            let addr = SocketAddr::from(([10, 0, 0, n], 4747));
            let mut config = Config::new(ClusterName::default(), keys());
            config.detector.probe_period = probe_period;
            config.detector.gossip_period = Duration::from_secs(1_000_000);
            let identity = Identity {
                name: NodeName::parse(&format!("n{n}@host")).expect("valid"),
                session: Session::new(1_735_689_600_000, n.into()),
                endpoints: Endpoints::one(addr),
            };
            (addr, Node::new(config, identity, [n; 32], Instant::default()).expect("valid"))
        };
        let nodes = [node(1, PROBE_PERIOD), node(2, Duration::from_secs(1_000_000))];
        let mut pair = Self { nodes, now: Instant::default(), carried: 0 };
        let contact = Contact { addr: pair.nodes[1].0, expect: None };
        let connect = Command::Connect { request: RequestId(1), contacts: vec![contact] };
        pair.nodes[0].1.handle_input(Input::Command(connect), pair.now);
        pair.run_for(Duration::from_secs(300));
        for (_, node) in &pair.nodes {
            assert_eq!(node.status().live, 2);
        }
        pair
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            while self.carry() {}
            let due = |(_, node): &(SocketAddr, Node)| node.poll_timeout();
            let [first, second] = self.nodes.each_ref().map(due);
            let Some(next) = first.into_iter().chain(second).min().filter(|&next| next <= end)
            else {
                break;
            };
            self.now = next;
            for (_, node) in &mut self.nodes {
                if node.poll_timeout() == Some(next) {
                    node.handle_input(Input::Timeout, next);
                }
            }
        }
        self.now = end;
    }

    /// Hands over all that the nodes want sent; false once they are silent.
    fn carry(&mut self) -> bool {
        let mut any = false;
        for n in 0..2 {
            let from = self.nodes[n].0;
            while let Some(output) = self.nodes[n].1.poll_output() {
                any = true;
                if let Output::Transmit { to, bytes } = output {
                    self.carried += 1;
                    assert_eq!(to, self.nodes[1 - n].0);
                    let datagram = Input::Datagram { from, bytes: &bytes };
                    self.nodes[1 - n].1.handle_input(datagram, self.now);
                }
            }
        }
        any
    }
}
