//! How a service node is described and started.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_otp::{ArbiterPool, Intensity, Placement, StartError, Strategy, SupervisorSpec};

use super::{Inner, ServiceNode, Threads};
use crate::{
    clock::{Clock, SystemClock},
    config::Pusher,
    function::{ApiFunction, Functions, FunctionsError},
    grpc::{Door, DoorPlan, GrpcClient, GrpcSetupError, Offered, TraceContext, W3cTraceContext},
    model::{FunConfig, InvalidConfig, Mfa, Nodes, PushOptions},
    node::{Address, InvalidAddress, NoTransport, NodeClient},
    owner::Unavailable,
    service_node::{NodeCore, Offer},
    settings::{GrpcSettings, InvalidSettings, Settings},
};

/// Describes a service node: its functions and their configs, where it listens, and to whom it pushes.
#[must_use = "nothing runs until it is started"]
pub struct ServiceNodeBuilder {
    functions: Functions,
    api_functions: Vec<ApiFunction>,
    configs: Vec<FunConfig>,
    config_version: Option<String>,
    settings: Settings,
    advertised: Vec<String>,
    gateways: Vec<String>,
    push_options: PushOptions,
    pulled: bool,
    trace: Arc<dyn TraceContext>,
}

impl Default for ServiceNodeBuilder {
    fn default() -> Self {
        Self {
            functions: Functions::default(),
            api_functions: Vec::new(),
            configs: Vec::new(),
            config_version: None,
            settings: Settings::default(),
            advertised: Vec::new(),
            gateways: Vec::new(),
            push_options: PushOptions::default(),
            pulled: false,
            trace: Arc::new(W3cTraceContext::default()),
        }
    }
}

impl ServiceNodeBuilder {
    /// The functions that gateways can call.
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// Adds a function that comes with its config, to those of [`functions`](Self::functions).
    pub fn function(mut self, function: ApiFunction) -> Self {
        self.api_functions.push(function);
        self
    }

    /// Adds a config to those that are offered. `"local"` in it means the nodes of the service.
    pub fn config(mut self, config: FunConfig) -> Self {
        self.configs.push(config);
        self
    }

    /// Adds several configs to those that are offered.
    pub fn configs(mut self, configs: impl IntoIterator<Item = FunConfig>) -> Self {
        self.configs.extend(configs);
        self
    }

    /// Sets the version of the configs; by default it is a hash of them, see [`Offer::with_version`].
    pub fn config_version(mut self, version: impl Into<String>) -> Self {
        self.config_version = Some(version.into());
        self
    }

    /// The settings; the default is [`Settings::default`]. Of them it uses `grpc`, `pusher`, `engine.threads`,
    /// `streams`, `arguments` and `security.push_token`, which it shows to gateways.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the part `grpc` of the settings: where it listens, and the secret of the cluster.
    pub fn grpc(mut self, settings: GrpcSettings) -> Self {
        self.settings.grpc = settings;
        self
    }

    /// The addresses under which gateways reach the nodes of these services: this one, and others that offer the same. By
    /// default only the address that it listens on.
    ///
    /// Gateways know no more nodes than the push they have accepted: several nodes of one service advertise the same list, or
    /// a `dns://` name for all of them.
    pub fn advertise<A: Into<String>>(mut self, nodes: impl IntoIterator<Item = A>) -> Self {
        self.advertised = nodes.into_iter().map(Into::into).collect();
        self
    }

    /// The gateways that the configs are pushed to from the start on, until each has accepted.
    pub fn push_to<A: Into<String>>(mut self, gateways: impl IntoIterator<Item = A>) -> Self {
        self.gateways = gateways.into_iter().map(Into::into).collect();
        self
    }

    /// How gateways take these pushes; the default adds and overwrites.
    pub fn push_options(mut self, options: PushOptions) -> Self {
        self.push_options = options;
        self
    }

    /// Asks the gateways that it pushes to that they also pull from then on.
    pub fn pulled(mut self) -> Self {
        self.pulled = true;
        self
    }

    /// The tracing system of the program; the default carries W3C trace ids.
    pub fn trace_context(mut self, trace: impl TraceContext) -> Self {
        self.trace = Arc::new(trace);
        self
    }

