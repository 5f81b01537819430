//! The nodes that a call may be made on, one after another (specification, sections 8 and 9).

use super::limit::Limit;
use crate::{
    call::local::CallError,
    config::Route,
    model::Retry,
    node::{Address, Node, NodeClient, NodeOrder},
    request_error::RequestError,
};

/// Which nodes one attempt may ask.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// The first, and each other one once where a node has certainly not begun the call.
    FallBack,
    /// The first alone.
    First,
    /// One after another until one answers.
    UntilAnswered,
}

impl Reach {
    pub(super) fn of(route: &Route) -> Self {
        match route.config.normalize_retry() {
            Some(Retry::SameNode(_)) => Self::First,
            Some(_) => Self::UntilAnswered,
            None => Self::FallBack,
        }
    }

    /// Whether the next node is asked after this error.
    pub(super) fn goes_on(self, error: &RequestError) -> bool {
        let until_answered = matches!(self, Self::UntilAnswered);
        match error {
            RequestError::Node(error) => {
                error.was_not_sent() || until_answered && !error.was_answered()
            }
            RequestError::Call(CallError::TimedOut(_)) => until_answered,
            _ => false,
        }
    }

    fn most(self) -> usize {
        match self {
            Self::First => 1,
            Self::FallBack | Self::UntilAnswered => usize::MAX,
        }
    }
}

/// Goes through an order; after its end once more to one that came back, where all were known dead.
pub(super) struct Candidates<'c, 'o, I> {
    client: &'c dyn NodeClient,
    order: &'o NodeOrder,
    reach: Reach,
    left: Option<I>,
}

pub(super) fn candidates<'c, 'o>(
    client: &'c dyn NodeClient,
    order: &'o NodeOrder,
    reach: Reach,
) -> Candidates<'c, 'o, impl Iterator<Item = &'o Node> + use<'o>> {
    Candidates {
        client,
        order,
        reach,
        left: Some(order.iter().take(reach.most())),
    }
}

impl<'o, I: Iterator<Item = &'o Node>> Candidates<'_, 'o, I> {
    pub(super) async fn next(&mut self, limit: &Limit<'_>) -> Option<&'o Node> {
        if let Some(node) = self.left.as_mut()?.next() {
            return Some(node);
        }
        self.left = None;
        let asked = self.order.iter().take(self.reach.most());
        let asked: Vec<&Address> = asked.map(Node::address).collect::<Option<_>>()?;
        let revival = self.client.revive(&asked)?;
        let revived = limit.hold(async { Ok::<_, RequestError>(revival.await) });
        let back = revived.await.ok()??;
        self.order.iter().find(|node| node.address() == Some(back))
    }
}
