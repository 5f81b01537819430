//! Receiving: service nodes push their configs to the gateway (specification, section 13).
//!
//! The [`Receiver`] actor takes pushes one after the other; what was pushed is remembered beside it, so its death loses
//! nothing. [`ReceiverRef`] is the door to both.
//!
//! ```
//! use gen_api::{config::PushError, model::PushOptions};
//!
//! let options = PushOptions::default().with_replace();
//! assert!(options.replace && !options.force);
//! assert_eq!(PushError::InvalidToken.code(), "invalid_push_token");
//! ```
//!
//! # Beyond the specification
//!
//! - The allowlist is asked after the token, so that a stranger learns nothing of it.
//! - A push that takes its service back to an older version is told of with both versions, or
//!   [refused](crate::settings::ReceiverSettings::refuse_older): a node of an old version that comes back after a crash pushes
//!   like any other.
//! - Deleting a service ends its pulling where a push began it; a service that was registered for pulling otherwise stays.
//! - Of several functions of one request type and version in a push, the last is stored.
//! - With a [state directory](crate::settings::ReceiverSettings::state_directory) a push is answered once it is on the disk;
//!   one that cannot be written is refused. After a restart everything is as its pushes made it: switches that an operator set
//!   are as in the configs, and functions of a service that was deleted are gone. A file that cannot be used is renamed to
//!   `*.rejected-N`, with a note among the failed configs.

mod history;
mod pushes;
mod saved;

use std::{collections::BTreeMap, fmt, panic::resume_unwind, sync::Arc};

use actix::{Actor, AtomicResponse, Context, Handler, Message, MessageResult, fut::wrap_future};
use actix_otp::{ChildRef, ChildSpec};
use serde_json::Value;

pub use pushes::{PushError, PushedService};
pub(crate) use {
    pushes::{OLDER_VERSION, Pushes},
    saved::SavedPushes,
};

use crate::{
    clock::Clock,
    model::{PushConfig, PushOptions, PushOutcome, UnreadablePush, Verification},
    owner::{Unavailable, ask},
};

/// Takes pushes; a supervised child of the engine.
#[derive(Debug)]
pub struct Receiver {
    pushes: Arc<Pushes>,
}

impl Receiver {
    fn new(pushes: Arc<Pushes>) -> Self {
        Self { pushes }
    }

    /// The receiver of these pushes as a child of a supervisor, with the door to it.
    pub(crate) fn child(
        pushes: Arc<Pushes>,
        clock: Arc<dyn Clock>,
    ) -> (ChildSpec<Self>, ReceiverRef) {
        let spec = {
            let pushes = Arc::clone(&pushes);
            ChildSpec::new("receiver", move || Self::new(Arc::clone(&pushes)))
        };
        let actor = spec.child_ref();
        let door = ReceiverRef {
            actor,
            pushes,
            clock,
        };
        (spec, door)
    }
}

impl Receiver {
    /// Does work that may write files: before the next message is taken, and off the async threads where it does write. Begun,
    /// it is finished even if this actor dies.
    fn in_turn<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Pushes) -> R + Send + 'static,
    ) -> AtomicResponse<Self, R> {
        let pushes = Arc::clone(&self.pushes);
        let done = async move {
            if !pushes.writes_files() {
                return work(&pushes);
            }
            match tokio::task::spawn_blocking(move || work(&pushes)).await {
                Ok(answer) => answer,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The threads are ending, and this actor with them.
                    Err(_) => std::future::pending().await,
                },
            }
        };
        AtomicResponse::new(Box::pin(wrap_future(done)))
    }
}

impl Actor for Receiver {
    type Context = Context<Self>;
}

/// [`ReceiverRef::push`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<PushOutcome, PushError>")]
pub struct Push {
    /// What is pushed.
    pub config: Box<PushConfig>,
    /// How it is to be taken.
    pub options: PushOptions,
}

/// [`ReceiverRef::push_json`] as a message.
#[derive(Clone, Message)]
#[rtype(result = "Result<PushOutcome, PushError>")]
pub struct PushJson {
    /// What is pushed, in its JSON form.
    pub config: Value,
    /// How it is to be taken.
    pub options: PushOptions,
}

/// [`ReceiverRef::verify`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Verification")]
pub struct Verify {
    /// The service.
    pub service: String,
    /// The version that is asked about.
    pub config_version: String,
}

/// [`ReceiverRef::delete_pushed`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct DeletePushed(pub String);

impl Handler<Push> for Receiver {
    type Result = AtomicResponse<Self, Result<PushOutcome, PushError>>;

