//! Looking names up: A and AAAA side by side, SRV with its targets, and what went wrong.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chisme_proto::{Contact, DEFAULT_PORT, MAX_SEEDS, NodeName, PORT_SPAN};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;

use super::grammar::SeedKind;
use super::{Seed, SeedError};

/// The longest that one look-up may take, all its queries included.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// One try of one query. A second is made, so a silent server costs twice this.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Once one family has answered with addresses, the other may take so much longer: a black-holed
/// AAAA must not delay a good A.
const OTHER_FAMILY_GRACE: Duration = Duration::from_millis(300);

/// The most targets of one SRV name that are resolved.
const MAX_TARGETS: usize = 128;

/// How names are looked up.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResolverSettings {
    /// The name servers to ask, over UDP and TCP. Empty: those of the system (`/etc/resolv.conf`).
    pub nameservers: Vec<SocketAddr>,
}

impl ResolverSettings {
    /// Asks these name servers instead of the system's.
    pub fn with_nameservers(nameservers: Vec<SocketAddr>) -> Self {
        Self { nameservers }
    }
}

/// Looks seeds up. Clones share one resolver. Nothing is cached: a changed record is seen at the
/// next look-up.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    settings: ResolverSettings,
    /// Made when it is first needed; tried again while the system's configuration cannot be read.
    hickory: OnceLock<TokioResolver>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

/// One target of an SRV name.
struct Target {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

impl Resolver {
    /// A resolver with these settings. Nothing is read or sent before the first look-up.
    pub fn new(settings: ResolverSettings) -> Self {
        Self(Arc::new(Shared { settings, hickory: OnceLock::new() }))
    }

    /// All addresses that `seed` stands for now, within five seconds.
    ///
    /// # Errors
    /// [`SeedError`] tells a name that does not exist from one without addresses, a failing server
    /// and silence.
    pub async fn contacts(&self, seed: &Seed) -> Result<Vec<Contact>, SeedError> {
        let lookup = self.look_up(seed);
        let mut found =
            tokio::time::timeout(LOOKUP_LIMIT, lookup).await.unwrap_or(Err(SeedError::Timeout))?;
        found.truncate(MAX_SEEDS);
        Ok(found)
    }

    async fn look_up(&self, seed: &Seed) -> Result<Vec<Contact>, SeedError> {
        match &seed.kind {
            SeedKind::Address(addr) => Ok(vec![Contact { addr: *addr, expect: None }]),
            SeedKind::Host { host, port } => {
                let ips = self.addresses(host).await?;
                let contact = |ip| Contact { addr: SocketAddr::new(ip, *port), expect: None };
                Ok(ips.into_iter().map(contact).collect())
            }
            SeedKind::Service(name) => self.service(name).await,
            SeedKind::Node { name, port } => self.node(name, *port).await,
        }
    }

    /// The node called `name`: on its port, or wherever nodes of one host live.
    async fn node(&self, name: &NodeName, port: Option<u16>) -> Result<Vec<Contact>, SeedError> {
        let ips = self.addresses(name.host()).await?;
        let ports = match port {
            Some(port) => port..=port,
            None => DEFAULT_PORT..=DEFAULT_PORT + PORT_SPAN - 1,
        };
        let contact = |ip, port| {
            let expect = Some(name.clone());
            Contact { addr: SocketAddr::new(ip, port), expect }
        };
        Ok(ports.flat_map(|port| ips.iter().map(move |&ip| contact(ip, port))).collect())
    }

    /// Every target of an SRV name with its own port. A target that cannot be resolved spoils only
    /// itself.
    async fn service(&self, name: &str) -> Result<Vec<Contact>, SeedError> {
        let mut lookups = JoinSet::new();
        for (n, target) in self.targets(name).await?.into_iter().enumerate() {
            let resolver = self.clone();
            let port = if target.port == 0 { DEFAULT_PORT } else { target.port };
            lookups.spawn(async move { (n, port, resolver.addresses(&target.host).await) });
        }
        let mut found = Vec::new();
        let mut failed = SeedError::NoData;
        while let Some(done) = lookups.join_next().await {
            match done {
                Ok((n, port, Ok(ips))) => found.push((n, port, ips)),
                Ok((_, _, Err(error))) => failed = error,
                Err(panicked) => failed = SeedError::Other(panicked.to_string()),
            }
        }
        if found.is_empty() {
            return Err(failed);
        }
        found.sort_unstable_by_key(|&(n, ..)| n);
        let contacts = found.into_iter().flat_map(|(_, port, ips)| {
            let addr = move |ip| SocketAddr::new(ip, port);
            ips.into_iter().map(move |ip| Contact { addr: addr(ip), expect: None })
        });
        Ok(contacts.collect())
    }

