//! Which node owns a key, so that a node that leaves or joins moves only its own keys.

use std::hash::Hasher;

use siphasher::{sip::SipHasher13, sip128::SipHasher13 as SipHasher13Wide};

use super::Address;

/// How many points a node has on the ring. With 160 the busiest of ten nodes gets about a fifth more than its share.
const POINTS_PER_NODE: u64 = 160;

/// The keys of the hash. They are the same in every process, so that all gateways send a key to the same node.
const SEED: (u64, u64) = (0x6765_6e5f_6170_692e, 0x7269_6e67_2e76_3031);

/// A consistent hash ring: each node owns the arcs that end at its points.
#[derive(Debug)]
pub(super) struct HashRing {
    /// The points in order, each with the index of its node in the list.
    points: Box<[(u64, u32)]>,
}

impl HashRing {
    /// The ring of these nodes, each given once.
    pub(super) fn new<'a>(nodes: impl Iterator<Item = &'a Address>) -> Self {
        let mut points: Vec<(u64, u32)> = (0..)
            .zip(nodes)
            .flat_map(|(index, node)| points(node).map(move |point| (point, index)))
            .collect();
        // Two nodes at one point would have to be ordered by name to be independent of the list's order; among 64-bit
        // points of a real list there are none.
        points.sort_unstable();
        Self {
            points: points.into_boxed_slice(),
        }
    }

    /// The index of the node that owns the key; none where there are no nodes.
    pub(super) fn owner(&self, key: &str) -> Option<usize> {
        let mut hasher = SipHasher13::new_with_keys(SEED.0, SEED.1);
        hasher.write(key.as_bytes());
        let key = hasher.finish();
        let next = self.points.partition_point(|(point, _)| *point < key);
        let (_, node) = self.points.get(next).or_else(|| self.points.first())?;
        Some(*node as usize)
    }
}

/// The points of a node, which depend on its address alone.
fn points(node: &Address) -> impl Iterator<Item = u64> {
    (0..POINTS_PER_NODE / 2).flat_map(|pair| {
        // One wide hash gives two points.
        let hasher = SipHasher13Wide::new_with_keys(SEED.0 ^ pair, SEED.1);
        let (first, second) = hasher.hash(node.as_str().as_bytes()).as_u64();
        [first, second]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn owners(nodes: &[Address], keys: &[String]) -> Vec<Address> {
        let ring = HashRing::new(nodes.iter());
        let owner = |key: &String| nodes[ring.owner(key).unwrap()].clone();
        keys.iter().map(owner).collect()
    }

    fn addresses(names: impl IntoIterator<Item = String>) -> Vec<Address> {
        names
            .into_iter()
            .map(|name| Address::new(name).unwrap())
            .collect()
    }

    #[test]
    fn an_empty_ring_owns_nothing() {
        assert_eq!(HashRing::new([].iter()).owner("key"), None);
    }

    #[test]
    fn the_owner_of_a_key_is_the_same_in_every_process_and_release() {
        let nodes = addresses(["http://a:1", "http://b:1", "http://c:1"].map(str::to_owned));
        let keys: Vec<String> = (0..12).map(|key| format!("user-{key}")).collect();
        let owners: String = owners(&nodes, &keys)
            .iter()
            .map(|owner| owner.as_str().replace("http://", "").replace(":1", ""))
            .collect();
        assert_eq!(owners, "bacabcbaaccc");
    }

    #[test]
    fn the_keys_are_spread_evenly() {
        let nodes = addresses((0..10).map(|node| format!("http://10.0.0.{node}:9000")));
        let keys: Vec<String> = (0..20_000).map(|key| format!("key-{key}")).collect();
        let mut loads = BTreeMap::new();
        for owner in owners(&nodes, &keys) {
            *loads.entry(owner).or_insert(0) += 1;
        }
        assert_eq!(loads.len(), 10);
        let (least, most) = (loads.values().min(), loads.values().max());
        assert!(least > Some(&1_400) && most < Some(&2_700), "{loads:?}");
    }

    proptest! {
        #[test]
        fn a_node_that_leaves_moves_only_its_own_keys_and_the_order_of_the_list_is_free(
            names in proptest::collection::btree_set("[a-z]{1,6}", 2..12),
            leaver in any::<proptest::sample::Index>(),
            keys in proptest::collection::vec(".{0,8}", 50),
        ) {
            let all = addresses(names.iter().cloned());
            let leaver = leaver.get(&all).clone();
            let mut rest: Vec<Address> = all.iter().filter(|node| **node != leaver).cloned().collect();
            rest.reverse();
            for (with, without) in owners(&all, &keys).into_iter().zip(owners(&rest, &keys)) {
                // Read backwards: what joined took keys for itself and left all others where they were.
                prop_assert!(with == without || with == leaver, "{with} {without} {leaver}");
                prop_assert!(without != leaver);
            }
        }

        #[test]
        fn every_node_owns_something(names in proptest::collection::btree_set("[a-z]{1,6}", 1..12)) {
            let nodes = addresses(names);
            let keys: Vec<String> = (0..2_000).map(|key| key.to_string()).collect();
            let owning: BTreeSet<Address> = owners(&nodes, &keys).into_iter().collect();
            prop_assert_eq!(owning.len(), nodes.len());
        }
    }
}
