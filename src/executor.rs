//! The way of a request, stage by stage (specification, section 3), and the [`Executor`] actor as one door to it.
//!
//! [`GenApi::execute`](crate::GenApi::execute) runs the stages on the caller's thread, without a mailbox in between. The
//! actor runs the same stages; what has to wait goes on in a task of its own, so an executor that dies drops no request it has
//! taken.
//!
//! ```text
//! admission -> find config -> before hook -> permission -> rate limits -> arguments -> call -> after hook -> response
//!     |             |             |              |             |             |          |         ^
//!     |             |             +--------------+-------------+-------------+----------+---------+
//!     +-------------+------------------------------------ one error response -----------------------> response
//! ```

mod actor;
mod after;
mod arguments;
mod attempt;
mod begun;
mod candidates;
mod depth;
mod find_config;
mod invoke;
mod limit;
mod permission;
mod remote;
mod reply;
mod start_stream;
mod target;
mod watch;

use std::{mem, sync::Arc, time::Duration};

use actix::Recipient;
use actix_otp::{ArbiterPool, DynamicSupervisorRef};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tracing::Instrument;

pub use self::{
    actor::{Execute, Executor},
    reply::Reply,
    start_stream::{StartStream, StartStreamError, StartedStream},
};
use self::{
    after::AfterHook,
    attempt::{Attempts, Input},
    invoke::NotBegun,
    reply::Refused,
    target::Target,
    watch::Watch,
};
use crate::{
    admission::LineBudget,
    background::Background,
    call::{callback::Callbacks, retry::Backoff},
    clock::{self, Clock},
    config::{ConfigTable, Route},
    diagnostics::{Count, Counters, Now, Statistics},
    failure_log::FailureLog,
    function::RequestInfo,
    hooks::Hooks,
    lifecycle::{Lifecycle, Place},
    model::{DecodeError, Identity, Request, Response, ResponseType},
    node::{Address, NodeClient, NodeSelector},
    rate_limiter::RateLimiter,
    request_error::RequestError,
    respond,
    settings::Settings,
    stream::LiveStreams,
    telemetry::Telemetry,
    worker_pool::WorkerPools,
};

/// Everything a request meets on its way; shared by all doors.
pub(crate) struct Pipeline {
    pub(crate) settings: Settings,
    pub(crate) configs: Arc<ConfigTable>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) worker_pools: WorkerPools,
    pub(crate) streams: Arc<LiveStreams>,
    pub(crate) stream_supervisor: DynamicSupervisorRef,
    /// Runs what goes on after the acknowledgement.
    pub(crate) pool: ArbiterPool,
    pub(crate) telemetry: Telemetry,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// When the engine was made, by its clock.
    started: Duration,
    /// Keeps the runtime that functions and timers find alive, also where the clock is another.
    background: Background,
    denial_lines: LineBudget,
    callbacks: Arc<Callbacks>,
    hooks: Arc<Hooks>,
    attempts: Arc<Attempts>,
}

/// What a [`Pipeline`] is made of.
pub(crate) struct PipelineParts {
    pub(crate) settings: Settings,
    pub(crate) configs: Arc<ConfigTable>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) worker_pools: WorkerPools,
    pub(crate) streams: Arc<LiveStreams>,
    pub(crate) stream_supervisor: DynamicSupervisorRef,
    pub(crate) pool: ArbiterPool,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) selector: NodeSelector,
    pub(crate) client: Arc<dyn NodeClient>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Telemetry,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) background: Background,
}

impl Pipeline {
    pub(crate) fn new(parts: PipelineParts) -> Self {
        let PipelineParts {
            callbacks,
            clock,
            telemetry,
            background,
            ..
        } = parts;
        let blocking_pool = parts.worker_pools.blocking_pool.clone();
        Self {
            settings: parts.settings,
            configs: parts.configs,
            rate_limiter: parts.rate_limiter,
            worker_pools: parts.worker_pools,
            streams: parts.streams,
            stream_supervisor: parts.stream_supervisor,
            pool: parts.pool,
            lifecycle: parts.lifecycle,
            denial_lines: LineBudget::new(Arc::clone(&clock)),
            hooks: Arc::new(Hooks::new(
                Arc::clone(&callbacks),
                Arc::clone(&clock),
                telemetry.clone(),
            )),
            callbacks,
            started: clock.now(),
            attempts: Arc::new(Attempts {
                failures: Arc::new(FailureLog::new(Arc::clone(&clock))),
                clock,
                counters: Counters::new(),
                telemetry: telemetry.clone(),
                runtime: background.handle().clone(),
                blocking_pool,
                backoff: Backoff::default(),
                selector: parts.selector,
                client: parts.client,
            }),
            telemetry,
            background,
        }
    }

