//! A capture file of a run, for Wireshark and tcpdump. It knows addresses and bytes, and of what is
//! in them nothing.
//!
//! The classic format with times in nanoseconds, link type RAW: each packet begins with its IP
//! header. What a simulated network has no headers for is made up: identification 0, 64 hops.

use std::net::SocketAddr;

use crate::outcome::Captured;

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINKTYPE_RAW: u32 = 101;
const LONGEST: u32 = 65_535 + 40;
const UDP: u8 = 17;
const UDP_HEADER_LEN: usize = 8;
const IPV4_HEADER_LEN: usize = 20;
const DO_NOT_FRAGMENT: u16 = 0x4000;
const HOPS: u8 = 64;

/// A capture file with these datagrams, in the order that they are given in.
///
/// Times count from the first of January 1970, so that a capture's times are those of the run.
/// Datagrams that no IP packet can hold, or whose addresses are of two families, are left out:
/// nothing could have sent them.
pub fn pcap(datagrams: &[Captured]) -> Vec<u8> {
    let mut file = Vec::with_capacity(24 + datagrams.len() * 256);
    file.extend(MAGIC_NANOSECONDS.to_be_bytes());
    file.extend([0, 2, 0, 4]); // the version of the format
    file.extend([0; 8]); // the time zone, and an accuracy that nobody fills in
    file.extend(LONGEST.to_be_bytes());
    file.extend(LINKTYPE_RAW.to_be_bytes());
    for datagram in datagrams {
        let Some(packet) = packet(datagram) else { continue };
        let Ok(len) = u32::try_from(packet.len()) else { continue };
        let (seconds, nanos) = (datagram.at / 1_000_000_000, datagram.at % 1_000_000_000);
        file.extend(u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        file.extend(u32::try_from(nanos).unwrap_or(0).to_be_bytes());
        file.extend(len.to_be_bytes());
        file.extend(len.to_be_bytes());
        file.extend(packet);
    }
    file
}

/// The IP packet with the datagram in it.
fn packet(datagram: &Captured) -> Option<Vec<u8>> {
    let udp_len = u16::try_from(UDP_HEADER_LEN + datagram.bytes.len()).ok()?;
    let mut udp = Vec::with_capacity(usize::from(udp_len));
    udp.extend(datagram.from.port().to_be_bytes());
    udp.extend(datagram.to.port().to_be_bytes());
    udp.extend(udp_len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(&datagram.bytes);
    let (mut packet, pseudo_header) = match (datagram.from, datagram.to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            let addresses = [from.ip().octets(), to.ip().octets()].concat();
            (ipv4_header(udp_len, &addresses)?, pseudo_header(udp_len, &addresses))
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            let addresses = [from.ip().octets(), to.ip().octets()].concat();
            (ipv6_header(udp_len, &addresses), pseudo_header(udp_len, &addresses))
        }
        _ => return None,
    };
    // A checksum of zero would mean that there is none; RFC 768 sends its complement.
    let sum = match checksum(&[&pseudo_header, &udp]) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(udp);
    Some(packet)
}

fn ipv4_header(udp_len: u16, addresses: &[u8]) -> Option<Vec<u8>> {
    let len = udp_len.checked_add(IPV4_HEADER_LEN as u16)?;
    let mut header = vec![0x45, 0];
    header.extend(len.to_be_bytes());
    header.extend([0, 0]);
    header.extend(DO_NOT_FRAGMENT.to_be_bytes());
    header.extend([HOPS, UDP, 0, 0]);
    header.extend(addresses);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Some(header)
}

fn ipv6_header(udp_len: u16, addresses: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(udp_len.to_be_bytes());
    header.extend([UDP, HOPS]);
    header.extend(addresses);
    header
}

/// What UDP sums besides itself (RFC 768; RFC 8200, section 8.1). The two families order the last
/// fields differently, which a sum does not see.
fn pseudo_header(udp_len: u16, addresses: &[u8]) -> Vec<u8> {
    let mut header = addresses.to_vec();
    header.extend([0, UDP]);
    header.extend(udp_len.to_be_bytes());
    header
}

/// The complement of the sum of 16-bit words (RFC 1071). All parts but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.fold(0_u32, |sum, word| {
        let word = [word[0], word.get(1).copied().unwrap_or(0)];
        let sum = sum + u32::from(u16::from_be_bytes(word));
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(from: &str, to: &str, bytes: &[u8]) -> Captured {
        let address = |text: &str| text.parse().expect("an address");
        Captured { at: 1_500_000_007, from: address(from), to: address(to), bytes: bytes.to_vec() }
    }

    /// What the receiver does: with its checksum in it the sum of everything is zero.
    fn udp_is_whole(packet: &[u8], header_len: usize, addresses: std::ops::Range<usize>) -> bool {
        let udp = &packet[header_len..];
        let len = u16::try_from(udp.len()).expect("short");
        checksum(&[&pseudo_header(len, &packet[addresses]), udp]) == 0
    }

    #[test]
    fn ipv4_headers_are_those_that_a_receiver_accepts() {
        let packet = packet(&captured("10.0.0.1:7946", "10.0.0.2:7947", b"odd")).expect("fits");
        assert_eq!(packet.len(), 20 + 8 + 3);
        assert_eq!(checksum(&[&packet[..20]]), 0);
        assert!(udp_is_whole(&packet, 20, 12..20));
        // 0x4500 + 0x001f + 0x4000 + 0x4011 + 0x0a00 + 1 + 0x0a00 + 2 = 0xd933, of which the complement.
        let by_hand = [
            0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0x26, 0xcc, 10, 0, 0, 1, 10, 0, 0, 2, 0x1f,
            0x0a, 0x1f, 0x0b, 0, 11,
        ];
        assert_eq!(packet[..26], by_hand);
    }

    #[test]
    fn ipv6_headers_are_those_that_a_receiver_accepts() {
        let packet = packet(&captured("[fd00::1]:7946", "[fd00::2]:7946", b"even")).expect("fits");
        assert_eq!(packet.len(), 40 + 8 + 4);
        assert!(udp_is_whole(&packet, 40, 8..40));
    }

    #[test]
    fn what_nothing_could_have_sent_is_left_out() {
        let mixed = captured("10.0.0.1:1", "[fd00::2]:2", b"");
        let long = captured("10.0.0.1:1", "10.0.0.1:2", &vec![0; 65_508]);
        assert_eq!(pcap(&[mixed, long]).len(), 24);
    }

    #[test]
    fn a_file_has_a_header_and_a_record_for_each_datagram() {
        let file = pcap(&[captured("10.0.0.1:1", "10.0.0.1:2", b"abcd")]);
        assert_eq!(file.len(), 24 + 16 + 32);
        assert_eq!(file[24..40], [0, 0, 0, 1, 0x1d, 0xcd, 0x65, 7, 0, 0, 0, 32, 0, 0, 0, 32]);
    }
}
