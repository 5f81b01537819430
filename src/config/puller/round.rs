//! A round of pulls: all services at once, each stored when it is there.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;

use super::{
    fetch::{Fetched, Fetcher, List},
    settings::PullerSettings,
    state::{PullReport, PullResult, PullerState, PullerStatus, Task},
    watch::PullWatch,
};
use crate::{
    clock::Clock,
    config::{ConfigTable, FailedConfigs},
    model::{InvalidConfig, ServiceConfig},
    node::{NodeClient, NodeResolver},
    telemetry::Telemetry,
};

/// The puller's services and what it does about them. It outlives the actor that sets the pace.
pub(crate) struct Pulls {
    fetcher: Fetcher,
    settings: PullerSettings,
    telemetry: Telemetry,
    state: Mutex<PullerState>,
    /// Rounds take turns: two at once would ask everybody twice and count one failure as two.
    turn: tokio::sync::Mutex<()>,
}

impl Pulls {
    pub(crate) fn new(
        client: Arc<dyn NodeClient>,
        resolver: NodeResolver,
        table: Arc<ConfigTable>,
        failed: FailedConfigs,
        clock: Arc<dyn Clock>,
        settings: PullerSettings,
        telemetry: Telemetry,
    ) -> Self {
        let timeout = settings.timeout();
        Self {
            fetcher: Fetcher {
                client,
                resolver,
                table,
                failed,
                clock,
                timeout,
            },
            settings,
            telemetry,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Looks at, or changes, what is known; not for long.
    pub(super) fn state<T>(&self, look: impl FnOnce(&mut PullerState) -> T) -> T {
        look(&mut self.state.lock())
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.fetcher.clock
    }

    /// The pause until the next round, as things are.
    pub(super) fn pause(&self) -> Duration {
        let failures = self.state(|state| state.failures());
        self.settings.pause(failures)
    }

    /// Registers services, all of them or, where one has faults, none. Nodes are judged at each pull.
    pub(crate) fn add(&self, services: Vec<ServiceConfig>) -> Result<(), InvalidConfig> {
        for service in &services {
            let Err(mut invalid) = service.validate() else {
                continue;
            };
            tracing::warn!(
                service = crate::log_text::cut(&service.service),
                error = crate::log_text::printed(&invalid),
                "a service cannot be pulled"
            );
            invalid.faults.retain(|fault| fault.field != "nodes");
            InvalidConfig::unless_empty(invalid.faults)?;
        }
        self.state(|state| services.into_iter().for_each(|service| state.add(service)));
        Ok(())
    }

    /// Ends the pulling of these services.
    pub(crate) fn delete(&self, services: &[String]) {
        self.state(|state| services.iter().for_each(|service| state.delete(service)));
    }

    pub(crate) fn status(&self) -> PullerStatus {
        self.state(|state| state.status(&self.settings))
    }

    /// Pulls all services at once. A forced round asks for every list, whatever its version.
    ///
    /// It may be dropped at any time: what was stored until then stays.
    pub(crate) async fn round(&self, force: bool) -> PullReport {
        let _turn = self.turn.lock().await;
        let tasks = self.state(|state| state.begin(force));
        let pulls: FuturesUnordered<_> = tasks.into_iter().map(|task| self.pull(task)).collect();
        let results: Vec<(Task, PullResult)> = pulls.collect().await;
        let (report, ended) = self.state(|state| state.end(results, &self.settings));
        self.log(&report, ended);
        report
    }

    async fn pull(&self, task: Task) -> (Task, PullResult) {
        let clock = &**self.clock();
        let watch = PullWatch::start(&self.telemetry, clock, &task.config.service);
        let result = match self.fetcher.fetch(&task).await {
            Fetched::Unchanged => PullResult::Skipped,
            Fetched::Failed(reason) => PullResult::Failed { reason },
            Fetched::List(list) => self.store(&task, list),
        };
        watch.stop(&result);
        (task, result)
    }

    /// Stores the list of a service, unless the service was deleted while it was fetched.
    fn store(&self, task: &Task, list: List) -> PullResult {
        let service = &*task.config;
        let table = &self.fetcher.table;
        // Held to the end, so that a deletion comes before all of it or after.
        let mut state = self.state.lock();
        if !state.is_current(task) {
            return PullResult::Outdated;
        }
        let (mut apis, mut listed) = (Vec::new(), HashSet::new());
        let stored = list.functions.len();
        for function in &list.functions {
            if listed.insert(function.request_type.clone()) {
                apis.push(function.request_type.clone());
            }
        }
        let named = |request_type: &str, version: Option<&str>| {
            let name = (request_type.to_owned(), version.map(str::to_owned));
            list.named.contains(&name)
        };
        let keep = service.prune.then_some(&named as _);
        let pruned = table.refresh(&service.service, list.functions, keep);
        state.pulled(task, apis, list.version);
        PullResult::Pulled {
            stored,
            refused: list.refused,
            pruned,
        }
    }

    fn log(&self, report: &PullReport, ended: u32) {
        let next_ms = report.next_pull.as_millis();
        for (service, result) in &report.results {
            if let PullResult::Failed { reason } = result {
                let (service, reason) =
                    (crate::log_text::cut(service), crate::log_text::cut(reason));
                tracing::warn!(service, reason, "the pull of a service failed");
            }
        }
        if report.failures > 0 {
            let failures = report.failures;
            tracing::warn!(failures, next_ms, "no service could be pulled");
        } else if ended > 0 {
            tracing::info!(failures = ended, "pulling has recovered");
        }
    }
}

impl fmt::Debug for Pulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulls")
            .field("settings", &self.settings)
            .field("state", &*self.state.lock())
            .finish_non_exhaustive()
    }
}
