//! How an engine is described and started: the only place that puts all parts together.

use std::{collections::HashSet, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use actix_otp::{
    ArbiterPool, ChildRef, ChildSpec, DynamicSupervisorSpec, Intensity, Placement, Shutdown,
    StartError, Strategy, SupervisorSpec,
};
use tokio::{runtime::Handle, sync::oneshot};

use super::{Engine, GenApi, WeakGenApi, config_checks, shutdown};
use crate::{
    background::Background,
    call::callback::Callbacks,
    clock::{Clock, SystemClock},
    config::{
        AddError, ConfigDb, ConfigDbRef, ConfigTable, FailedConfigs, Puller, Pulls, Pushes,
        Receiver, SavedPushes, Sweeper,
    },
    executor::{Executor, Pipeline, PipelineParts},
    function::{ApiFunction, Functions, FunctionsError, Outcome},
    lifecycle::Lifecycle,
    model::{FunConfig, InvalidConfig, Mfa},
    node::{NoTransport, NodeClient, NodeResolver, NodeSelector, ResolveNodes, SelectNode},
    rate_limiter::{
        self, ApiLimit, InvalidLimit, LimitKey, RateLimit, RateLimiter, RateLimiterActor,
    },
    relay::{self, Relay, RelayTable},
    settings::{InvalidSettings, Settings},
    stream::LiveStreams,
    telemetry::Telemetry,
    worker_pool::{WorkerPool, WorkerPoolActor, WorkerPools},
};
#[cfg(feature = "grpc")]
use crate::{
    config::ReceiverRef,
    grpc::{Door, DoorPlan, Offered, W3cTraceContext},
};

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
    node_client: Option<SharedClient>,
    node_selectors: Vec<NamedSelector>,
    relay_services: Vec<String>,
    strict_configs: bool,
}

/// The transport, without a `Debug` form of its own.
struct SharedClient(Arc<dyn NodeClient>);

impl fmt::Debug for SharedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeClient")
    }
}

struct NamedSelector {
    name: String,
    register: Register,
}

/// Registers a custom selector under its name, its type forgotten.
type Register = Box<dyn FnOnce(&NodeSelector, String) + Send>;

impl fmt::Debug for NamedSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSelector({:?})", self.name)
    }
}

impl GenApiBuilder {
    /// Adds functions that configs can call. A name that is registered twice, also by two of these calls, is an error at the
    /// start.
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = self.functions.merge(functions);
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

    /// The transport to service nodes (specification, section 19). Without one, that is gRPC where the feature `grpc` is on and the
    /// setting `grpc.cluster_secret` is set; else no other node can be reached.
    pub fn node_client(mut self, client: impl NodeClient) -> Self {
        self.node_client = Some(SharedClient(Arc::new(client)));
        self
    }

    /// A selector for configs whose `choose_node_mode` is `{"custom": name}` (specification, section 8).
    pub fn node_selector(mut self, name: impl Into<String>, selector: impl SelectNode) -> Self {
        self.node_selectors.push(NamedSelector {
            name: name.into(),
            register: Box::new(move |selectors, name| selectors.register(name, selector)),
        });
        self
    }

    /// Offers the functions of the [relay](crate::relay) under this service, to every user who is logged in.
    pub fn relay(mut self, service: impl Into<String>) -> Self {
        self.relay_services.push(service.into());
        self
    }

