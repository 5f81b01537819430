//! What is told of a request while it goes its way: telemetry events, and its `tracing` span (specification, section 16).
//!
//! A request that nobody looks at costs two checks: neither its names are copied nor the clock is read.

use std::{fmt, thread, time::Duration};

use tracing::{Span, field};

use super::Pipeline;
use crate::{
    call::local::CallError,
    model::{Request, ResponseType},
    rate_limiter::RateLimitError,
    request_error::RequestError,
    telemetry::{ExceptionKind, ExecutorEvent, Family, Outcome, Reason, RequestTags},
};

/// Looks at one request from its start to its answer; dropped before that, it tells that the request was given up.
pub(super) struct Watch<'p> {
    pipeline: &'p Pipeline,
    span: Span,
    /// Where somebody listened at the start.
    begun: Option<Box<Begun>>,
    response_type: Option<ResponseType>,
    open: bool,
}

/// The request as it came in; a hook may change it on the way.
struct Begun {
    at: Duration,
    request_id: String,
    service: String,
    request_type: String,
    version: Option<String>,
}

impl<'p> Watch<'p> {
    pub(super) fn start(pipeline: &'p Pipeline, request: &Request) -> Self {
        let telemetry = &pipeline.telemetry;
        let begun = telemetry.listens(Family::Executor).then(|| {
            telemetry.emit(Family::Executor, || ExecutorEvent::RequestStart {
                request: request.into(),
            });
            Box::new(Begun {
                at: pipeline.attempts.clock.now(),
                request_id: request.request_id.clone(),
                service: request.service.clone(),
                request_type: request.request_type.clone(),
                version: request.version.clone(),
            })
        });
        Self {
            pipeline,
            span: span_of(request),
            begun,
            response_type: None,
            open: true,
        }
    }

    /// The span that everything done for the request belongs into.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The config was found, so the response mode is known.
    pub(super) fn found(&mut self, response_type: ResponseType) {
        if self.response_type.replace(response_type) == Some(response_type) {
            return;
        }
        self.record("response_mode", response_type.as_str());
    }

    /// The request has its answer.
    pub(super) fn end(&mut self, error: Option<&RequestError>) {
        match error.map(|error| (error, judge(error))) {
            None => self.stop(Outcome::Success),
            Some((_, Ok(outcome))) => self.stop(outcome),
            Some((error, Err(kind))) => self.exception(kind, error),
        }
    }

    fn stop(&mut self, outcome: Outcome) {
        self.close(outcome);
        self.emit(|request, duration| ExecutorEvent::RequestStop {
            request,
            response_type: self.response_type,
            duration,
            outcome,
        });
    }

    fn exception(&mut self, kind: ExceptionKind, reason: &dyn fmt::Display) {
        self.close(Outcome::Exception);
        self.emit(|request, duration| ExecutorEvent::RequestException {
            request,
            response_type: self.response_type,
            duration,
            kind,
            reason: Reason::new(reason),
        });
    }

    fn cancel(&mut self) {
        self.close(Outcome::Cancelled);
        self.emit(|request, duration| ExecutorEvent::RequestCancelled {
            request,
            response_type: self.response_type,
            duration,
        });
    }

    fn close(&mut self, outcome: Outcome) {
        self.open = false;
        self.pipeline.attempts.counters.request(outcome);
        self.record("outcome", outcome.as_str());
    }

    fn emit<'s>(&'s self, event: impl FnOnce(RequestTags<'s>, Duration) -> ExecutorEvent<'s>) {
        let Some(begun) = &self.begun else {
            return;
        };
        let Pipeline {
            telemetry,
            attempts,
            ..
        } = self.pipeline;
        telemetry.emit(Family::Executor, || {
            let duration = attempts.clock.now().saturating_sub(begun.at);
            event(begun.tags(), duration)
        });
    }

    fn record(&self, field: &str, value: &'static str) {
        if !self.span.is_disabled() {
            self.span.record(field, value);
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if thread::panicking() {
            self.exception(ExceptionKind::Panic, &"the engine panicked");
        } else {
            self.cancel();
        }
    }
}

impl Begun {
    fn tags(&self) -> RequestTags<'_> {
        RequestTags {
            request_id: &self.request_id,
            service: &self.service,
            request_type: &self.request_type,
            version: self.version.as_deref(),
        }
    }
}

fn span_of(request: &Request) -> Span {
    tracing::info_span!(
        target: "gen_api::request",
        "gen_api.request",
        service = crate::log_text::cut(&request.service),
        request_type = crate::log_text::cut(&request.request_type),
        version = request.version.as_deref().map(crate::log_text::cut),
        request_id = crate::log_text::cut(&request.request_id),
        response_mode = field::Empty,
        outcome = field::Empty,
        trace_id = field::Empty,
    )
}

/// Whether an error is an answer, or means that the way of the request broke.
fn judge(error: &RequestError) -> Result<Outcome, ExceptionKind> {
    match error {
        RequestError::Unsupported { .. } => Ok(Outcome::Unsupported),
        RequestError::Disabled { .. } => Ok(Outcome::Disabled),
        RequestError::HookRejected(_) => Ok(Outcome::Rejected),
        RequestError::PermissionDenied => Ok(Outcome::Denied),
        RequestError::RateLimit(RateLimitError::Limited(_)) => Ok(Outcome::RateLimited),
        RequestError::Argument(_) | RequestError::Call(CallError::InvalidArgument(_)) => {
            Ok(Outcome::InvalidArguments)
        }
        RequestError::Busy(_)
        | RequestError::Stopping
        | RequestError::RateLimit(RateLimitError::Unavailable)
        | RequestError::Call(CallError::Busy(_)) => Ok(Outcome::Unavailable),
        RequestError::RetriesExhausted { .. }
        | RequestError::Call(CallError::Failed(_) | CallError::Public(_)) => Ok(Outcome::Failed),
        RequestError::Call(CallError::Panicked(_)) => Err(ExceptionKind::Panic),
        RequestError::Call(CallError::TimedOut(_)) | RequestError::TimedOut(_) => {
            Err(ExceptionKind::Timeout)
        }
        RequestError::Selection(_) | RequestError::Node(_) => Err(ExceptionKind::Unreachable),
        RequestError::ProducerVanished => Err(ExceptionKind::Lost),
        RequestError::TooDeep { .. }
        | RequestError::Call(CallError::Arguments(_))
        | RequestError::NoFunction { .. }
        | RequestError::UnexpectedStream
        | RequestError::NotAStream(_) => Err(ExceptionKind::Internal),
    }
}
