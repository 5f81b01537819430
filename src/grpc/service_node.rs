//! A service node: functions, their configs and the gRPC door, without a gateway's parts.

mod builder;

use std::{fmt, future::Future, net::SocketAddr, sync::Arc};

use actix_otp::{ArbiterPool, SupervisionTree, SupervisorRef};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};

pub use self::builder::{ServiceNodeBuilder, StartServiceNodeError};
use super::DoorPlan;
use crate::{
    config::PusherRef,
    model::Nodes,
    service_node::{NodeCore, Offer},
};

/// The handle on a running service node: cheap to clone, and usable from any thread and any runtime.
///
/// A service node answers the calls of gateways and offers the configs of its functions: gateways pull them, or it pushes
/// them, from its start on until they are accepted. It brings its own threads and a small supervision tree, and runs until
/// [`stop`](Self::stop), or until the last handle is dropped. Calls run in a runtime of `engine.threads` threads that share
/// all work, also that of a single connection.
///
/// ```no_run
/// use gen_api::{prelude::*, settings::GrpcSettings};
///
/// async fn greet(name: String) -> Result<String, std::convert::Infallible> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let config = FunConfig::builder("greeter", "greet").call("Greeter", "greet");
///     let node = ServiceNode::builder()
///         .functions(Functions::new().register("Greeter", "greet", greet))
///         .config(config.arg("name", ArgType::String).local().build()?)
///         .grpc(GrpcSettings::default().with_listen("127.0.0.1:9000".parse()?).with_cluster_secret("s3cret"))
///         .push_to(["http://127.0.0.1:9100"])
///         .start_blocking()?;
///     node.block_on(gen_api::shutdown_signal());
///     node.block_on(node.stop());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ServiceNode {
    inner: Arc<Inner>,
}

/// What all handles share; its drop ends the node.
struct Inner {
    core: NodeCore,
    offer: Arc<Offer>,
    advertised: Nodes,
    door: Arc<DoorPlan>,
    pusher: PusherRef,
    root: SupervisorRef,
    /// Runs the actors.
    arbiters: ArbiterPool,
    threads: Threads,
}

impl ServiceNode {
    /// Starts to describe a service node.
    pub fn builder() -> ServiceNodeBuilder {
        ServiceNodeBuilder::default()
    }

    /// Where it takes calls: the address with its real port, also where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.door.address()
    }

    /// The nodes of its services, as it tells gateways.
    #[must_use]
    pub fn advertised(&self) -> &Nodes {
        &self.inner.advertised
    }

    /// The configs that it offers.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.inner.offer
    }

    /// What answers its calls, whatever carries them.
    #[must_use]
    pub fn core(&self) -> &NodeCore {
        &self.inner.core
    }

    /// What pushes its configs to gateways, and how that goes.
    #[must_use]
    pub fn pusher(&self) -> &PusherRef {
        &self.inner.pusher
    }

    /// The actors of the node; prints as an indented tree.
    pub async fn supervision_tree(&self) -> SupervisionTree {
        self.inner.root.tree().await
    }

    /// The root of its supervision tree, to hang children of your own into it.
    #[must_use]
    pub fn root(&self) -> &SupervisorRef {
        &self.inner.root
    }

    /// Waits for a future on this thread; for programs without a runtime of their own.
    ///
    /// # Panics
    ///
    /// Inside an async runtime, whose thread it would block.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.threads.handle.block_on(future)
    }

    /// Stops the node: it pushes no more and takes no more calls; those that run may end within the setting
    /// `grpc.stop_timeout_ms`, then they are cut.
    ///
    /// What gateways have accepted stays there: they notice that the node is gone.
    pub async fn stop(&self) {
        self.inner.root.shutdown().await;
        self.inner.arbiters.stop();
        self.inner.threads.stop();
    }
}

impl fmt::Debug for ServiceNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceNode")
            .field("address", &self.address())
            .field("advertised", &self.inner.advertised)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.arbiters.stop();
    }
}

/// The runtime in which connections and calls live.
struct Threads {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl Threads {
    fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("gen_api-node")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// Tells the threads to end. Does not wait for them: the last handle may be dropped on one of them.
    fn stop(&self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}
