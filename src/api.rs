//! The engine as a whole: build it, start it, ask it, stop it.

mod builder;
mod config_checks;
#[cfg(feature = "channel")]
mod door;
#[cfg(feature = "channel")]
mod serve;
mod shutdown;
mod status;

use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use actix::Recipient;
use actix_otp::{ChildRef, DynamicSupervisor, SupervisionTree, SupervisorRef};

pub use self::builder::{GenApiBuilder, StartApiError};
use self::shutdown::Shutdown;
use crate::{
    config::{ConfigDbRef, FailedConfigs, PullerRef, ReceiverRef},
    executor::{Executor, Pipeline, Reply},
    model::{Identity, Request, Response},
    node::NodeSelector,
    rate_limiter::{RateLimiter, RateLimiterActor},
    relay::RelayRef,
    stream::{Owner, StopStreamError},
    telemetry::Telemetry,
    worker_pool::{PoolsStatus, WorkerPoolActor},
};

/// The handle on a running engine: cheap to clone, and usable from any thread and any runtime.
///
/// The engine brings its own threads, so it works under `#[actix::main]`, under `#[tokio::main]` and in a plain
/// `fn main`. It runs until [`stop`](Self::stop), or until the last handle is dropped, which cuts what is under way.
///
/// ```
/// use gen_api::prelude::*;
/// use serde_json::json;
///
/// async fn greet(name: String) -> Result<String, std::convert::Infallible> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let functions = Functions::new().register("Greeter", "greet", greet);
///     let config = FunConfig::builder("greeter", "greet")
///         .call("Greeter", "greet")
///         .arg("name", ArgType::String)
///         .local()
///         .build()?;
///     let api = GenApi::builder().functions(functions).config(config).start_blocking()?;
///
///     let request = Request::new("r-1", "greeter", "greet").with_arg("name", "Ann");
///     let response = api.block_on(api.execute(request)).response;
///     assert_eq!(response.map(|response| response.result), Some(json!("Hello, Ann!")));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct GenApi {
    engine: Arc<Engine>,
}

/// A handle that does not keep the engine alive: for functions that call others, and for what the engine itself holds.
///
/// Every function can take it, as the state `State<WeakGenApi>`; a [`GenApi`] in a function or its state would keep the engine
/// alive for ever.
///
/// ```
/// use gen_api::prelude::*;
///
/// #[gen_api::function(service = "math")]
/// async fn double(n: u32) -> Result<u32, FunctionError> {
///     Ok(n * 2)
/// }
///
/// #[gen_api::function(service = "math")]
/// async fn quadruple(n: u32, State(api): State<WeakGenApi>) -> Result<u32, FunctionError> {
///     let api = api.upgrade().ok_or("the engine has stopped")?;
///     let twice = api.execute(Request::new("inner", "math", "double").with_arg("n", n * 2)).await;
///     let result = twice.response.ok_or("no response")?.result;
///     Ok(serde_json::from_value(result)?)
/// }
///
/// let api = GenApi::builder().function(double::api()).function(quadruple::api()).start_blocking()?;
/// let request = Request::new("r-1", "math", "quadruple").with_arg("n", 10);
/// let response = api.block_on(api.execute(request)).response;
/// assert_eq!(response.map(|response| response.result), Some(40.into()));
/// # Ok::<(), gen_api::StartApiError>(())
/// ```
#[derive(Clone, Default)]
pub struct WeakGenApi {
    /// Empty until the engine stands.
    engine: Arc<OnceLock<Weak<Engine>>>,
}

impl WeakGenApi {
    /// The engine, if it has started and some handle on it is left.
    #[must_use]
    pub fn upgrade(&self) -> Option<GenApi> {
        let engine = self.engine.get()?.upgrade()?;
        Some(GenApi { engine })
    }

    fn set(&self, api: &GenApi) {
        // It is set once, by the start of the engine that made it.
        let _ = self.engine.set(Arc::downgrade(&api.engine));
    }
}

impl fmt::Debug for WeakGenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakGenApi")
    }
}

