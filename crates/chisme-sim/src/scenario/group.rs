//! Which nodes a fault is about: `all`, `half`, `third`, `first(3)`, `random(10)`, `node[0]`,
//! `node[2..5]`, `zone:b`, `rest`; several with `+` between them.
//!
//! A group is only words until it is resolved among the nodes of a run.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::seq::IteratorRandom;

/// A set of nodes, by description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    All,
    /// So many of those with the lowest numbers.
    First(usize),
    /// The first half, rounded down; or another share.
    Share(usize),
    Random(usize),
    Range(usize, usize),
    Zone(String),
    /// Everybody whom no other group of the same fault names.
    Rest,
}

/// What is no description of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no nodes: allowed are all, half, third, first(N), random(N), node[I], node[I..J], zone:NAME, rest, and several of them with + between"
)]
pub struct GroupError(String);

impl FromStr for Group {
    type Err = GroupError;

    fn from_str(text: &str) -> Result<Self, GroupError> {
        let wrong = || GroupError(text.to_owned());
        let parts: Option<Vec<Part>> =
            text.split('+').map(|part| Part::parse(part.trim())).collect();
        Ok(Self { parts: parts.ok_or_else(wrong)? })
    }
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let inside = |open: &str, close: char| text.strip_prefix(open)?.strip_suffix(close);
        Some(match text {
            "all" => Self::All,
            "half" => Self::Share(2),
            "third" => Self::Share(3),
            "rest" => Self::Rest,
            _ => {
                if let Some(n) = inside("first(", ')') {
                    Self::First(n.parse().ok()?)
                } else if let Some(n) = inside("random(", ')') {
                    Self::Random(n.parse().ok()?)
                } else if let Some(range) = inside("node[", ']') {
                    match range.split_once("..") {
                        Some((from, to)) => Self::Range(from.parse().ok()?, to.parse().ok()?),
                        None => {
                            let index: usize = range.parse().ok()?;
                            Self::Range(index, index.checked_add(1)?)
                        }
                    }
                } else {
                    let zone = text.strip_prefix("zone:").filter(|zone| !zone.is_empty())?;
                    Self::Zone(zone.to_owned())
                }
            }
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.parts.iter().enumerate() {
            if n > 0 {
                f.write_str("+")?;
            }
            match part {
                Part::All => f.write_str("all")?,
                Part::First(n) => write!(f, "first({n})")?,
                Part::Share(2) => f.write_str("half")?,
                Part::Share(_) => f.write_str("third")?,
                Part::Random(n) => write!(f, "random({n})")?,
                Part::Range(from, to) if from + 1 == *to => write!(f, "node[{from}]")?,
                Part::Range(from, to) => write!(f, "node[{from}..{to}]")?,
                Part::Zone(zone) => write!(f, "zone:{zone}")?,
                Part::Rest => f.write_str("rest")?,
            }
        }
        Ok(())
    }
}

impl Group {
    /// Everybody.
    pub fn all() -> Self {
        Self { parts: vec![Part::All] }
    }

    /// One node, by number.
    pub fn node(index: usize) -> Self {
        Self { parts: vec![Part::Range(index, index + 1)] }
    }

    /// Whether it is whoever is not in another group.
    pub(crate) fn is_rest(&self) -> bool {
        self.parts == [Part::Rest]
    }

    /// Whether chance says who is in it.
    pub(crate) fn is_drawn(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Random(_)))
    }

    /// Whether every part of it names nodes that there are.
    pub(crate) fn check(&self, count: usize, zones: &[String]) -> Result<(), String> {
        for part in &self.parts {
            let wrong = |problem: String| Err(format!("\"{self}\" {problem}"));
            match part {
                Part::First(n) | Part::Random(n) if !(1..=count).contains(n) => {
                    return wrong(format!(
                        "asks for {n} of {count} nodes; from 1 to {count} are possible"
                    ));
                }
                Part::Range(from, to) if from >= to => {
                    return wrong(format!(
                        "has nobody from {from} up to {to}: the second number is not included"
                    ));
                }
                Part::Range(_, to) if *to > count => {
                    let last = count.saturating_sub(1);
                    return wrong(format!("names node {}; there are nodes 0 to {last}", to - 1));
                }
                Part::Zone(zone) if !zones.iter().take(count).any(|known| known == zone) => {
                    let known = if zones.is_empty() { "none".to_owned() } else { zones.join(", ") };
                    return wrong(format!("names zone {zone:?}; nodes.zones has {known}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The numbers of the nodes that are meant, sorted, each once. Node `i` of `count` is in zone
    /// `zones[i % zones.len()]`; `rest` is whoever is not in `others`; chance picks `random(N)`.
    pub fn resolve(
        &self,
        count: usize,
        zones: &[String],
        others: &[usize],
        rng: &mut impl Rng,
    ) -> Vec<usize> {
        let mut nodes: Vec<usize> = Vec::new();
        for part in &self.parts {
            match part {
                Part::All => nodes.extend(0..count),
                Part::First(n) => nodes.extend(0..count.min(*n)),
                Part::Share(of) => nodes.extend(0..count / of),
                Part::Random(n) => nodes.extend((0..count).sample(rng, *n)),
                Part::Range(from, to) => nodes.extend((*from).min(count)..(*to).min(count)),
                Part::Zone(zone) => nodes
                    .extend((0..count).filter(|i| zones.get(i % zones.len().max(1)) == Some(zone))),
                Part::Rest => nodes.extend((0..count).filter(|i| !others.contains(i))),
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn resolve(text: &str) -> Vec<usize> {
        let zones = ["a".to_owned(), "b".to_owned()];
        let group: Group = text.parse().expect("a group");
        assert_eq!(group.to_string(), text);
        group.resolve(6, &zones, &[0, 1], &mut ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn groups_mean_what_they_say() {
        assert_eq!(resolve("all"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(resolve("half"), [0, 1, 2]);
        assert_eq!(resolve("third"), [0, 1]);
        assert_eq!(resolve("first(4)"), [0, 1, 2, 3]);
        assert_eq!(resolve("node[3]"), [3]);
        assert_eq!(resolve("node[3..9]"), [3, 4, 5]);
        assert_eq!(resolve("zone:b"), [1, 3, 5]);
        assert_eq!(resolve("rest"), [2, 3, 4, 5]);
        assert_eq!(resolve("node[0]+zone:b"), [0, 1, 3, 5]);
        assert_eq!(resolve("random(3)").len(), 3);
    }

    #[test]
    fn what_is_no_group_is_quoted() {
        for text in ["", "nobody", "node[x]", "first(", "zone:", "all+"] {
            let error = text.parse::<Group>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
