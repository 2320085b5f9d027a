//! The demo's DNS server: authoritative for one zone, on loopback, with records that change while it
//! runs. It knows names and addresses, and nothing of agents.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{SOA, SRV};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// How long a resolver may keep a record, in seconds.
const TTL: u32 = 5;

/// How long a TCP connection may say nothing.
const TCP_PATIENCE: Duration = Duration::from_secs(5);

/// Answers that wait for a slow TCP client.
const TCP_BUFFER: usize = 16;

/// How many ports are tried until one is free for both UDP and TCP.
const PORT_TRIES: usize = 50;

/// Serves its zone until it is dropped.
pub(super) struct NameServer {
    addr: SocketAddr,
    zone: Arc<InMemoryZoneHandler<TokioRuntimeProvider>>,
    origin: Name,
    _server: Server<Catalog>,
}

/// A name and what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    name: Name,
    data: RData,
}

impl Entry {
    /// An A or AAAA record.
    pub(super) fn address(name: &str, ip: IpAddr) -> anyhow::Result<Self> {
        let data = match ip {
            IpAddr::V4(ip) => RData::A(ip.into()),
            IpAddr::V6(ip) => RData::AAAA(ip.into()),
        };
        Ok(Self { name: absolute(name)?, data })
    }

    /// An SRV record: `name` is served by `target` on `port`.
    pub(super) fn service(name: &str, port: u16, target: &str) -> anyhow::Result<Self> {
        let data = RData::SRV(SRV::new(0, 0, port, absolute(target)?));
        Ok(Self { name: absolute(name)?, data })
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.data.record_type().to_string();
        write!(f, "{:<26} {kind:<5} {}", self.name.to_string(), self.data)
    }
}

impl NameServer {
    /// Serves `origin`, which has no names yet, on a free port of loopback.
    pub(super) async fn start(origin: &str) -> anyhow::Result<Self> {
        let origin = absolute(origin)?;
        let zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            origin.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let seconds = i32::try_from(TTL).unwrap_or(i32::MAX);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, seconds, seconds, seconds, TTL);
        zone.upsert(Record::from_rdata(origin.clone(), TTL, RData::SOA(soa)), 1).await;
        let zone = Arc::new(zone);
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::from(&origin), vec![Arc::clone(&zone) as _]);
        let (udp, tcp) = bind().await.context("cannot bind a port for the DNS server")?;
        let addr = udp.local_addr()?;
        let mut server = Server::new(catalog);
        server.register_socket(udp);
        server.register_listener(tcp, TCP_PATIENCE, TCP_BUFFER);
        Ok(Self { addr, zone, origin, _server: server })
    }

    /// Where it answers, over UDP and TCP.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes `entries` all that the zone has.
    pub(super) async fn publish(&self, entries: &[Entry]) {
        let mut sets: BTreeMap<RrKey, RecordSet> = BTreeMap::new();
        for Entry { name, data } in entries {
            let kind = data.record_type();
            let set = sets
                .entry(RrKey::new(LowerName::from(name), kind))
                .or_insert_with(|| RecordSet::with_ttl(name.clone(), kind, TTL));
            set.add_rdata(data.clone());
        }
        let soa = RrKey::new(LowerName::from(&self.origin), RecordType::SOA);
        let mut records = self.zone.records_mut().await;
        records.retain(|key, _| *key == soa);
        records.extend(sets.into_iter().map(|(key, set)| (key, Arc::new(set))));
    }
}

fn absolute(name: &str) -> anyhow::Result<Name> {
    let mut absolute: Name = name.parse().with_context(|| format!("{name:?} is no DNS name"))?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

/// UDP and TCP on one port. The port that UDP gets may be taken for TCP.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if tries == PORT_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}