    /// The targets in the order of RFC 2782: by priority, heavier ones first. None is left out.
    async fn targets(&self, name: &str) -> Result<Vec<Target>, SeedError> {
        let records = self.query(name, RecordType::SRV).await?;
        let mut targets: Vec<Target> = records
            .into_iter()
            .filter_map(|data| match data {
                RData::SRV(srv) if !srv.target.is_root() => Some(Target {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    host: srv.target.to_utf8(),
                }),
                _ => None,
            })
            .collect();
        targets.sort_by_key(|target| (target.priority, u16::MAX - target.weight));
        targets.truncate(MAX_TARGETS);
        if targets.is_empty() { Err(SeedError::NoData) } else { Ok(targets) }
    }

    /// All addresses of a host: a literal, DNS or the hosts file; for this host itself, loopback if
    /// nothing else knows it.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, SeedError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let a = self.family(host, RecordType::A);
        let aaaa = self.family(host, RecordType::AAAA);
        match both(a, aaaa).await {
            Err(_) if is_this_host(host) => {
                Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
            }
            result => result,
        }
    }

    async fn family(&self, host: &str, records: RecordType) -> Result<Vec<IpAddr>, SeedError> {
        let found = self.query(host, records).await?;
        let ips: Vec<IpAddr> = found
            .into_iter()
            .filter_map(|data| match data {
                RData::A(a) => Some(a.0.into()),
                RData::AAAA(aaaa) => Some(aaaa.0.into()),
                _ => None,
            })
            .collect();
        if ips.is_empty() { Err(SeedError::NoData) } else { Ok(ips) }
    }

    async fn query(&self, name: &str, records: RecordType) -> Result<Vec<RData>, SeedError> {
        let lookup = self.hickory()?.lookup(name, records).await.map_err(|e| explain(&e))?;
        Ok(lookup.answers().iter().map(|record| record.data.clone()).collect())
    }

    fn hickory(&self) -> Result<&TokioResolver, SeedError> {
        if let Some(ready) = self.0.hickory.get() {
            return Ok(ready);
        }
        let made = build(&self.0.settings)
            .map_err(|error| SeedError::Other(format!("no name server is configured ({error})")))?;
        Ok(self.0.hickory.get_or_init(|| made))
    }
}

fn build(settings: &ResolverSettings) -> Result<TokioResolver, NetError> {
    let mut builder = if settings.nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = settings.nameservers.iter().map(|addr| {
            // With UDP alone a truncated answer would read as no data.
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut c| {
                c.port = addr.port();
                c
            });
            NameServerConfig::new(addr.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 1;
    options.cache_size = 0;
    builder.build()
}

/// What both families gave. If neither gave an address, the error that says most.
async fn both(
    a: impl Future<Output = Result<Vec<IpAddr>, SeedError>>,
    aaaa: impl Future<Output = Result<Vec<IpAddr>, SeedError>>,
) -> Result<Vec<IpAddr>, SeedError> {
    let (mut a, mut aaaa) = (std::pin::pin!(a), std::pin::pin!(aaaa));
    let (first, second) = tokio::select! {
        v4 = &mut a => {
            let grace = if v4.is_ok() { OTHER_FAMILY_GRACE } else { LOOKUP_LIMIT };
            (v4, tokio::time::timeout(grace, aaaa).await)
        }
        v6 = &mut aaaa => {
            let grace = if v6.is_ok() { OTHER_FAMILY_GRACE } else { LOOKUP_LIMIT };
            (v6, tokio::time::timeout(grace, a).await)
        }
    };
    match (first, second.unwrap_or(Err(SeedError::Timeout))) {
        (Ok(mut first), Ok(second)) => {
            first.extend(second);
            first.sort_unstable();
            first.dedup();
            Ok(first)
        }
        (Ok(ips), Err(_)) | (Err(_), Ok(ips)) => Ok(ips),
        (Err(one), Err(other)) => Err(if gravity(&one) >= gravity(&other) { one } else { other }),
    }
}

/// A failure outweighs a plain no: the no may not be the whole truth.
const fn gravity(error: &SeedError) -> u8 {
    match error {
        SeedError::NoSuchName => 0,
        SeedError::NoData => 1,
        SeedError::Timeout => 2,
        SeedError::ServerFailure(_) => 3,
        SeedError::Other(_) => 4,
    }
}

fn explain(error: &NetError) -> SeedError {
    // First, because `is_no_records_found` is true for it as well.
    if error.is_nx_domain() {
        return SeedError::NoSuchName;
    }
    match error {
        error if error.is_no_records_found() => SeedError::NoData,
        NetError::Dns(DnsError::ResponseCode(code)) => SeedError::ServerFailure(code.to_string()),
        NetError::Timeout => SeedError::Timeout,
        other => SeedError::Other(other.to_string()),
    }
}

/// Whether `host` is what this machine calls itself, with or without its domain.
fn is_this_host(host: &str) -> bool {
    let uname = rustix::system::uname();
    let Ok(own) = uname.nodename().to_str() else { return false };
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    host.eq_ignore_ascii_case(own) || (!host.contains('.') && short(own) == short(host))
}
