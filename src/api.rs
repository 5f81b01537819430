//! The engine as a whole: build it, start it, ask it, stop it.

mod status;

use std::{fmt, future::Future, io, sync::Arc, time::Duration};

use actix::Recipient;
use actix_otp::{
    ArbiterPool, ChildRef, ChildSpec, DynamicSupervisor, DynamicSupervisorSpec, Intensity,
    Placement, Shutdown, StartError, Strategy, SupervisionTree, SupervisorRef, SupervisorSpec,
};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    clock::{Clock, SystemClock},
    config::{AddError, ConfigDb, ConfigDbRef, ConfigTable},
    executor::{Executor, Pipeline, PipelineParts, Reply},
    function::{ApiFunction, Functions, FunctionsError},
    model::{FunConfig, Request, Response},
    rate_limiter::{InvalidLimit, RateLimiter, RateLimiterActor},
    settings::{InvalidSettings, Settings},
    stream::{LiveStreams, UnknownStream},
    telemetry::Telemetry,
    worker_pool::{PoolsStatus, WorkerPool, WorkerPoolActor, WorkerPools},
};

/// The handle on a running engine: cheap to clone, and usable from any thread and any runtime.
///
/// The engine brings its own threads, so it works under `#[actix::main]`, under `#[tokio::main]` and in a plain
/// `fn main`. It runs until [`stop`](Self::stop), or until the last handle is dropped.
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

/// What all handles share; its drop ends the engine.
struct Engine {
    pipeline: Arc<Pipeline>,
    config_db: ConfigDbRef,
    executors: Vec<ChildRef<Executor>>,
    root: SupervisorRef,
}

impl GenApi {
    /// Starts to describe an engine.
    pub fn builder() -> GenApiBuilder {
        GenApiBuilder::default()
    }

    /// Executes a request on the caller's thread (SPEC section 3).
    ///
    /// Async and stream calls go on after this returns; their responses follow in [`Reply::later`]. The request itself
    /// never fails: what goes wrong is an error response.
    pub async fn execute(&self, request: Request) -> Reply {
        self.engine.pipeline.execute(request).await
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

    /// Decodes and executes a JSON request; one that cannot be decoded is answered with `Invalid request: REASON`.
    ///
    /// Its `request_id` is `unknown` where the payload has none.
    pub async fn execute_json(&self, payload: &[u8]) -> Reply {
        self.engine.pipeline.execute_json(payload).await
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

    /// The rate limits: checked on the way of every request, changed at runtime (SPEC section 6).
    #[must_use]
    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.engine.pipeline.rate_limiter
    }

    /// How busy the worker pools are; prints as a table (SPEC section 14).
    #[must_use]
    pub fn pool_status(&self) -> PoolsStatus {
        self.engine.pipeline.worker_pools.status()
    }

    /// Where handlers of the engine's events are attached and detached (SPEC section 16).
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.engine.pipeline.telemetry
    }

    /// Ends the stream of a request (SPEC section 7).
    ///
    /// From the return of this on its producer's sends fail. Its receiver gets what was sent before, as far as it has room,
    /// and the completion.
    ///
    /// # Errors
    ///
    /// [`UnknownStream`] when no open stream has this request id.
    pub fn stop_stream(&self, request_id: &str) -> Result<(), UnknownStream> {
        self.engine.pipeline.streams.stop(request_id)
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

    /// Waits for a future on this thread; for programs without a runtime of their own.
    ///
    /// # Panics
    ///
    /// Inside an async runtime, whose thread it would block.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.engine.pipeline.runtime().block_on(future)
    }

    /// Stops the engine: open streams are ended, its actors stop in reverse order of their start, its threads end.
    ///
    /// Later requests for async, stream and none calls are refused.
    pub async fn stop(&self) {
        self.engine.root.shutdown().await;
        self.engine.pipeline.pool.stop();
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
    fn drop(&mut self) {
        self.pipeline.pool.stop();
    }
}

/// Describes an engine: its functions, its first configs, its settings.
#[derive(Debug, Default)]
#[must_use = "nothing runs until it is started"]
pub struct GenApiBuilder {
    functions: Functions,
    api_functions: Vec<ApiFunction>,
    configs: Vec<FunConfig>,
    settings: Settings,
    clock: Option<Arc<dyn Clock>>,
    telemetry: Telemetry,
}

impl GenApiBuilder {
    /// The functions that configs can call.
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// Adds a function that comes with its config, to those of [`functions`](Self::functions).
    pub fn function(mut self, function: ApiFunction) -> Self {
        self.api_functions.push(function);
        self
    }

    /// Adds a config to those the engine starts with.
    pub fn config(mut self, config: FunConfig) -> Self {
        self.configs.push(config);
        self
    }

    /// Adds several configs to those the engine starts with.
    pub fn configs(mut self, configs: impl IntoIterator<Item = FunConfig>) -> Self {
        self.configs.extend(configs);
        self
    }

