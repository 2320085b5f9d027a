//! A hash of what happened: the same on every machine, which is all that is asked of it.

/// Takes eight bytes at a time. It keeps no secret and withstands no enemy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(crate) const fn number(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }

    /// Bytes and how many they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
        self.number(bytes.len() as u64);
    }

    pub(crate) const fn value(self) -> u64 {
        super::network::mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_every_place_counts() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest::default();
            digest.bytes(bytes);
            digest.value()
        };
        let text = b"nineteen bytes long";
        let mut seen = std::collections::BTreeSet::from([of(text)]);
        for n in 0..text.len() {
            let mut other = *text;
            other[n] ^= 1;
            assert!(seen.insert(of(&other)), "byte {n}");
            assert!(seen.insert(of(&text[..n])), "length {n}");
        }
        assert_eq!(of(text), 0x34c6_cc69_4def_63fd, "the same on every machine");
    }
}
