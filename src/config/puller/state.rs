//! What a puller knows: its services, what it pulled of them, and when the next round comes. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::PullerSettings;
use crate::model::ServiceConfig;

/// The services of a puller, by name, and how its rounds went.
#[derive(Debug, Default)]
pub(super) struct PullerState {
    services: BTreeMap<String, Service>,
    registrations: u64,
    failures: u32,
    rounds: u64,
}

/// A registered service and what was pulled of it.
#[derive(Debug)]
struct Service {
    config: Arc<ServiceConfig>,
    /// Tells a service from one of the same name that was deleted before it.
    registration: u64,
    version: Option<Value>,
    /// The request types of the last list that was fetched.
    apis: Option<Vec<String>>,
    last: Option<PullResult>,
}

/// A service as a round finds it.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) config: Arc<ServiceConfig>,
    pub(super) registration: u64,
    pub(super) version: Option<Value>,
}

/// What a round did about one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullResult {
    /// Its list was fetched.
    Pulled {
        /// How many of the functions were stored.
        stored: usize,
        /// How many were refused; each has its note among the failed configs.
        refused: usize,
        /// How many were removed because the list no longer names them; only with `prune`.
        pruned: usize,
    },
    /// Its version is the stored one, so nothing was fetched.
    Skipped,
    /// Its list could not be fetched.
    Failed {
        /// Why, for each node that was asked.
        reason: String,
    },
    /// It was deleted or added anew during the round: what was fetched was thrown away.
    Outdated,
}

impl PullResult {
    fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// What became of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PullReport {
    /// What was done about each service.
    pub results: BTreeMap<String, PullResult>,
    /// How many rounds in a row have failed now: those in which every service failed.
    pub failures: u32,
    /// The pause until the next round.
    pub next_pull: Duration,
}

/// How a puller is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PullerStatus {
    /// The registered services, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// How many rounds in a row have failed: those in which every service failed.
    pub failures: u32,
    /// How many rounds there have been.
    pub rounds: u64,
    /// The pause between the last round and the next.
    pub next_pull: Duration,
}

/// How the pulling of one service is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// How it is pulled.
    pub config: ServiceConfig,
    /// The version of its configs that was pulled last; none where it is not known.
    pub version: Option<Value>,
    /// The request types that were pulled last; none where nothing was pulled yet.
    pub apis: Option<Vec<String>>,
    /// What the last round did about it; none before its first.
    pub last: Option<PullResult>,
}

impl PullerState {
    /// Registers a service. One of the same name is replaced, what is known of it stays.
    pub(super) fn add(&mut self, config: ServiceConfig) {
        let config = Arc::new(config);
        if let Some(known) = self.services.get_mut(&config.service) {
            known.config = config;
            return;
        }
        self.registrations += 1;
        let service = Service {
            config: Arc::clone(&config),
            registration: self.registrations,
            version: None,
            apis: None,
            last: None,
        };
        self.services.insert(config.service.clone(), service);
    }

