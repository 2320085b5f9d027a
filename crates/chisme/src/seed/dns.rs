//! Looking names up: A and AAAA side by side, SRV with its targets, and what went wrong.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chisme_proto::{Contact, DEFAULT_PORT, MAX_SEEDS, NodeName, PORT_SPAN};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::grammar::SeedKind;
use super::system::System;
use super::{Seed, SeedError};

/// The longest that one look-up may take, all its queries included.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// Of several look-ups side by side, those that are not done by then count as timeouts, so that what
/// the others found can still be given within [`LOOKUP_LIMIT`].
pub(super) const GATHER_LIMIT: Duration = Duration::from_millis(4_700);

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
    system: System,
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
        let system = System::new(&settings.nameservers);
        Self(Arc::new(Shared { settings, system }))
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
        let until = Instant::now() + GATHER_LIMIT;
        let mut lookups = JoinSet::new();
        for (n, target) in self.targets(name).await?.into_iter().enumerate() {
            let resolver = self.clone();
            let port = if target.port == 0 { DEFAULT_PORT } else { target.port };
            lookups.spawn(async move {
                let ips = resolver.addresses(&target.host).await?;
                let contact = |ip| Contact { addr: SocketAddr::new(ip, port), expect: None };
                Ok((n, ips.into_iter().map(contact).collect::<Vec<_>>()))
            });
        }
        let mut found = gather(lookups, until).await?;
        found.sort_unstable_by_key(|&(n, _)| n);
        Ok(found.into_iter().flat_map(|(_, contacts)| contacts).collect())
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

    /// All addresses of a host: a literal, from the hosts file, or else from DNS; for this host
    /// itself, loopback if nobody knows it.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, SeedError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let listed = self.0.system.hosts_file(host);
        if !listed.is_empty() {
            return Ok(listed);
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
        let resolver = self.0.system.resolver()?;
        let lookup = resolver.lookup(name, records).await.map_err(|e| explain(&e))?;
        Ok(lookup.answers().iter().map(|record| record.data.clone()).collect())
    }
}

/// What look-ups found that stand side by side; an error only if none found anything.
pub(super) async fn gather<T: 'static>(
    mut lookups: JoinSet<Result<T, SeedError>>,
    until: Instant,
) -> Result<Vec<T>, SeedError> {
    let mut found = Vec::new();
    let mut failed = None;
    loop {
        match tokio::time::timeout_at(until, lookups.join_next()).await {
            Ok(None) => break,
            Ok(Some(Ok(Ok(one)))) => found.push(one),
            Ok(Some(Ok(Err(error)))) => failed = Some(error),
            Ok(Some(Err(panicked))) => failed = Some(SeedError::Other(panicked.to_string())),
            Err(_) => {
                failed = Some(SeedError::Timeout);
                break;
            }
        }
    }
    match failed {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
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
