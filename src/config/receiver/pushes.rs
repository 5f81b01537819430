//! What a receiver does with a push, and what it remembers of it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::{
    config::{
        AddError, ConfigTable, FailedConfigs, FailedSource,
        adopt::adopt,
        failed::{Refused, reasons},
        puller::Pulls,
        receiver::{
            history::History,
            saved::{Loaded, SavedPush, SavedPushes},
        },
    },
    log_text::{cut, printed},
    model::{
        Fault, FunConfig, InvalidConfig, Mfa, Nodes, PushConfig, PushOptions, PushOutcome,
        PushToken, SkipReason, UnreadablePush, Verification,
    },
    telemetry::{ConfigEvent, Family, Reason, Telemetry},
};

/// Why a push was refused; nothing of it was stored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// It cannot be read or is not valid: every fault at once. A function's faults are faults of `fun_configs`.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The gateway asks for a token, and the push has none or another one.
    #[error("the push token is missing or wrong")]
    InvalidToken,
    /// The allowlist does not name these functions (specification, section 18).
    #[error("functions are not on the allowlist: {}", names(.0))]
    NotAllowed(Vec<Mfa>),
    /// The gateway has configs of its own for these request types (setting `receiver.may_replace_local`).
    #[error("this gateway has configs of its own for: {}", .0.join(", "))]
    Local(Vec<String>),
    /// These nodes are not in the networks of the setting `receiver.node_networks`.
    #[error("nodes are not in the networks of receiver.node_networks: {}", .0.join(", "))]
    NodesNotAllowed(Vec<String>),
    /// The gateway holds a newer version and goes back to none (setting `receiver.refuse_older`); a forced push is taken.
    #[error("the version {pushed:?} is older than {held:?}, which the gateway holds")]
    #[non_exhaustive]
    OlderVersion {
        /// The version of the push.
        pushed: String,
        /// The version that the gateway holds.
        held: String,
    },
    /// It could not be kept for a restart, so it was not stored either (setting `receiver.state_directory`).
    #[error("the push could not be saved: {0}")]
    NotSaved(std::io::ErrorKind),
    /// The receiver could not be asked.
    #[error(transparent)]
    Unavailable(#[from] crate::owner::Unavailable),
}

impl PushError {
    /// The stable name of the refusal: `validation_failed`, `invalid_push_token`, `mfa_not_allowed`, `local_config`,
    /// `node_not_allowed`, `older_version` or `unavailable`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "validation_failed",
            Self::InvalidToken => "invalid_push_token",
            Self::NotAllowed(_) => "mfa_not_allowed",
            Self::Local(_) => "local_config",
            Self::NodesNotAllowed(_) => "node_not_allowed",
            Self::OlderVersion { .. } => OLDER_VERSION,
            Self::NotSaved(_) | Self::Unavailable(_) => "unavailable",
        }
    }
}

fn names(functions: &[Mfa]) -> String {
    let names: Vec<String> = functions.iter().map(Mfa::to_string).collect();
    names.join(", ")
}

/// The code of [`PushError::OlderVersion`].
pub(crate) const OLDER_VERSION: &str = "older_version";

/// What was pushed last for a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PushedService {
    /// The version of the whole.
    pub config_version: String,
    /// Where the service runs.
    pub nodes: Nodes,
    /// How many functions the push held.
    pub functions: usize,
    /// Whether one of its pushes made the service one that is also pulled.
    pub is_pulled: bool,
}

/// The services that were pushed, and how a push is taken. It outlives the actor of the receiver.
pub(crate) struct Pushes {
    table: Arc<ConfigTable>,
    failed: FailedConfigs,
    pulls: Arc<Pulls>,
    token: Option<PushToken>,
    telemetry: Telemetry,
    /// Where pushes are kept for a restart.
    saved: Option<SavedPushes>,
    history: History,
    refuse_older: bool,
    /// Locked for as long as a push is stored, so that pushes take turns.
    turn: Mutex<()>,
    services: Mutex<BTreeMap<String, PushedService>>,
}

