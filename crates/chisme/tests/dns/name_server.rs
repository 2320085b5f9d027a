//! A real DNS server in this process, on loopback, UDP and TCP: its zone changes while it runs, and it
//! can be told to fail. It knows nothing of seeds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{SOA, SRV};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// All names are below this one.
const ZONE: &str = "test.";

/// What the zone claims of every record and of every name that is missing: a day, so that a
/// resolver that keeps answers is found out.
const TTL: u32 = 86_400;

/// What a query gets instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Silence,
    /// Nothing the first time, then the truth.
    SilenceOnce,
    /// An error.
    Code(ResponseCode),
}

type Faults = Arc<Mutex<BTreeMap<(Name, RecordType), Fault>>>;

/// The server, as long as it is kept.
pub(crate) struct NameServer {
    addr: SocketAddr,
    zone: Arc<InMemoryZoneHandler<TokioRuntimeProvider>>,
    faults: Faults,
    over_tcp: Arc<AtomicUsize>,
    server: Option<Server<Answers>>,
}

struct Answers {
    catalog: Catalog,
    faults: Faults,
    over_tcp: Arc<AtomicUsize>,
}

impl NameServer {
    /// Starts with an empty zone on a port of its own.
    pub(crate) async fn start() -> Self {
        let origin: Name = ZONE.parse().expect("a name");
        let zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            origin.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 600, 86_400, TTL as _);
        let soa = Record::from_rdata(origin, TTL, RData::SOA(soa));
        assert!(zone.upsert(soa, 1).await, "the zone takes its SOA");
        let mut this = Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            zone: Arc::new(zone),
            faults: Faults::default(),
            over_tcp: Arc::default(),
            server: None,
        };
        this.serve().await;
        this
    }

    /// Where it answers.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many queries came over TCP.
    pub(crate) fn over_tcp(&self) -> usize {
        self.over_tcp.load(Ordering::Relaxed)
    }

    /// Serves on the same port as before, if there was one.
    pub(crate) async fn serve(&mut self) {
        let (udp, tcp) = bind(self.addr).await;
        self.addr = udp.local_addr().expect("bound");
        let mut catalog = Catalog::new();
        catalog.upsert(
            LowerName::from(ZONE.parse::<Name>().expect("a name")),
            vec![Arc::clone(&self.zone) as _],
        );
        let mut server = Server::new(Answers {
            catalog,
            faults: Arc::clone(&self.faults),
            over_tcp: Arc::clone(&self.over_tcp),
        });
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        self.server = Some(server);
    }

    /// Closes its sockets.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.shutdown_gracefully().await.expect("stops");
        }
    }

    /// Makes `data` all that `name` has.
    pub(crate) async fn set(&self, name: &str, data: impl IntoIterator<Item = RData>) {
        let name: Name = name.parse().expect("a name");
        let mut sets: BTreeMap<RecordType, RecordSet> = BTreeMap::new();
        for data in data {
            let kind = data.record_type();
            let set =
                sets.entry(kind).or_insert_with(|| RecordSet::with_ttl(name.clone(), kind, TTL));
            set.add_rdata(data);
        }
        let lower = LowerName::from(&name);
        let mut records = self.zone.records_mut().await;
        records.retain(|key, _| key.name != lower);
        for (kind, set) in sets {
            records.insert(RrKey::new(lower.clone(), kind), Arc::new(set));
        }
    }

    /// From now on queries for these records get `fault`; none: an answer.
    pub(crate) fn fail(&self, name: &str, kind: RecordType, fault: Option<Fault>) {
        let key = (name.parse::<Name>().expect("a name").to_lowercase(), kind);
        let mut faults = self.faults.lock().expect("not poisoned");
        match fault {
            Some(fault) => faults.insert(key, fault),
            None => faults.remove(&key),
        };
    }
}

/// UDP and TCP on one port.
async fn bind(addr: SocketAddr) -> (UdpSocket, TcpListener) {
    let mut last = None;
    for _ in 0..100 {
        let udp = match UdpSocket::bind(addr).await {
            Ok(udp) => udp,
            Err(error) => {
                last = Some(error);
                continue;
            }
        };
        // The port that UDP got may be taken for TCP.
        match TcpListener::bind(udp.local_addr().expect("bound")).await {
            Ok(tcp) => return (udp, tcp),
            Err(error) => last = Some(error),
        }
    }
    panic!("no port for a DNS server at {addr}: {last:?}")
}

/// A or AAAA.
pub(crate) fn ip(text: &str) -> RData {
    match text.parse().expect("an address") {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    }
}

/// SRV.
pub(crate) fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, target.parse().expect("a name")))
}

#[async_trait::async_trait]
impl RequestHandler for Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        if request.protocol() == Protocol::Tcp {
            self.over_tcp.fetch_add(1, Ordering::Relaxed);
        }
        let fault = request.request_info().ok().and_then(|info| {
            let key = (Name::from(info.query.name()).to_lowercase(), info.query.query_type());
            let mut faults = self.faults.lock().expect("not poisoned");
            let fault = faults.get(&key).copied();
            if fault == Some(Fault::SilenceOnce) {
                faults.remove(&key);
            }
            fault
        });
        match fault {
            None => self.catalog.handle_request::<R, T>(request, response).await,
            Some(Fault::Silence | Fault::SilenceOnce) => {
                let metadata = Metadata::response_from_request(&request.metadata);
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
            Some(Fault::Code(code)) => {
                let message = MessageResponseBuilder::from_message_request(request)
                    .error_msg(&request.metadata, code);
                response.send_response(message).await.expect("sent")
            }
        }
    }
}
