//! Service nodes over gRPC: feature `grpc` (specification, section 19).
//!
//! What travels is described in `proto/node.proto`, from which a service node can be written in any language.

mod client;
mod secret;
mod server;
mod service_node;
mod tls;
mod trace_context;

pub(crate) use self::server::{Door, DoorPlan, Offered};
pub use self::{
    client::{GrpcClient, GrpcSetupError},
    secret::UnusableSecret,
    service_node::{ServiceNode, ServiceNodeBuilder, StartServiceNodeError},
    tls::TlsError,
    trace_context::{InvalidTraceParent, TraceContext, TraceParent, W3cTraceContext},
};

/// The messages and services of `proto/node.proto`, as generated.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    rustdoc::all,
    unreachable_pub
)]
#[path = "grpc/generated.rs"]
#[rustfmt::skip]
pub mod proto;
