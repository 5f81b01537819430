//! Node lists that a function answers.

use std::{
    fmt::{self, Display},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use actix_otp::{CatchPanic, catch_panic};
use serde_json::Value;

use super::{Address, NoTransport, Node, NodeClient, NodeError, NodeSettings};
use crate::{
    clock::{Clock, within},
    model::{Mfa, Nodes},
};

/// Calls the function behind `{"resolver": [module, function, args]}` (specification, section 8).
///
/// The engine's calls the registered function. A closure of the shape `Fn(Mfa) -> impl Future<Output = Result<Value, E>>`
/// is one too.
pub trait ResolveNodes: Send + Sync + 'static {
    /// Calls the function with its predefined arguments and answers what it answered, or the reason why it failed.
    ///
    /// The answer is judged by the caller: a list of addresses is asked for.
    fn resolve<'a>(&'a self, resolver: &'a Mfa) -> ResolveFuture<'a>;
}

/// What [`ResolveNodes::resolve`] returns.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'a>>;

impl<F, Fut, E> ResolveNodes for F
where
    F: Fn(Mfa) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, E>> + Send + 'static,
    E: Display,
{
    fn resolve<'a>(&'a self, resolver: &'a Mfa) -> ResolveFuture<'a> {
        let answer = self(resolver.clone());
        Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
    }
}

/// Answers which nodes there are, whether a config lists them or a function names them. Clones share one resolver.
///
/// ```
/// use std::sync::Arc;
/// use gen_api::{clock::ManualClock, model::{Mfa, Nodes}, node::{Node, NodeResolver, NodeSettings}};
/// use serde_json::json;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let ask = |_: Mfa| async { Ok::<_, String>(json!(["http://a:1", "", 7])) };
/// let resolver = NodeResolver::new(ask, Arc::new(ManualClock::new()), NodeSettings::default());
/// let nodes = resolver.nodes("UserService", &Nodes::Resolver(Mfa::new("Discovery", "nodes"))).await?;
/// assert_eq!(nodes.iter().map(Node::to_string).collect::<Vec<_>>(), ["http://a:1"]);
/// # Ok::<(), gen_api::node::NodeError>(())
/// # }).expect("it never waits")?;
/// # Ok::<(), gen_api::node::NodeError>(())
/// ```
#[derive(Clone)]
pub struct NodeResolver {
    resolver: Arc<dyn ResolveNodes>,
    clock: Arc<dyn Clock>,
    settings: NodeSettings,
    /// Knows the nodes behind addresses of groups.
    client: Arc<dyn NodeClient>,
}

impl NodeResolver {
    /// One that asks this function, by this clock.
    pub fn new(resolver: impl ResolveNodes, clock: Arc<dyn Clock>, settings: NodeSettings) -> Self {
        Self {
            resolver: Arc::new(resolver),
            clock,
            settings,
            client: Arc::new(NoTransport),
        }
    }

    /// Lets this transport say which nodes are behind an address that names a group ([`NodeClient::expand`]).
    #[must_use]
    pub fn with_client(mut self, client: Arc<dyn NodeClient>) -> Self {
        self.client = client;
        self
    }

    /// The nodes in their order, each once; never none. A resolver is asked anew. Invalid addresses are dropped with a
    /// warning. An address of a group stands for the nodes behind it. `service` is named in errors.
    ///
    /// # Errors
    /// [`NodeError::NoNodesAvailable`], [`NodeError::ResolutionFailed`].
    pub async fn nodes(&self, service: &str, nodes: &Nodes) -> Result<Vec<Node>, NodeError> {
        let found = match nodes {
            Nodes::Local => return Ok(vec![Node::Local]),
            Nodes::List(addresses) => Judged::texts(addresses),
            Nodes::Resolver(resolver) => self.ask(resolver).await?,
        };
        found.warn(service);
        let found = self.expand(service, &found).await.unwrap_or(found);
        found.some(service)
    }

    /// The nodes with those in the place of each group that are behind it; `None` where there is no group. A group that
    /// cannot be resolved is left out with a warning.
    pub(super) async fn expand(&self, service: &str, found: &Judged) -> Option<Judged> {
        let mut addresses = found.nodes.iter().filter_map(Node::address);
        if !addresses.any(|address| self.client.expand(address).is_some()) {
            return None;
        }
        let mut nodes = Vec::with_capacity(found.nodes.len());
        for node in &found.nodes {
            match node
                .address()
                .and_then(|address| self.client.expand(address))
            {
                None => nodes.push(node.clone()),
                Some(members) => match members.await {
                    Ok(members) => nodes.extend(members.iter().cloned().map(Node::from)),
                    Err(error) => {
                        tracing::warn!(
                            service = crate::log_text::cut(service),
                            group = crate::log_text::printed(node),
                            error = crate::log_text::printed(&error),
                            "left out a group of nodes"
                        );
                    }
                },
            }
        }
        Some(Judged {
            nodes,
            dropped: found.dropped,
        })
    }

