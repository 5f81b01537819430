//! The service node's side of a call, without a network: functions, the configs offered for them, and a transport that
//! stays in the process (specification, section 19).
//!
//! [`NodeCore`] answers what a [`NodeClient`](crate::node::NodeClient) asks. A transport brings the questions: gRPC does
//! (feature `grpc`), [`InMemoryTransport`] does without leaving the process, and another crate can add its own.
//!
//! ```
//! use std::sync::Arc;
//! use gen_api::{
//!     clock::SystemClock, function::{FunctionError, Functions}, model::Request,
//!     node::{Address, NodeClient, client::Invocation}, service_node::{InMemoryTransport, NodeCore},
//! };
//! use serde_json::json;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let runtime = tokio::runtime::Handle::current();
//! let functions = Functions::new()
//!     .register("Math", "add", |a: i64, b: i64| async move { Ok::<_, FunctionError>(a + b) });
//! let core = NodeCore::new(Arc::new(functions), runtime.clone());
//!
//! let transport = InMemoryTransport::new(Arc::new(SystemClock::new(runtime)));
//! let node = Address::new("mem://math").expect("an address");
//! transport.serve_node(node.clone(), core);
//!
//! let request = Request::new("r-1", "math", "add");
//! let invocation = Invocation::new("Math", "add", vec![json!(1), json!(2)], &request);
//! assert_eq!(transport.invoke(&node, &invocation, None).await, Ok(json!(3)));
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Another transport
//!
//! A transport has two ends, and the engine is touched by neither.
//!
//! - The end of the caller implements [`NodeClient`](crate::node::NodeClient);
//!   [`GenApiBuilder::node_client`](crate::GenApiBuilder::node_client) takes it.
//! - The end of the service node hands what arrives to a [`NodeCore`], whose methods are those of the trait without an
//!   address. Where pushes arrive, at a gateway, [`ReceiverRef`](crate::config::ReceiverRef) takes them.
//!
//! [`InMemoryTransport`] is both ends in one short file, meant to be read.

mod core;
mod in_memory;
mod offer;
mod stream;
#[cfg(test)]
mod tests;

pub use self::{core::NodeCore, in_memory::InMemoryTransport, offer::Offer};