impl Pushes {
    pub(crate) fn new(
        table: Arc<ConfigTable>,
        failed: FailedConfigs,
        pulls: Arc<Pulls>,
        token: Option<PushToken>,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            table,
            failed,
            pulls,
            token,
            telemetry,
            saved: None,
            history: History::default(),
            refuse_older: false,
            turn: Mutex::default(),
            services: Mutex::default(),
        }
    }

    /// Keeps what is accepted, and brings back what was kept. It reads files.
    pub(crate) fn with_saved(mut self, saved: SavedPushes) -> std::io::Result<Self> {
        let Loaded { pushes, rejected } = saved.load()?;
        self.saved = Some(saved);
        for file in rejected {
            self.failed.note(Refused {
                service: None,
                request_type: None,
                version: None,
                source: FailedSource::Push,
                node: None,
                reasons: vec![format!("{}: {}", file.path.display(), file.reason)],
            });
        }
        for push in pushes {
            self.restore(push);
        }
        Ok(self)
    }

    /// Refuses pushes that would take a service back to an older version.
    pub(crate) fn refusing_older(mut self, refuse: bool) -> Self {
        self.refuse_older = refuse;
        self
    }

    /// Whether a push writes files, and so may take longer than an async thread should be held up.
    pub(super) fn writes_files(&self) -> bool {
        self.saved.is_some()
    }

    /// Stores what was accepted before a restart. What may not be stored any more is noted, and the rest serves.
    fn restore(&self, push: SavedPush) {
        let mut functions = push.fun_configs;
        let nodes = &push.nodes;
        if let Err(error) = self.table.check_nodes(nodes) {
            functions
                .iter()
                .for_each(|one| self.note(one, reasons(&error)));
            return;
        }
        functions.retain(|function| {
            let checked = self.table.check_foreign(function, nodes);
            if let Err(error) = &checked {
                self.note(function, reasons(error));
            }
            checked.is_ok()
        });
        self.table.refresh(&push.service, functions, None);
        let pull = push.pull;
        let pull = pull.filter(|pull| self.table.check_nodes(&pull.nodes).is_ok());
        let is_pulled = pull.is_some_and(|pull| self.pulls.add(vec![pull]).is_ok());
        let pushed = PushedService {
            config_version: push.config_version,
            nodes: push.nodes,
            functions: push.functions,
            is_pulled,
        };
        let service = push.service;
        let version = cut(&pushed.config_version);
        tracing::info!(service = cut(&service), version, "restored a push");
        self.services.lock().insert(service, pushed);
    }

    /// Takes a push in its JSON form: reads it, judges it, and stores it or nothing.
    pub(crate) fn push_json(
        &self,
        json: Value,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        self.push_read(PushConfig::read(json), options)
    }

    /// Takes a push that was read, or could not be.
    pub(crate) fn push_read(
        &self,
        read: Result<PushConfig, Box<UnreadablePush>>,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        let unreadable = match read {
            Ok(config) => return self.push(config, options),
            Err(unreadable) => *unreadable,
        };
        let push = &unreadable.push;
        if self.may_push(push.push_token.as_ref()) {
            self.note_unreadable(&unreadable);
        }
        let error = unreadable.invalid.into();
        self.tell(&push.service, &push.config_version, Err(&error));
        Err(error)
    }

    /// Takes a push: judges it, and stores it or nothing.
    pub(crate) fn push(
        &self,
        config: PushConfig,
        options: PushOptions,
    ) -> Result<PushOutcome, PushError> {
        let (service, version) = (config.service.clone(), config.config_version.clone());
        let taken = self.take(config, options);
        let stored = taken.as_ref().map(|(_, stored)| *stored);
        // Not while the services are locked: a handler may ask for them.
        self.tell(&service, &version, stored);
        taken.map(|(outcome, _)| outcome)
    }

    fn tell(&self, service: &str, config_version: &str, stored: Result<usize, &PushError>) {
        self.telemetry.emit(Family::Config, || ConfigEvent::Push {
            service,
            config_version,
            stored: stored.unwrap_or_default(),
            error: stored.err().map(|error| Reason::new(error)),
        });
    }

    /// Also answers how many functions were stored.
    fn take(
        &self,
        mut config: PushConfig,
        options: PushOptions,
    ) -> Result<(PushOutcome, usize), PushError> {
        let may_push = self.may_push(config.push_token.as_ref());
        if let Err(invalid) = config.validate(self.table.limits()) {
            // What a stranger sends leaves no trace.
            if may_push {
                for function in &config.fun_configs {
                    self.note_faults(&config, function);
                }
            }
            return Err(invalid.into());
        }
        if !may_push {
            return Err(PushError::InvalidToken);
        }
        let _turn = self.turn.lock();
        let stored = self.services.lock().get(&config.service).cloned();
        let is_stored = stored
            .as_ref()
            .is_some_and(|known| known.config_version == config.config_version);
        if is_stored && !options.force {
            return Ok((PushOutcome::Skipped(SkipReason::VersionMatches), 0));
        }
        let held = stored.as_ref().map(|known| known.config_version.as_str());
        self.look_back(&config, held, options)?;
        let functions = std::mem::take(&mut config.fun_configs);
        let functions = self.check(&config, functions)?;
        let count = functions.len();
        self.save(&config, &functions, options)?;
        self.store(&config.service, functions, options);
        let was_pulled = stored.as_ref().is_some_and(|known| known.is_pulled);
        let pushed = PushedService {
            config_version: config.config_version.clone(),
            nodes: config.nodes.clone(),
            functions: count,
            is_pulled: self.join_puller(&config) || was_pulled,
        };
        self.history.note(&config, held);
        let (service, version) = (cut(&config.service), cut(&config.config_version));
        tracing::info!(service, version, count, "accepted a push");
        self.services.lock().insert(config.service, pushed);
        Ok((PushOutcome::Accepted, count))
    }

    /// Tells of a push that takes its service back to an older version, or refuses it.
    fn look_back(
        &self,
        config: &PushConfig,
        held: Option<&str>,
        options: PushOptions,
    ) -> Result<(), PushError> {
        let pushed = config.config_version.as_str();
        let Some(held) = held.filter(|held| self.history.is_older(&config.service, pushed, held))
        else {
            return Ok(());
        };
        if self.refuse_older && !options.force {
            return Err(PushError::OlderVersion {
                pushed: pushed.to_owned(),
                held: held.to_owned(),
            });
        }
        tracing::warn!(
            service = cut(&config.service),
            pushed = cut(pushed),
            held = cut(held),
            "a push takes its service back to an older version"
        );
        Ok(())
    }

    pub(crate) fn verify(&self, service: &str, config_version: &str) -> Verification {
        match self.services.lock().get(service) {
            None => Verification::NotFound,
            Some(known) if known.config_version == config_version => Verification::Matched,
            Some(known) => Verification::Mismatch(known.config_version.clone()),
        }
    }

    /// Forgets a service, and ends its pulling where a push began it. Its functions stay.
    pub(crate) fn delete(&self, service: &str) {
        let _turn = self.turn.lock();
        if let Some(Err(error)) = self.saved.as_ref().map(|saved| saved.delete(service)) {
            let (service, error) = (cut(service), printed(error));
            tracing::error!(
                service,
                error,
                "a saved push could not be deleted and will be back after a restart"
            );
        }
        self.history.forget(service);
        let deleted = self.services.lock().remove(service);
        if deleted.is_some_and(|known| known.is_pulled) {
            self.pulls.delete(&[service.to_owned()]);
        }
    }

    pub(crate) fn services(&self) -> BTreeMap<String, PushedService> {
        self.services.lock().clone()
    }

    /// Whether a push with this token may be stored; the comparison takes as long for a wrong one as for the right one.
    pub(super) fn may_push(&self, token: Option<&PushToken>) -> bool {
        let Some(expected) = &self.token else {
            return true;
        };
        let token = token.map_or("", PushToken::expose).as_bytes();
        expected.expose().as_bytes().ct_eq(token).into()
    }

    /// The functions as they are stored, if all of them may be.
    fn check(
        &self,
        config: &PushConfig,
        functions: Vec<FunConfig>,
    ) -> Result<Vec<FunConfig>, PushError> {
        let nodes = &config.nodes;
        let adopted: Vec<FunConfig> = functions.into_iter().map(|one| adopt(one, nodes)).collect();
        let mut refused = Refusals::default();
        if let Err(error) = self.table.check_nodes(nodes) {
            refused.add(error, "")?;
        }
        for function in &adopted {
            if let Err(error) = self.table.check_foreign(function, nodes) {
                self.note(function, reasons(&error));
                refused.add(error, &function.request_type)?;
            }
        }
        refused.into_result().map(|()| adopted)
    }

    /// Keeps what is about to be stored; where that fails, nothing may be stored.
    fn save(
        &self,
        config: &PushConfig,
        functions: &[FunConfig],
        options: PushOptions,
    ) -> Result<(), PushError> {
        let Some(saved) = &self.saved else {
            return Ok(());
        };
        let written = saved.save(&self.table, config, functions, options.replace);
        written.map_err(|error| {
            let service = cut(&config.service);
            tracing::error!(
                service,
                error = printed(&error),
                "a push could not be saved"
            );
            PushError::NotSaved(error.kind())
        })
    }

    fn store(&self, service: &str, functions: Vec<FunConfig>, options: PushOptions) {
        if !options.replace {
            self.table.refresh(service, functions, None);
            return;
        }
        let listed = functions.iter();
        let listed: HashSet<(String, Option<String>)> = listed
            .map(|one| (one.request_type.clone(), one.version.clone()))
            .collect();
        let is_listed = |request_type: &str, version: Option<&str>| {
            listed.contains(&(request_type.to_owned(), version.map(str::to_owned)))
        };
        self.table.refresh(service, functions, Some(&is_listed));
    }

    /// Lets the service be pulled too, where the push says how.
    fn join_puller(&self, config: &PushConfig) -> bool {
        let Some(service) = config.service_config() else {
            return false;
        };
        // Its fields were judged with the push, so there is nothing left to refuse.
        self.pulls.add(vec![service]).is_ok()
    }

    fn note_faults(&self, config: &PushConfig, function: &FunConfig) {
        let faults = config.function_faults(function, self.table.limits());
        let faults: Vec<String> = faults.map(|fault| fault.to_string()).collect();
        if !faults.is_empty() {
            self.note(function, faults);
        }
    }

    fn note(&self, function: &FunConfig, reasons: Vec<String>) {
        self.failed.note(Refused {
            service: Some(&function.service),
            request_type: Some(&function.request_type),
            version: function.version.as_deref(),
            source: FailedSource::Push,
            node: None,
            reasons,
        });
    }

    /// Notes the functions of a push that cannot be read as a whole.
    fn note_unreadable(&self, unreadable: &UnreadablePush) {
        for function in &unreadable.push.fun_configs {
            self.note_faults(&unreadable.push, function);
        }
        for function in &unreadable.unread {
            let faults = &function.invalid.faults;
            self.failed.note(Refused {
                service: function.service.as_deref(),
                request_type: function.request_type.as_deref(),
                version: function.version.as_deref(),
                source: FailedSource::Push,
                node: None,
                reasons: faults.iter().map(Fault::to_string).collect(),
            });
        }
    }

    /// Lets go of the state directory.
    pub(super) fn close(&self) {
        if let Some(saved) = &self.saved {
            saved.close();
        }
    }
}

