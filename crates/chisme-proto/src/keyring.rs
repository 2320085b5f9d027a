//! Secrets: from the cookie that people share to the keys that authenticate datagrams.
//!
//! A cookie is a human's secret, so it is stretched (PBKDF2) before anything is derived from it; a
//! key of 32 random bytes, written as 64 hexadecimal digits, is taken as it is. HKDF then binds the
//! key to the name of the cluster: another cluster is the same as another cookie.

use std::fmt;
use std::sync::Arc;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ClusterName;

/// Bytes of HMAC-SHA-256 that end a datagram.
pub(crate) const TAG_LEN: usize = 16;

/// The most keys that a ring accepts besides its primary.
pub const MAX_ACCEPTED_KEYS: usize = 4;

/// Cookies shorter than this, in bytes, are weak: guessing them offline is cheap.
pub const STRONG_COOKIE_LEN: usize = 16;

const PBKDF2_ROUNDS: u32 = 120_000;
const PBKDF2_SALT: &[u8] = b"chisme cookie v1";
const HKDF_INFO: &[u8] = b"chisme datagram key v1 ";

/// The secret that the nodes of a cluster share. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Cookie(SecretBox<[u8]>);

/// Why a text cannot be a cookie. The text itself is never quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// Nothing is no secret.
    #[error("the cookie is empty; `chisme cookie` makes a strong one")]
    Empty,
    /// More than a secret needs.
    #[error("the cookie has {0} bytes; at most 1024 are allowed")]
    TooLong(usize),
}

impl Cookie {
    /// Takes a cookie of 1 to 1,024 bytes. White space around it is not removed.
    ///
    /// # Errors
    /// [`CookieError`] if it is empty or too long.
    pub fn new(text: &str) -> Result<Self, CookieError> {
        match text.len() {
            0 => Err(CookieError::Empty),
            1..=1024 => Ok(Self(SecretBox::from(text.as_bytes().to_vec()))),
            n => Err(CookieError::TooLong(n)),
        }
    }

    /// Whether it is shorter than [`STRONG_COOKIE_LEN`].
    pub fn is_weak(&self) -> bool {
        self.0.expose_secret().len() < STRONG_COOKIE_LEN
    }

    /// The random key that the cookie spells as 64 hexadecimal digits, if it does.
    fn as_random_key(&self) -> Option<Zeroizing<[u8; 32]>> {
        let digits = self.0.expose_secret();
        if digits.len() != 64 {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high << 4 | low).expect("two hexadecimal digits are one byte");
        }
        Some(key)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret().ct_eq(other.0.expose_secret()).into()
    }
}

impl Eq for Cookie {}

/// A cookie after the expensive part. Making one takes about 30 ms: do it once per process.
#[derive(Clone)]
pub struct StretchedCookie(Arc<SecretBox<[u8; 32]>>);

impl StretchedCookie {
    /// Stretches `cookie`, or takes it as it is if it spells a random key of 32 bytes.
    pub fn stretch(cookie: &Cookie) -> Self {
        let key = cookie.as_random_key().unwrap_or_else(|| {
            let mut key = Zeroizing::new([0; 32]);
            pbkdf2::pbkdf2_hmac::<Sha256>(
                cookie.0.expose_secret(),
                PBKDF2_SALT,
                PBKDF2_ROUNDS,
                key.as_mut(),
            );
            key
        });
        Self(Arc::new(SecretBox::new(Box::new(*key))))
    }
}

impl fmt::Debug for StretchedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StretchedCookie(..)")
    }
}

/// The keys of a node: one seals, all open.
#[derive(Clone, Debug)]
pub struct KeyRing {
    primary: Key,
    accepted: Vec<Key>,
}

impl KeyRing {
    /// A ring with one key, made of the cookie and the name of the cluster.
    pub fn new(cookie: &StretchedCookie, cluster: &ClusterName) -> Self {
        Self { primary: Key::derive(cookie, cluster), accepted: Vec::new() }
    }

    /// Also opens what is sealed with `cookie`. Beyond [`MAX_ACCEPTED_KEYS`] the oldest goes.
    pub fn accepting(mut self, cookie: &StretchedCookie, cluster: &ClusterName) -> Self {
        self.accepted.push(Key::derive(cookie, cluster));
        if self.accepted.len() > MAX_ACCEPTED_KEYS {
            self.accepted.remove(0);
        }
        self
    }

