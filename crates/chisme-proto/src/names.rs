//! Names heard of late: one that is heard again is neither checked nor hashed again.
//!
//! It knows texts and names, and nothing of members. It gives what [`NodeName::parse`] gives.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{NameError, NodeName};

/// How many names are kept. Each has one place, and gives it up to the next that has the same.
const PLACES: usize = 4_096;

/// The names that were heard of late. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<Heard>>);

/// Names by their texts.
#[derive(Default)]
struct Heard {
    /// Empty until the first is heard.
    places: Vec<Option<NodeName>>,
}

impl Names {
    /// The name that a text spells, if it spells one.
    pub(crate) fn name(&self, text: &str) -> Result<NodeName, NameError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).name(text)
    }
}

impl Heard {
    fn name(&mut self, text: &str) -> Result<NodeName, NameError> {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let place = &mut self.places[place_of(text)];
        if let Some(name) = place.as_ref().filter(|name| name.as_str() == text) {
            return Ok(name.clone());
        }
        let name = NodeName::parse(text)?;
        *place = Some(name.clone());
        Ok(name)
    }
}

/// Whoever can choose a name can choose its place: the worst that comes of it is a name made anew each time.
fn place_of(text: &str) -> usize {
    /// The odd number nearest to 2^64 divided by the golden ratio.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().copied().chain([last]).map(u64::from_le_bytes);
    let mixed = words.fold(text.len() as u64, |mixed, word| {
        let product = u128::from(mixed ^ word) * u128::from(GOLDEN);
        (product >> 64) as u64 ^ product as u64
    });
    (mixed % PLACES as u64) as usize
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_is_what_is_parsed() {
        let mut heard = Heard::default();
        // Many more than there are places, and each of them twice.
        for n in (0..3 * PLACES).chain(0..3 * PLACES) {
            let text = format!("n{n}@host{}", n % 7);
            let name = heard.name(&text).expect("valid");
            assert_eq!((name.as_str(), &name), (&*text, &NodeName::parse(&text).expect("valid")));
            assert_eq!(name.hash(), NodeName::parse(&text).expect("valid").hash());
        }
        assert_eq!(heard.places.len(), PLACES);
        for bad in ["", "n1", "a@b@c", "n 1@host"] {
            assert_eq!(heard.name(bad), NodeName::parse(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_is_heard_again_is_the_same_one() {
        let mut heard = Heard::default();
        let first = heard.name("n1@host").expect("valid");
        let again = heard.name("n1@host").expect("valid");
        assert!(std::ptr::eq(first.as_str(), again.as_str()));
    }

    #[test]
    fn names_are_spread_over_the_places() {
        let places: std::collections::BTreeSet<usize> =
            (0..PLACES).map(|n| place_of(&format!("n{n}@host"))).collect();
        // By chance 63 of 100.
        assert!(places.len() > PLACES * 60 / 100, "{}", places.len());
    }
}
