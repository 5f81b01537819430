//! What a transport to service nodes must be able to do (specification, section 19).
//!
//! The engine asks through [`NodeClient`] and knows no transport. A caller that loses interest drops the future or the
//! stream: the transport then cancels the call on the node. Every call carries the time that is left for it.
//!
//! ```
//! use gen_api::node::client::{NodeCallError, RemoteFailure};
//!
//! let down = NodeCallError::Unreachable { reason: "connection refused".to_owned() };
//! assert!(down.was_not_sent());
//! let failed = NodeCallError::Failed(RemoteFailure::failed("boom"));
//! assert!(!failed.was_not_sent() && failed.was_answered());
//! ```

mod error;
mod invocation;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_core::{Stream, future::BoxFuture};
use serde_json::Value;

pub use error::{FailureKind, NodeCallError, RemoteFailure};
pub use invocation::{Invocation, StreamChunk};

use super::Address;
use crate::model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification};

/// A call of a node on its way. Dropping it cancels the call.
pub type NodeFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, NodeCallError>> + Send + 'a>>;

/// The chunks of a remote stream, in order. Its end without an error is the completion of the stream; dropping it before
/// cancels the function on the node. It is not polled faster than its reader reads, and the transport passes that on.
pub type NodeStream = Pin<Box<dyn Stream<Item = Result<StreamChunk, NodeCallError>> + Send>>;

/// Nodes that are being tried again: the first that is up.
pub type NodeRevival<'a> = Pin<Box<dyn Future<Output = Option<&'a Address>> + Send + 'a>>;

/// Talks to service nodes: implemented by the gRPC transport, by an in-memory one, and by scripts in tests.
///
/// An implementation
/// - keeps one connection a node and re-establishes it by itself;
/// - answers [`NodeCallError::Unreachable`] at once for a node that it knows to be dead;
/// - hands on `timeout` as the deadline of the call and answers [`NodeCallError::TimedOut`] when it has passed;
/// - never panics on what a node answers.
///
/// `timeout` is the time left for the whole call; `None` is no limit.
pub trait NodeClient: Send + Sync + 'static {
    /// Calls a function on the node and answers its result.
    fn invoke<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, Value>;

    /// Calls a streaming function on the node. The future is done when the node has accepted the call; the time left
    /// bounds the stream as a whole. The function's own answer, where it gives one, is the first chunk.
    fn invoke_stream<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream>;

    /// Lets a permission callback on the node decide about a request; what is no `true` there denies.
    fn check_permission<'a>(
        &'a self,
        node: &'a Address,
        callback: &'a Mfa,
        request: &'a Request,
        timeout: Duration,
    ) -> NodeFuture<'a, bool>;

    /// Calls the function that answers a service's configs. Its answer should be a list of `FunConfig`s in their JSON
    /// form; the caller judges it.
    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value>;

    /// Calls the function that answers the version of a service's configs, which may be any value.
    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value>;

    /// Asks whether the node has a function of this name.
    fn function_exists<'a>(
        &'a self,
        node: &'a Address,
        module: &'a str,
        function: &'a str,
        timeout: Duration,
    ) -> NodeFuture<'a, bool>;

    /// Pushes a service's configs to the gateway at this address. A refusal is [`NodeCallError::Refused`].
    fn push<'a>(
        &'a self,
        gateway: &'a Address,
        config: &'a PushConfig,
        options: PushOptions,
        timeout: Duration,
    ) -> NodeFuture<'a, PushOutcome>;

    /// Asks the gateway at this address whether it holds this config version of a service.
    fn verify<'a>(
        &'a self,
        gateway: &'a Address,
        service: &'a str,
        config_version: &'a str,
        timeout: Duration,
    ) -> NodeFuture<'a, Verification>;

    /// The nodes behind an address that names all nodes of a group, such as `dns://users:9000`; `None`, the default, where it
    /// is the address of one node.
    ///
    /// Selection and pulling ask for each list that holds such an address, at each use: an implementation answers from what it
    /// knows and renews that by itself. Where the group cannot be resolved and never was, that is the error.
    fn expand<'a>(&'a self, address: &'a Address) -> Option<NodeFuture<'a, Arc<[Address]>>> {
        let _ = address;
        None
    }

    /// Whether the node is known to be up (`true`) or down (`false`), without asking it now; for people who look at the
    /// cluster. `None`, the default, where nothing is known.
    fn is_up(&self, node: &Address) -> Option<bool> {
        let _ = node;
        None
    }

    /// Tries these nodes again at once, where all of them are known to be dead: nothing else is left to a call. The answer is
    /// the first that is up. `None`, the default, where there is nothing to wait for: one is not known to be dead, or they
    /// were tried just now.
    fn revive<'a>(&'a self, nodes: &[&'a Address]) -> Option<NodeRevival<'a>> {
        let _ = nodes;
        None
    }

    /// Waits until there is a connection to the node with a number above this one, and answers its number; later connections
    /// have greater numbers, and none has 0. `None`, the default, where the transport keeps no connections.
    ///
    /// The node is tried for as long as somebody waits.
    fn connected<'a>(&'a self, node: &'a Address, above: u64) -> Option<BoxFuture<'a, u64>> {
        let _ = (node, above);
        None
    }
}
