//! A configuration in the form a check needs: the limits that share one history stand together as a group.
//!
//! A group is all limits of one scope and kind of key. Its number is part of the key of every history, and stays the same
//! through all changes of the configuration: that is what keeps the counts.

use std::collections::HashMap;

use hashbrown::Equivalent;

use super::{
    config::RateLimitConfig,
    limit::{LimitKey, RateLimit, Scope},
    window::SlidingWindow,
};

/// One state of the configuration; a change makes a new one.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) config: RateLimitConfig,
    global: Vec<Group>,
    apis: hashbrown::HashMap<ApiName, Vec<Group>>,
    /// Every group that may still have a history, also those whose last limit was removed.
    known: HashMap<(Scope, LimitKey), Known>,
    next_id: u32,
}

/// The limits of one scope and kind of key, at least one, in the configuration's order.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: u32,
    pub(super) scope: Scope,
    pub(super) key: LimitKey,
    pub(super) limits: Vec<Limit>,
    /// The longest span among the limits: what is older matters to none.
    pub(super) span: u64,
    /// The greatest maximum among the limits.
    pub(super) most: u32,
}

#[derive(Debug)]
pub(super) struct Limit {
    pub(super) max: u32,
    pub(super) window_ms: u64,
    /// The window in nanoseconds.
    pub(super) span: u64,
    /// The place in the configuration, global limits first: the order of reports.
    rank: u32,
}

/// A limit that has no room.
#[derive(Debug)]
pub(super) struct Refusal<'rules> {
    pub(super) group: &'rules Group,
    pub(super) limit: &'rules Limit,
    pub(super) current: u32,
    /// In nanoseconds, at least 1.
    pub(super) wait: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: u32,
    span: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ApiName(String, String);

impl Equivalent<ApiName> for (&str, &str) {
    fn equivalent(&self, name: &ApiName) -> bool {
        self.0 == name.0 && self.1 == name.1
    }
}

impl Rules {
    /// The rules of `config`, which is valid; groups that `previous` knew keep their numbers.
    pub(super) fn new(config: RateLimitConfig, previous: Option<&Self>) -> Self {
        let mut rules = Self {
            global: Vec::new(),
            apis: hashbrown::HashMap::new(),
            known: previous.map_or_else(HashMap::new, |rules| rules.known.clone()),
            next_id: previous.map_or(0, |rules| rules.next_id),
            config,
        };
        let mut rank = 0;
        let mut limits = Vec::new();
        for limit in &rules.config.global_limits {
            limits.push((Scope::Global, limit.clone()));
        }
        for limit in &rules.config.api_limits {
            let scope = Scope::api(&limit.service, &limit.request_type);
            let limit = RateLimit::new(limit.key.clone(), limit.max_requests, limit.window_ms);
            limits.push((scope, limit));
        }
        for (scope, limit) in limits {
            rules.insert(scope, limit, rank);
            rank += 1;
        }
        rules
    }

    fn insert(&mut self, scope: Scope, limit: RateLimit, rank: u32) {
        let groups = match &scope {
            Scope::Global => &mut self.global,
            Scope::Api {
                service,
                request_type,
            } => self
                .apis
                .entry(ApiName(service.clone(), request_type.clone()))
                .or_default(),
        };
        let span = limit.window_ms.saturating_mul(1_000_000);
        let max = limit.max_requests;
        let rule = Limit {
            max,
            window_ms: limit.window_ms,
            span,
            rank,
        };
        if let Some(group) = groups.iter_mut().find(|group| group.key == limit.key) {
            group.limits.push(rule);
            group.span = group.span.max(span);
            group.most = group.most.max(max);
            self.known
                .entry((scope, limit.key))
                .and_modify(|known| known.span = group.span);
            return;
        }
        let known = self
            .known
            .entry((scope.clone(), limit.key.clone()))
            .or_insert_with(|| {
                self.next_id = self.next_id.wrapping_add(1);
                Known {
                    id: self.next_id,
                    span,
                }
            });
        known.span = span;
        groups.push(Group {
            id: known.id,
            scope,
            key: limit.key,
            limits: vec![rule],
            span,
            most: max,
        });
    }

    /// The groups that a request of this type to this service meets, the global ones first.
    #[inline]
    pub(super) fn groups_for(&self, service: &str, request_type: &str) -> [&[Group]; 2] {
        [&self.global, self.api(service, request_type)]
    }

    /// The limits on one kind of key in one scope.
    pub(super) fn group(&self, scope: &Scope, key: &LimitKey) -> Option<&Group> {
        let groups = match scope {
            Scope::Global => &self.global,
            Scope::Api {
                service,
                request_type,
            } => self.api(service, request_type),
        };
        groups.iter().find(|group| group.key == *key)
    }

