//! Pushing: a service node hands its configs to gateways (specification, section 13), the other side of the receiver.
//!
//! The [`Pusher`] actor keeps trying; what it was told to push lives in a table beside it, so its death loses nothing.
//! [`PusherRef`] is the door to both.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use actix_otp::{Strategy, SupervisorSpec};
//! use gen_api::{
//!     clock::ManualClock, config::{Pusher, PusherSettings},
//!     model::{FunConfig, Nodes, PushConfig, PushOptions}, node::{Address, NoTransport},
//! };
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (child, pusher) = Pusher::child(
//!         Arc::new(NoTransport::default()), PusherSettings::default(), Arc::new(ManualClock::new()),
//!     );
//!     let tree = SupervisorSpec::new(Strategy::OneForOne).child(child).start("service").await?;
//!
//!     let get = FunConfig::builder("users", "get").call("Users", "get").local().build()?;
//!     let config = PushConfig::new("users", Nodes::list(["http://10.0.0.7:9000"]), "7", [get]);
//!     let gateway = Address::new("http://10.0.0.1:9100")?;
//!     pusher.push_on_startup([gateway], config, PushOptions::default()).await?;
//!     assert_eq!(pusher.status().targets.len(), 1);
//!     tree.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # Beyond the specification
//!
//! - A refusal is tried again like any other failure: whoever runs the gateway may mend the reason.
//! - What was accepted is asked for again and again. A gateway that lost it gets it anew; one that holds another version by
//!   now keeps that, because it was pushed later: nodes of two versions side by side do not overwrite each other. It is asked as
//!   soon as there is a new connection to it, and every [`verify_interval_ms`](PusherSettings::verify_interval_ms).
//! - A gateway that [refuses older versions](crate::settings::ReceiverSettings::refuse_older) is not pushed to again where it
//!   holds a newer one.

mod settings;
mod status;
mod targets;

use std::{collections::HashMap, fmt, sync::Arc};

use actix::{
    Actor, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture, SpawnHandle,
    fut::wrap_future,
};
use actix_otp::{ChildRef, ChildSpec};

use self::targets::{Key, Targets};
pub use self::{
    settings::PusherSettings,
    status::{PushState, PushTarget, PusherStatus},
};
use crate::{
    clock::Clock,
    model::{FunConfig, PushConfig, PushOptions, PushOutcome, ServiceConfig, Verification},
    node::{Address, NodeCallError, NodeClient},
    owner::{Unavailable, ask},
};

/// Keeps pushing to gateways until they have accepted; a supervised child of a service node.
pub struct Pusher {
    targets: Arc<Targets>,
    /// What works on each target.
    running: HashMap<Key, SpawnHandle>,
}

impl Pusher {
    /// A pusher over this transport as a child of a supervisor, with the door to it.
    pub fn child(
        client: Arc<dyn NodeClient>,
        settings: PusherSettings,
        clock: Arc<dyn Clock>,
    ) -> (ChildSpec<Self>, PusherRef) {
        let targets = Arc::new(Targets::new(client, settings, clock));
        let spec = {
            let targets = Arc::clone(&targets);
            ChildSpec::new("pusher", move || Self {
                targets: Arc::clone(&targets),
                running: HashMap::new(),
            })
        };
        let actor = spec.child_ref();
        (spec, PusherRef { actor, targets })
    }

    /// What is pushed for a service that gateways shall pull too, as this config says; the same as
    /// [`PushConfig::from_service_config`].
    #[must_use]
    pub fn from_service_config(
        service: ServiceConfig,
        config_version: impl Into<String>,
        functions: impl IntoIterator<Item = FunConfig>,
    ) -> PushConfig {
        PushConfig::from_service_config(service, config_version, functions)
    }

    fn run(&mut self, key: Key, ctx: &mut Context<Self>) {
        let targets = Arc::clone(&self.targets);
        let work = {
            let key = key.clone();
            async move { targets.keep(key).await }
        };
        let running = ctx.spawn(wrap_future::<_, Self>(work));
        if let Some(before) = self.running.insert(key, running) {
            ctx.cancel_future(before);
        }
    }
}

impl Actor for Pusher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for key in self.targets.keys() {
            self.run(key, ctx);
        }
    }
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher")
            .field("targets", &self.running.len())
            .finish_non_exhaustive()
    }
}

/// [`PusherRef::push`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<PushOutcome, NodeCallError>")]
pub struct PushTo {
    /// The gateway.
    pub gateway: Address,
    /// What is pushed.
    pub config: Box<PushConfig>,
    /// How it is to be taken.
    pub options: PushOptions,
}

/// [`PusherRef::push_on_startup`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct PushOnStartup {
    /// The gateways, each of which is tried for itself.
    pub gateways: Vec<Address>,
    /// What is pushed.
    pub config: Box<PushConfig>,
    /// How it is to be taken.
    pub options: PushOptions,
}

/// [`PusherRef::stop_pushing`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct StopPushing(pub String);

