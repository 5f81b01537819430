//! Pulling: the gateway asks services for their configs (specification, section 12).
//!
//! The [`Puller`] actor sets the pace; what it knows lives in a table beside it, so its death loses nothing.
//! [`PullerRef`] is the door to both.
//!
//! ```
//! use std::time::Duration;
//! use gen_api::config::PullerSettings;
//!
//! let settings = PullerSettings::default().with_pull_interval(Duration::from_secs(10));
//! assert_eq!((settings.pull_interval_ms, settings.pull_timeout_ms), (10_000, 5_000));
//! ```
//!
//! # Beyond the specification
//!
//! - The first round begins with the actor; one that is started again waits out the pause of the last round.
//! - A version that is null tells nothing, like a check that failed.
//! - Rounds take turns: a manual pull during a round runs after it, and puts off the next round.
//! - What was fetched for a service that was deleted meanwhile is thrown away.
//! - Functions that a list names but that were refused are not pruned: what was stored of them before stays.

mod fetch;
mod round;
mod settings;
mod state;
mod watch;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult,
    ResponseActFuture, SpawnHandle, fut::wrap_future,
};
use actix_otp::{ChildRef, ChildSpec};
use serde_json::Value;

pub(crate) use round::Pulls;
pub use settings::PullerSettings;
pub use state::{PullReport, PullResult, PullerStatus, ServiceStatus};

use crate::{
    model::{InvalidConfig, ServiceConfig},
    owner::{Unavailable, ask},
};

/// Begins a round of pulls after each pause; a supervised child of the engine.
pub struct Puller {
    pulls: Arc<Pulls>,
    timer: Option<SpawnHandle>,
}

impl Puller {
    fn new(pulls: Arc<Pulls>) -> Self {
        Self { pulls, timer: None }
    }

    /// The puller of these services as a child of a supervisor, with the door to it.
    pub(crate) fn child(pulls: Arc<Pulls>) -> (ChildSpec<Self>, PullerRef) {
        let spec = {
            let pulls = Arc::clone(&pulls);
            ChildSpec::new("puller", move || Self::new(Arc::clone(&pulls)))
        };
        let actor = spec.child_ref();
        (spec, PullerRef { actor, pulls })
    }

    /// A round, after which the next one is due. There is one timer at a time, however many rounds are asked for.
    fn round(
        &mut self,
        force: bool,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, PullReport> {
        self.disarm(ctx);
        let pulls = Arc::clone(&self.pulls);
        let round = wrap_future::<_, Self>(async move { pulls.round(force).await });
        Box::pin(round.map(|report, puller, ctx| {
            puller.arm(report.next_pull, ctx);
            report
        }))
    }

    fn arm(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.disarm(ctx);
        let pause = wrap_future::<_, Self>(self.pulls.clock().sleep(pause));
        let timer = pause.map(|(), puller, ctx| {
            puller.timer = None;
            let round = puller.round(false, ctx);
            ctx.spawn(round.map(|_, _, _| ()));
        });
        self.timer = Some(ctx.spawn(timer));
    }

    fn disarm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }
}

impl Actor for Puller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let rounds = self.pulls.state(|state| state.rounds());
        let pause = if rounds == 0 {
            Duration::ZERO
        } else {
            self.pulls.pause()
        };
        self.arm(pause, ctx);
    }
}

impl fmt::Debug for Puller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puller")
            .field("pulls", &self.pulls)
            .finish_non_exhaustive()
    }
}

/// Pulls all services now; a service whose version is the stored one is skipped.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PullReport")]
pub struct Pull;

/// Pulls all services now, whatever their versions.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PullReport")]
pub struct ForcePull;

/// [`PullerRef::add`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), InvalidConfig>")]
pub struct AddServices(pub Vec<ServiceConfig>);

/// [`PullerRef::delete`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct DeleteServices(pub Vec<String>);

/// [`PullerRef::status`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PullerStatus")]
pub struct GetPullerStatus;

impl Handler<Pull> for Puller {
    type Result = ResponseActFuture<Self, PullReport>;

