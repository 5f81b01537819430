//! Selectors that an embedder brings along.

use super::Node;
use crate::model::{FunConfig, Request};

/// Chooses the node for a request, for configs whose mode is `{"custom": name}` (specification, section 8).
///
/// Every closure of this shape is one; it may answer the place of a node in the list, `None`, the places of several
/// nodes in order of preference, or a [`Selection`]:
///
/// ```
/// use gen_api::{model::{FunConfig, Request}, node::{Node, SelectNode, Selection}};
///
/// let last = |_: &Request, _: &FunConfig, nodes: &[Node]| nodes.len().checked_sub(1);
/// let config = FunConfig::builder("s", "t").call("M", "f").nodes(["http://a:1"]).build()?;
/// assert_eq!(last.select(&Request::new("r", "s", "t"), &config, &[Node::Local]), Selection::First(0));
/// # Ok::<(), gen_api::model::InvalidConfig>(())
/// ```
///
/// It runs on the request's way, so it must not block. A panic in it fails the request alone.
pub trait SelectNode: Send + Sync + 'static {
    /// Chooses among `nodes`, which are never none.
    fn select(&self, request: &Request, config: &FunConfig, nodes: &[Node]) -> Selection;
}

impl<F, S> SelectNode for F
where
    F: Fn(&Request, &FunConfig, &[Node]) -> S + Send + Sync + 'static,
    S: Into<Selection>,
{
    fn select(&self, request: &Request, config: &FunConfig, nodes: &[Node]) -> Selection {
        self(request, config, nodes).into()
    }
}

/// What a [`SelectNode`] chose. Nodes are named by their places in the list, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// This node, with all others as the fallback in the order of the list.
    First(usize),
    /// These nodes in order of preference, and no others. One that is named again counts once.
    Order(Vec<usize>),
    /// None of them: the request fails as if there were no nodes.
    Nobody,
}

impl From<usize> for Selection {
    fn from(place: usize) -> Self {
        Self::First(place)
    }
}

impl From<Option<usize>> for Selection {
    fn from(place: Option<usize>) -> Self {
        place.map_or(Self::Nobody, Self::First)
    }
}

impl From<Vec<usize>> for Selection {
    fn from(places: Vec<usize>) -> Self {
        Self::Order(places)
    }
}
