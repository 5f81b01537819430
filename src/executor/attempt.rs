//! Stage 6, the call itself: once, and again where the config asks for it (SPEC section 9).

use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Handle;

use super::target::Target;
use crate::{
    call::{local, retry::Backoff},
    clock::Clock,
    config::Route,
    diagnostics::{Count, Counters},
    function::{Call, Outcome, RequestInfo, StreamHandle},
    node::{NodeClient, NodeSelector},
    request_error::RequestError,
    telemetry::{ExecutorEvent, Family, Reason, RequestTags, Telemetry},
};

/// What a function is called with; kept whole between two attempts.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) args: Vec<Value>,
    pub(super) info: RequestInfo,
    pub(super) stream: Option<StreamHandle>,
    pub(super) target: Target,
}

/// Calls functions under their timeout and with their retries.
pub(super) struct Attempts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    pub(super) counters: Counters,
    /// A runtime that is always there, whatever thread a request comes from.
    pub(super) runtime: Handle,
    pub(super) backoff: Backoff,
    pub(super) selector: NodeSelector,
    /// The way to service nodes.
    pub(super) client: Arc<dyn NodeClient>,
}

impl Attempts {
    /// Calls the function of a route until it succeeds or its retries are used up.
    pub(super) async fn run(
        &self,
        request_id: &str,
        route: &Route,
        input: Input,
    ) -> Result<Outcome, RequestError> {
        let retries = route.retries;
        if retries == 0 {
            return self.once(route, input, 0).await;
        }
        let request = RequestTags {
            request_id,
            service: &route.config.service,
            request_type: &route.config.request_type,
            version: route.config.effective_version(),
        };
        let mut attempt = 0;
        loop {
            match self.once(route, input.clone(), attempt).await {
                Err(error) if error.may_be_retried() && attempt < retries => {
                    attempt += 1;
                    tracing::debug!(function = %route.config.mfa, attempt, %error, "a call is retried");
                    self.counters.count(Count::Retry);
                    let pause = self.backoff.pause(attempt, &mut rand::rng());
                    self.telemetry
                        .emit(Family::Executor, || ExecutorEvent::Retry {
                            request,
                            attempt,
                            limit: retries,
                            delay: pause,
                            reason: Reason::new(&error),
                        });
                    self.clock.sleep(pause).await;
                }
                Err(error) if error.may_be_retried() => {
                    self.counters.count(Count::RetriesExhausted);
                    self.telemetry
                        .emit(Family::Executor, || ExecutorEvent::RetryExhausted {
                            request,
                            calls: retries.saturating_add(1),
                            reason: Reason::new(&error),
                        });
                    let last = Box::new(error);
                    return Err(RequestError::RetriesExhausted { retries, last });
                }
                settled => return settled,
            }
        }
    }

    async fn once(&self, route: &Route, input: Input, retry: u32) -> Result<Outcome, RequestError> {
        match &input.target {
            Target::Local => self.local(route, input).await,
            Target::Nodes(chosen) => {
                let chosen = Arc::clone(chosen);
                self.on_nodes(route, &chosen, input, retry).await
            }
        }
    }

    /// The call on this node, on the thread of the caller.
    pub(super) async fn local(&self, route: &Route, input: Input) -> Result<Outcome, RequestError> {
        let Some(function) = &route.function else {
            let mfa = &route.config.mfa;
            let (module, function) = (mfa.module.clone(), mfa.function.clone());
            return Err(RequestError::NoFunction { module, function });
        };
        let mut call = Call::new(input.args, input.info, self.runtime.clone());
        if let Some(names) = &route.arg_names {
            call = call.with_arg_names(Arc::clone(names));
        }
        if route.config.request_info {
            call = call.with_appended_info();
        }
        // A stream's timeout bounds it as a whole, so the call inside has none of its own.
        let timeout = if input.stream.is_some() {
            None
        } else {
            route.timeout
        };
        call.stream = input.stream;
        Ok(local::call(&**function, call, timeout, &self.clock).await?)
    }
}
