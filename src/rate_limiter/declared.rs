//! Limits by an argument, held against the configs that declare it.

use std::collections::BTreeMap;

use super::{
    RateLimiter,
    limit::{ApiLimit, InvalidLimit, LimitKey},
};
use crate::{
    arguments::ArgDeclaration,
    model::{FunConfig, Request},
};

/// The arguments of an API by name.
pub(super) type Declared = BTreeMap<String, ArgDeclaration>;

/// Nothing is known of the arguments.
pub(super) static UNDECLARED: Declared = Declared::new();

/// Why the configs of an API give no request a value for a limit on it.
pub(super) type JudgeLimit = dyn Fn(&ApiLimit) -> Option<String> + Send + Sync;

impl ApiLimit {
    /// Why no request that `config` answers has a value for this limit; `None` as well where it is of another API, or says
    /// nothing of its arguments.
    pub(crate) fn never_counts(&self, config: &FunConfig) -> Option<String> {
        let (service, request_type) = (&config.service, &config.request_type);
        if self.service != *service || self.request_type != *request_type {
            return None;
        }
        let (LimitKey::Argument(name), Some(declared)) = (&self.key, &config.arg_types) else {
            return None;
        };
        match declared.get(name).map(|argument| argument.arg_type) {
            None => Some(format!(
                "must be an argument, but {service}/{request_type} declares no `{name}`"
            )),
            Some(several) if several.has_max_items() => Some(format!(
                "must be an argument with a single value, but `{name}` of {service}/{request_type} is {several}"
            )),
            Some(_) => None,
        }
    }
}

/// Holds each limit against the configs of its API.
pub(crate) fn judge(
    limits: &[ApiLimit],
    never_counts: impl Fn(&ApiLimit) -> Option<String>,
) -> Result<(), InvalidLimit> {
    for (index, limit) in limits.iter().enumerate() {
        if let Some(reason) = never_counts(limit) {
            return Err(InvalidLimit::new(
                format!("api_limits[{index}].key"),
                reason,
            ));
        }
    }
    Ok(())
}

impl RateLimiter {
    /// Has limits of APIs judged from now on when they are set.
    pub(crate) fn judge_by(
        &self,
        never_counts: impl Fn(&ApiLimit) -> Option<String> + Send + Sync + 'static,
    ) {
        // The engine that made the limiter sets it, once.
        let _ = self.shared.judge.set(Box::new(never_counts));
    }

    /// Why a limit in force counts none of the requests that `config` is going to answer.
    pub(crate) fn contradicted_by(&self, config: &FunConfig) -> Result<(), InvalidLimit> {
        let rules = self.shared.rules.load();
        judge(&rules.config.api_limits, |limit| limit.never_counts(config))
    }

    /// [`check`](Self::check) for a request that `config` answers: numbers and booleans that it declares count too.
    pub(crate) fn check_for(
        &self,
        request: &Request,
        config: &FunConfig,
    ) -> Result<(), super::RateLimitError> {
        self.check_among(request, config.declared_args())
    }
}