    pub(crate) fn selector(&self) -> &NodeSelector {
        &self.attempts.selector
    }

    /// Whether a node is up or down, where that is known.
    pub(crate) fn is_up(&self, node: &Address) -> Option<bool> {
        self.attempts.client.is_up(node)
    }

    /// The runtime that lives as long as any handle on the engine.
    pub(crate) fn runtime(&self) -> &Handle {
        self.background.handle()
    }

    /// The clock itself, for parts that outlive a borrow.
    #[cfg(feature = "channel")]
    pub(crate) fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.attempts.clock)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.attempts.clock
    }

    /// How many requests are being worked on.
    pub(crate) fn in_flight(&self) -> usize {
        self.lifecycle.requests()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let now = Now {
            uptime: self.clock().now().saturating_sub(self.started),
            in_flight: self.in_flight(),
            open_streams: self.streams.count(),
        };
        Statistics::new(&self.attempts.counters, &now)
    }

    /// Answers a request; its later responses are in the reply.
    pub(crate) fn execute(&self, request: Request) -> impl Future<Output = Reply> + Send {
        self.answer(request, Demand::default())
            .map(|answer| answer.unwrap_or_else(Reply::from))
    }

    /// Answers a request; all responses go to the recipient, in order.
    pub(crate) async fn execute_to(&self, request: Request, recipient: Recipient<Response>) {
        let demand = Demand {
            recipient: Some(recipient.clone()),
            ..Demand::default()
        };
        let answer = self.answer(request, demand).await;
        if let Some(response) = answer.unwrap_or_else(Reply::from).response {
            recipient.do_send(response);
        }
    }

    /// Answers a JSON payload; one that is no request gets an error response. Without an identity the payload's own word
    /// for it is taken.
    pub(crate) async fn execute_json(&self, identity: Option<&Identity>, payload: &[u8]) -> Reply {
        match Request::decode(payload, self.settings.requests.max_payload_bytes) {
            Ok(request) => match identity {
                Some(identity) => self.execute(request.with_identity(identity)).await,
                None => self.execute(request).await,
            },
            Err(error) => Reply::now(self.undecodable(payload, &error)),
        }
    }

    /// The response to a payload that is no request, which is counted.
    pub(crate) fn undecodable(&self, payload: &[u8], error: &DecodeError) -> Response {
        self.attempts.counters.count(Count::Undecodable);
        let request_id = respond::request_id_of(payload, error);
        respond::undecodable(request_id, error)
    }

    /// Answers a request within a limit, retries included.
    pub(crate) async fn execute_within(&self, mut request: Request, limit: Duration) -> Reply {
        let mut watch = Watch::start(self, &request);
        let span = watch.span();
        let answer = {
            let stages = self.stages(&mut watch, &mut request, Demand::default());
            let stages = depth::counted(stages).instrument(span);
            self.lifecycle
                .until_cut(clock::within(self.clock(), limit, stages))
                .await
        };
        let answer = match answer {
            Some(Some(answer)) => answer,
            Some(None) => Err(self.give_up(
                &mut watch,
                request.request_id,
                RequestError::TimedOut(limit),
            )),
            None => Err(self.give_up(&mut watch, request.request_id, RequestError::Stopping)),
        };
        answer.unwrap_or_else(Reply::from)
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an async function keeps the request twice, as it was given and as it is used"
    )]
    fn answer(
        &self,
        mut request: Request,
        demand: Demand,
    ) -> impl Future<Output = Result<Reply, Box<Refused>>> + Send {
        async move {
            let mut watch = Watch::start(self, &request);
            let span = watch.span();
            let answer = {
                let stages = self.stages(&mut watch, &mut request, demand);
                let stages = depth::counted(stages).instrument(span);
                self.lifecycle.until_cut(stages).await
            };
            answer.unwrap_or_else(|| {
                Err(self.give_up(&mut watch, request.request_id, RequestError::Stopping))
            })
        }
    }

    /// Ends the way of a request that is still under way; its stages must have been dropped.
    fn give_up(
        &self,
        watch: &mut Watch<'_>,
        request_id: String,
        error: RequestError,
    ) -> Box<Refused> {
        watch.end(Some(&error));
        Box::new(Refused {
            response: self.refuse(None, request_id, &error),
            error,
            is_told: false,
        })
    }

    async fn stages(
        &self,
        watch: &mut Watch<'_>,
        request: &mut Request,
        demand: Demand,
    ) -> Result<Reply, Box<Refused>> {
        let (place, route) = match self.admit(request) {
            Ok(admitted) => admitted,
            Err(error) => {
                return Err(self.give_up(watch, mem::take(&mut request.request_id), error));
            }
        };
        // Calls that go on after their acknowledgement take it along.
        let mut place = Some(place);
        watch.found(route.config.response_type);
        let checked = self.check(request, route, demand.only).await;
        let (route, checked) = match checked {
            Ok((route, target)) => (route, Ok(target)),
            Err((route, error)) => (route, Err(error)),
        };
        // The before hook may have changed it.
        watch.found(route.config.response_type);
        let after = AfterHook::of(&self.hooks, &route, request);
        let result = match checked {
            Ok(target) => match self.accept(request, &route, target) {
                Ok(input) => {
                    let after = after.as_deref();
                    self.invoke(request, route, input, after, demand.recipient, &mut place)
                        .await
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(reply) => {
                watch.end(None);
                Ok(reply)
            }
            Err(NotBegun { error, is_told }) => {
                let api = Some((&*request.service, &*request.request_type));
                let mut response = self.refuse(api, request.request_id.clone(), &error);
                // What the recipient has got can no longer be changed.
                if let Some(after) = after.as_deref().filter(|_| !is_told) {
                    response = after.apply(response).await;
                }
                watch.end(Some(&error));
                Err(Box::new(Refused {
                    error,
                    response,
                    is_told,
                }))
            }
        }
    }

    /// The stages before anything is known of the caller's rights.
    fn admit(&self, request: &Request) -> Result<(Place<'_>, Arc<Route>), RequestError> {
        depth::check()?;
        let place = self
            .lifecycle
            .enter(self.settings.engine.max_in_flight, depth::is_nested())?;
        let route = find_config::find_config(&self.configs, request)?;
        Ok((place, route))
    }

    /// The stages that may refuse the caller; the before hook may have another config answer.
    async fn check(
        &self,
        request: &mut Request,
        mut route: Arc<Route>,
        only: Option<ResponseType>,
    ) -> Result<(Arc<Route>, Target), (Arc<Route>, RequestError)> {
        if let Some(hook) = &route.config.before_execute {
            // In a box, as all that few requests meet: each one moves about what its future is as large as.
            match Box::pin(self.hooks.before(hook, request, &route.config)).await {
                Ok(None) => {}
                Ok(Some(config)) => match self.configs.compile(config) {
                    Ok(changed) => route = Arc::new(changed),
                    Err(error) => {
                        tracing::warn!(
                            hook = crate::log_text::printed(hook),
                            error = crate::log_text::printed(&error),
                            "a before hook answered with a config that is not valid"
                        );
                    }
                },
                Err(rejection) => return Err((route, rejection.into())),
            }
        }
        let response_type = route.config.response_type;
        if only.is_some_and(|only| only != response_type) {
            return Err((route, RequestError::NotAStream(response_type)));
        }
        match self.admit_caller(request, &route).await {
            Ok(target) => Ok((route, target)),
            Err(error) => Err((route, error)),
        }
    }

    async fn admit_caller(&self, request: &Request, route: &Route) -> Result<Target, RequestError> {
        let mut target = Target::choose(&self.attempts.selector, request, route).await?;
        let judges = permission::Judges {
            callbacks: &self.callbacks,
            client: &*self.attempts.client,
            lines: &self.denial_lines,
            clock: self.clock(),
        };
        permission::check(judges, &self.telemetry, request, route, &mut target).await?;
        self.rate_limiter.check_for(request, &route.config)?;
        Ok(target)
    }

    /// What the function is called with; takes it out of the request.
    fn accept(
        &self,
        request: &mut Request,
        route: &Route,
        target: Target,
    ) -> Result<Input, RequestError> {
        let args = arguments::convert(route, mem::take(&mut request.args))?;
        // A sync call reads them itself before anybody hears of it.
        if route.config.response_type != ResponseType::Sync && matches!(target, Target::Local) {
            arguments::check(route, &args, self.runtime())?;
        }
        let info = if route.needs_info {
            let (user_id, device_id) = (request.user_id.take(), request.device_id.take());
            RequestInfo::new(request.request_id.clone(), user_id, device_id)
                .with_connection(request.connection.take())
        } else {
            RequestInfo::default()
        };
        Ok(Input {
            args,
            info,
            stream: None,
            target,
        })
    }

    fn refuse(
        &self,
        api: Option<(&str, &str)>,
        request_id: String,
        error: &RequestError,
    ) -> Response {
        self.attempts.failures.note(api, &request_id, error);
        respond::failure(request_id, error, self.settings.security.detail_error)
    }
}

/// What the asker wants beside the answer.
#[derive(Default)]
struct Demand {
    /// Gets every response of a request that is accepted.
    recipient: Option<Recipient<Response>>,
    /// The request is refused where its config answers in another mode.
    only: Option<ResponseType>,
}