    fn handle(&mut self, _: Pull, ctx: &mut Self::Context) -> Self::Result {
        self.round(false, ctx)
    }
}

impl Handler<ForcePull> for Puller {
    type Result = ResponseActFuture<Self, PullReport>;

    fn handle(&mut self, _: ForcePull, ctx: &mut Self::Context) -> Self::Result {
        self.round(true, ctx)
    }
}

impl Handler<AddServices> for Puller {
    type Result = Result<(), InvalidConfig>;

    fn handle(
        &mut self,
        AddServices(services): AddServices,
        _: &mut Self::Context,
    ) -> Self::Result {
        self.pulls.add(services)
    }
}

impl Handler<DeleteServices> for Puller {
    type Result = ();

    fn handle(&mut self, DeleteServices(services): DeleteServices, _: &mut Self::Context) {
        self.pulls.delete(&services);
    }
}

impl Handler<GetPullerStatus> for Puller {
    type Result = MessageResult<GetPullerStatus>;

    fn handle(&mut self, _: GetPullerStatus, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.pulls.status())
    }
}

/// The door to the puller: what is known is read and changed in the table, rounds are asked of the [`Puller`] actor.
#[derive(Clone)]
pub struct PullerRef {
    actor: ChildRef<Puller>,
    pulls: Arc<Pulls>,
}

impl PullerRef {
    /// The actor behind this handle, for those who send it messages.
    #[must_use]
    pub fn actor(&self) -> &ChildRef<Puller> {
        &self.actor
    }

    /// Registers services; they are pulled from the next round on. One of the same name is replaced, and its known
    /// version and list of request types stay.
    ///
    /// Nodes are judged at each pull: a service without any fails there.
    ///
    /// # Errors
    /// Where a service has other faults; then none is registered.
    pub fn add(
        &self,
        services: impl IntoIterator<Item = ServiceConfig>,
    ) -> Result<(), InvalidConfig> {
        self.pulls.add(services.into_iter().collect())
    }

    /// Ends the pulling of these services, and forgets their versions and lists of request types. Their functions stay
    /// callable; names that are not registered are passed over.
    pub fn delete<S: AsRef<str>>(&self, services: impl IntoIterator<Item = S>) {
        let services = services.into_iter();
        let services: Vec<String> = services
            .map(|service| service.as_ref().to_owned())
            .collect();
        self.pulls.delete(&services);
    }

    /// Pulls all services now and answers how it went. A service whose version is the stored one is skipped.
    ///
    /// # Errors
    /// [`Unavailable`] when the puller did not answer.
    pub async fn pull(&self) -> Result<PullReport, Unavailable> {
        ask(&self.actor, &**self.pulls.clock(), Pull).await
    }

    /// Pulls all services now, whatever their versions; all versions are forgotten first.
    ///
    /// # Errors
    /// [`Unavailable`] when the puller did not answer.
    pub async fn force_pull(&self) -> Result<PullReport, Unavailable> {
        ask(&self.actor, &**self.pulls.clock(), ForcePull).await
    }

    /// The registered services, by name.
    #[must_use]
    pub fn get_services(&self) -> BTreeMap<String, ServiceConfig> {
        self.pulls.state(|state| state.configs())
    }

    /// The request types that were stored of a service by its last pull; none before the first.
    #[must_use]
    pub fn get_api_list(&self, service: &str) -> Option<Vec<String>> {
        self.pulls.state(|state| state.apis(service))
    }

    /// The version of a service's configs that was pulled last; none where it is not known.
    #[must_use]
    pub fn get_service_version(&self, service: &str) -> Option<Value> {
        self.pulls.state(|state| state.version(service))
    }

    /// The versions of all registered services; none where one is not known.
    #[must_use]
    pub fn get_all_versions(&self) -> BTreeMap<String, Option<Value>> {
        self.pulls.state(|state| state.versions())
    }

    /// How the puller is doing.
    #[must_use]
    pub fn status(&self) -> PullerStatus {
        self.pulls.status()
    }
}

impl fmt::Debug for PullerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullerRef")
            .field("pulls", &self.pulls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
