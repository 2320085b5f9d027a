//! Guessing where others reach a node that was not told what to advertise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use chisme_proto::Endpoints;

/// Addresses for documentation (RFC 5737, RFC 3849): connecting a UDP socket to one sends nothing,
/// and shows which of our addresses the kernel would send from.
const ELSEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The endpoints of sockets bound to `bound`, and whether they are a guess.
pub(crate) fn guess(bound: &[SocketAddr]) -> (Endpoints, bool) {
    let mut endpoints = Endpoints::default();
    let mut guessed = false;
    for &addr in bound {
        if !addr.ip().is_unspecified() {
            endpoints.set(addr);
            continue;
        }
        guessed = true;
        let both = addr.is_ipv6() && bound.len() == 1;
        for elsewhere in ELSEWHERE {
            if (both || elsewhere.is_ipv4() == addr.is_ipv4())
                && let Some(ip) = source_towards(elsewhere)
            {
                endpoints.set(SocketAddr::new(ip, addr.port()));
            }
        }
    }
    if endpoints.is_empty() {
        // No route at all: peers on this host can still be reached.
        for &addr in bound {
            let loopback = if addr.is_ipv4() {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            } else {
                IpAddr::V6(Ipv6Addr::LOCALHOST)
            };
            endpoints.set(SocketAddr::new(loopback, addr.port()));
        }
    }
    (endpoints, guessed)
}

/// The address of this host that datagrams to `elsewhere` would come from.
fn source_towards(elsewhere: IpAddr) -> Option<IpAddr> {
    let any: SocketAddr = match elsewhere {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((elsewhere, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_address_is_no_guess_and_an_unspecified_one_is() {
        let bound = [SocketAddr::from(([127, 0, 0, 1], 4747))];
        assert_eq!(guess(&bound), (Endpoints::one(bound[0]), false));
        let (endpoints, guessed) = guess(&[SocketAddr::from(([0, 0, 0, 0], 4747))]);
        assert!(guessed && endpoints.v4.is_some_and(|v4| !v4.ip().is_unspecified()));
    }
}
