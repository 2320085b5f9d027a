//! Choosing one of several instances of a service. It knows nothing of clusters: what it is given is
//! what it chooses from.

use rand::RngExt;

use crate::Instance;

/// One of `instances`, each as often as its weight says; none if no weight is above 0.
///
/// ```no_run
/// # fn run(cluster: &chisme::Cluster) {
/// let instances = cluster.instances("billing");
/// let chosen = chisme::select::weighted(&instances);
/// # }
/// ```
pub fn weighted(instances: &[Instance]) -> Option<&Instance> {
    let total: u64 = instances.iter().map(|instance| u64::from(instance.service.weight)).sum();
    if total == 0 {
        return None;
    }
    at_weight(instances, rand::rng().random_range(0..total))
}

/// The instance in whose share of the sum of all weights `at` lies.
fn at_weight(instances: &[Instance], at: u64) -> Option<&Instance> {
    let mut end = 0;
    instances.iter().find(|instance| {
        end += u64::from(instance.service.weight);
        at < end
    })
}

/// The one of `instances` that `key` belongs to: the same on all nodes that see the same instances,
/// whatever their order; and when instances come or go, only the keys of those move.
///
/// This is rendezvous hashing (Thaler and Ravishankar, *Using name-based mappings to increase hit rates*,
/// 1998). Weights do not count, but for a weight of 0, to which nothing belongs.
pub fn rendezvous<'a>(instances: &'a [Instance], key: &[u8]) -> Option<&'a Instance> {
    let candidates = instances.iter().filter(|instance| instance.service.weight > 0);
    candidates.max_by_key(|instance| (score(instance, key), &instance.node))
}

/// FNV-1a over node and key, and the finaliser of SplitMix64, for FNV leaves the last bytes in the low
/// bits: fixed for ever, because nodes of different versions must agree.
fn score(instance: &Instance, key: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = instance.node.as_str().bytes().chain([0]).chain(key.iter().copied());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use chisme_proto::{Endpoints, NodeName, Service};

    use super::*;

    fn instance(n: usize, weight: u16) -> Instance {
        Instance {
            node: NodeName::parse(&format!("n{n}@host")).expect("valid"),
            endpoints: Endpoints::default(),
            service: Service::new("billing", 80).weight(weight),
            is_local: false,
        }
    }

    #[test]
    fn each_is_chosen_in_proportion_to_its_weight() {
        let instances = [instance(0, 3), instance(1, 0), instance(2, 1)];
        let chosen: Vec<&str> = (0..4)
            .map(|at| at_weight(&instances, at).expect("within the sum").node.local())
            .collect();
        assert_eq!(chosen, ["n0", "n0", "n0", "n2"]);
        for _ in 0..100 {
            assert_ne!(weighted(&instances).expect("one").node.local(), "n1");
        }
        assert_eq!(weighted(&[instance(0, 0)]), None);
        assert_eq!(weighted(&[]), None);
    }

    #[test]
    fn only_the_keys_of_the_one_that_goes_move_and_they_are_shared_out() {
        let all: Vec<Instance> = (0..5).map(|n| instance(n, 1)).collect();
        let mut fewer = all.clone();
        fewer.remove(2);
        fewer.reverse();
        let mut owned = [0; 5];
        for key in 0..5_000_u32 {
            let key = key.to_be_bytes();
            let before = rendezvous(&all, &key).expect("one");
            let after = rendezvous(&fewer, &key).expect("one");
            assert!(before == after || before.node.local() == "n2");
            owned[all.iter().position(|instance| instance == before).expect("one of them")] += 1;
        }
        assert!(owned.iter().all(|&keys| (850..1_150).contains(&keys)), "{owned:?}");
    }

    #[test]
    fn the_owner_of_a_key_is_the_same_in_every_version() {
        let all: Vec<Instance> = (0..5).map(|n| instance(n, 1)).collect();
        let owners: Vec<&str> = ["a", "b", "c", "customer-4711"]
            .iter()
            .map(|key| rendezvous(&all, key.as_bytes()).expect("one").node.local())
            .collect();
        assert_eq!(owners, ["n4", "n0", "n0", "n3"]);
    }
}
