//! What a supervisor does with its children: the operations, one at a time, as plain async functions.
//!
//! The [`Supervisor`](super::Supervisor) actor lends its `Core` to one operation and takes no message meanwhile. An
//! operation that is dropped half-way (its supervisor was killed) drops the `Core`, and that kills the children.

use std::{ops::Bound, rc::Rc, sync::Arc, time::Duration};

use tokio::{task::yield_now, time::Instant};

use super::{
    child::{Child, Life},
    children::Children,
    error::{DeleteChildError, RestartChildError, StartChildError, TerminateChildError},
    spec::{SupervisorSpec, check_child},
    strategy::{AfterExit, affected, after_exit, ends_supervisor},
};
use crate::{
    child_spec::{Blueprint, Restart},
    exit::ExitReason,
    intensity::RestartWindow,
    launch::{ChildExited, Exits, LaunchEnv, Origin, StartError, Started},
    lending::Next,
    shutdown::{StopRequest, end_child},
};

const ALL: (Bound<u64>, Bound<u64>) = (Bound::Unbounded, Bound::Unbounded);

/// The state of a supervisor that its operations work on.
pub(crate) struct Core {
    pub(super) children: Children,
    pub(super) origin: Origin,
    spec: SupervisorSpec,
    restarts: RestartWindow,
    born: Instant,
    exits: Exits,
    /// Set by the actor while an operation is under way.
    stop: Rc<StopRequest>,
}

impl Core {
    pub(super) fn new(
        spec: SupervisorSpec,
        origin: Origin,
        children: Children,
        exits: Exits,
        stop: Rc<StopRequest>,
    ) -> Self {
        Self {
            children,
            origin,
            spec,
            restarts: RestartWindow::default(),
            born: Instant::now(),
            exits,
            stop,
        }
    }