    /// Forgets a service, its version and its list of request types.
    pub(super) fn delete(&mut self, service: &str) {
        self.services.remove(service);
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn configs(&self) -> BTreeMap<String, ServiceConfig> {
        let services = self.services.iter();
        services
            .map(|(name, service)| (name.clone(), (*service.config).clone()))
            .collect()
    }

    pub(super) fn apis(&self, service: &str) -> Option<Vec<String>> {
        self.services.get(service)?.apis.clone()
    }

    pub(super) fn version(&self, service: &str) -> Option<Value> {
        self.services.get(service)?.version.clone()
    }

    pub(super) fn versions(&self) -> BTreeMap<String, Option<Value>> {
        let services = self.services.iter();
        services
            .map(|(name, service)| (name.clone(), service.version.clone()))
            .collect()
    }

    /// The services of a new round. A forced one forgets all versions first.
    pub(super) fn begin(&mut self, force: bool) -> Vec<Task> {
        let begin = |service: &mut Service| {
            if force {
                service.version = None;
            }
            Task {
                config: Arc::clone(&service.config),
                registration: service.registration,
                version: service.version.clone(),
            }
        };
        self.services.values_mut().map(begin).collect()
    }

    /// Whether the service of a task is still registered.
    pub(super) fn is_current(&self, task: &Task) -> bool {
        let service = self.services.get(&task.config.service);
        service.is_some_and(|service| service.registration == task.registration)
    }

    /// Notes that the list of a service was fetched, and which functions of it were stored.
    pub(super) fn pulled(&mut self, task: &Task, apis: Vec<String>, version: FetchedVersion) {
        if !self.is_current(task) {
            return;
        }
        let Some(service) = self.services.get_mut(&task.config.service) else {
            return;
        };
        service.apis = Some(apis);
        match version {
            FetchedVersion::Known(version) => service.version = Some(version),
            FetchedVersion::Unknown => {}
            FetchedVersion::Undecided => service.version = None,
        }
    }

    /// Ends a round, and answers how it went and how many failed rounds it ended.
    pub(super) fn end(
        &mut self,
        results: Vec<(Task, PullResult)>,
        settings: &PullerSettings,
    ) -> (PullReport, u32) {
        let failed = |(_, result): &(Task, PullResult)| result.is_failure();
        let is_failure = !results.is_empty() && results.iter().all(failed);
        let before = self.failures;
        self.failures = if is_failure {
            before.saturating_add(1)
        } else {
            0
        };
        self.rounds += 1;
        let mut report = PullReport {
            results: BTreeMap::new(),
            failures: self.failures,
            next_pull: settings.pause(self.failures),
        };
        for (task, result) in results {
            if self.is_current(&task)
                && let Some(service) = self.services.get_mut(&task.config.service)
            {
                service.last = Some(result.clone());
            }
            report.results.insert(task.config.service.clone(), result);
        }
        let ended = if is_failure { 0 } else { before };
        (report, ended)
    }

    pub(super) fn status(&self, settings: &PullerSettings) -> PullerStatus {
        let services = self.services.iter().map(|(name, service)| {
            let status = ServiceStatus {
                config: (*service.config).clone(),
                version: service.version.clone(),
                apis: service.apis.clone(),
                last: service.last.clone(),
            };
            (name.clone(), status)
        });
        PullerStatus {
            services: services.collect(),
            failures: self.failures,
            rounds: self.rounds,
            next_pull: settings.pause(self.failures),
        }
    }
}

/// What is known of the version of a list that was fetched.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FetchedVersion {
    /// It is this one.
    Known(Value),
    /// Nobody told: the version of before stays.
    Unknown,
    /// Some functions of the list could not be judged: the next round has to ask again.
    Undecided,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Mfa, Nodes};

    fn service(name: &str) -> ServiceConfig {
        let nodes = Nodes::list(["http://a:1"]);
        ServiceConfig::new(name, nodes, Mfa::new("Configs", "all"))
    }

    fn failed() -> PullResult {
        PullResult::Failed {
            reason: "down".to_owned(),
        }
    }

    /// A round in which the services, in the order of their names, end like this.
    fn round(state: &mut PullerState, results: &[PullResult]) -> (PullReport, u32) {
        let tasks = state.begin(false);
        assert_eq!(tasks.len(), results.len());
        let results = tasks.into_iter().zip(results.iter().cloned());
        state.end(results.collect(), &PullerSettings::default())
    }

    #[test]
    fn only_a_round_in_which_every_service_failed_is_a_failure() {
        let mut state = PullerState::default();
        state.add(service("shop"));
        state.add(service("users"));
        let (report, _) = round(&mut state, &[failed(), failed()]);
        assert_eq!((report.failures, report.next_pull.as_secs()), (1, 60));
        let (report, ended) = round(&mut state, &[failed(), failed()]);
        assert_eq!(
            (report.failures, report.next_pull.as_secs(), ended),
            (2, 120, 0)
        );
        let (report, ended) = round(&mut state, &[failed(), PullResult::Skipped]);
        assert_eq!(
            (report.failures, report.next_pull.as_secs(), ended),
            (0, 30, 2)
        );
    }

    #[test]
    fn a_round_without_services_is_good() {
        let (report, _) = round(&mut PullerState::default(), &[]);
        assert_eq!(report.failures, 0);
    }

    #[test]
    fn a_service_that_is_registered_again_keeps_what_is_known_and_a_deleted_one_loses_it() {
        let mut state = PullerState::default();
        state.add(service("users"));
        let task = state.begin(false).remove(0);
        let version = FetchedVersion::Known(json!(7));
        state.pulled(&task, vec!["get".to_owned()], version);
        state.add(service("users").with_prune());
        assert_eq!(state.version("users"), Some(json!(7)));
        assert!(state.configs()["users"].prune);
        state.delete("users");
        state.add(service("users"));
        assert_eq!((state.version("users"), state.apis("users")), (None, None));
    }

    #[test]
    fn what_is_fetched_for_a_service_that_was_deleted_meanwhile_is_not_noted() {
        let mut state = PullerState::default();
        state.add(service("users"));
        let task = state.begin(false).remove(0);
        state.delete("users");
        state.add(service("users"));
        assert!(!state.is_current(&task));
        let version = FetchedVersion::Known(json!(7));
        state.pulled(&task, vec!["get".to_owned()], version);
        assert_eq!((state.version("users"), state.apis("users")), (None, None));
        state.end(
            vec![(task, PullResult::Skipped)],
            &PullerSettings::default(),
        );
        assert_eq!(
            state.status(&PullerSettings::default()).services["users"].last,
            None
        );
    }

    #[test]
    fn a_version_is_kept_where_nobody_told_it_and_dropped_where_it_is_undecided() {
        let mut state = PullerState::default();
        state.add(service("users"));
        let task = state.begin(false).remove(0);
        let mut pulled = |version| {
            state.pulled(&task, Vec::new(), version);
            state.version("users")
        };
        assert_eq!(
            pulled(FetchedVersion::Known(json!("v1"))),
            Some(json!("v1"))
        );
        assert_eq!(pulled(FetchedVersion::Unknown), Some(json!("v1")));
        assert_eq!(pulled(FetchedVersion::Undecided), None);
    }

    #[test]
    fn a_forced_round_forgets_all_versions_at_its_beginning() {
        let mut state = PullerState::default();
        state.add(service("users"));
        let task = state.begin(false).remove(0);
        state.pulled(&task, Vec::new(), FetchedVersion::Known(json!("v1")));
        assert_eq!(state.begin(false)[0].version, Some(json!("v1")));
        assert_eq!(state.begin(true)[0].version, None);
        assert_eq!(state.versions()["users"], None);
    }
}
