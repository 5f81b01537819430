//! What a supervisor is made from: strategy, intensity and first children.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use actix::{Actor, Context};

use super::{Children, Supervisor, SupervisorRef};
use crate::{
    child_ref::ChildRef,
    child_spec::{Blueprint, ChildSpec, ChildSpecInfo, Restart},
    control::{Control, Signal},
    intensity::Intensity,
    launch::{LaunchEnv, Making, Origin},
    observer::Observer,
    placement::Placement,
    shutdown::within,
    start_error::{BadSpec, StartError},
};

/// Which children are restarted when one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only the one that ended.
    #[default]
    OneForOne,
    /// All of them: the others are stopped first, in reverse order.
    OneForAll,
    /// The one that ended and those started after it.
    RestForOne,
}

/// Whether the exit of significant children ends the supervisor (OTP: `auto_shutdown`).
///
/// Only an exit by itself counts that is not followed by a restart; a child that was terminated on request does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// It does not; significant children are then refused.
    #[default]
    Never,
    /// The first one that ends.
    AnySignificant,
    /// The last one that ends.
    AllSignificant,
}

/// A recipe for a [`Supervisor`]; start it as a root, or nest it with [`ChildSpec::supervisor`].
///
/// Clones share the handles of their children, and a child never runs twice: while one clone runs, the start of another
/// fails.
///
/// ```
/// use std::time::Duration;
/// use actix::prelude::*;
/// use actix_otp::{ChildSpec, Intensity, Strategy, SupervisorSpec};
///
/// struct Cache;
/// impl Actor for Cache {
///     type Context = Context<Self>;
/// }
///
/// #[actix::main]
/// async fn main() -> Result<(), actix_otp::StartError> {
///     let root = SupervisorSpec::new(Strategy::OneForOne)
///         .intensity(Intensity::new(5, Duration::from_secs(10)))
///         .child(ChildSpec::new("cache", || Cache))
///         .start("root")
///         .await?;
///     root.shutdown().await;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[must_use = "a spec does nothing until it is started or nested"]
pub struct SupervisorSpec {
    pub(super) strategy: Strategy,
    pub(super) intensity: Intensity,
    pub(super) auto_shutdown: AutoShutdown,
    pub(super) kill_timeout: Duration,
    pub(crate) start_timeout: Option<Duration>,
    pub(super) children: Vec<Blueprint>,
    observer: Option<Arc<dyn Observer>>,
}