    fn handle(&mut self, push: Push, _: &mut Self::Context) -> Self::Result {
        self.in_turn(move |pushes| pushes.push(*push.config, push.options))
    }
}

/// A push that was read from its text, or could not be.
#[derive(Message)]
#[rtype(result = "Result<PushOutcome, PushError>")]
struct PushRead {
    read: Box<Result<PushConfig, Box<UnreadablePush>>>,
    options: PushOptions,
}

impl Handler<PushRead> for Receiver {
    type Result = AtomicResponse<Self, Result<PushOutcome, PushError>>;

    fn handle(&mut self, push: PushRead, _: &mut Self::Context) -> Self::Result {
        self.in_turn(move |pushes| pushes.push_read(*push.read, push.options))
    }
}

impl Handler<PushJson> for Receiver {
    type Result = AtomicResponse<Self, Result<PushOutcome, PushError>>;

    fn handle(&mut self, push: PushJson, _: &mut Self::Context) -> Self::Result {
        self.in_turn(move |pushes| pushes.push_json(push.config, push.options))
    }
}

impl Handler<Verify> for Receiver {
    type Result = MessageResult<Verify>;

    fn handle(&mut self, asked: Verify, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.pushes.verify(&asked.service, &asked.config_version))
    }
}

impl Handler<DeletePushed> for Receiver {
    type Result = AtomicResponse<Self, ()>;

    fn handle(
        &mut self,
        DeletePushed(service): DeletePushed,
        _: &mut Self::Context,
    ) -> Self::Result {
        self.in_turn(move |pushes| pushes.delete(&service))
    }
}

impl fmt::Debug for PushJson {
    /// Without the JSON, which may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushJson")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The door to the receiver: pushes are taken by the [`Receiver`] actor, questions are answered from its table.
#[derive(Clone)]
pub struct ReceiverRef {
    actor: ChildRef<Receiver>,
    pushes: Arc<Pushes>,
    clock: Arc<dyn Clock>,
}

impl ReceiverRef {
    /// The actor behind this handle, for those who send it messages.
    #[must_use]
    pub fn actor(&self) -> &ChildRef<Receiver> {
        &self.actor
    }

    /// Takes a push: stores all its functions or none. The same config version as stored is skipped unless forced. It
    /// adds and overwrites; with [`replace`](PushOptions::replace) it also removes what it does not list. With module and
    /// function given, the service is also pulled from now on.
    ///
    /// # Errors
    /// [`PushError`], judged in this order: the push itself, its token, then what its functions and nodes may be.
    pub async fn push(
        &self,
        config: PushConfig,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        let config = Box::new(config);
        ask(&self.actor, &*self.clock, Push { config, options }).await?
    }

    /// Takes a push in its JSON form, which need not even be readable; see [`push`](Self::push).
    ///
    /// # Errors
    /// [`PushError`].
    pub async fn push_json(
        &self,
        config: Value,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        ask(&self.actor, &*self.clock, PushJson { config, options }).await?
    }

    /// The same for a push that was read from its text.
    #[cfg(feature = "grpc")]
    pub(crate) async fn push_read(
        &self,
        read: Result<PushConfig, Box<UnreadablePush>>,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        let read = Box::new(read);
        ask(&self.actor, &*self.clock, PushRead { read, options }).await?
    }

    /// Whether a push with this token may be stored.
    #[cfg(feature = "grpc")]
    pub(crate) fn takes(&self, token: Option<&crate::model::PushToken>) -> bool {
        self.pushes.may_push(token)
    }

    /// Lets go of the state directory: what is pushed from now on is refused where one is set.
    pub(crate) fn close(&self) {
        self.pushes.close();
    }

    /// Whether this config version of a service is the one that was pushed last.
    #[must_use]
    pub fn verify(&self, service: &str, config_version: &str) -> Verification {
        self.pushes.verify(service, config_version)
    }

    /// The services that were pushed, by name.
    #[must_use]
    pub fn pushed_services(&self) -> BTreeMap<String, PushedService> {
        self.pushes.services()
    }

    /// Forgets a pushed service, and ends its pulling where a push began it. Its functions stay callable until they are
    /// deleted too; a service that was never pushed is passed over.
    ///
    /// # Errors
    /// [`Unavailable`] when the receiver did not answer.
    pub async fn delete_pushed(&self, service: impl Into<String>) -> Result<(), Unavailable> {
        ask(&self.actor, &*self.clock, DeletePushed(service.into())).await
    }
}

impl fmt::Debug for ReceiverRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverRef")
            .field("pushes", &self.pushes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
