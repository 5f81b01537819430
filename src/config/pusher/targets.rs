//! What is pushed where, and what is done about it. It outlives the actor of the pusher.

use std::{collections::BTreeMap, future::Future, ops::ControlFlow, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    settings::PusherSettings,
    status::{PushState, PushTarget, PusherStatus},
};
use crate::{
    clock::{Clock, within},
    config::receiver::OLDER_VERSION,
    model::{PushConfig, PushOptions, PushOutcome, Verification},
    node::{Address, NodeCallError, NodeClient},
};

/// A gateway, and a service that is pushed to it.
pub(super) type Key = (Address, Arc<str>);

pub(super) struct Targets {
    client: Arc<dyn NodeClient>,
    settings: PusherSettings,
    clock: Arc<dyn Clock>,
    targets: Mutex<BTreeMap<Key, Target>>,
    /// Tells those who wait for a state.
    changed: watch::Sender<()>,
}

struct Target {
    config: Arc<PushConfig>,
    options: PushOptions,
    state: PushState,
    pushes: u64,
    /// In a row.
    failures: u32,
    last_error: Option<String>,
}

impl Targets {
    pub(super) fn new(
        client: Arc<dyn NodeClient>,
        settings: PusherSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            settings,
            clock,
            targets: Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.targets.lock().keys().cloned().collect()
    }

    pub(super) fn add(
        &self,
        gateway: Address,
        config: Arc<PushConfig>,
        options: PushOptions,
    ) -> Key {
        let key = (gateway, Arc::from(config.service.as_str()));
        let target = Target {
            config,
            options,
            state: PushState::Trying,
            pushes: 0,
            failures: 0,
            last_error: None,
        };
        self.targets.lock().insert(key.clone(), target);
        key
    }

    /// Forgets a service, and answers under which keys it was known.
    pub(super) fn remove(&self, service: &str) -> Vec<Key> {
        let mut targets = self.targets.lock();
        let removed = targets.extract_if(.., |(_, name), _| &**name == service);
        let removed: Vec<Key> = removed.map(|(key, _)| key).collect();
        drop(targets);
        self.changed.send_replace(());
        removed
    }

    pub(super) fn status(&self) -> PusherStatus {
        let targets = self.targets.lock();
        let lines = targets
            .iter()
            .map(|((gateway, service), target)| PushTarget {
                gateway: gateway.clone(),
                service: service.to_string(),
                config_version: target.config.config_version.clone(),
                state: target.state.clone(),
                pushes: target.pushes,
                last_error: target.last_error.clone(),
            });
        PusherStatus {
            targets: lines.collect(),
        }
    }

    pub(super) async fn wait_until_accepted(&self, service: &str) {
        let mut changed = self.changed.subscribe();
        let waits = |this: &Self| {
            let targets = this.targets.lock();
            let mut of_service = targets.iter().filter(|((_, name), _)| &**name == service);
            of_service.any(|(_, target)| target.state == PushState::Trying)
        };
        while waits(self) {
            // The sender is here, so there is always another change to wait for.
            let _ = changed.changed().await;
        }
    }

    pub(super) async fn push(
        &self,
        gateway: &Address,
        config: &PushConfig,
        options: PushOptions,
    ) -> Result<PushOutcome, NodeCallError> {
        let timeout = self.settings.timeout();
        self.in_time(self.client.push(gateway, config, options, timeout))
            .await
    }

    pub(super) async fn verify(
        &self,
        gateway: &Address,
        service: &str,
        config_version: &str,
    ) -> Result<Verification, NodeCallError> {
        let timeout = self.settings.timeout();
        let asked = self
            .client
            .verify(gateway, service, config_version, timeout);
        self.in_time(asked).await
    }

    /// Pushes to a target until it has accepted, and looks after it from then on, until the target is forgotten.
    pub(super) async fn keep(&self, key: Key) {
        let mut connection = 0;
        while let ControlFlow::Continue(pause) = self.step(&key).await {
            if let Some(pause) = pause {
                connection = self.pause(&key.0, pause, connection).await;
            }
        }
    }

    /// Waits, but no longer than until there is a connection to the gateway after this one: a gateway that was away may have
    /// lost what it had. Answers the last connection that is known.
    async fn pause(&self, gateway: &Address, pause: Duration, connection: u64) -> u64 {
        let pause = self.clock.sleep(pause);
        let Some(connected) = self.client.connected(gateway, connection) else {
            pause.await;
            return connection;
        };
        match select(pause, connected).await {
            Either::Left(_) => connection,
            Either::Right((connection, _)) => connection,
        }
    }