    /// The settings; the default is [`Settings::default`].
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The clock for timeouts; the default is the real one. For tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The telemetry of the engine; the default is one of its own. With handlers attached beforehand, they hear of the
    /// start too.
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// Starts the engine.
    ///
    /// # Errors
    ///
    /// [`StartApiError`]: invalid settings, a function registered twice, an invalid config, or no threads to be had.
    pub async fn start(self) -> Result<GenApi, StartApiError> {
        let Self {
            mut functions,
            api_functions,
            mut configs,
            settings,
            clock,
            telemetry,
        } = self;
        settings.validate()?;
        for function in api_functions {
            let name = function.display_name();
            let (registered, config) =
                function
                    .register(functions, &settings.arguments)
                    .map_err(|invalid| StartApiError::Config {
                        name,
                        reason: invalid.into(),
                    })?;
            functions = registered;
            configs.push(config);
        }
        functions.check()?;
        let pool = ArbiterPool::new(settings.engine.thread_count())?;
        let runtime = runtime_of(&pool).await?;
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new(runtime.clone())));
        let rate_limiter = RateLimiter::with_telemetry(
            Arc::clone(&clock),
            settings.rate_limiter.clone(),
            telemetry.clone(),
        )?;
        let worker_pools = WorkerPools::new(
            settings.async_pool,
            settings.stream_pool,
            &clock,
            Some(Arc::new(telemetry.clone())),
        );
        let functions = Arc::new(functions);
        let table = Arc::new(ConfigTable::new(
            Arc::clone(&functions),
            settings.security.function_allowlist.clone(),
            settings.arguments,
        ));
        let (streams_spec, stream_supervisor) = DynamicSupervisorSpec::new()
            .shutdown(Shutdown::Timeout(Duration::from_secs(5)))
            .pool(pool.clone())
            .build("streams");
        let pipeline = Arc::new(Pipeline::new(PipelineParts {
            settings,
            functions,
            configs: Arc::clone(&table),
            rate_limiter: rate_limiter.clone(),
            worker_pools: worker_pools.clone(),
            streams: Arc::new(LiveStreams::default()),
            stream_supervisor,
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            telemetry: telemetry.clone(),
            runtime,
        }));

        let config_db = {
            let (table, telemetry) = (Arc::clone(&table), telemetry.clone());
            ChildSpec::new("config_db", move || {
                ConfigDb::new(Arc::clone(&table), telemetry.clone())
            })
        };
        let config_db_ref = ConfigDbRef::new(config_db.child_ref(), table, clock);
        let (executors_spec, executors) = executors(&pipeline, &pool);
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(INTENSITY)
            .observer(telemetry.observer())
            .child(config_db)
            .child(ChildSpec::new("rate_limiter", move || {
                RateLimiterActor::new(rate_limiter.clone())
            }))
            .child(pool_actor(&worker_pools.async_pool, &pool))
            .child(pool_actor(&worker_pools.stream_pool, &pool))
            .child(streams_spec)
            .child(executors_spec)
            .start_on("gen_api", Placement::Arbiter(pool.get(0)))
            .await?;
        // From here on a failure drops the handle, and that ends everything.
        let api = GenApi {
            engine: Arc::new(Engine {
                pipeline,
                config_db: config_db_ref,
                executors,
                root,
            }),
        };
        for config in configs {
            let name = format!("{}/{}", config.service, config.request_type);
            let added = api.config_db().add(config).await;
            added.map_err(|reason| StartApiError::Config { name, reason })?;
        }
        Ok(api)
    }

    /// Starts the engine from a program without a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// Inside an async runtime, whose thread it would block.
    pub fn start_blocking(self) -> Result<GenApi, StartApiError> {
        tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(self.start())
    }
}

fn pool_actor(workers: &WorkerPool, arbiters: &ArbiterPool) -> ChildSpec<WorkerPoolActor> {
    let (workers, arbiters) = (workers.clone(), arbiters.clone());
    ChildSpec::new(format!("{}_pool", workers.name()), move || {
        WorkerPoolActor::new(workers.clone(), arbiters.clone())
    })
}

/// One executor a thread, under a supervisor of their own.
fn executors(
    pipeline: &Arc<Pipeline>,
    pool: &ArbiterPool,
) -> (ChildSpec<actix_otp::Supervisor>, Vec<ChildRef<Executor>>) {
    let mut spec = SupervisorSpec::new(Strategy::OneForOne).intensity(INTENSITY);
    let mut executors = Vec::with_capacity(pool.len());
    for index in 0..pool.len() {
        let pipeline = Arc::clone(pipeline);
        let executor = ChildSpec::new(format!("executor-{index}"), move || {
            Executor::new(Arc::clone(&pipeline))
        })
        .placement(Placement::Pool(pool.clone()))
        .mailbox_capacity(EXECUTOR_MAILBOX);
        executors.push(executor.child_ref());
        spec = spec.child(executor);
    }
    (ChildSpec::supervisor("executors", spec), executors)
}

/// An executor only starts tasks, so its queue is short-lived; the room is for bursts.
const EXECUTOR_MAILBOX: usize = 1_024;

/// The engine's actors keep nothing that a restart would not bring back, and start in microseconds; so only a storm of
/// exits means that restarting is in vain.
const INTENSITY: Intensity = Intensity::new(1_000, Duration::from_secs(1));

async fn runtime_of(pool: &ArbiterPool) -> Result<Handle, StartApiError> {
    let (sender, handle) = oneshot::channel();
    pool.get(0).spawn_fn(move || {
        let _ = sender.send(Handle::current());
    });
    handle
        .await
        .map_err(|_| StartApiError::Actors(StartError::ArbiterStopped))
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartApiError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The functions contradict each other, or lack a shared state.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A rate limit of the settings is not valid.
    #[error("a rate limit of the settings is not valid: {0}")]
    RateLimit(#[from] InvalidLimit),
    /// One of the first configs was not accepted.
    #[error("the config `{name}` was not accepted: {reason}")]
    Config {
        /// Its service and request type.
        name: String,
        /// Why.
        reason: AddError,
    },
    /// The operating system gave no threads.
    #[error("the engine's threads could not be started: {0}")]
    Threads(#[from] io::Error),
    /// The engine's actors did not start.
    #[error("the engine's actors did not start: {0}")]
    Actors(#[from] StartError),
}
