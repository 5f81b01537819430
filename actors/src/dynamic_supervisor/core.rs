//! The children with a spec: what the supervisor does with them, one operation at a time, as plain async functions.
//!
//! As with the static [`Supervisor`](crate::Supervisor) an operation that is dropped half-way drops the `Core`, and that
//! kills the children.

use std::{rc::Rc, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    error::{StartDynamicError, TerminateDynamicError},
    named::Named,
    seats::Seats,
};
use crate::{
    child_spec::{Blueprint, Restart, Shutdown},
    control::Signal,
    exit::ExitReason,
    intensity::{Intensity, RestartWindow},
    launch::{ChildExited, Exits, LaunchEnv, Origin, StartError, Started},
    lending::Next,
    shutdown::StopRequest,
    supervisor::{Child, Life},
};

/// What a [`Core`] is made with.
pub(super) struct CoreSettings {
    pub(super) intensity: Intensity,
    pub(super) kill_timeout: Duration,
    pub(super) seats: Arc<Seats>,
    pub(super) named: Arc<Named>,
    pub(super) origin: Origin,
    pub(super) exits: Exits,
    /// Set by the actor while an operation is under way.
    pub(super) stop: Rc<StopRequest>,
}

/// The state that the operations work on.
pub(crate) struct Core {
    settings: CoreSettings,
    restarts: RestartWindow,
    born: Instant,
}

impl Core {
    pub(super) fn new(settings: CoreSettings) -> Self {
        Self {
            settings,
            restarts: RestartWindow::default(),
            born: Instant::now(),
        }
    }

    /// Starts a child and waits until its start is complete; nothing is kept of one that did not start.
    pub(super) async fn start(&mut self, blueprint: Blueprint) -> Result<(), StartDynamicError> {
        let seat = self.settings.seats.take()?;
        let key = self.named().add(blueprint, seat);
        let started = self.launch(key, false).await;
        if started != Ok(Started::Running) {
            self.named().remove(key);
        }
        match started? {
            Started::Running => Ok(()),
            Started::Ignored => Err(StartDynamicError::Ignored),
        }
    }

    /// Ends a child for good.
    pub(super) async fn terminate(&mut self, identity: usize) -> Result<(), TerminateDynamicError> {
        let key = self.named().key_of(identity);
        let key = key.ok_or(TerminateDynamicError::NotFound)?;
        let child = self.named().get(key);
        let blocked = self.end(child.as_slice()).await;
        self.named().remove(key);
        match blocked {
            0 => Ok(()),
            _ => Err(TerminateDynamicError::Unresponsive),
        }
    }

    /// Ends all children at once, each by its own rule; how many were killed and still block their threads.
    pub(super) async fn stop_all(&mut self) -> usize {
        self.end(&self.named().snapshot()).await
    }

    /// A child ended by itself.
    pub(super) async fn child_exited(&mut self, exit: ChildExited) -> Next {
        let ChildExited {
            key,
            incarnation,
            reason,
        } = exit;
        // The exit of a child that was ended on request is no news.
        let Some(child) = self
            .named()
            .get(key)
            .filter(|child| child.is_alive_as(incarnation))
        else {
            return Next::GoOn;
        };
        self.named().set_life(key, Life::Stopped);
        let info = &child.blueprint.info;
        let lineage = &self.settings.origin.lineage;
        lineage.child_terminated(&info.id, incarnation, &reason);
        if info.restart.is_due_after(&reason) {
            return match self.named().restarts(key, reason.clone()) {
                Some(pause) => Next::TryAgainAfter(key, pause),
                None => self.restart(key, &reason).await,
            };
        }
        child.blueprint.retire(&reason);
        self.named().remove(key);
        Next::GoOn
    }

    /// Another attempt at a restart that failed, unless the child was ended meanwhile.
    pub(super) async fn try_again(&mut self, key: u64) -> Next {
        // Whoever waits for a turn on this thread, to ask for an end of the attempts perhaps, gets it first.
        yield_now().await;
        match self.named().get(key).and_then(|child| child.failure()) {
            Some(failure) => self.restart(key, &failure).await,
            None => Next::GoOn,
        }
    }

    fn named(&self) -> &Named {
        &self.settings.named
    }

