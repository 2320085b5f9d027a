//! The envelope of every datagram: a fixed header, a body of sections, and a tag over both.
//!
//! This module knows keys and byte offsets, nothing of what a body means. See PROTOCOL.md, "Envelope".

use crate::keyring::{Key, KeyId, KeyRing, TAG_LEN};
use crate::{Rejection, Session};

/// The longest datagram, in bytes of UDP payload, that is sent or taken in: what fits an IPv6
/// packet of minimum size (1,280 bytes less 48 of headers).
pub const MAX_DATAGRAM: usize = 1_232;

/// Bytes before the body.
pub(crate) const HEADER_LEN: usize = 30;

/// Bytes of a datagram that are not body.
pub(crate) const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// The longest body.
pub(crate) const MAX_BODY: usize = MAX_DATAGRAM - OVERHEAD;

/// The number of a datagram, counted by its sender from 1 for each of its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(pub(crate) u64);

/// What stands before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) sender: Session,
    /// [`Session::NONE`] only in a Hello.
    pub(crate) receiver: Session,
    pub(crate) sequence: Sequence,
}

/// A buffer with room for the header, to which a body is appended.
pub(crate) fn start() -> Vec<u8> {
    let mut datagram = Vec::with_capacity(256);
    datagram.resize(HEADER_LEN, 0);
    datagram
}

/// Writes the header in front of the body that `datagram` holds since [`start`], and the tag behind.
pub(crate) fn seal(key: &Key, header: &Header, datagram: &mut Vec<u8>) {
    debug_assert!(datagram.len() + TAG_LEN <= MAX_DATAGRAM, "a body longer than allowed");
    datagram[0] = header.version;
    datagram[1] = header.kind;
    datagram[2..6].copy_from_slice(&key.id.0.to_be_bytes());
    datagram[6..14].copy_from_slice(&header.sender.to_u64().to_be_bytes());
    datagram[14..22].copy_from_slice(&header.receiver.to_u64().to_be_bytes());
    datagram[22..30].copy_from_slice(&header.sequence.0.to_be_bytes());
    let tag = key.tag(datagram);
    datagram.extend_from_slice(&tag);
}

/// Checks the tag and gives header and body. Nothing of the body has been looked at.
pub(crate) fn open<'a>(
    ring: &KeyRing,
    datagram: &'a [u8],
) -> Result<(Header, &'a [u8]), Rejection> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(Rejection::TooLarge);
    }
    let (authenticated, tag) =
        datagram.split_last_chunk::<TAG_LEN>().ok_or(Rejection::Malformed)?;
    let (header, body) =
        authenticated.split_first_chunk::<HEADER_LEN>().ok_or(Rejection::Malformed)?;
    let key = ring.find(KeyId(u32::from_be_bytes(at(header, 2)))).ok_or(Rejection::UnknownKey)?;
    if !key.verify(authenticated, tag) {
        return Err(Rejection::BadTag);
    }
    let header = Header {
        version: header[0],
        kind: header[1],
        sender: Session::from_u64(u64::from_be_bytes(at(header, 6))),
        receiver: Session::from_u64(u64::from_be_bytes(at(header, 14))),
        sequence: Sequence(u64::from_be_bytes(at(header, 22))),
    };
    Ok((header, body))
}

/// The `N` bytes of the header that start at `offset`.
fn at<const N: usize>(header: &[u8; HEADER_LEN], offset: usize) -> [u8; N] {
    header[offset..offset + N].try_into().expect("every field lies within the header")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterName, Cookie, StretchedCookie};

    fn ring() -> KeyRing {
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        KeyRing::new(&StretchedCookie::stretch(&cookie), &ClusterName::default())
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        let header = Header {
            version: 1,
            kind: 7,
            sender: Session::from_u64(0x0102_0304_0506_0708),
            receiver: Session::from_u64(9),
            sequence: Sequence(3),
        };
        let mut datagram = start();
        datagram.extend_from_slice(body);
        seal(ring().primary(), &header, &mut datagram);
        datagram
    }

    #[test]
    fn what_was_sealed_opens_again() {
        let datagram = sealed(b"body");
        let (header, body) = open(&ring(), &datagram).expect("authentic");
        assert_eq!((header.version, header.kind, header.sequence), (1, 7, Sequence(3)));
        assert_eq!(header.sender, Session::from_u64(0x0102_0304_0506_0708));
        assert_eq!(body, b"body");
        assert_eq!(datagram.len(), OVERHEAD + 4);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let datagram = sealed(b"body");
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&ring(), &flipped).is_err(), "bit {bit}");
        }
        for len in 0..datagram.len() {
            assert!(open(&ring(), &datagram[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_else() {
        assert_eq!(open(&ring(), &[]), Err(Rejection::Malformed));
        assert_eq!(open(&ring(), &[0; OVERHEAD - 1]), Err(Rejection::Malformed));
        assert_eq!(open(&ring(), &[0; MAX_DATAGRAM + 1]), Err(Rejection::TooLarge));
        assert_eq!(open(&ring(), &[0; MAX_DATAGRAM]), Err(Rejection::UnknownKey));
    }
}