/// Why the functions of a push may not be stored, by kind.
#[derive(Default)]
struct Refusals {
    faults: Vec<Fault>,
    functions: Vec<Mfa>,
    nodes: Vec<String>,
    local: Vec<String>,
}

impl Refusals {
    /// Adds why a function of this request type may not be stored.
    fn add(&mut self, error: AddError, request_type: &str) -> Result<(), PushError> {
        match error {
            AddError::Invalid(invalid) => self.faults.extend(invalid.faults),
            AddError::NotAllowed(function) => self.functions.push(function),
            AddError::NodeNotAllowed(address) => self.nodes.push(address),
            AddError::Local => self.local.push(request_type.to_owned()),
            AddError::Unavailable(unavailable) => return Err(unavailable.into()),
        }
        Ok(())
    }

    fn into_result(self) -> Result<(), PushError> {
        InvalidConfig::unless_empty(self.faults)?;
        if !self.functions.is_empty() {
            return Err(PushError::NotAllowed(self.functions));
        }
        if !self.nodes.is_empty() {
            return Err(PushError::NodesNotAllowed(self.nodes));
        }
        if !self.local.is_empty() {
            return Err(PushError::Local(self.local));
        }
        Ok(())
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes")
            .field("services", &*self.services.lock())
            .finish_non_exhaustive()
    }
}