/// What all handles share; its drop ends the engine.
struct Engine {
    pipeline: Arc<Pipeline>,
    config_db: ConfigDbRef,
    puller: PullerRef,
    receiver: ReceiverRef,
    relay: RelayRef,
    failed: FailedConfigs,
    rate_limiter: ChildRef<RateLimiterActor>,
    async_pool: ChildRef<WorkerPoolActor>,
    stream_pool: ChildRef<WorkerPoolActor>,
    executors: Vec<ChildRef<Executor>>,
    root: SupervisorRef,
    shutdown: Shutdown,
    #[cfg(feature = "grpc")]
    door: Option<Arc<crate::grpc::DoorPlan>>,
}

impl GenApi {
    /// Starts to describe an engine.
    pub fn builder() -> GenApiBuilder {
        GenApiBuilder::default()
    }

    /// Executes a request on the caller's thread (specification, section 3).
    ///
    /// Async and stream calls go on after this returns; their responses follow in [`Reply::later`]. The request itself
    /// never fails: what goes wrong is an error response.
    ///
    /// A function may make requests of its own. Those run on its stack, so they nest at most 32 deep; a deeper one is
    /// answered with `Requests nest more than 32 deep`.
    pub fn execute(&self, request: Request) -> impl Future<Output = Reply> + Send {
        self.engine.pipeline.execute(request)
    }

    /// Like [`execute`](Self::execute), but answered with `Request timed out after Nms` when that takes longer than
    /// `limit`, retries and their pauses included.
    ///
    /// What goes on after an acknowledgement is not bounded by it.
    pub async fn execute_with_timeout(&self, request: Request, limit: Duration) -> Reply {
        self.engine.pipeline.execute_within(request, limit).await
    }

    /// Executes a request and sends every response to `recipient`, in order; returns when the immediate one was sent.
    pub async fn execute_to(&self, request: Request, recipient: Recipient<Response>) {
        self.engine.pipeline.execute_to(request, recipient).await;
    }