    fn api(&self, service: &str, request_type: &str) -> &[Group] {
        // Many gateways have global limits alone; they need not pay for a look-up.
        if self.apis.is_empty() {
            return &[];
        }
        self.apis
            .get(&(service, request_type))
            .map_or(&[], Vec::as_slice)
    }

    /// The number of a group that may have histories, whether it has limits now or not.
    pub(super) fn known_id(&self, scope: &Scope, key: &LimitKey) -> Option<u32> {
        self.known
            .get(&(scope.clone(), key.clone()))
            .map(|known| known.id)
    }

    /// How long a history of each group matters. Without limits it is as long as it was with the last ones, so that a
    /// limit taken away and put back finds its counts.
    pub(super) fn spans(&self) -> HashMap<u32, u64> {
        self.known
            .values()
            .map(|known| (known.id, known.span))
            .collect()
    }

    /// The same rules without the groups that have neither limits nor, by `has_history`, histories; `None` when there is
    /// nothing to leave out.
    pub(super) fn without_retired(&self, has_history: impl Fn(u32) -> bool) -> Option<Self> {
        let is_retired = |scope: &Scope, key: &LimitKey, known: &Known| {
            self.group(scope, key).is_none() && !has_history(known.id)
        };
        if !self
            .known
            .iter()
            .any(|((scope, key), known)| is_retired(scope, key, known))
        {
            return None;
        }
        let mut rules = Self::new(self.config.clone(), Some(self));
        rules
            .known
            .retain(|(scope, key), known| !is_retired(scope, key, known));
        Some(rules)
    }
}

impl Group {
    /// The first limit that has no room for a request at `now`.
    #[inline]
    pub(super) fn refusal(&self, window: &SlidingWindow, now: u64) -> Option<Refusal<'_>> {
        self.limits.iter().find_map(|limit| {
            window.wait(now, limit.max, limit.span).map(|wait| Refusal {
                group: self,
                limit,
                current: window.count(now, limit.span),
                wait,
            })
        })
    }
}

impl Refusal<'_> {
    /// The one of two refusals of a request that is reported.
    pub(super) fn first_of(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.limit.rank < self.limit.rank => other,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limiter::ApiLimit;

    fn limit(key: &str, max_requests: u32, window_ms: u64) -> RateLimit {
        RateLimit::new(LimitKey::from(key), max_requests, window_ms)
    }

    fn config(global: &[RateLimit], api: &[ApiLimit]) -> RateLimitConfig {
        RateLimitConfig {
            global_limits: global.to_vec(),
            api_limits: api.to_vec(),
            ..RateLimitConfig::default()
        }
    }

    #[test]
    fn limits_on_one_kind_of_key_in_one_scope_form_one_group() {
        let global = [
            limit("user_id", 10, 1_000),
            limit("room", 3, 5),
            limit("user_id", 100, 60_000),
        ];
        let api = [ApiLimit::new("svc", "op", limit("user_id", 1, 1))];
        let rules = Rules::new(config(&global, &api), None);
        let [global, api] = rules.groups_for("svc", "op");
        assert_eq!((global.len(), api.len()), (2, 1));
        assert_eq!(global[0].limits.len(), 2);
        assert_eq!((global[0].most, global[0].span), (100, 60_000_000_000));
        assert_eq!(api[0].scope, Scope::api("svc", "op"));
        assert!(rules.groups_for("svc", "other")[1].is_empty());
        assert_ne!(global[0].id, api[0].id);
    }

    #[test]
    fn a_group_keeps_its_number_through_every_change() {
        let first = Rules::new(config(&[limit("user_id", 10, 1_000)], &[]), None);
        let key = LimitKey::UserId;
        let id = first.known_id(&Scope::Global, &key).unwrap();
        let without = Rules::new(config(&[limit("room", 1, 1)], &[]), Some(&first));
        assert!(without.group(&Scope::Global, &key).is_none());
        assert_eq!(without.spans().get(&id), Some(&1_000_000_000));
        let again = Rules::new(config(&[limit("user_id", 5, 7)], &[]), Some(&without));
        assert_eq!(again.group(&Scope::Global, &key).unwrap().id, id);
        assert_eq!(again.spans().get(&id), Some(&7_000_000));
    }

    #[test]
    fn a_group_without_limits_is_known_only_as_long_as_it_has_histories() {
        let key = LimitKey::UserId;
        let first = Rules::new(config(&[limit("user_id", 10, 1_000)], &[]), None);
        assert!(first.without_retired(|_| false).is_none());
        let retired = Rules::new(config(&[], &[]), Some(&first));
        assert!(retired.without_retired(|_| true).is_none());
        let clean = retired.without_retired(|_| false).unwrap();
        assert_eq!(clean.known_id(&Scope::Global, &key), None);
        let again = Rules::new(config(&[limit("user_id", 10, 1_000)], &[]), Some(&clean));
        assert_ne!(
            again.known_id(&Scope::Global, &key),
            first.known_id(&Scope::Global, &key)
        );
    }
}
