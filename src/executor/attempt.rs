//! Stage 6, the call itself: once, and again where the config asks for it (specification, section 9).

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt, future};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{depth, limit::Limit, target::Target};
use crate::{
    call::{local, retry::Backoff},
    clock::{Clock, within},
    config::Route,
    diagnostics::{Count, Counters},
    failure_log::FailureLog,
    function::{Call, Function, Outcome, RequestInfo, StreamHandle},
    node::{NodeClient, NodeSelector},
    request_error::RequestError,
    telemetry::{ExecutorEvent, Family, Reason, RequestTags, Telemetry},
    worker_pool::{TaskEnd, Ticket, WorkerPool},
};

/// What a function is called with; kept whole between two attempts.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) args: Vec<Value>,
    pub(super) info: RequestInfo,
    pub(super) stream: Option<StreamHandle>,
    pub(super) target: Target,
}

/// The pool that a call runs in. Each attempt has a place of its own there, so that none is held through a pause.
pub(super) struct Seat<'p> {
    pub(super) pool: &'p WorkerPool,
    /// Of the first attempt.
    pub(super) ticket: Option<Ticket>,
}

/// Calls functions under their timeout and with their retries.
pub(super) struct Attempts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    pub(super) counters: Counters,
    pub(super) failures: Arc<FailureLog>,
    /// A runtime that is always there, whatever thread a request comes from.
    pub(super) runtime: Handle,
    /// Bounds the threads of blocking functions.
    pub(super) blocking_pool: WorkerPool,
    pub(super) backoff: Backoff,
    pub(super) selector: NodeSelector,
    /// The way to service nodes.
    pub(super) client: Arc<dyn NodeClient>,
}