    /// Refuses to start where a config names a function that this process does not have, or that takes another number of
    /// arguments: its own function, a hook, its permission callback or its resolver. Otherwise the start warns of it, since
    /// the config may be meant for later.
    pub fn strict_configs(mut self) -> Self {
        self.strict_configs = true;
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
            node_client,
            node_selectors,
            relay_services,
            strict_configs,
        } = self;
        settings.validate()?;
        for service in relay_services {
            let offered = relay::configs(&*service).map_err(|invalid| StartApiError::Config {
                name: service,
                reason: invalid.into(),
            })?;
            configs.extend(offered);
        }
        let mut rate_limits = settings.rate_limiter.clone();
        for mut function in api_functions {
            let limits = function.take_limits();
            let name = function.display_name();
            let (registered, config) =
                function
                    .register(functions, &settings.arguments)
                    .map_err(|invalid| StartApiError::Config {
                        name,
                        reason: invalid.into(),
                    })?;
            functions = registered;
            rate_limits
                .api_limits
                .extend(limits.into_iter().map(|limit| {
                    let window_ms = u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX);
                    let key = LimitKey::from(&*limit.key);
                    let limit = RateLimit::new(key, limit.max_requests, window_ms);
                    ApiLimit::new(&*config.service, &*config.request_type, limit)
                }));
            configs.push(config);
        }
        let pool = ArbiterPool::new(settings.engine.thread_count())?;
        // Connections live here, and end with the engine's threads.
        let runtime = runtime_of(&pool).await?;
        let background = Background::start(
            settings
                .blocking_pool
                .places
                .saturating_add(OTHER_BLOCKING_THREADS),
        )?;
        let clock =
            clock.unwrap_or_else(|| Arc::new(SystemClock::with_timers_of_its_own(&background)));
        let lifecycle = Arc::<Lifecycle>::default();
        let groups = RelayTable::new(settings.relay, Arc::clone(&clock), telemetry.clone());
        let (relay_spec, relay) = Relay::child(groups);
        let itself = WeakGenApi::default();
        let functions = relay::register(functions, relay.clone()).state(itself.clone());
        functions.check()?;
        for config in &configs {
            let Some(reason) = config_checks::uncallable(config, &functions) else {
                continue;
            };
            let name = format!("{}/{}", config.service, config.request_type);
            if strict_configs {
                return Err(StartApiError::Uncallable { name, reason });
            }
            tracing::warn!(config = name, reason, "a config cannot be called as it is");
        }
        let rate_limiter =
            RateLimiter::with_telemetry(Arc::clone(&clock), rate_limits, telemetry.clone())?;
        let worker_pools = WorkerPools::new(
            settings.async_pool,
            settings.stream_pool,
            settings.blocking_pool,
            &clock,
            Some(Arc::new(telemetry.clone())),
        );
        let functions = Arc::new(functions);
        let table = ConfigTable::new(
            Arc::clone(&functions),
            settings.security.function_allowlist.clone(),
            settings.arguments,
        );
        let table = table.with_foreign_rules(settings.receiver.foreign_rules());
        let table =
            Arc::new(table.with_notice(config_checks::contradictions(&rate_limiter, &clock)));
        let stored = Arc::downgrade(&table);
        rate_limiter.judge_by(move |limit| {
            let configs = stored
                .upgrade()?
                .routes_of(&limit.service, &limit.request_type);
            configs
                .iter()
                .find_map(|route| limit.never_counts(&route.config))
        });
        let callbacks = Arc::new(Callbacks::new(
            functions,
            Arc::clone(&clock),
            background.handle().clone(),
            worker_pools.blocking_pool.clone(),
        ));
        let client = match node_client {
            Some(client) => client.0,
            None => transport(&settings, &runtime)?,
        };
        let resolver = NodeResolver::new(
            registered_resolvers(&callbacks, &settings),
            Arc::clone(&clock),
            settings.nodes.clone(),
        )
        .with_client(Arc::clone(&client));
        let selector = NodeSelector::new(resolver.clone());
        for named in node_selectors {
            (named.register)(&selector, named.name);
        }
        let failed = FailedConfigs::new(Arc::clone(&clock));
        let pulls = Arc::new(Pulls::new(
            Arc::clone(&client),
            resolver,
            Arc::clone(&table),
            failed.clone(),
            Arc::clone(&clock),
            settings.puller.rounds(),
            telemetry.clone(),
        ));
        let services = settings.puller.services.clone();
        let token = settings.security.push_token.clone();
        let state_directory = settings.receiver.state_directory.clone();
        let pushes = Pushes::new(
            Arc::clone(&table),
            failed.clone(),
            Arc::clone(&pulls),
            token,
            telemetry.clone(),
        );
        let pushes = pushes.refusing_older(settings.receiver.refuse_older);
        let pushes = match state_directory {
            None => pushes,
            Some(directory) => restored(pushes, directory, &runtime).await?,
        };
        let (puller_spec, puller) = Puller::child(pulls);
        let (receiver_spec, receiver) = Receiver::child(Arc::new(pushes), Arc::clone(&clock));
        let sweeper = {
            let (table, failed) = (Arc::clone(&table), failed.clone());
            let (selector, clock) = (selector.clone(), Arc::clone(&clock));
            ChildSpec::new("sweeper", move || {
                let (table, clock) = (Arc::clone(&table), Arc::clone(&clock));
                Sweeper::new(table, failed.clone(), selector.clone(), clock)
            })
        };
        let (streams_spec, stream_supervisor) = DynamicSupervisorSpec::new()
            .shutdown(Shutdown::Timeout(Duration::from_secs(5)))
            .pool(pool.clone())
            .build("streams");
        let pipeline = Arc::new(Pipeline::new(PipelineParts {
            settings,
            callbacks,
            selector,
            client,
            configs: Arc::clone(&table),
            rate_limiter: rate_limiter.clone(),
            worker_pools: worker_pools.clone(),
            streams: Arc::new(LiveStreams::default()),
            stream_supervisor,
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            telemetry: telemetry.clone(),
            lifecycle,
            background,
        }));

        #[cfg(feature = "grpc")]
        let door = door(&pipeline, &receiver, Arc::clone(&clock), runtime)?;
        let config_db = {
            let (table, failed) = (Arc::clone(&table), failed.clone());
            let telemetry = telemetry.clone();
            ChildSpec::new("config_db", move || {
                ConfigDb::new(Arc::clone(&table), failed.clone(), telemetry.clone())
            })
        };
        let config_db_ref = ConfigDbRef::new(config_db.child_ref(), table, clock);
        let rate_limiter = ChildSpec::new("rate_limiter", move || {
            RateLimiterActor::new(rate_limiter.clone())
        });
        let rate_limiter_ref = rate_limiter.child_ref();
        let lifecycle = &pipeline.lifecycle;
        let async_pool = pool_actor(&worker_pools.async_pool, &pool, lifecycle);
        let stream_pool = pool_actor(&worker_pools.stream_pool, &pool, lifecycle);
        let (async_pool_ref, stream_pool_ref) = (async_pool.child_ref(), stream_pool.child_ref());
        let (executors_spec, executors) = executors(&pipeline, &pool);
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(INTENSITY)
            .observer(telemetry.observer())
            .child(config_db)
            .child(rate_limiter)
            .child(puller_spec)
            .child(receiver_spec)
            .child(sweeper)
            .child(relay_spec)
            .child(async_pool)
            .child(stream_pool)
            .child(streams_spec)
            .child(executors_spec);
        #[cfg(feature = "grpc")]
        let root = match &door {
            Some(door) => root.child(Door::child(Arc::clone(door))),
            None => root,
        };
        let root = root
            .start_on("gen_api", Placement::Arbiter(pool.get(0)))
            .await?;
        // From here on a failure drops the handle, and that ends everything.
        let api = GenApi {
            engine: Arc::new(Engine {
                pipeline,
                config_db: config_db_ref,
                puller,
                receiver,
                relay,
                failed,
                rate_limiter: rate_limiter_ref,
                async_pool: async_pool_ref,
                stream_pool: stream_pool_ref,
                executors,
                root,
                shutdown: shutdown::Shutdown::default(),
                #[cfg(feature = "grpc")]
                door,
            }),
        };
        itself.set(&api);
        api.puller().add(services)?;
        rate_limiter::judge(&api.rate_limiter().config().api_limits, |limit| {
            configs.iter().find_map(|config| limit.never_counts(config))
        })?;
        let mut known = HashSet::new();
        for config in configs {
            let name = format!("{}/{}", config.service, config.request_type);
            let version = config.effective_version().map(str::to_owned);
            if !known.insert((name.clone(), version.clone())) {
                return Err(StartApiError::TwoConfigs { name, version });
            }
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

/// The way to service nodes that the settings describe.
fn transport(settings: &Settings, runtime: &Handle) -> Result<Arc<dyn NodeClient>, StartApiError> {
    #[cfg(feature = "grpc")]
    if settings.grpc.secrets().next().is_some() {
        let client = crate::grpc::GrpcClient::new(&settings.grpc, runtime.clone())?;
        return Ok(Arc::new(client));
    }
    let _ = (settings, runtime);
    Ok(Arc::new(NoTransport))
}

/// Brings back the pushes of the state directory, off the async threads.
async fn restored(
    pushes: Pushes,
    directory: PathBuf,
    runtime: &Handle,
) -> Result<Pushes, StartApiError> {
    let path = directory.clone();
    let restored = runtime.spawn_blocking(move || {
        SavedPushes::open(directory).and_then(|saved| pushes.with_saved(saved))
    });
    let restored = restored
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    restored.map_err(|reason| StartApiError::StateDirectory { path, reason })
}

/// Where service nodes push, if the settings say where.
#[cfg(feature = "grpc")]
fn door(
    pipeline: &Pipeline,
    receiver: &ReceiverRef,
    clock: Arc<dyn Clock>,
    runtime: Handle,
) -> Result<Option<Arc<DoorPlan>>, StartApiError> {
    let settings = &pipeline.settings.grpc;
    let Some(listen) = settings.listen else {
        return Ok(None);
    };
    let offered = Offered {
        gateway: Some(receiver.clone()),
        ..Offered::default()
    };
    let trace = Arc::new(W3cTraceContext::default());
    let plan = DoorPlan::bind(settings, listen, offered, trace, clock, runtime)?;
    Ok(Some(Arc::new(plan)))
}

fn pool_actor(
    workers: &WorkerPool,
    arbiters: &ArbiterPool,
    lifecycle: &Arc<Lifecycle>,
) -> ChildSpec<WorkerPoolActor> {
    let (workers, arbiters) = (workers.clone(), arbiters.clone());
    let lifecycle = Arc::clone(lifecycle);
    ChildSpec::new(format!("{}_pool", workers.name()), move || {
        WorkerPoolActor::under(workers.clone(), arbiters.clone(), Arc::clone(&lifecycle))
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

/// Threads for blocking work beside that of blocking functions, which can take none of them.
const OTHER_BLOCKING_THREADS: usize = 512;

/// Resolvers are registered functions too (specification, section 8).
fn registered_resolvers(callbacks: &Arc<Callbacks>, settings: &Settings) -> impl ResolveNodes {
    let callbacks = Arc::clone(callbacks);
    let timeout = Duration::from_millis(settings.nodes.resolver_timeout_ms);
    move |resolver: Mfa| {
        let callbacks = Arc::clone(&callbacks);
        async move {
            match callbacks.call(&resolver, [], timeout).await {
                Ok(Outcome::Value(nodes)) => Ok(nodes),
                Ok(_) => Err("it answered no list".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        }
    }
}

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
    /// A rate limit of the settings or of a function is not valid, or counts by an argument that the config of its API declares as a list or a
    /// map, or not at all: it would limit nothing.
    #[error("a rate limit is not valid: {0}")]
    RateLimit(#[from] InvalidLimit),
    /// A service of the settings cannot be pulled.
    #[error("a service of the settings cannot be pulled: {0}")]
    Service(#[from] InvalidConfig),
    /// One of the first configs was not accepted.
    #[error("the config `{name}` was not accepted: {reason}")]
    Config {
        /// Its service and request type.
        name: String,
        /// Why.
        reason: AddError,
    },
    /// One of the first configs names a function that cannot be called
    /// ([`strict_configs`](GenApiBuilder::strict_configs)).
    #[error("the config `{name}` cannot be called: {reason}")]
    Uncallable {
        /// Its service and request type.
        name: String,
        /// Which function, and why.
        reason: String,
    },
    /// Two of the first configs answer the same requests.
    #[error("there are two configs `{name}` of version {}", version.as_deref().unwrap_or("none"))]
    TwoConfigs {
        /// Their service and request type.
        name: String,
        /// Their version; `None` where they are unversioned.
        version: Option<String>,
    },
    /// The gRPC transport cannot be used as the settings describe it.
    #[cfg(feature = "grpc")]
    #[error("the gRPC transport: {0}")]
    Grpc(#[from] crate::grpc::GrpcSetupError),
    /// The state directory cannot be used (setting `receiver.state_directory`).
    #[error("receiver.state_directory: {} cannot be used: {reason}", path.display())]
    StateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        reason: io::Error,
    },
    /// The operating system gave no threads.
    #[error("the engine's threads could not be started: {0}")]
    Threads(#[from] io::Error),
    /// The engine's actors did not start.
    #[error("the engine's actors did not start: {0}")]
    Actors(#[from] StartError),
}
