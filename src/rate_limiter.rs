//! Rate limits: of any interval as long as a limit's window, no more requests pass than the limit admits.
//!
//! [`RateLimiter`] is a handle on a shared table. Checks run on the caller's thread and wait for nobody but the few
//! requests that meet the same part of the table. [`RateLimiterActor`] takes the same verbs as messages and sweeps idle
//! keys; it holds nothing that its death could lose.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use gen_api::{
//!     clock::ManualClock,
//!     rate_limiter::{LimitKey, RateLimit, RateLimiter, Scope},
//! };
//!
//! let clock = ManualClock::new();
//! let limiter = RateLimiter::new(Arc::new(clock.clone()));
//! limiter.add_global_limit(RateLimit::new(LimitKey::UserId, 1, 60_000))?;
//!
//! assert!(limiter.check_key("ann", &Scope::Global, &LimitKey::UserId).is_ok());
//! clock.advance(Duration::from_millis(500));
//! let refused = limiter.check_key("ann", &Scope::Global, &LimitKey::UserId).unwrap_err();
//! assert_eq!(refused.to_string(), "Rate limit exceeded. Please retry after 60 seconds.");
//! # Ok::<(), gen_api::rate_limiter::InvalidLimit>(())
//! ```
//!
//! # What counts
//!
//! - A history is kept for each scope (all APIs, or one), kind of key and value. All limits on the same kind of key in a
//!   scope look at that one history.
//! - A request is recorded when all limits that apply let it pass, and then by all of them at once. What no limit applies
//!   to is not recorded.
//! - Of several limits without room, the first in the configuration is reported, global limits before those of an API.
//! - A value counts as absent when it is empty, and an argument also when it is not a text. The engine, which knows how the
//!   config of a request declares its arguments, counts declared numbers and booleans as well, as their JSON text.
//! - Of a value longer than 256 bytes a 128-bit fingerprint under a secret key is kept in its place.
//!
//! # When configuration changes
//!
//! Histories outlive every change, so a limit that stays keeps its counts, and one that gets other numbers judges the
//! requests already recorded. The history of a kind of key that lost all its limits is kept for the longest window it
//! had; putting a limit back within that time finds it. A history holds only what its limits needed: a window made longer
//! sees what the old one had not yet forgotten.

mod actor;
mod config;
mod declared;
mod key;
mod limit;
mod outcome;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod window;

use std::{
    fmt, iter,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_otp::catch_panic;
use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub(crate) use self::declared::judge;
pub use self::{
    actor::{
        AddGlobalLimit, Check, CheckKey, Clear, GetConfig, GetGlobalLimits, GetStatus,
        RateLimiterActor, RemoveGlobalLimit, Reset, SetGlobalLimits, Sweep, UpdateConfig,
    },
    config::{RateLimitConfig, RateLimitUpdate},
    limit::{ApiLimit, InvalidLimit, LimitKey, RateLimit, Scope},
    outcome::{LimitStatus, Limited, RateLimitError, Swept},
};
use self::{
    declared::{Declared, JudgeLimit, UNDECLARED},
    rules::{Refusal, Rules},
    table::{Few, Subject, Table},
};
use crate::{
    clock::{Clock, SystemClock},
    model::Request,
    telemetry::{Family, RateLimiterEvent, Telemetry},
};

/// The rate limiter: a handle that is cheap to clone and usable from any thread. Clones share everything.
///
/// Every verb works on the shared table at once and none waits for an actor, so none fails while an actor restarts.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    table: Table,
    rules: ArcSwap<Rules>,
    judge: OnceLock<Box<JudgeLimit>>,
    /// Held while the rules change, and during a sweep, which must not judge by rules that are no longer in force.
    changing: Mutex<()>,
}

