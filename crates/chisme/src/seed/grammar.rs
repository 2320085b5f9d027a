//! The texts that name a seed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use chisme_proto::{DEFAULT_PORT, NodeName};

/// The longest seed, in bytes: a node name and a port.
const MAX_LEN: usize = 270;

/// Where first contacts may be found.
///
/// | text | stands for |
/// |---|---|
/// | `10.0.0.7:4747`, `[fd00::7]:4747`, `10.0.0.7`, `fd00::7` | that address; without a port, the default one |
/// | `host`, `host:port`, `dns+host:port` | every A and AAAA record of the name |
/// | `_service._proto.domain`, `dnssrv+name` | every target and port of the SRV records |
/// | `node1@host` | the node of that name, on the default port or one of the 15 after it |
/// | `node1@host:port` | the node of that name, on that port |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    text: String,
    pub(super) kind: SeedKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeedKind {
    Address(SocketAddr),
    Host { host: String, port: u16 },
    Service(String),
    Node { name: NodeName, port: Option<u16> },
}

/// A text that is no seed; it quotes the text and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a seed: {why}; allowed are ip:port, host[:port], _service._proto.domain, \
     dns+name[:port], dnssrv+name and name@host[:port]"
)]
pub struct ParseSeedError {
    text: String,
    why: &'static str,
}

impl FromStr for Seed {
    type Err = ParseSeedError;

    fn from_str(text: &str) -> Result<Self, ParseSeedError> {
        let kind = parse(text)
            .map_err(|why| ParseSeedError { text: text.chars().take(MAX_LEN).collect(), why })?;
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<SeedKind, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LEN {
        return Err("it is too long");
    }
    if let Some(name) = text.strip_prefix("dnssrv+") {
        return Ok(SeedKind::Service(host_name(name)?));
    }
    if let Some(host) = text.strip_prefix("dns+") {
        return host_and_port(host);
    }
    if text.contains('@') {
        return node(text);
    }
    if let Some(address) = address(text)? {
        return Ok(SeedKind::Address(address));
    }
    if text.starts_with('_') {
        let protocol = text.split('.').nth(1);
        if !protocol.is_some_and(|label| label.starts_with('_')) {
            return Err("a name that starts with '_' must look like _service._proto.domain");
        }
        return Ok(SeedKind::Service(host_name(text)?));
    }
    host_and_port(text)
}

/// An address, with the default port if it has none.
fn address(text: &str) -> Result<Option<SocketAddr>, &'static str> {
    let address = if let Ok(address) = text.parse::<SocketAddr>() {
        address
    } else if let Ok(ip) = text.parse::<IpAddr>() {
        SocketAddr::new(ip, DEFAULT_PORT)
    } else if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| "there is no IPv6 address in the brackets")?;
        SocketAddr::new(ip.into(), DEFAULT_PORT)
    } else {
        return Ok(None);
    };
    if address.port() == 0 {
        return Err("port 0 cannot be contacted");
    }
    Ok(Some(address))
}

fn host_and_port(text: &str) -> Result<SeedKind, &'static str> {
    let (host, port) = split_port(text)?;
    let port = port.unwrap_or(DEFAULT_PORT);
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(SeedKind::Address(SocketAddr::new(ip, port))),
        Err(_) => Ok(SeedKind::Host { host: host_name(host)?, port }),
    }
}

fn node(text: &str) -> Result<SeedKind, &'static str> {
    let (name, port) = split_port(text)?;
    let name = NodeName::parse(name).map_err(|_| "the part before the port is no name@host")?;
    Ok(SeedKind::Node { name, port })
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let Some((host, port)) = text.rsplit_once(':') else { return Ok((text, None)) };
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err("the port must be a number from 1 to 65535"),
    }
}

fn host_name(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let labels = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 || labels.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("a host name consists of labels of 1 to 63 characters, 253 in all");
    }
    if !text.chars().all(allowed) {
        return Err("a host name has only letters, digits, '-', '_' and '.'");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> SeedKind {
        text.parse::<Seed>().expect(text).kind
    }

    #[test]
    fn every_row_of_the_grammar_is_read() {
        let address = |text: &str| SeedKind::Address(text.parse().expect("an address"));
        let host = |host: &str, port| SeedKind::Host { host: host.into(), port };
        let node = |name: &str, port| SeedKind::Node {
            name: NodeName::parse(name).expect("a name"),
            port,
        };
        assert_eq!(kind("10.0.0.7:80"), address("10.0.0.7:80"));
        assert_eq!(kind("10.0.0.7"), address("10.0.0.7:4747"));
        assert_eq!(kind("[fd00::7]:80"), address("[fd00::7]:80"));
        assert_eq!(kind("fd00::7"), address("[fd00::7]:4747"));
        assert_eq!(kind("[fd00::7]"), address("[fd00::7]:4747"));
        assert_eq!(kind("dns+10.0.0.7:80"), address("10.0.0.7:80"));
        assert_eq!(kind("svc.default"), host("svc.default", 4747));
        assert_eq!(kind("svc.default.:80"), host("svc.default.", 80));
        assert_eq!(kind("dns+_odd.name:80"), host("_odd.name", 80));
        assert_eq!(kind("_malla._tcp.x.org"), SeedKind::Service("_malla._tcp.x.org".into()));
        assert_eq!(kind("dnssrv+x.org"), SeedKind::Service("x.org".into()));
        assert_eq!(kind("n1@host"), node("n1@host", None));
        assert_eq!(kind("n1@10.0.0.7:80"), node("n1@10.0.0.7", Some(80)));
    }

    #[test]
    fn what_is_no_seed_is_quoted() {
        let long = "x".repeat(300);
        for bad in [
            "",
            " ",
            "a b",
            "host:",
            "host:0",
            "host:99999",
            "host:x",
            "[fd00::7",
            "[host]:1",
            "1.2.3.4:0",
            "_http.example",
            "a@b@c",
            "@host",
            "n1@",
            "a..b",
            "dns+",
            "dnssrv+",
            "ä",
            "http://host",
            &long,
        ] {
            let error = bad.parse::<Seed>().expect_err(bad).to_string();
            let start: String = bad.chars().take(MAX_LEN).collect();
            assert!(error.contains(&format!("{start:?}")), "{error}");
            assert!(error.contains("name@host"), "{error}");
        }
    }
}