    /// This ring, which also opens what `before` sealed.
    pub(crate) fn succeeding(mut self, before: &Self) -> Self {
        if self.find(before.primary.id).is_none() {
            self.accepted.insert(0, before.primary.clone());
            self.accepted.truncate(MAX_ACCEPTED_KEYS);
        }
        self
    }

    pub(crate) const fn primary(&self) -> &Key {
        &self.primary
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        std::iter::once(&self.primary).chain(&self.accepted).find(|key| key.id == id)
    }
}

/// Which key sealed a datagram. It is derived from the key and tells nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(crate) u32);

/// One key, prepared: the state of the HMAC is made once and copied for every datagram. Clones are the
/// same key in the same memory.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    mac: Arc<Hmac<Sha256>>,
}

impl Key {
    fn derive(cookie: &StretchedCookie, cluster: &ClusterName) -> Self {
        let mut key = Zeroizing::new([0; 36]);
        Hkdf::<Sha256>::new(None, cookie.0.expose_secret())
            .expand_multi_info(&[HKDF_INFO, cluster.as_str().as_bytes()], key.as_mut())
            .expect("36 bytes are within what HKDF can give");
        let id = u32::from_be_bytes(key[32..].try_into().expect("four bytes are left"));
        let mac = Hmac::new_from_slice(&key[..32]).expect("HMAC takes keys of any length");
        Self { id: KeyId(id), mac: Arc::new(mac) }
    }

    /// The tag of `bytes`.
    pub(crate) fn tag(&self, bytes: &[u8]) -> [u8; TAG_LEN] {
        let full = Hmac::clone(&self.mac).chain_update(bytes).finalize().into_bytes();
        full[..TAG_LEN].try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether `tag` is the tag of `bytes`; takes the same time either way.
    pub(crate) fn verify(&self, bytes: &[u8], tag: &[u8; TAG_LEN]) -> bool {
        Hmac::clone(&self.mac).chain_update(bytes).verify_truncated_left(tag).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:08x})", self.id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(cookie: &str, cluster: &str) -> KeyRing {
        let stretched = StretchedCookie::stretch(&Cookie::new(cookie).expect("valid"));
        KeyRing::new(&stretched, &ClusterName::parse(cluster).expect("valid"))
    }

    #[test]
    fn another_cookie_or_another_cluster_is_another_key() {
        let ours = ring("malla_secret", "default");
        assert_eq!(ours.primary().id, ring("malla_secret", "default").primary().id);
        assert_ne!(ours.primary().id, ring("malla_secret", "other").primary().id);
        assert_ne!(ours.primary().id, ring("malla_secret2", "default").primary().id);
    }

    #[test]
    fn sixty_four_hexadecimal_digits_are_a_random_key_and_not_stretched() {
        let digits = "00ff".repeat(16);
        let key = Cookie::new(&digits).expect("valid").as_random_key().expect("is one");
        assert_eq!(key[..4], [0x00, 0xff, 0x00, 0xff]);
        assert!(Cookie::new(&digits[1..]).expect("valid").as_random_key().is_none());
        assert!(Cookie::new(&"g0".repeat(32)).expect("valid").as_random_key().is_none());
    }

    #[test]
    fn a_cookie_shows_nothing_of_itself() {
        let cookie = Cookie::new("malla_secret").expect("valid");
        let stretched = StretchedCookie::stretch(&cookie);
        assert_eq!(format!("{cookie:?} {stretched:?}"), "Cookie(..) StretchedCookie(..)");
        assert!(cookie.is_weak() && !Cookie::new("sixteen.bytes...").expect("valid").is_weak());
        assert_eq!(Cookie::new(""), Err(CookieError::Empty));
    }

    #[test]
    fn an_accepted_key_opens_and_only_the_primary_seals() {
        let old = StretchedCookie::stretch(&Cookie::new("old").expect("valid"));
        let cluster = ClusterName::default();
        let both = ring("new", "default").accepting(&old, &cluster);
        let old = KeyRing::new(&old, &cluster);
        assert!(both.find(old.primary().id).is_some());
        assert_ne!(both.primary().id, old.primary().id);
    }
}