/// [`PusherRef::verify`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Verification, NodeCallError>")]
pub struct VerifyAt {
    /// The gateway.
    pub gateway: Address,
    /// The service.
    pub service: String,
    /// The version that is asked about.
    pub config_version: String,
}

/// [`PusherRef::status`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PusherStatus")]
pub struct GetPusherStatus;

impl Handler<PushTo> for Pusher {
    type Result = ResponseFuture<Result<PushOutcome, NodeCallError>>;

    fn handle(&mut self, push: PushTo, _: &mut Self::Context) -> Self::Result {
        let targets = Arc::clone(&self.targets);
        Box::pin(async move {
            let PushTo {
                gateway,
                config,
                options,
            } = push;
            targets.push(&gateway, &config, options).await
        })
    }
}

impl Handler<PushOnStartup> for Pusher {
    type Result = ();

    fn handle(&mut self, push: PushOnStartup, ctx: &mut Self::Context) {
        let config: Arc<PushConfig> = Arc::from(push.config);
        for gateway in push.gateways {
            let key = self.targets.add(gateway, Arc::clone(&config), push.options);
            self.run(key, ctx);
        }
    }
}

impl Handler<StopPushing> for Pusher {
    type Result = ();

    fn handle(&mut self, StopPushing(service): StopPushing, ctx: &mut Self::Context) {
        for key in self.targets.remove(&service) {
            if let Some(running) = self.running.remove(&key) {
                ctx.cancel_future(running);
            }
        }
    }
}

impl Handler<VerifyAt> for Pusher {
    type Result = ResponseFuture<Result<Verification, NodeCallError>>;

    fn handle(&mut self, asked: VerifyAt, _: &mut Self::Context) -> Self::Result {
        let targets = Arc::clone(&self.targets);
        Box::pin(async move {
            let VerifyAt {
                gateway,
                service,
                config_version,
            } = asked;
            targets.verify(&gateway, &service, &config_version).await
        })
    }
}

impl Handler<GetPusherStatus> for Pusher {
    type Result = MessageResult<GetPusherStatus>;

    fn handle(&mut self, _: GetPusherStatus, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.targets.status())
    }
}

/// The door to the pusher: single pushes are made on the caller's task, lasting ones are the [`Pusher`] actor's.
#[derive(Clone)]
pub struct PusherRef {
    actor: ChildRef<Pusher>,
    targets: Arc<Targets>,
}

impl PusherRef {
    /// The actor behind this handle, for those who send it messages.
    #[must_use]
    pub fn actor(&self) -> &ChildRef<Pusher> {
        &self.actor
    }

    /// Pushes once, within the [`push_timeout_ms`](PusherSettings::push_timeout_ms) of the settings.
    ///
    /// # Errors
    /// [`NodeCallError`]; the gateway's refusal is [`Refused`](NodeCallError::Refused).
    pub async fn push(
        &self,
        gateway: &Address,
        config: &PushConfig,
        options: PushOptions,
    ) -> Result<PushOutcome, NodeCallError> {
        self.targets.push(gateway, config, options).await
    }

    /// Pushes to each of these gateways until it has accepted, and again when it has lost what it accepted; returns at once.
    /// Pauses between failures grow as the settings say, with jitter.
    ///
    /// A service that is being pushed to one of the gateways already is replaced there.
    ///
    /// # Errors
    /// [`Unavailable`] when the pusher did not answer; then nothing will be pushed.
    pub async fn push_on_startup(
        &self,
        gateways: impl IntoIterator<Item = Address>,
        config: PushConfig,
        options: PushOptions,
    ) -> Result<(), Unavailable> {
        let message = PushOnStartup {
            gateways: gateways.into_iter().collect(),
            config: Box::new(config),
            options,
        };
        ask(&self.actor, &**self.targets.clock(), message).await
    }

    /// Waits until every gateway that this service is pushed to has it: accepted, or held already. Returns at once where it
    /// is pushed nowhere.
    pub async fn wait_until_accepted(&self, service: &str) {
        self.targets.wait_until_accepted(service).await;
    }

    /// Ends the pushing of a service, to every gateway. What they have accepted stays there.
    ///
    /// # Errors
    /// [`Unavailable`] when the pusher did not answer.
    pub async fn stop_pushing(&self, service: impl Into<String>) -> Result<(), Unavailable> {
        let message = StopPushing(service.into());
        ask(&self.actor, &**self.targets.clock(), message).await
    }

    /// Asks a gateway which config version of a service it holds.
    ///
    /// # Errors
    /// [`NodeCallError`].
    pub async fn verify(
        &self,
        gateway: &Address,
        service: &str,
        config_version: &str,
    ) -> Result<Verification, NodeCallError> {
        self.targets.verify(gateway, service, config_version).await
    }

    /// How the lasting pushes are doing; prints as a table.
    #[must_use]
    pub fn status(&self) -> PusherStatus {
        self.targets.status()
    }
}

impl fmt::Debug for PusherRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PusherRef")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
