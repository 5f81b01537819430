//! Nodes: which service node a request goes to, and what a transport must be able to do.
//!
//! [`NodeSelector`] chooses, [`NodeResolver`] answers which nodes there are, and a [`NodeClient`] talks to them. This
//! process itself is [`Node::Local`].
//!
//! ```
//! use gen_api::node::{Address, Node};
//!
//! let node = Node::from(Address::new("http://10.0.0.7:9000")?);
//! assert!(!node.is_local());
//! assert_eq!(Node::Local.to_string(), "local");
//! # Ok::<(), gen_api::node::InvalidAddress>(())
//! ```
//!
//! # Beyond the specification
//!
//! - An address that a list names again counts once, so that no node is asked twice in a row.
//! - The text `local` in a list is an address like any other: only `nodes: "local"` means this process. A service node
//!   that pushes its configs cannot make a gateway call functions of its own.
//! - A sticky value is bound for an hour from its first request, however often it is used. All configs of a service
//!   share the bindings; where their lists have no node in common, a value is bound in each of up to four.
//! - A selector that nobody registered, that panics or that chooses a place outside of the list is the error
//!   `node_selection_failed`.

mod address;
pub mod client;
mod custom;
mod error;
mod key;
mod list;
mod order;
mod resolver;
mod ring;
mod selector;
mod settings;
mod state;
mod sticky;

pub use address::{Address, InvalidAddress, Node};
pub use client::{NodeCallError, NodeClient};
pub use custom::{SelectNode, Selection};
pub use error::NodeError;
pub use order::NodeOrder;
pub use resolver::{NodeResolver, ResolveFuture, ResolveNodes};
pub use selector::NodeSelector;
pub use settings::NodeSettings;