    /// Starts the node. On return it takes calls; whether gateways have its configs, [`ServiceNode::pusher`] knows.
    ///
    /// # Errors
    ///
    /// [`StartServiceNodeError`].
    pub async fn start(self) -> Result<ServiceNode, StartServiceNodeError> {
        let settings = &self.settings;
        settings.validate()?;
        let listen = settings
            .grpc
            .listen
            .ok_or(StartServiceNodeError::NowhereToListen)?;
        let gateways = addresses(&self.gateways)?;
        addresses(&self.advertised)?;
        let (mut functions, mut configs) = (self.functions, self.configs);
        for function in self.api_functions {
            let registered = function.register(functions, &settings.arguments)?;
            functions = registered.0;
            configs.push(registered.1);
        }
        let mut offer = Offer::new(configs);
        if let Some(version) = self.config_version {
            offer = offer.with_version(version);
        }
        offer.validate(&settings.arguments)?;
        let offer = Arc::new(offer);
        let functions = offer.register(functions);
        functions.check()?;
        has_functions(&offer, &functions)?;

        let threads = Threads::start(settings.engine.thread_count())?;
        let runtime = threads.handle.clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(runtime.clone()));
        let core = NodeCore::new(Arc::new(functions), runtime.clone())
            .with_stream_buffer(settings.streams.buffer, settings.streams.buffer_bytes);
        let offered = Offered {
            node: Some(core.clone()),
            ..Offered::default()
        };
        let client: Arc<dyn NodeClient> = match GrpcClient::with_shared_trace_context(
            &settings.grpc,
            runtime.clone(),
            Arc::clone(&self.trace),
        ) {
            Ok(client) => Arc::new(client),
            // Whoever only answers needs no authority to trust.
            Err(GrpcSetupError::Tls(_)) if gateways.is_empty() => Arc::new(NoTransport),
            Err(error) => return Err(error.into()),
        };
        let door = DoorPlan::bind(
            &settings.grpc,
            listen,
            offered,
            self.trace,
            Arc::clone(&clock),
            runtime,
        )?;
        let door = Arc::new(door);
        let advertised = if self.advertised.is_empty() {
            if listen.ip().is_unspecified() && !gateways.is_empty() {
                return Err(StartServiceNodeError::NothingToAdvertise(listen));
            }
            Nodes::list([door.url()])
        } else {
            Nodes::list(self.advertised)
        };
        let (pusher_spec, pusher) = Pusher::child(client, settings.pusher.clone(), clock);
        let arbiters = ArbiterPool::new(1)?;
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(INTENSITY)
            .child(Door::child(Arc::clone(&door)))
            .child(pusher_spec)
            .start_on("service_node", Placement::Arbiter(arbiters.get(0)))
            .await?;
        // From here on a failure drops the handle, and that ends everything.
        let node = ServiceNode {
            inner: Arc::new(Inner {
                core,
                offer,
                advertised,
                door,
                pusher,
                root,
                arbiters,
                threads,
            }),
        };
        for service in node.offer().services() {
            let nodes = node.advertised().clone();
            let mut push = node.offer().push_config(service, nodes, self.pulled);
            push.push_token.clone_from(&settings.security.push_token);
            node.pusher()
                .push_on_startup(gateways.clone(), push, self.push_options)
                .await?;
        }
        Ok(node)
    }

    /// Starts the node from a program without a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// Inside an async runtime, whose thread it would block.
    pub fn start_blocking(self) -> Result<ServiceNode, StartServiceNodeError> {
        tokio::runtime::Builder::new_current_thread()
            .build()?
            .block_on(self.start())
    }
}

/// As in an engine: the actors start in microseconds and keep nothing, so only a storm of exits means that restarting is in
/// vain.
const INTENSITY: Intensity = Intensity::new(1_000, Duration::from_secs(1));

fn addresses(texts: &[String]) -> Result<Vec<Address>, InvalidAddress> {
    texts.iter().map(Address::new).collect()
}

/// Whether the node has every function that it offers for its own nodes.
fn has_functions(offer: &Offer, functions: &Functions) -> Result<(), StartServiceNodeError> {
    for service in offer.services() {
        for config in offer.configs(service) {
            let own = matches!(config.nodes, Nodes::Local);
            if own
                && functions
                    .get(&config.mfa.module, &config.mfa.function)
                    .is_none()
            {
                return Err(StartServiceNodeError::NoFunction {
                    name: format!("{service}/{}", config.request_type),
                    function: config.mfa.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Why a service node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartServiceNodeError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The settings do not say where to take calls.
    #[error("grpc.listen is needed: without it no gateway can call")]
    NowhereToListen,
    /// Gateways cannot be told the address that it listens on, which means every address of the machine.
    #[error(
        "listening on {0}, which is no address to call: say with `advertise` how gateways reach this node"
    )]
    NothingToAdvertise(SocketAddr),
    /// An address of a node or a gateway is blank.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The functions contradict each other, or lack a shared state.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A config that is offered is not valid.
    #[error("a config is not valid: {0}")]
    Config(#[from] InvalidConfig),
    /// A config names a function that the node does not have.
    #[error("the config `{name}` calls {function}, which is not registered")]
    NoFunction {
        /// Its service and request type.
        name: String,
        /// The function.
        function: Mfa,
    },
    /// The door cannot be opened, or nobody can be called, with these settings.
    #[error(transparent)]
    Grpc(#[from] GrpcSetupError),
    /// The operating system gave no threads.
    #[error("the threads of the service node could not be started: {0}")]
    Threads(#[from] io::Error),
    /// The actors did not start.
    #[error("the actors of the service node did not start: {0}")]
    Actors(#[from] StartError),
    /// The pusher did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
