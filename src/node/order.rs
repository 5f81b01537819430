//! The nodes for one call, the preferred one first.

use std::sync::Arc;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::{Node, list::NodeList};

/// The nodes for one call in order of preference: the first is used, the others are the fallback (specification, section 8).
///
/// It is never empty, and holds each node once. The order of the fallback is worked out when somebody asks for it.
#[derive(Clone, Debug)]
pub struct NodeOrder {
    /// None for this process alone.
    list: Option<Arc<NodeList>>,
    first: usize,
    rest: Rest,
}

/// In which order the other nodes follow the first.
#[derive(Clone, Debug)]
pub(super) enum Rest {
    /// As they are listed.
    Listed,
    /// As they are listed, from the first one on and round.
    Rotated,
    /// At random, always the same way for this seed.
    Shuffled { seed: u64 },
    /// Those at these places of the list.
    Given(Box<[usize]>),
}

impl NodeOrder {
    /// This process, and nothing to fall back to.
    pub(super) fn local() -> Self {
        Self {
            list: None,
            first: 0,
            rest: Rest::Listed,
        }
    }

    /// The nodes of this list; `first` and what `rest` names must be places in it.
    pub(super) fn new(list: Arc<NodeList>, first: usize, rest: Rest) -> Self {
        debug_assert!(first < list.nodes().len());
        Self {
            list: Some(list),
            first,
            rest,
        }
    }

    /// The preferred node.
    #[must_use]
    pub fn first(&self) -> &Node {
        self.at(self.first)
    }

    /// The nodes to ask instead, one after the other, where the preferred one cannot be reached.
    pub fn fallback(&self) -> impl Iterator<Item = &Node> {
        let listed = self.list.as_ref().map_or(1, |list| list.nodes().len());
        let others = (0..listed).filter(|&place| place != self.first);
        let places: Vec<usize> = match &self.rest {
            Rest::Listed => others.collect(),
            Rest::Rotated => (self.first + 1..listed).chain(0..self.first).collect(),
            Rest::Given(places) => places.to_vec(),
            Rest::Shuffled { seed } => {
                let mut places: Vec<usize> = others.collect();
                places.shuffle(&mut SmallRng::seed_from_u64(*seed));
                places
            }
        };
        places.into_iter().map(|place| self.at(place))
    }

    /// All nodes, the preferred one first.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        // What follows the first is worked out once the first was not enough.
        let fallback = std::iter::once_with(|| self.fallback()).flatten();
        std::iter::once(self.first()).chain(fallback)
    }

    /// The same nodes, this one first and round from there; `None` where it leads already or is none of them.
    pub(crate) fn led_by(&self, node: &Node) -> Option<Self> {
        let list = self.list.as_ref()?;
        let place = |node: &Node| node.address().and_then(|address| list.position(address));
        let mut places: Vec<usize> = self.iter().filter_map(place).collect();
        let at = self.iter().position(|other| other == node)?;
        if at == 0 || at >= places.len() {
            return None;
        }
        places.rotate_left(at);
        let rest = Rest::Given(places.get(1..)?.into());
        Some(Self::new(Arc::clone(list), *places.first()?, rest))
    }

    fn at(&self, place: usize) -> &Node {
        self.list
            .as_ref()
            .and_then(|list| list.nodes().get(place))
            .unwrap_or(&Node::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Address, list::NodeLists};

    fn order(first: usize, rest: Rest) -> String {
        let names = ["a", "b", "c", "d"];
        let nodes = names.map(|name| Node::from(Address::new(name).unwrap()));
        let list = NodeLists::default().of(nodes.to_vec());
        let order = NodeOrder::new(list, first, rest);
        assert_eq!(order.iter().next(), Some(order.first()));
        order.iter().map(Node::to_string).collect()
    }

    #[test]
    fn the_others_follow_the_first_as_their_mode_says() {
        assert_eq!(order(2, Rest::Listed), "cabd");
        assert_eq!(order(2, Rest::Rotated), "cdab");
        assert_eq!(order(2, Rest::Given([0].into())), "ca");
    }

    #[test]
    fn an_order_led_by_another_of_its_nodes_goes_round_from_there() {
        let names = ["a", "b", "c", "d"];
        let nodes = names.map(|name| Node::from(Address::new(name).unwrap()));
        let list = NodeLists::default().of(nodes.to_vec());
        let order = NodeOrder::new(list, 2, Rest::Listed);
        let led_by = |node: &Node| {
            let order = order.led_by(node)?;
            Some(order.iter().map(Node::to_string).collect::<String>())
        };
        assert_eq!(led_by(&nodes[2]), None);
        assert_eq!(led_by(&nodes[0]).as_deref(), Some("abdc"));
        assert_eq!(led_by(&nodes[3]).as_deref(), Some("dcab"));
        assert_eq!(led_by(&Node::Local), None);
    }

    #[test]
    fn shuffled_fallbacks_hold_each_node_once_in_any_order() {
        let orders: std::collections::BTreeSet<String> = (0..200)
            .map(|seed| order(0, Rest::Shuffled { seed }))
            .collect();
        let all = ["abcd", "abdc", "acbd", "acdb", "adbc", "adcb"];
        assert_eq!(orders.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn an_order_can_be_walked_again_and_is_the_same() {
        let shuffled = || order(1, Rest::Shuffled { seed: 7 });
        assert_eq!(shuffled(), shuffled());
    }

    #[test]
    fn this_process_has_nothing_to_fall_back_to() {
        let order = NodeOrder::local();
        assert_eq!(order.iter().collect::<Vec<_>>(), [&Node::Local]);
    }
}