impl Attempts {
    /// Calls the function of a route until it succeeds or its retries are used up.
    ///
    /// The way that nearly all calls take, once and on this node, is a small future; the others are set aside in a box,
    /// for every request carries what this future is as large as.
    pub(super) fn run<'a>(
        &'a self,
        request_id: &'a str,
        route: &'a Route,
        input: Input,
    ) -> Attempt<'a> {
        match &input.target {
            Target::Local if route.retries == 0 => self.local(route, input),
            _ if route.retries == 0 => Attempt::Boxed(Box::pin(async move {
                let limit = Limit::of(route, &*self.clock);
                self.once(route, input, 0, &limit).await
            })),
            _ => Attempt::Boxed(Box::pin(self.with_retries(request_id, route, input, None))),
        }
    }

    /// The same in places of a pool.
    pub(super) async fn run_in_pool(
        &self,
        request_id: &str,
        route: &Route,
        input: Input,
        mut seat: Seat<'_>,
    ) -> Result<Outcome, RequestError> {
        if route.retries == 0 {
            let limit = Limit::of(route, &*self.clock);
            return self.in_place(route, &mut seat, input, 0, &limit).await;
        }
        self.with_retries(request_id, route, input, Some(seat))
            .await
    }

    /// Waits for a place, no longer than the call itself may take, and makes the call there.
    async fn in_place(
        &self,
        route: &Route,
        seat: &mut Seat<'_>,
        input: Input,
        retry: u32,
        limit: &Limit<'_>,
    ) -> Result<Outcome, RequestError> {
        let ticket = match seat.ticket.take() {
            Some(ticket) => ticket,
            None => seat.pool.admit()?,
        };
        let place = match route.timeout {
            None => ticket.place().await,
            Some(timeout) => {
                let place = within(&*self.clock, timeout, ticket.place()).await;
                place.ok_or_else(|| {
                    let millis = timeout.as_millis();
                    RequestError::Busy(format!("no place of the pool was free for {millis} ms"))
                })?
            }
        };
        let result = self.once(route, input, retry, limit).await;
        place.finish(match &result {
            Ok(_) => TaskEnd::Completed,
            Err(error) => error.task_end(),
        });
        result
    }

    async fn with_retries(
        &self,
        request_id: &str,
        route: &Route,
        input: Input,
        mut seat: Option<Seat<'_>>,
    ) -> Result<Outcome, RequestError> {
        let retries = route.retries;
        let request = RequestTags {
            request_id,
            service: &route.config.service,
            request_type: &route.config.request_type,
            version: route.config.effective_version(),
        };
        let mut limit = Limit::of(route, &*self.clock);
        let mut attempt = 0;
        loop {
            let input = input.clone();
            let settled = match &mut seat {
                None => self.once(route, input, attempt, &limit).await,
                Some(seat) => self.in_place(route, seat, input, attempt, &limit).await,
            };
            match settled {
                Err(error) if error.may_be_retried() && attempt < retries && !limit.is_over() => {
                    attempt += 1;
                    tracing::debug!(
                        function = crate::log_text::printed(&route.config.mfa),
                        attempt,
                        error = crate::log_text::printed(&error),
                        "a call is retried"
                    );
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
                    limit.pause(pause).await;
                }
                Err(error) if error.may_be_retried() => {
                    self.counters.count(Count::RetriesExhausted);
                    self.telemetry
                        .emit(Family::Executor, || ExecutorEvent::RetryExhausted {
                            request,
                            calls: attempt.saturating_add(1),
                            reason: Reason::new(&error),
                        });
                    let last = Box::new(error);
                    return Err(RequestError::RetriesExhausted { retries, last });
                }
                settled => return settled,
            }
        }
    }

    async fn once(
        &self,
        route: &Route,
        input: Input,
        retry: u32,
        limit: &Limit<'_>,
    ) -> Result<Outcome, RequestError> {
        match &input.target {
            Target::Local => self.local(route, input).await,
            Target::Nodes(chosen) => {
                let chosen = Arc::clone(chosen);
                self.on_nodes(route, &chosen, input, retry, limit).await
            }
        }
    }

    /// The call on this node, on the thread of the caller.
    pub(super) fn local(&self, route: &Route, input: Input) -> Attempt<'_> {
        // A stream's timeout bounds it as a whole, so the call inside has none of its own.
        let limit = match (&input.stream, route.timeout) {
            (None, Some(timeout)) => Some((timeout, &*self.clock)),
            _ => None,
        };
        match self.prepare(route, input) {
            Ok((function, call)) => {
                Attempt::Local(local::start(function, call, &self.runtime, limit))
            }
            Err(error) => Attempt::Refused(Some(error)),
        }
    }

    fn prepare<'r>(
        &self,
        route: &'r Route,
        input: Input,
    ) -> Result<(&'r dyn Function, Call), RequestError> {
        let Some(function) = &route.function else {
            let mfa = &route.config.mfa;
            let (module, function) = (mfa.module.clone(), mfa.function.clone());
            return Err(RequestError::NoFunction { module, function });
        };
        let mut call = Call::new(input.args, input.info, self.runtime.clone());
        call.set_arg_names(route.arg_names.clone());
        call.set_blocking_pool(self.blocking_pool.clone());
        call.append_info = route.config.request_info;
        call.stream = input.stream;
        Ok((&**function, call))
    }

    /// The same as [`run`](Self::run) for a stream, which outlives the request.
    pub(super) fn run_stream(
        self: &Arc<Self>,
        request_id: Arc<str>,
        route: Arc<Route>,
        input: Input,
    ) -> BoxFuture<'static, Result<Outcome, RequestError>> {
        if route.retries == 0 && matches!(input.target, Target::Local) {
            // Once it is made it needs neither the route nor us: what waits for long is small.
            return match self.prepare(&route, input) {
                Ok((function, call)) => {
                    let call = local::start(function, call, self.runtime.clone(), None);
                    let mut call = call.map_err(RequestError::from);
                    poll_fn(move |cx| depth::within(|| call.poll_unpin(cx))).boxed()
                }
                Err(error) => future::ready(Err(error)).boxed(),
            };
        }
        let attempts = Arc::clone(self);
        async move { depth::counted(attempts.run(&request_id, &route, input)).await }.boxed()
    }
}

/// A call under way, its retries included.
pub(super) enum Attempt<'a> {
    Local(local::Running<'a, &'a Handle>),
    /// Not even begun; the reason is there until it is told.
    Refused(Option<RequestError>),
    Boxed(BoxFuture<'a, Result<Outcome, RequestError>>),
}

impl Future for Attempt<'_> {
    type Output = Result<Outcome, RequestError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Local(call) => call.poll_unpin(cx).map_err(RequestError::from),
            Self::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            Self::Boxed(call) => call.poll_unpin(cx),
        }
    }
}