    async fn restart(&mut self, key: u64, reason: &ExitReason) -> Next {
        let now = self.born.elapsed();
        if !self.restarts.admit(self.settings.intensity, now) {
            if let Some(child) = self.named().remove(key) {
                let lineage = &self.settings.origin.lineage;
                lineage.gave_up(child.blueprint.id(), reason);
            }
            return Next::Exit;
        }
        match self.launch(key, true).await {
            Ok(Started::Running) => Next::GoOn,
            Ok(Started::Ignored) => {
                self.named().remove(key);
                Next::GoOn
            }
            Err(error) => match self.named().restarts(key, error.into_reason()) {
                Some(pause) => Next::TryAgainAfter(key, pause),
                None => Next::TryAgain(key),
            },
        }
    }

    /// Starts the next incarnation of a child that does not run.
    async fn launch(&mut self, key: u64, restarted: bool) -> Result<Started, StartError> {
        let Some(child) = self.named().get(key) else {
            return Ok(Started::Ignored);
        };
        if self.settings.stop.is_made() {
            return Err(StartError::SupervisorStopping);
        }
        let started = self.begin(key, &child.blueprint, restarted).await;
        if let Err(error) = &started {
            self.named().set_life(key, Life::Stopped);
            let lineage = &self.settings.origin.lineage;
            lineage.start_failed(child.blueprint.id(), error);
        }
        started
    }

    async fn begin(
        &self,
        key: u64,
        blueprint: &Blueprint,
        restarted: bool,
    ) -> Result<Started, StartError> {
        let (stop, limit) = (&self.settings.stop, self.settings.kill_timeout);
        let env = || LaunchEnv {
            supervisor: Some((Arc::clone(&self.settings.exits), key)),
            origin: self.settings.origin.clone(),
        };
        let launched = stop.launched(blueprint, env, limit).await?;
        // From here on the child dies with the supervisor, even in the middle of its start.
        self.named().set_life(key, Life::of(&launched));
        let incarnation = launched.incarnation;
        let info = &blueprint.info;
        let started = stop.or_started(launched, info, limit).await?;
        if started == Started::Running {
            self.named().set_started(key);
            let lineage = &self.settings.origin.lineage;
            lineage.child_started(&info.id, incarnation, restarted);
            if info.restart == Restart::Temporary {
                self.named().forget_factory(key);
            }
        }
        Ok(started)
    }

    /// Ends children; how many still block their threads.
    async fn end(&self, children: &[Child]) -> usize {
        let mut groups: Vec<(Shutdown, Vec<&Child>)> = Vec::new();
        for child in children {
            let shutdown = child.blueprint.info.shutdown;
            match groups.iter_mut().find(|(of, _)| *of == shutdown) {
                Some((_, group)) => group.push(child),
                None => groups.push((shutdown, vec![child])),
            }
        }
        let ends = groups
            .iter()
            .map(|(shutdown, group)| self.end_group(*shutdown, group));
        join_all(ends).await.into_iter().sum()
    }

    /// Ends children that share a rule: all are told at once, and one timer serves all.
    async fn end_group(&self, shutdown: Shutdown, group: &[&Child]) -> usize {
        let tell = |signal| group.iter().for_each(|child| child.tell(signal));
        let all_ended = async {
            for child in group {
                child.exited().await;
            }
        };
        tokio::pin!(all_ended);
        if shutdown != Shutdown::Kill {
            tell(Signal::Shutdown);
        }
        let in_time = match shutdown {
            Shutdown::Kill => false,
            Shutdown::Timeout(patience) => timeout(patience, &mut all_ended).await.is_ok(),
            Shutdown::Infinity => {
                (&mut all_ended).await;
                true
            }
        };
        if !in_time {
            tell(Signal::Kill);
            let _ = timeout(self.settings.kill_timeout, &mut all_ended).await;
        }
        group.iter().filter(|child| !self.report_end(child)).count()
    }

    /// Reports the end of a child that was told to end; false when it still blocks its thread.
    fn report_end(&self, child: &Child) -> bool {
        let Life::Alive {
            control,
            incarnation,
            ..
        } = &child.life
        else {
            return true;
        };
        let (lineage, id) = (&self.settings.origin.lineage, child.blueprint.id());
        let reason = control.exit_reason();
        lineage.child_terminated(id, *incarnation, reason.unwrap_or(&ExitReason::Killed));
        if reason.is_none() {
            tracing::error!(child = %id, incarnation, "a killed child still blocks its thread");
        }
        reason.is_some()
    }
}

impl Drop for Core {
    /// A supervisor that is killed, or dies of a panic, takes its children with it: no orphans.
    fn drop(&mut self) {
        self.named().abandon();
    }
}
