//! What can be told of configs beside their own validity: how they go together with the rest of an engine.

use std::sync::Arc;

use crate::{
    admission::LineBudget,
    arguments::Limits,
    clock::Clock,
    function::Functions,
    log_text::printed,
    model::{FunConfig, Mfa, Nodes},
    rate_limiter::RateLimiter,
};

/// The first function that `config` names and this process cannot call: it is not registered, or takes another number of
/// arguments. What runs on other nodes is not known here.
pub(super) fn uncallable(config: &FunConfig, functions: &Functions) -> Option<String> {
    let runs_here = matches!(config.nodes, Nodes::Local);
    let sent = config.argument_plan(&Limits::default()).names();
    let sent = sent.map_or(0, |names| names.len());
    let resolver = match &config.nodes {
        Nodes::Resolver(resolver) => Some(resolver),
        Nodes::Local | Nodes::List(_) => None,
    };
    let fault = |role: &str, function: &Mfa, given: usize, may_follow: bool| {
        let Some(registered) = functions.get(&function.module, &function.function) else {
            return Some(format!("{role} {function} is not registered"));
        };
        let given = given + function.args.len();
        let most = given + usize::from(may_follow);
        let takes = registered
            .arity()
            .filter(|takes| !(given..=most).contains(takes))?;
        Some(format!(
            "{role} {function} has arity {takes}, but is called with {given}"
        ))
    };
    let named = [
        (
            "its function",
            runs_here.then_some(&config.mfa),
            sent,
            config.request_info,
        ),
        ("its resolver", resolver, 0, false),
        (
            "its permission callback",
            config.permission_callback.as_ref().filter(|_| runs_here),
            1,
            false,
        ),
        ("its before hook", config.before_execute.as_ref(), 2, false),
        ("its after hook", config.after_execute.as_ref(), 3, false),
    ];
    named
        .into_iter()
        .find_map(|(role, function, given, may_follow)| fault(role, function?, given, may_follow))
}

/// Warns of configs under which a limit counts nothing; they come as they like, from services too.
pub(super) fn contradictions(
    limiter: &RateLimiter,
    clock: &Arc<dyn Clock>,
) -> impl Fn(&FunConfig) + Send + Sync + 'static {
    let (limiter, lines) = (limiter.clone(), LineBudget::new(Arc::clone(clock)));
    move |config| {
        if let Err(contradiction) = limiter.contradicted_by(config)
            && let Some(left_out) = lines.take()
        {
            tracing::warn!(
                limit = printed(contradiction),
                left_out,
                "a rate limit counts none of the requests of a new config"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, sync::Mutex};

    use tracing::{Metadata, Subscriber, field, span};

    use super::*;
    use crate::{
        arguments::ArgType,
        clock::ManualClock,
        rate_limiter::{ApiLimit, LimitKey, RateLimit, RateLimitConfig},
    };

    /// The warnings of this thread.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<Vec<String>>>);

    struct Words(String);

    impl field::Visit for Words {
        fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
            write!(self.0, "{}={value:?};", field.name()).unwrap();
        }
    }

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut words = Words(String::new());
            event.record(&mut words);
            self.0.lock().unwrap().push(words.0);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    fn warnings(tell: impl FnOnce()) -> Vec<String> {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), tell);
        let warnings = warnings.0.lock().unwrap();
        warnings.clone()
    }

    #[test]
    fn a_config_under_which_a_limit_counts_nothing_is_told_of_a_bounded_number_of_times() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let mut limits = RateLimitConfig::default();
        let limit = RateLimit::new(LimitKey::from("id"), 1, 1_000);
        limits.api_limits = vec![ApiLimit::new("svc", "op", limit)];
        let limiter = RateLimiter::with_config(Arc::clone(&clock), limits).unwrap();
        let told_of = contradictions(&limiter, &clock);
        let config = |name: &str, arg_type| {
            let config = FunConfig::builder("svc", "op").call("M", "f").local();
            config.arg(name, arg_type).build().unwrap()
        };
        let fitting = config("id", ArgType::Num);
        assert!(warnings(|| told_of(&fitting)).is_empty());
        let lines = warnings(|| {
            told_of(&config("id", ArgType::ListNum));
            told_of(&config("other", ArgType::String));
        });
        assert_eq!(lines.len(), 2);
        let several = "`id` of svc/op is a list of numbers";
        assert!(lines[0].contains(several), "{lines:?}");
        assert!(lines[1].contains("svc/op declares no `id`"), "{lines:?}");
        let lines = warnings(|| (0..1_000).for_each(|_| told_of(&config("x", ArgType::Num))));
        assert_eq!(lines.len(), 8);
    }
}