    /// One call of a target's gateway, and the pause after it.
    async fn step(&self, key: &Key) -> ControlFlow<(), Option<Duration>> {
        let (gateway, service) = key;
        let Some((config, options, state)) = self.change(key, |target| {
            let config = Arc::clone(&target.config);
            (config, target.options, target.state.clone())
        }) else {
            return ControlFlow::Break(());
        };
        let version = config.config_version.as_str();
        if state == PushState::Trying {
            self.change(key, |target| target.pushes += 1);
            let outcome = self.push(gateway, &config, options).await;
            match &outcome {
                Err(NodeCallError::Refused { code, .. }) if code == OLDER_VERSION => {
                    return self.superseded(key, &config).await;
                }
                Ok(_) => {
                    tracing::info!(
                        gateway = crate::log_text::cut(gateway.as_str()),
                        service = crate::log_text::cut(service),
                        version,
                        "a gateway has the configs"
                    );
                }
                Err(error) => {
                    tracing::warn!(
                        gateway = crate::log_text::cut(gateway.as_str()),
                        service = crate::log_text::cut(service),
                        version,
                        error = crate::log_text::printed(error),
                        "a push failed and is tried again"
                    );
                }
            }
            return self.pushed(key, outcome);
        }
        match self.verify(gateway, service, version).await {
            Ok(Verification::NotFound) => {
                tracing::info!(
                    gateway = crate::log_text::cut(gateway.as_str()),
                    service = crate::log_text::cut(service),
                    version,
                    "a gateway lost the configs"
                );
                self.become_state(key, PushState::Trying, None);
                return ControlFlow::Continue(None);
            }
            Ok(Verification::Matched) => self.become_state(key, PushState::Accepted, None),
            Ok(Verification::Mismatch(other)) => {
                if state == PushState::Accepted {
                    tracing::info!(
                        gateway = crate::log_text::cut(gateway.as_str()),
                        service = crate::log_text::cut(service),
                        version,
                        other = crate::log_text::cut(&other),
                        "a gateway has another version by now"
                    );
                }
                self.become_state(key, PushState::Superseded(other), None);
            }
            Err(error) => self.become_state(key, state, Some(&error)),
        }
        ControlFlow::Continue(Some(self.settings.verify_interval()))
    }

    /// After a gateway refused to go back to this version.
    async fn superseded(
        &self,
        key: &Key,
        config: &PushConfig,
    ) -> ControlFlow<(), Option<Duration>> {
        let (gateway, service) = key;
        let version = config.config_version.as_str();
        if let Ok(Verification::Mismatch(held)) = self.verify(gateway, service, version).await {
            tracing::warn!(
                gateway = crate::log_text::cut(gateway.as_str()),
                service = crate::log_text::cut(service),
                version,
                held = crate::log_text::cut(&held),
                "a gateway holds a newer version and keeps it"
            );
            self.become_state(key, PushState::Superseded(held), None);
        }
        ControlFlow::Continue(Some(self.settings.verify_interval()))
    }

    fn pushed(
        &self,
        key: &Key,
        outcome: Result<PushOutcome, NodeCallError>,
    ) -> ControlFlow<(), Option<Duration>> {
        let Err(error) = outcome else {
            self.become_state(key, PushState::Accepted, None);
            return ControlFlow::Continue(Some(self.settings.verify_interval()));
        };
        self.become_state(key, PushState::Trying, Some(&error));
        let failures = self.change(key, |target| {
            target.failures = target.failures.saturating_add(1);
            target.failures
        });
        let backoff = self.settings.backoff();
        let pause = backoff.pause(failures.unwrap_or(1), &mut rand::rng());
        ControlFlow::Continue(Some(pause))
    }

    fn become_state(&self, key: &Key, state: PushState, error: Option<&NodeCallError>) {
        self.change(key, |target| {
            target.state = state;
            target.last_error = error.map(NodeCallError::to_string);
            if error.is_none() {
                target.failures = 0;
            }
        });
        self.changed.send_replace(());
    }

    fn change<R>(&self, key: &Key, change: impl FnOnce(&mut Target) -> R) -> Option<R> {
        self.targets.lock().get_mut(key).map(change)
    }

    /// Waits for a gateway no longer than it may take, whatever its transport does.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, NodeCallError>>,
    ) -> Result<T, NodeCallError> {
        let after = self.settings.timeout();
        let answer = within(&*self.clock, after, call).await;
        answer.unwrap_or(Err(NodeCallError::TimedOut { after }))
    }
}
