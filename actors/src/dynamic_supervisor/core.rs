//! The children with a spec: what the supervisor does with them, one operation at a time, as plain async functions.
//!
//! As with the static [`Supervisor`](crate::Supervisor) an operation that is dropped half-way drops the `Core`, and that
//! kills the children.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::Recipient;
use futures_util::future::join_all;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    error::{StartDynamicError, TerminateDynamicError},
    seats::{Seat, Seats},
};
use crate::{
    child_spec::{Blueprint, ChildSpecInfo, Restart, Shutdown},
    control::Signal,
    exit::ExitReason,
    intensity::{Intensity, RestartWindow},
    launch::{ChildExited, LaunchEnv, StartError, Started},
    lending::Next,
    observer::Lineage,
    shutdown::StopRequest,
    supervisor::{Child, Life},
};

/// What a [`Core`] is made with.
pub(super) struct CoreSettings {
    pub(super) intensity: Intensity,
    pub(super) kill_timeout: Duration,
    pub(super) seats: Arc<Seats>,
    pub(super) lineage: Lineage,
    pub(super) exits: Recipient<ChildExited>,
    /// Set by the actor while an operation is under way.
    pub(super) stop: Rc<StopRequest>,
}

/// The children with a spec. A key is given out once and grows with every child, so key order is start order.
pub(crate) struct Core {
    entries: BTreeMap<u64, Entry>,
    /// The key of a child by [`Blueprint::identity`].
    by_identity: HashMap<usize, u64>,
    next_key: u64,
    settings: CoreSettings,
    restarts: RestartWindow,
    born: Instant,
}

struct Entry {
    child: Child,
    _seat: Seat,
}

