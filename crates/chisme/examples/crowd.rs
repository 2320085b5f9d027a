//! One member that vouches for any number of others, where nobody lives: what it costs to know them can be
//! measured with it. `tests/measure/resident.sh` does; nothing else should.
//!
//! `crowd MEMBERS ADDRESS:PORT`, with the cookie in `CHISME_COOKIE`. It runs until it is ended.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use chisme::proto::{
    Assumed, ClusterName, Command, Config, Cookie, Endpoints, Identity, Input, KeyRing, NodeName,
    Output, Session, StretchedCookie,
};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().context("how many members?")?.parse()?;
    let address: SocketAddr = arguments.next().context("which address?")?.parse()?;
    let cookie = Cookie::new(&std::env::var("CHISME_COOKIE")?)?;
    let cluster = ClusterName::default();
    let keys = KeyRing::new(&StretchedCookie::stretch(&cookie), &cluster);
    let millis = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let identity = Identity {
        name: NodeName::parse("crowd@measure.test")?,
        session: Session::new(millis, 1),
        endpoints: Endpoints::one(address),
    };
    let begun = Instant::now();
    let now = || chisme::proto::Instant::from_nanos(begun.elapsed().as_nanos() as u64);
    let mut node =
        chisme::proto::Node::new(Config::new(cluster, keys), identity, rand::random(), now())?;
    let socket = UdpSocket::bind(address)?;

    let members = (0..count).map(|n| Assumed {
        name: NodeName::parse(&format!("member-{n}@measure.test")).expect("a name"),
        session: Session::new(millis, n),
        endpoints: Endpoints::one((Ipv4Addr::from_bits(0x7f4d_0001 + n), 4747).into()),
    });
    node.handle_input(Input::Command(Command::Assume(members.collect())), now());
    let mut buffer = [0; 2_048];
    loop {
        while let Some(output) = node.poll_output() {
            if let Output::Transmit { to, bytes } = output {
                // Nobody lives at most of them.
                let _ = socket.send_to(&bytes, to);
            }
        }
        let due = node.poll_timeout().context("it never stops by itself")?;
        let wait = Duration::from_nanos(due.as_nanos().saturating_sub(now().as_nanos()));
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                node.handle_input(Input::Datagram { from, bytes: &buffer[..len] }, now())
            }
            Err(_) => node.handle_input(Input::Timeout, now()),
        }
    }
}