    /// The nodes that the function names now.
    pub(super) async fn ask(&self, resolver: &Mfa) -> Result<Judged, NodeError> {
        let failed = |reason: String| NodeError::ResolutionFailed {
            resolver: resolver.to_string(),
            reason,
        };
        let panicked = |_| "it panicked".to_owned();
        let called = catch_panic(|| self.resolver.resolve(resolver));
        let answer = CatchPanic::new(called.map_err(panicked).map_err(failed)?);
        let timeout = self.settings.resolver_timeout();
        let answer = within(&*self.clock, timeout, answer).await;
        let answer = answer.ok_or_else(|| failed(format!("timed out after {timeout:?}")))?;
        let answer = answer.map_err(panicked).flatten().map_err(failed)?;
        match answer {
            Value::Array(items) => Ok(Judged::items(&items)),
            _ => Err(failed("it answered something that is no list".to_owned())),
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn settings(&self) -> &NodeSettings {
        &self.settings
    }
}

impl fmt::Debug for NodeResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeResolver")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The valid nodes of a list, and how many entries were none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) nodes: Vec<Node>,
    pub(super) dropped: usize,
}

impl Judged {
    pub(super) fn texts(addresses: &[String]) -> Self {
        Self::judge(addresses.iter().map(|address| Some(address.as_str())))
    }

    fn items(items: &[Value]) -> Self {
        Self::judge(items.iter().map(Value::as_str))
    }

    fn judge<'a>(items: impl ExactSizeIterator<Item = Option<&'a str>>) -> Self {
        let given = items.len();
        let nodes: Vec<Node> = items
            .filter_map(|item| Address::new(item?).ok().map(Node::Remote))
            .collect();
        Self {
            dropped: given - nodes.len(),
            nodes,
        }
    }

    /// Tells the log of what was dropped.
    pub(super) fn warn(&self, service: &str) {
        if self.dropped > 0 {
            let (dropped, kept) = (self.dropped, self.nodes.len());
            let service = crate::log_text::cut(service);
            tracing::warn!(service, dropped, kept, "dropped invalid node addresses");
        }
    }

    fn some(self, service: &str) -> Result<Vec<Node>, NodeError> {
        if self.nodes.is_empty() {
            return Err(NodeError::NoNodesAvailable {
                service: service.to_owned(),
            });
        }
        Ok(super::list::unique(self.nodes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;

    fn asking(ask: impl ResolveNodes) -> NodeResolver {
        NodeResolver::new(ask, Arc::new(ManualClock::new()), NodeSettings::default())
    }

    fn answering(answer: Value) -> NodeResolver {
        asking(move |_: Mfa| {
            let answer = answer.clone();
            async move { Ok::<_, String>(answer) }
        })
    }

    fn resolver() -> Nodes {
        Nodes::Resolver(Mfa::new("R", "nodes").with_args([json!("x")]))
    }

    async fn names(of: NodeResolver, nodes: &Nodes) -> Result<Vec<String>, NodeError> {
        let nodes = of.nodes("s", nodes).await?;
        Ok(nodes.iter().map(Node::to_string).collect())
    }

    #[tokio::test]
    async fn entries_that_are_no_addresses_are_dropped_and_repeated_ones_count_once() {
        let answer = json!(["b", 12, "", {"a": 1}, "a", ["c"], null, "b"]);
        assert_eq!(
            names(answering(answer), &resolver()).await.unwrap(),
            ["b", "a"]
        );
        let listed = Nodes::list(["b", " ", "a"]);
        assert_eq!(
            names(answering(json!([])), &listed).await.unwrap(),
            ["b", "a"]
        );
    }

    #[tokio::test]
    async fn what_leaves_no_address_is_the_same_as_no_nodes() {
        for answer in [json!([]), json!([1, "", {}])] {
            let error = names(answering(answer), &resolver()).await.unwrap_err();
            assert_eq!(error.code(), "no_nodes_available");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_list_is_a_failure() {
        for answer in [json!("a"), json!(null), json!({"0": "a"}), json!(3)] {
            let error = names(answering(answer), &resolver()).await.unwrap_err();
            assert_eq!(error.code(), "dynamic_node_resolution_failed");
        }
    }

    #[tokio::test]
    async fn an_error_and_a_panic_are_failures_without_their_way_into_the_caller() {
        async fn kaboom(_: Mfa) -> Result<Value, String> {
            panic!("kaboom");
        }
        fn early(_: Mfa) -> std::future::Ready<Result<Value, String>> {
            panic!("kaboom");
        }
        let boom = asking(|_: Mfa| async { Err("boom") });
        let error = names(boom, &resolver()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "resolver R.nodes gave no node list: boom"
        );
        for panicking in [asking(kaboom), asking(early)] {
            let error = names(panicking, &resolver()).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "resolver R.nodes gave no node list: it panicked"
            );
        }
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_in_time_has_failed() {
        let clock = ManualClock::new();
        let settings = NodeSettings::default().with_resolver_timeout(Duration::from_millis(20));
        let silent = |_: Mfa| std::future::pending::<Result<Value, String>>();
        let silent = NodeResolver::new(silent, Arc::new(clock.clone()), settings);
        let nodes = resolver();
        let mut asked = Box::pin(silent.nodes("s", &nodes));
        assert!(asked.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(19));
        assert!(asked.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        let error = asked.await.unwrap_err();
        assert!(
            error.to_string().ends_with("timed out after 20ms"),
            "{error}"
        );
        assert_eq!(clock.sleepers(), 0);
    }
}