impl SupervisorSpec {
    /// A supervisor without children: intensity 3 in 5 seconds, no auto-shutdown.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            intensity: Intensity::default(),
            auto_shutdown: AutoShutdown::default(),
            kill_timeout: Duration::from_secs(5),
            start_timeout: None,
            children: Vec::new(),
            observer: None,
        }
    }

    /// How many restarts are too many; the default is 3 in 5 seconds. A period of zero is refused at the start.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Whether significant children end the supervisor; the default is [`AutoShutdown::Never`].
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// How long a killed child may go on blocking its thread before it is given up; the default is 5 seconds.
    ///
    /// OTP needs no such limit: there a kill always works. Here a handler that does not return keeps its thread.
    pub fn kill_timeout(mut self, kill_timeout: Duration) -> Self {
        self.kill_timeout = kill_timeout;
        self
    }

    /// How long the start of the whole supervisor may take, as a root or nested; by default there is no limit.
    ///
    /// Where it takes longer, what had begun is ended again in reverse order, and the start fails with
    /// [`StartError::TimedOut`].
    pub fn start_timeout(mut self, start_timeout: Duration) -> Self {
        self.start_timeout = Some(start_timeout);
        self
    }

    /// Adds a child, started after those added before it and stopped before them.
    pub fn child<A: Actor<Context = Context<A>>>(mut self, child: ChildSpec<A>) -> Self {
        self.children.push(child.into_blueprint());
        self
    }

    /// Who is told what happens here and in all supervisors below that have no observer of their own.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    #[cfg(feature = "signal")]
    /// Has one more observer beside the one that is set.
    pub(crate) fn also_observed(self, other: impl Observer) -> Self {
        let first = self.observer.clone();
        self.observer(move |event: &crate::SupervisionEvent| {
            other.observe(event);
            if let Some(first) = &first {
                first.observe(event);
            }
        })
    }

    /// Starts the tree on the arbiter of the caller, children in order, and returns once all of them run.
    ///
    /// Dropped before that, the future takes the start back: what had begun is ended in reverse order.
    ///
    /// # Errors
    ///
    /// [`StartError::BadSpec`] before anything is started; otherwise the error of the first child that did not start, as
    /// an [`ExitReason::Error`](crate::ExitReason::Error) that names it, after those before it were stopped again in
    /// reverse order.
    ///
    /// # Panics
    ///
    /// Outside of an actix arbiter or a tokio `LocalSet`; use [`start_on`](Self::start_on) there.
    pub async fn start(self, id: impl Into<Arc<str>>) -> Result<SupervisorRef, StartError> {
        self.start_on(id, Placement::Local).await
    }

    /// Like [`start`](Self::start), on an arbiter of the caller's choice; works from any thread.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`StartError::ArbiterStopped`] in addition.
    pub async fn start_on(
        self,
        id: impl Into<Arc<str>>,
        placement: Placement,
    ) -> Result<SupervisorRef, StartError> {
        let limit = self.start_timeout;
        let root = ChildSpec::supervisor(id, self).placement(placement);
        let handle = root.child_ref();
        let env = LaunchEnv {
            supervisor: None,
            origin: Origin::none(),
        };
        let launched = root.into_blueprint().launch(env);
        // The place of a new spec is free.
        let launched = launched.map_err(|_| StartError::StillRunning)?;
        let control = launched.control;
        let mut start = RootStart(Some(Arc::clone(&control)));
        match within(limit, launched.started).await {
            Some(started) => {
                start.0 = None;
                started.unwrap_or(Err(StartError::ArbiterStopped))?;
                Ok(handle)
            }
            None => {
                drop(start);
                control.exited().await;
                Err(StartError::TimedOut(limit.unwrap_or_default()))
            }
        }
    }

    /// Makes a supervisor that keeps its children in the table given.
    pub(crate) fn instantiate(
        &self,
        making: &Making<'_, Supervisor>,
        id: &str,
        children: Children,
    ) -> Result<Supervisor, BadSpec> {
        self.check()?;
        let above = making.origin;
        let origin = Origin {
            lineage: above.lineage.supervisor(id, self.observer.clone()),
            presence: above.presence.clone(),
        };
        let inbox = Arc::clone(making.inbox);
        Ok(Supervisor::new(self.clone(), origin, children, inbox))
    }

    /// Checks the supervisor and its first children as a whole, before any of them is started.
    fn check(&self) -> Result<(), BadSpec> {
        if self.intensity.period().is_zero() {
            return Err(BadSpec::ZeroPeriod);
        }
        let mut ids = HashSet::with_capacity(self.children.len());
        for child in &self.children {
            check_child(&child.info, self.auto_shutdown)?;
            if !ids.insert(child.id()) {
                return Err(BadSpec::DuplicateId(Arc::clone(child.id())));
            }
        }
        Ok(())
    }
}

/// The start of a root; dropped unfinished, it is taken back.
struct RootStart(Option<Arc<Control>>);

impl Drop for RootStart {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.send(Signal::Shutdown);
        }
    }
}

/// Checks one child, at the start of the supervisor or when it is added later.
pub(super) fn check_child(child: &ChildSpecInfo, auto: AutoShutdown) -> Result<(), BadSpec> {
    if !child.significant {
        return Ok(());
    }
    match (child.restart, auto) {
        (_, AutoShutdown::Never) => Err(BadSpec::SignificantWithoutAuto(Arc::clone(&child.id))),
        (Restart::Permanent, _) => Err(BadSpec::SignificantPermanent(Arc::clone(&child.id))),
        _ => Ok(()),
    }
}

impl fmt::Debug for SupervisorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorSpec")
            .field("strategy", &self.strategy)
            .field("intensity", &self.intensity)
            .field("auto_shutdown", &self.auto_shutdown)
            .field(
                "children",
                &self.children.iter().map(Blueprint::id).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

impl ChildRef<Supervisor> {
    /// Stops the supervisor with reason [`ExitReason::Shutdown`](crate::ExitReason::Shutdown), its children first, in
    /// reverse order and as their [`Shutdown`](crate::Shutdown) says, and waits for the end.
    ///
    /// This is the way to end a root. A nested supervisor that is permanent is started again by the one above it.
    pub async fn shutdown(&self) -> crate::ExitReason {
        self.end(Signal::Shutdown).await
    }

    /// Like [`shutdown`](Self::shutdown), with one limit for the whole tree: what has not ended by then is killed, reason
    /// [`ExitReason::Killed`](crate::ExitReason::Killed).
    ///
    /// Once begun it goes on, also where this future is dropped. A child that blocks its thread ends when it returns.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time, which every arbiter has.
    pub async fn shutdown_within(&self, limit: Duration) -> crate::ExitReason {
        self.end_within(Signal::Shutdown, limit).await
    }
}
