//! Lists of nodes, each kept once however many configs name it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock, Weak},
};

use parking_lot::Mutex;

use super::{Address, Node, ring::HashRing};

/// A list of service nodes, each once, with the hash ring over them.
#[derive(Debug)]
pub(super) struct NodeList {
    nodes: Arc<[Node]>,
    ring: OnceLock<HashRing>,
}

impl NodeList {
    /// The nodes in their order.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where the node stands in the list.
    pub(super) fn position(&self, address: &Address) -> Option<usize> {
        let is_it = |node: &Node| node.address() == Some(address);
        self.nodes.iter().position(is_it)
    }

    /// The index of the node that owns the key. The first call builds the ring.
    pub(super) fn owner(&self, key: &str) -> Option<usize> {
        let ring = || HashRing::new(self.nodes.iter().filter_map(Node::address));
        self.ring.get_or_init(ring).owner(key)
    }
}

/// The node lists in use. Equal lists are one list, so that its ring is built and held once.
#[derive(Debug, Default)]
pub(super) struct NodeLists {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    lists: HashMap<Arc<[Node]>, Weak<NodeList>>,
    /// How many lists there may be before those that nobody uses any more are cleared away.
    clear_at: usize,
}

impl NodeLists {
    /// The list of these nodes. One that is named again keeps its first place.
    pub(super) fn of(&self, nodes: Vec<Node>) -> Arc<NodeList> {
        let nodes: Arc<[Node]> = unique(nodes).into();
        let mut known = self.known.lock();
        if let Some(list) = known.lists.get(&nodes).and_then(Weak::upgrade) {
            return list;
        }
        if known.lists.len() >= known.clear_at {
            known.lists.retain(|_, list| list.strong_count() > 0);
            known.clear_at = 2 * known.lists.len() + 16;
        }
        let list = Arc::new(NodeList {
            nodes: Arc::clone(&nodes),
            ring: OnceLock::new(),
        });
        known.lists.insert(nodes, Arc::downgrade(&list));
        list
    }
}

/// Without the repetitions of nodes named before.
pub(super) fn unique(mut nodes: Vec<Node>) -> Vec<Node> {
    let mut seen = HashSet::with_capacity(nodes.len());
    nodes.retain(|node| seen.insert(node.clone()));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<Node> {
        let node = |name: &&str| Node::from(Address::new(name).unwrap());
        names.iter().map(node).collect()
    }

    #[test]
    fn equal_lists_are_one_list_and_other_orders_are_others() {
        let lists = NodeLists::default();
        let list = lists.of(nodes(&["a", "b"]));
        assert!(Arc::ptr_eq(&list, &lists.of(nodes(&["a", "b"]))));
        assert!(!Arc::ptr_eq(&list, &lists.of(nodes(&["b", "a"]))));
    }

    #[test]
    fn a_node_that_is_named_again_keeps_its_first_place() {
        let list = NodeLists::default().of(nodes(&["a", "b", "a", "c", "b"]));
        assert_eq!(list.nodes(), nodes(&["a", "b", "c"]));
    }

    #[test]
    fn lists_out_of_use_are_cleared_away() {
        let lists = NodeLists::default();
        let kept = lists.of(nodes(&["kept"]));
        for name in 0..10_000 {
            let _ = lists.of(nodes(&[&name.to_string()]));
        }
        assert!(lists.known.lock().lists.len() < 40);
        assert!(Arc::ptr_eq(&kept, &lists.of(nodes(&["kept"]))));
    }
}