    /// Decodes and executes a JSON request in the name of `identity`, which the host has verified.
    ///
    /// What the payload says of its user and their roles is dropped: a client may write there what it likes. A payload that
    /// cannot be decoded is answered with `Invalid request: REASON`; the `request_id` is `unknown` where it has none.
    ///
    /// ```
    /// use gen_api::prelude::*;
    ///
    /// async fn reboot() -> Result<&'static str, FunctionError> {
    ///     Ok("rebooting")
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = FunConfig::builder("ops", "reboot")
    ///     .call("Ops", "reboot")
    ///     .check_permission(CheckPermission::Role(vec!["admin".into()]))
    ///     .local();
    /// let functions = Functions::new().register("Ops", "reboot", reboot);
    /// let api = GenApi::builder().functions(functions).config(config.build()?).start_blocking()?;
    /// let payload = br#"{"request_id":"r-1","service":"ops","request_type":"reboot","user_roles":["admin"]}"#;
    ///
    /// let bob = Identity::user("bob");
    /// let refused = api.block_on(api.execute_json(&bob, payload)).response.ok_or("no response")?;
    /// assert_eq!(refused.error.as_deref(), Some("Permission denied"));
    ///
    /// let ann = Identity::user("ann").with_roles(["admin"]);
    /// let done = api.block_on(api.execute_json(&ann, payload)).response.ok_or("no response")?;
    /// assert_eq!(done.result, "rebooting");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute_json(&self, identity: &Identity, payload: &[u8]) -> Reply {
        let pipeline = &self.engine.pipeline;
        pipeline.execute_json(Some(identity), payload).await
    }

    /// Like [`execute_json`](Self::execute_json), but believes what the payload says of its user and their roles.
    ///
    /// Only for payloads whose writer is trusted with that, such as another process of one's own that has verified the
    /// caller. A payload of a client can claim to be anybody here.
    pub async fn execute_trusted_json(&self, payload: &[u8]) -> Reply {
        self.engine.pipeline.execute_json(None, payload).await
    }

    /// The handle on an executor actor, for those who send messages: one of the engine's, on the thread `index` modulo
    /// [`executors`](Self::executors).
    #[must_use]
    pub fn executor(&self, index: usize) -> &ChildRef<Executor> {
        let executors = &self.engine.executors;
        &executors[index % executors.len()]
    }

    /// How many executor actors there are: one for each of the engine's threads.
    #[must_use]
    pub fn executors(&self) -> usize {
        self.engine.executors.len()
    }

    /// The configs that the engine serves.
    #[must_use]
    pub fn config_db(&self) -> &ConfigDbRef {
        &self.engine.config_db
    }

    /// The puller: which services' configs are fetched, and how that goes (specification, section 12).
    #[must_use]
    pub fn puller(&self) -> &PullerRef {
        &self.engine.puller
    }

    /// The receiver of pushed configs (specification, section 13).
    #[must_use]
    pub fn receiver(&self) -> &ReceiverRef {
        &self.engine.receiver
    }

    /// The relay: groups of users who send each other messages (specification, section 21).
    #[must_use]
    pub fn relay(&self) -> &RelayRef {
        &self.engine.relay
    }

    /// The configs that were rejected in the last 24 hours, with their reasons (specification, section 11); prints as a table.
    #[must_use]
    pub fn failed_configs(&self) -> &FailedConfigs {
        &self.engine.failed
    }

    /// How nodes are chosen; for looking at its tables, the choice of a request is part of its way (specification, section 8).
    #[must_use]
    pub fn node_selector(&self) -> &NodeSelector {
        self.engine.pipeline.selector()
    }

    /// The rate limits: checked on the way of every request, changed at runtime (specification, section 6).
    #[must_use]
    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.engine.pipeline.rate_limiter
    }

    /// The actor that takes the verbs of the [rate limiter](Self::rate_limiter) as messages.
    #[must_use]
    pub fn rate_limiter_actor(&self) -> &ChildRef<RateLimiterActor> {
        &self.engine.rate_limiter
    }

    /// The actor of the pool of async and none calls (specification, section 14); takes [`Run`](crate::worker_pool::Run) for tasks of
    /// your own among them.
    ///
    /// ```
    /// use gen_api::{GenApi, worker_pool::Run};
    ///
    /// #[actix::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let api = GenApi::builder().start().await?;
    ///     let answer = api.async_pool().call(Run::new(async { 6 * 7 })).await??;
    ///     assert_eq!(answer, 42);
    ///     assert_eq!(api.pool_status().async_pool.executed, 1);
    ///     api.stop().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn async_pool(&self) -> &ChildRef<WorkerPoolActor> {
        &self.engine.async_pool
    }

    /// The actor of the pool whose places open streams hold (specification, section 14).
    #[must_use]
    pub fn stream_pool(&self) -> &ChildRef<WorkerPoolActor> {
        &self.engine.stream_pool
    }

    /// How busy the worker pools are; prints as a table (specification, section 14).
    #[must_use]
    pub fn pool_status(&self) -> PoolsStatus {
        self.engine.pipeline.worker_pools.status()
    }

    /// Where handlers of the engine's events are attached and detached (specification, section 16).
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.engine.pipeline.telemetry
    }

    /// Ends the stream of a request (specification, section 7).
    ///
    /// From the return of this on its producer's sends fail. Its receiver gets what was sent before, as far as it has room,
    /// and the completion. Request ids are the clients' choice: where one user has several open streams with this id, all
    /// of them end. For what a user asks for use [`stop_stream_of`](Self::stop_stream_of).
    ///
    /// # Errors
    ///
    /// [`StopStreamError::Unknown`] when no open stream has this request id, also when it was stopped before;
    /// [`StopStreamError::Ambiguous`] when streams of several users have it, or several without a user. To stop one of
    /// those, send [`StopStream`](crate::stream::StopStream) to [its actor](crate::StartedStream::stream).
    pub fn stop_stream(&self, request_id: &str) -> Result<(), StopStreamError> {
        self.stop_streams(request_id, Owner::Anybody)
    }

    /// Ends the stream of a request that this user made, or that was made without a user; nobody else's.
    ///
    /// Otherwise as [`stop_stream`](Self::stop_stream).
    ///
    /// # Errors
    ///
    /// [`StopStreamError::Unknown`] when none of the user's open streams has this request id;
    /// [`StopStreamError::Ambiguous`] when several without a user have it.
    pub fn stop_stream_of(
        &self,
        user_id: Option<&str>,
        request_id: &str,
    ) -> Result<(), StopStreamError> {
        self.stop_streams(request_id, Owner::Of(user_id))
    }

    fn stop_streams(&self, request_id: &str, owner: Owner<'_>) -> Result<(), StopStreamError> {
        self.engine.pipeline.streams.stop(request_id, owner)
    }

    /// How many streams are open now.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.engine.pipeline.streams.count()
    }

    /// The supervisor of the [`StreamCall`](crate::stream::StreamCall) actors.
    #[must_use]
    pub fn streams_supervisor(&self) -> &ChildRef<DynamicSupervisor> {
        self.engine.pipeline.stream_supervisor.supervisor()
    }

    /// The actors of the engine; prints as an indented tree.
    pub async fn supervision_tree(&self) -> SupervisionTree {
        self.engine.root.tree().await
    }

    /// The root of the engine's supervision tree, to hang children of your own into it.
    #[must_use]
    pub fn root(&self) -> &SupervisorRef {
        &self.engine.root
    }

    /// Where service nodes push to, where the setting `grpc.listen` is set: the address with its real port, also where port 0
    /// was asked for.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc_address(&self) -> Option<std::net::SocketAddr> {
        self.engine.door.as_ref().map(|door| door.address())
    }

    /// Waits for a future on this thread; for programs without a runtime of their own.
    ///
    /// # Panics
    ///
    /// Inside an async runtime, whose thread it would block.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.engine.pipeline.runtime().block_on(future)
    }

    /// Stops the engine (specification, section 23); returns when it has stopped.
    ///
    /// From now on every request is refused with `Service temporarily unavailable` and `can_retry`, in every mode, and the
    /// engine is [not ready](Self::is_ready). What runs has the setting
    /// [`engine.stop_timeout_ms`](crate::settings::EngineSettings::stop_timeout_ms) to end, wherever it runs: sync calls on
    /// the threads of their callers, calls of the pools, calls of nodes, open streams. What is left then is cut, and answered
    /// like a refused request. At last the clients of channels are told that the server goes away (1001), the actors stop in
    /// the reverse order of their start, and the threads end.
    ///
    /// A second call waits for the first. What has begun goes on where its caller stops waiting. A function that waits for
    /// it waits for itself, and so is cut.
    ///
    /// Where its clients come through a web server, stop the engine first and then the server, which otherwise waits in vain for
    /// the clients of channels to leave. With the feature `channel`, `serve` and `stop_with` do that for actix-web.
    pub async fn stop(&self) {
        let engine = &self.engine;
        let patience = engine.pipeline.settings.engine.stop_timeout();
        engine.shutdown.run(engine.parts(), patience).await;
    }

    /// Whether requests are taken: from the start until a [`stop`](Self::stop) is asked for. Costs one look, for the
    /// readiness probes of load balancers; [`health_check`](Self::health_check) tells more.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.engine.pipeline.lifecycle.is_running()
    }
}

impl Engine {
    /// What a shutdown has to end.
    fn parts(&self) -> shutdown::Parts {
        shutdown::Parts {
            pipeline: Arc::clone(&self.pipeline),
            root: self.root.clone(),
            receiver: self.receiver.clone(),
        }
    }
}

impl fmt::Debug for GenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenApi")
            .field("configs", &self.engine.config_db.count())
            .field("open_streams", &self.open_streams())
            .finish_non_exhaustive()
    }
}

impl Drop for Engine {
    /// Nobody is left who could wait.
    fn drop(&mut self) {
        // Another engine may want the state directory at once.
        self.receiver.close();
        self.shutdown.begin(self.parts());
    }
}