impl Core {
    pub(super) fn new(settings: CoreSettings) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_identity: HashMap::new(),
            next_key: 0,
            settings,
            restarts: RestartWindow::default(),
            born: Instant::now(),
        }
    }

    /// Starts a child and waits until its start is complete; nothing is kept of one that did not start.
    pub(super) async fn start(&mut self, blueprint: Blueprint) -> Result<(), StartDynamicError> {
        let seat = self.settings.seats.take()?;
        let key = self.next_key;
        self.next_key += 1;
        self.by_identity.insert(blueprint.identity(), key);
        let entry = Entry {
            child: Child::new(blueprint),
            _seat: seat,
        };
        self.entries.insert(key, entry);
        let started = self.launch(key, false).await;
        if started != Ok(Started::Running) {
            self.remove(key);
        }
        match started? {
            Started::Running => Ok(()),
            Started::Ignored => Err(StartDynamicError::Ignored),
        }
    }

    /// Ends a child for good.
    pub(super) async fn terminate(&mut self, identity: usize) -> Result<(), TerminateDynamicError> {
        let key = self.by_identity.get(&identity).copied();
        let entry = key
            .and_then(|key| self.remove(key))
            .ok_or(TerminateDynamicError::NotFound)?;
        match self.end(vec![entry]).await {
            0 => Ok(()),
            _ => Err(TerminateDynamicError::Unresponsive),
        }
    }

    /// Ends all children at once, each by its own rule; how many were killed and still block their threads.
    pub(super) async fn stop_all(&mut self) -> usize {
        self.by_identity.clear();
        let entries = std::mem::take(&mut self.entries);
        self.end(entries.into_values().collect()).await
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
            .child_mut(key)
            .filter(|child| child.is_alive_as(incarnation))
        else {
            return Next::GoOn;
        };
        child.life = Life::Restarting(reason.clone());
        let info = Arc::clone(&child.blueprint.info);
        let lineage = &self.settings.lineage;
        lineage.child_terminated(&info.id, incarnation, &reason);
        if info.restart.is_due_after(&reason) {
            return self.restart(key, &reason).await;
        }
        self.remove(key);
        Next::GoOn
    }

    /// Another attempt at a restart that failed, unless the child was ended meanwhile.
    pub(super) async fn try_again(&mut self, key: u64) -> Next {
        // Whoever waits for a turn on this thread, to ask for an end of the attempts perhaps, gets it first.
        yield_now().await;
        match self.child_mut(key).and_then(|child| child.failure()) {
            Some(failure) => self.restart(key, &failure).await,
            None => Next::GoOn,
        }
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        self.entries.values().map(|entry| &entry.child)
    }

    pub(super) fn spec_info(&self, identity: usize) -> Option<ChildSpecInfo> {
        let entry = self.entries.get(self.by_identity.get(&identity)?)?;
        Some(ChildSpecInfo::clone(&entry.child.blueprint.info))
    }

    async fn restart(&mut self, key: u64, reason: &ExitReason) -> Next {
        let now = self.born.elapsed();
        if !self.restarts.admit(self.settings.intensity, now) {
            if let Some(entry) = self.remove(key) {
                let id = entry.child.blueprint.id();
                self.settings.lineage.gave_up(id, reason);
            }
            return Next::Exit;
        }
        match self.launch(key, true).await {
            Ok(Started::Running) => Next::GoOn,
            Ok(Started::Ignored) => {
                self.remove(key);
                Next::GoOn
            }
            Err(_) => Next::TryAgain(key),
        }
    }

    /// Starts the next incarnation of a child that does not run.
    async fn launch(&mut self, key: u64, restarted: bool) -> Result<Started, StartError> {
        let Some(Entry { child, .. }) = self.entries.get_mut(&key) else {
            return Ok(Started::Ignored);
        };
        if self.settings.stop.is_made() {
            return Err(StartError::SupervisorStopping);
        }
        let lineage = &self.settings.lineage;
        let launched = child.blueprint.launch(LaunchEnv {
            supervisor: Some((self.settings.exits.clone(), key)),
            lineage: lineage.clone(),
        });
        // From here on the child dies with the supervisor, even in the middle of its start.
        child.life = Life::of(&launched);
        let incarnation = launched.incarnation;
        let info = Arc::clone(&child.blueprint.info);
        let (stop, limit) = (&self.settings.stop, self.settings.kill_timeout);
        let started = stop.or_started(launched, info.shutdown, limit).await;
        match &started {
            Ok(Started::Running) => {
                lineage.child_started(&info.id, incarnation, restarted);
                if info.restart == Restart::Temporary {
                    child.blueprint.forget_factory();
                }
            }
            Ok(Started::Ignored) => {}
            Err(error) => {
                child.life = Life::Restarting(error.clone().into_reason());
                lineage.start_failed(&info.id, error);
            }
        }
        started
    }

    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.by_identity.remove(&entry.child.blueprint.identity());
        Some(entry)
    }

    fn child_mut(&mut self, key: u64) -> Option<&mut Child> {
        Some(&mut self.entries.get_mut(&key)?.child)
    }

    /// Ends children that are out of the table already; how many still block their threads.
    async fn end(&self, entries: Vec<Entry>) -> usize {
        // Should this future be dropped, the guard kills who has not ended.
        let entries = Doomed(entries);
        let mut groups: Vec<(Shutdown, Vec<&Child>)> = Vec::new();
        for Entry { child, .. } in &entries.0 {
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
        } = &child.life
        else {
            return true;
        };
        let (lineage, id) = (&self.settings.lineage, child.blueprint.id());
        let reason = control.exit_reason();
        lineage.child_terminated(id, *incarnation, reason.unwrap_or(&ExitReason::Killed));
        if reason.is_none() {
            tracing::error!(child = %id, incarnation, "a killed child still blocks its thread");
        }
        reason.is_some()
    }
}

/// Children that are being ended.
struct Doomed(Vec<Entry>);

impl Drop for Doomed {
    fn drop(&mut self) {
        for Entry { child, .. } in &self.0 {
            child.tell(Signal::Kill);
        }
    }
}

impl Drop for Core {
    /// A supervisor that is killed, or dies of a panic, takes its children with it: no orphans.
    fn drop(&mut self) {
        self.children().for_each(|child| child.tell(Signal::Kill));
    }
}
