//! Who a member is: the hash of its name, its session and its life; and where it can be reached.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use sha2::{Digest, Sha256};

use crate::NodeName;

/// The first 128 bits of the SHA-256 of a node's name: what foca compares members by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash(u128);

impl NameHash {
    /// The hash of `name`.
    pub fn of(name: &NodeName) -> Self {
        name.hash()
    }

    pub(crate) fn of_text(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let first: [u8; 16] = digest[..16].try_into().expect("SHA-256 has 32 bytes");
        Self(u128::from_be_bytes(first))
    }

    pub(crate) fn from_words([high, low]: [u64; 2]) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The first 32 bits: enough to order nearly all members.
    pub(crate) const fn head(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// The two halves, as they stand in a SWIM packet.
    pub(crate) const fn words(self) -> [u64; 2] {
        [(self.0 >> 64) as u64, self.0 as u64]
    }

    /// The first half: enough to break a tie.
    pub(crate) const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for NameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

/// One run of a process: new at every start, greater than those before it.
///
/// The upper 42 bits are the milliseconds of the unix clock at the start, the lower 22 are random.
/// Zero stands for "not known yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    // Two halves: as one number it would align what foca stores per member to 8 bytes, and cost 4.
    high: u32,
    low: u32,
}

const RANDOM_BITS: u32 = 22;
const RANDOM_MASK: u64 = (1 << RANDOM_BITS) - 1;

impl Session {
    pub(crate) const NONE: Self = Self::from_u64(0);

    /// A session that starts at `unix_millis` (42 bits are used: until the year 2109).
    pub const fn new(unix_millis: u64, random: u32) -> Self {
        let session = (unix_millis << RANDOM_BITS) | (random as u64 & RANDOM_MASK);
        // Zero has a meaning of its own.
        Self::from_u64(if session == 0 { 1 } else { session })
    }

    /// The unix time of the start, in milliseconds.
    pub const fn unix_millis(self) -> u64 {
        self.to_u64() >> RANDOM_BITS
    }

    /// A session greater than `self`, one millisecond later.
    pub(crate) const fn above(self, random: u32) -> Self {
        Self::new(self.unix_millis() + 1, random)
    }

    /// The session as one number, as it stands on the wire.
    pub const fn to_u64(self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }

    /// The session that [`to_u64`](Self::to_u64) gave.
    pub const fn from_u64(session: u64) -> Self {
        Self { high: (session >> 32) as u32, low: session as u32 }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.to_u64())
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.to_u64())
    }
}

/// How often a node had to refute its own Down within one session. Users never see it change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub(crate) u16);

impl Life {
    /// The number of times that this session was refuted.
    pub const fn to_u16(self) -> u16 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a member can be reached: an IPv4 address, an IPv6 address, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For peers whose socket reaches IPv4.
    pub v4: Option<SocketAddrV4>,
    /// For peers whose socket reaches IPv6.
    pub v6: Option<SocketAddrV6>,
}

impl Endpoints {
    /// The one endpoint `addr`; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn one(addr: SocketAddr) -> Self {
        let mut endpoints = Self::default();
        endpoints.set(addr);
        endpoints
    }

    /// Sets the endpoint of `addr`'s family.
    pub fn set(&mut self, addr: SocketAddr) {
        match canonical(addr) {
            SocketAddr::V4(v4) => self.v4 = Some(v4),
            SocketAddr::V6(v6) => self.v6 = Some(SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0)),
        }
    }

    /// The endpoint of the same family as `addr`.
    pub fn of_family(&self, addr: SocketAddr) -> Option<SocketAddr> {
        if canonical(addr).is_ipv4() { self.v4.map(Into::into) } else { self.v6.map(Into::into) }
    }

    /// Both endpoints, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        self.v4.map(SocketAddr::V4).into_iter().chain(self.v6.map(SocketAddr::V6))
    }

    /// Whether `addr` is one of them.
    pub fn contains(&self, addr: SocketAddr) -> bool {
        self.of_family(addr) == Some(canonical(addr))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Whether every port and address can be sent to.
    pub(crate) fn are_usable(&self) -> bool {
        !self.is_empty() && self.iter().all(is_usable)
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.iter().map(|addr| addr.to_string()).collect();
        f.write_str(&all.join(", "))
    }
}

/// `addr` with an IPv4-mapped IPv6 address written as IPv4, and without scope and flow.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Whether a datagram can be sent to `addr` and reach one host.
pub(crate) fn is_usable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