    /// Starts the first children in order; when one fails, those before it are stopped again in reverse order.
    pub(super) async fn start_all(&mut self) -> Result<(), ExitReason> {
        for blueprint in std::mem::take(&mut self.spec.children) {
            let id = Arc::clone(blueprint.id());
            let key = self.children.add(blueprint);
            match self.start(key, false).await {
                Ok(()) => {}
                Err(StartError::SupervisorStopping) => {
                    self.stop_all().await;
                    return Err(ExitReason::Shutdown);
                }
                Err(error) => {
                    self.stop_all().await;
                    return Err(ExitReason::error(format_args!(
                        "child `{id}` did not start: {error}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Stops all children in reverse start order, each awaited.
    pub(super) async fn stop_all(&mut self) {
        for key in self.children.keys(ALL).into_iter().rev() {
            let _ = self.stop(key).await;
        }
    }

    pub(super) async fn start_child(
        &mut self,
        blueprint: Blueprint,
    ) -> Result<(), StartChildError> {
        let id = Arc::clone(blueprint.id());
        check_child(&blueprint.info, self.spec.auto_shutdown)?;
        match self.children.find(&id).map(|(_, child)| child.life) {
            Some(Life::Alive { .. }) => return Err(StartChildError::AlreadyStarted(id)),
            Some(Life::Stopped | Life::Restarting { .. }) => {
                return Err(StartChildError::AlreadyPresent(id));
            }
            None => {}
        }
        let key = self.children.add(blueprint);
        match self.start(key, false).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.children.remove(key);
                Err(StartChildError::Start { id, error })
            }
        }
    }

    pub(super) async fn restart_child(&mut self, id: Arc<str>) -> Result<(), RestartChildError> {
        let key = match self.children.find(&id) {
            None => return Err(RestartChildError::NotFound(id)),
            Some((key, child)) => match child.life {
                Life::Stopped => key,
                Life::Restarting { .. } => return Err(RestartChildError::Restarting(id)),
                Life::Alive { .. } => return Err(RestartChildError::Running(id)),
            },
        };
        self.start(key, false)
            .await
            .map_err(|error| RestartChildError::Start { id, error })
    }

    pub(super) async fn terminate_child(
        &mut self,
        id: Arc<str>,
    ) -> Result<(), TerminateChildError> {
        let Some(key) = self.children.key_of(&id) else {
            return Err(TerminateChildError::NotFound(id));
        };
        let ended = self.stop(key).await;
        self.forget_if_temporary(key);
        ended.map_err(|Unresponsive| TerminateChildError::Unresponsive(id))
    }

    pub(super) fn delete_child(&mut self, id: Arc<str>) -> Result<(), DeleteChildError> {
        match self.children.find(&id) {
            None => Err(DeleteChildError::NotFound(id)),
            Some((key, child)) => match child.life {
                Life::Stopped => {
                    self.children.remove(key);
                    Ok(())
                }
                Life::Restarting { .. } => Err(DeleteChildError::Restarting(id)),
                Life::Alive { .. } => Err(DeleteChildError::Running(id)),
            },
        }
    }

    /// A child ended by itself.
    pub(super) async fn child_exited(&mut self, exit: ChildExited) -> Next {
        let ChildExited {
            key,
            incarnation,
            reason,
        } = exit;
        // The exit of a child that was stopped or replaced meanwhile is no news.
        let Some(child) = self
            .children
            .get(key)
            .filter(|child| child.is_alive_as(incarnation))
        else {
            return Next::GoOn;
        };
        let info = Arc::clone(&child.blueprint.info);
        let lineage = &self.origin.lineage;
        lineage.child_terminated(&info.id, incarnation, &reason);
        self.children.set_life(key, Life::Stopped);
        match after_exit(info.restart, &reason) {
            AfterExit::Restart => {
                return match self.children.restarts(key, reason.clone()) {
                    Some(pause) => self.wait(key, pause).await,
                    None => self.restart(key, &reason).await,
                };
            }
            AfterExit::Keep => {}
            AfterExit::Forget => self.children.remove(key),
        }
        child.blueprint.retire(&reason);
        let others = self.children.significant_left();
        if info.significant && ends_supervisor(self.spec.auto_shutdown, others) {
            return Next::Exit;
        }
        Next::GoOn
    }

    /// Another attempt at a restart that failed, unless somebody has settled the matter meanwhile.
    pub(super) async fn try_again(&mut self, key: u64) -> Next {
        // Whoever waits for a turn on this thread, to ask for an end of the attempts perhaps, gets it first.
        yield_now().await;
        match self.children.get(key).and_then(|child| child.failure()) {
            Some(failure) => self.restart(key, &failure).await,
            None => Next::GoOn,
        }
    }

    async fn restart(&mut self, failed: u64, reason: &ExitReason) -> Next {
        if !self
            .restarts
            .admit(self.spec.intensity, self.born.elapsed())
        {
            if let Some(child) = self.children.get(failed) {
                let lineage = &self.origin.lineage;
                lineage.gave_up(child.blueprint.id(), reason);
            }
            return Next::Exit;
        }
        self.stop_along_with(failed).await;
        self.children.set_life(failed, Life::Stopped);
        for key in self.children.keys(affected(self.spec.strategy, failed)) {
            if let Err(error) = self.start(key, true).await {
                return match self.children.restarts(key, error.into_reason()) {
                    Some(pause) => Next::TryAgainAfter(key, pause),
                    None => Next::TryAgain(key),
                };
            }
        }
        Next::GoOn
    }

    /// Has a child that ended wait for its restart; who is restarted along does not run meanwhile.
    async fn wait(&mut self, failed: u64, pause: Duration) -> Next {
        self.stop_along_with(failed).await;
        Next::TryAgainAfter(failed, pause)
    }

    /// Stops those who are restarted along with a child, in reverse order.
    async fn stop_along_with(&mut self, failed: u64) {
        let range = affected(self.spec.strategy, failed);
        for key in self.children.keys(range).into_iter().rev() {
            if key != failed {
                let _ = self.stop(key).await;
                self.forget_if_temporary(key);
            }
        }
    }

    /// Starts a child that does not run, and waits until its start is complete.
    async fn start(&mut self, key: u64, restarted: bool) -> Result<(), StartError> {
        if self.stop.is_made() {
            return Err(StartError::SupervisorStopping);
        }
        let Some(child) = self.children.get(key) else {
            return Ok(());
        };
        let blueprint = child.blueprint;
        let env = || LaunchEnv {
            supervisor: Some((Arc::clone(&self.exits), key)),
            origin: self.origin.clone(),
        };
        let limit = self.spec.kill_timeout;
        let launched = self.stop.launched(&blueprint, env, limit).await?;
        let incarnation = launched.incarnation;
        // From here on the child dies with the supervisor, even in the middle of its start.
        self.children.set_life(key, Life::of(&launched));
        let info = &blueprint.info;
        match self.stop.or_started(launched, info, limit).await {
            Ok(Started::Running) => {
                self.children.set_started(key);
                let lineage = &self.origin.lineage;
                lineage.child_started(blueprint.id(), incarnation, restarted);
                if blueprint.info.restart == Restart::Temporary {
                    self.children.forget_factory(key);
                }
                Ok(())
            }
            Ok(Started::Ignored) => {
                blueprint.retire(&ExitReason::Normal);
                self.children.set_life(key, Life::Stopped);
                self.forget_if_temporary(key);
                Ok(())
            }
            Err(error) => {
                if !restarted {
                    blueprint.retire(&error.clone().into_reason());
                }
                self.children.set_life(key, Life::Stopped);
                self.origin.lineage.start_failed(blueprint.id(), &error);
                Err(error)
            }
        }
    }

    async fn stop(&mut self, key: u64) -> Result<(), Unresponsive> {
        let Some(child) = self.children.get(key) else {
            return Ok(());
        };
        let Life::Alive {
            control,
            incarnation,
            ..
        } = &child.life
        else {
            child.blueprint.retire(&ExitReason::Shutdown);
            self.children.set_life(key, Life::Stopped);
            return Ok(());
        };
        let (control, incarnation) = (Arc::clone(control), *incarnation);
        let blueprint = &child.blueprint;
        let info = &blueprint.info;
        let ended = end_child(&control, info.shutdown, self.spec.kill_timeout).await;
        self.children.set_life(key, Life::Stopped);
        if ended.is_none() {
            blueprint.give_up(incarnation);
            tracing::error!(child = %info.id, incarnation, "a killed child still blocks its thread");
        }
        let reason = ended.as_ref().unwrap_or(&ExitReason::Killed);
        blueprint.retire(reason);
        let lineage = &self.origin.lineage;
        lineage.child_terminated(&info.id, incarnation, reason);
        ended.map(drop).ok_or(Unresponsive)
    }

    fn forget_if_temporary(&mut self, key: u64) {
        let temporary = |child: Child| child.blueprint.info.restart == Restart::Temporary;
        if self.children.get(key).is_some_and(temporary) {
            self.children.remove(key);
        }
    }
}

impl Drop for Core {
    /// A supervisor that is killed, or dies of a panic, takes its children with it.
    fn drop(&mut self) {
        self.children.abandon();
    }
}

/// A killed child blocks its thread beyond the kill timeout.
struct Unresponsive;
