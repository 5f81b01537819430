//! Where a call goes: to a function of this process, or to service nodes in an order (specification, section 8).

use std::sync::Arc;

use crate::{
    config::Route,
    model::{Nodes, Request, Retry},
    node::{Node, NodeOrder, NodeSelector},
    request_error::RequestError,
};

/// The node of a request, chosen once, before its permission is checked: check and call meet the same one.
#[derive(Clone)]
pub(super) enum Target {
    Local,
    Nodes(Arc<Chosen>),
}

/// The nodes that were chosen, the preferred one first.
pub(super) struct Chosen {
    pub(super) order: NodeOrder,
    /// Kept where each retry asks for the list anew: the choice may depend on the arguments.
    pub(super) request: Option<Request>,
}

impl Target {
    pub(super) async fn choose(
        selector: &NodeSelector,
        request: &Request,
        route: &Route,
    ) -> Result<Self, RequestError> {
        if matches!(route.config.nodes, Nodes::Local) {
            return Ok(Self::Local);
        }
        let order = Box::pin(selector.order(request, &route.config)).await?;
        let anew = matches!(route.config.normalize_retry(), Some(Retry::AllNodes(_)));
        let request = anew.then(|| request.clone());
        Ok(Self::Nodes(Arc::new(Chosen { order, request })))
    }

    /// Has this node of the order asked first; those before it come last.
    pub(super) fn prefer(&mut self, node: &Node) {
        if let Self::Nodes(chosen) = self
            // Nobody else has it before the call is made.
            && let Some(chosen) = Arc::get_mut(chosen)
            && let Some(order) = chosen.order.led_by(node)
        {
            chosen.order = order;
        }
    }
}