impl Default for RateLimiter {
    /// A limiter by the system's time, without an engine.
    ///
    /// Idle keys are forgotten when somebody calls [`sweep`](Self::sweep), or runs a [`RateLimiterActor`].
    ///
    /// ```
    /// use gen_api::{model::Request, rate_limiter::{LimitKey, RateLimit, RateLimiter}};
    ///
    /// let limiter = RateLimiter::default();
    /// limiter.add_global_limit(RateLimit::new(LimitKey::UserId, 2, 60_000))?;
    /// let request = Request::new("r-1", "shop", "order").with_user_id("ann");
    /// assert!(limiter.check(&request).is_ok());
    /// assert!(limiter.check(&request).is_ok());
    /// assert!(limiter.check(&request).is_err());
    /// # Ok::<(), gen_api::rate_limiter::InvalidLimit>(())
    /// ```
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::default()))
    }
}

impl RateLimiter {
    /// A limiter that is switched on and has no limits yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::telling(clock, Telemetry::new())
    }

    fn telling(clock: Arc<dyn Clock>, telemetry: Telemetry) -> Self {
        let rules = Rules::new(RateLimitConfig::default(), None);
        Self {
            shared: Arc::new(Shared {
                clock,
                telemetry,
                table: Table::new(),
                rules: ArcSwap::from_pointee(rules),
                judge: OnceLock::new(),
                changing: Mutex::new(()),
            }),
        }
    }

    /// A limiter with the given configuration.
    ///
    /// # Errors
    ///
    /// The first field of the configuration that is at fault.
    pub fn with_config(
        clock: Arc<dyn Clock>,
        config: RateLimitConfig,
    ) -> Result<Self, InvalidLimit> {
        Self::with_telemetry(clock, config, Telemetry::new())
    }

    /// A limiter with the given configuration, whose checks, resets and sweeps are told to the handlers of `telemetry`.
    ///
    /// # Errors
    ///
    /// The first field of the configuration that is at fault.
    pub fn with_telemetry(
        clock: Arc<dyn Clock>,
        config: RateLimitConfig,
        telemetry: Telemetry,
    ) -> Result<Self, InvalidLimit> {
        let limiter = Self::telling(clock, telemetry);
        limiter.update_config(config)?;
        Ok(limiter)
    }

    /// Judges a request by all limits that apply to it, and records it when it passes.
    ///
    /// Of its arguments, texts count; nothing is known here of how they are declared.
    ///
    /// # Errors
    ///
    /// The limit that has no room, or that the limiter cannot answer while
    /// [`fail_open`](RateLimitConfig::fail_open) is off.
    pub fn check(&self, request: &Request) -> Result<(), RateLimitError> {
        self.check_among(request, &UNDECLARED)
    }

    fn check_among(&self, request: &Request, declared: &Declared) -> Result<(), RateLimitError> {
        let rules = self.shared.rules.load();
        if !rules.config.enabled {
            return Ok(());
        }
        let answer = self.shared.guarded(&rules, |shared| {
            // Most requests meet one group of limits or none.
            let (mut first, mut others) = (None, Few::new());
            for groups in rules.groups_for(&request.service, &request.request_type) {
                for group in groups {
                    let Some(value) = group.key.value_among(request, declared) else {
                        continue;
                    };
                    if first.is_none() {
                        first = Some((group, value));
                    } else {
                        others.push((group, value));
                    }
                }
            }
            let Some(&(group, ref value)) = first.as_ref() else {
                return Ok(());
            };
            let first = Subject { group, value };
            if others.is_empty() {
                return shared.table.admit_one(shared.now(), first);
            }
            let others = others
                .iter()
                .map(|&(group, ref value)| Subject { group, value });
            let all: Few<_> = iter::once(first).chain(others).collect();
            shared.table.admit_all(shared.now(), &all)
        });
        self.shared.tell_check(&answer, || {
            Some((&*request.service, &*request.request_type))
        });
        answer
    }

    /// Judges one use of a key by the limits on that kind of key in `scope`, and records it when it passes. It counts
    /// together with the requests that carry the key. An empty value is not limited.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn check_key(
        &self,
        value: &str,
        scope: &Scope,
        kind: &LimitKey,
    ) -> Result<(), RateLimitError> {
        let rules = self.shared.rules.load();
        if !rules.config.enabled || value.is_empty() {
            return Ok(());
        }
        let Some(group) = rules.group(scope, kind) else {
            return Ok(());
        };
        let answer = self.shared.guarded(&rules, |shared| {
            shared
                .table
                .admit_one(shared.now(), Subject { group, value })
        });
        self.shared.tell_check(&answer, || scope.names());
        answer
    }

    /// The limits across all APIs, in the order in which they are judged.
    #[must_use]
    pub fn global_limits(&self) -> Vec<RateLimit> {
        self.shared.rules.load().config.global_limits.clone()
    }

    /// Replaces the limits across all APIs.
    ///
    /// # Errors
    ///
    /// The first field at fault; then nothing has changed.
    pub fn set_global_limits(&self, limits: Vec<RateLimit>) -> Result<(), InvalidLimit> {
        self.update_config(RateLimitUpdate {
            global_limits: Some(limits),
            ..RateLimitUpdate::default()
        })
    }

    /// Removes the limits across all APIs on the same kind of key, and appends `limit`.
    ///
    /// # Errors
    ///
    /// The field at fault; then nothing has changed.
    pub fn add_global_limit(&self, limit: RateLimit) -> Result<(), InvalidLimit> {
        limit.validate("limit")?;
        self.shared.change(|config| {
            config.global_limits.retain(|other| other.key != limit.key);
            config.global_limits.push(limit);
            Ok(())
        })
    }

    /// Removes the limits across all APIs on one kind of key; whether there were any.
    pub fn remove_global_limit(&self, kind: &LimitKey) -> bool {
        let mut removed = false;
        let changed: Result<(), InvalidLimit> = self.shared.change(|config| {
            let before = config.global_limits.len();
            config.global_limits.retain(|limit| limit.key != *kind);
            removed = config.global_limits.len() < before;
            Ok(())
        });
        changed.is_ok() && removed
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> RateLimitConfig {
        self.shared.rules.load().config.clone()
    }

    /// Changes the configuration, or replaces it where a whole [`RateLimitConfig`] is given.
    ///
    /// # Errors
    ///
    /// The first field at fault; then nothing has changed. In an engine that is also a limit by an argument that a config of its
    /// API declares as a list or a map, or not at all: it would limit nothing.
    pub fn update_config(&self, update: impl Into<RateLimitUpdate>) -> Result<(), InvalidLimit> {
        let update = update.into();
        let judged = self.shared.judge.get().zip(update.api_limits.as_ref());
        if let Some((never_counts, limits)) = judged {
            declared::judge(limits, never_counts)?;
        }
        self.shared.change(|config| {
            update.apply(config);
            config.validate()
        })
    }

    /// How much a key has used of each limit on its kind of key in `scope`, in the configuration's order.
    #[must_use]
    pub fn status(&self, value: &str, scope: &Scope, kind: &LimitKey) -> Vec<LimitStatus> {
        let rules = self.shared.rules.load();
        let Some(group) = rules.group(scope, kind) else {
            return Vec::new();
        };
        let subject = Subject { group, value };
        let counts = self.shared.table.counts(self.shared.now(), subject);
        group
            .limits
            .iter()
            .zip(counts)
            .map(|(limit, current)| LimitStatus {
                key: group.key.clone(),
                scope: group.scope.clone(),
                max_requests: limit.max,
                current_requests: current,
                remaining: limit.max.saturating_sub(current),
                window_ms: limit.window_ms,
            })
            .collect()
    }

    /// Forgets the requests recorded for a key in `scope`; whether there were any. Other scopes keep theirs.
    pub fn reset(&self, value: &str, scope: &Scope, kind: &LimitKey) -> bool {
        let rules = self.shared.rules.load();
        let known = rules.known_id(scope, kind);
        let forgotten = known.is_some_and(|group| self.shared.table.remove(group, value));
        if forgotten {
            let (service, request_type) = scope.names().unzip();
            let telemetry = &self.shared.telemetry;
            telemetry.emit(Family::RateLimiter, || RateLimiterEvent::Reset {
                key: kind.as_str(),
                value,
                service,
                request_type,
            });
        }
        forgotten
    }

    /// Forgets all recorded requests and keeps the limits; how many keys were forgotten.
    pub fn clear(&self) -> usize {
        let removed = self.shared.table.clear();
        self.shared.tell_cleanup(Swept {
            removed,
            remaining: 0,
        });
        removed
    }

    /// Forgets keys whose requests no longer matter to any limit, and the memory of bursts that are over.
    ///
    /// [`RateLimiterActor`] does this every [`sweep_interval_ms`](RateLimitConfig::sweep_interval_ms).
    pub fn sweep(&self) -> Swept {
        let swept = self.shared.sweep();
        self.shared.tell_cleanup(swept);
        swept
    }

    /// How many keys have a history now.
    #[must_use]
    pub fn tracked_keys(&self) -> usize {
        self.shared.table.len()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("config", &self.shared.rules.load().config)
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Nanoseconds of the clock: enough for 584 years.
    fn now(&self) -> u64 {
        nanoseconds(self.clock.now())
    }

    /// Runs a check. All that can go wrong in one is a panic, the embedder's clock being foreign code; the locks let go
    /// then, and a check changes histories only by its very last steps.
    fn guarded<'rules>(
        &self,
        rules: &'rules Rules,
        check: impl FnOnce(&Self) -> Result<(), Refusal<'rules>>,
    ) -> Result<(), RateLimitError> {
        match catch_panic(|| check(self)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(refusal.into()),
            Err(_) => {
                let fail_open = rules.config.fail_open;
                tracing::error!(fail_open, "a rate limit check panicked");
                if fail_open {
                    Ok(())
                } else {
                    Err(RateLimitError::Unavailable)
                }
            }
        }
    }

    fn tell_check<'a>(
        &self,
        answer: &Result<(), RateLimitError>,
        api: impl FnOnce() -> Option<(&'a str, &'a str)>,
    ) {
        self.telemetry.emit(Family::RateLimiter, || {
            let (service, request_type) = api().unzip();
            RateLimiterEvent::Check {
                service,
                request_type,
                passed: answer.is_ok(),
            }
        });
        if let Err(RateLimitError::Limited(limited)) = answer {
            self.telemetry.emit(Family::RateLimiter, || {
                let (service, request_type) = limited.scope.names().unzip();
                RateLimiterEvent::Exceeded {
                    key: limited.key.as_str(),
                    service,
                    request_type,
                    max_requests: limited.max_requests,
                    current_requests: limited.current_requests,
                    window: Duration::from_millis(limited.window_ms),
                    retry_after: Duration::from_millis(limited.retry_after_ms),
                }
            });
        }
    }

    fn tell_cleanup(&self, swept: Swept) {
        self.telemetry
            .emit(Family::RateLimiter, || RateLimiterEvent::Cleanup {
                removed: swept.removed,
                remaining: swept.remaining,
            });
    }

    /// Puts a changed configuration in force, unless `change` fails.
    fn change(
        &self,
        change: impl FnOnce(&mut RateLimitConfig) -> Result<(), InvalidLimit>,
    ) -> Result<(), InvalidLimit> {
        let _changing = self.changing.lock();
        let rules = self.rules.load_full();
        let mut config = rules.config.clone();
        change(&mut config)?;
        self.rules.store(Arc::new(Rules::new(config, Some(&rules))));
        Ok(())
    }

    fn sweep(&self) -> Swept {
        let _changing = self.changing.lock();
        let rules = self.rules.load_full();
        let sweep = self.table.sweep(self.now(), &rules.spans());
        let has_history = |group| sweep.remaining.contains_key(&group);
        if let Some(rules) = rules.without_retired(has_history) {
            self.rules.store(Arc::new(rules));
        }
        Swept {
            removed: sweep.removed,
            remaining: sweep.remaining.values().sum(),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
