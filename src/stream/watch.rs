//! What telemetry is told of a stream (specification, section 16).

use std::{sync::Arc, time::Duration};

use super::live::{LiveStream, Stop};
use crate::{
    clock::Clock,
    config::Route,
    failure_log::FailureLog,
    request_error::RequestError,
    telemetry::{Family, StreamEnd, StreamEvent, Telemetry},
};

/// Looks at one stream while it is open, and keeps it listed; dropped before it is closed, it tells that the stream was
/// lost. It also holds what is known of the stream from its config.
pub(crate) struct StreamWatch {
    live: LiveStream,
    route: Arc<Route>,
    telemetry: Telemetry,
    failures: Arc<FailureLog>,
    /// Where somebody listened at the start.
    started: Option<Duration>,
    chunks: u64,
    open: bool,
}

impl StreamWatch {
    /// Keeps the stream listed; nothing is told of it yet.
    pub(crate) fn new(
        live: LiveStream,
        route: Arc<Route>,
        telemetry: Telemetry,
        failures: Arc<FailureLog>,
    ) -> Self {
        Self {
            live,
            route,
            telemetry,
            failures,
            started: None,
            chunks: 0,
            open: false,
        }
    }

    /// The stream begins.
    pub(super) fn open(&mut self) {
        self.open = true;
        if self.telemetry.listens(Family::Stream) {
            self.started = Some(self.clock().now());
        }
        self.telemetry.emit(Family::Stream, || StreamEvent::Start {
            request_id: self.live.id(),
            service: &self.route.config.service,
            request_type: &self.route.config.request_type,
            open: self.live.open_streams(),
        });
    }

    /// The stream ended with an error.
    pub(super) fn failed(&self, error: &RequestError) {
        let api = Some(self.route.api());
        self.failures.note(api, self.request_id(), error);
    }

    /// The id of the request.
    pub(super) fn request_id(&self) -> &str {
        self.live.id()
    }

    pub(super) fn stop_signal(&self) -> &Arc<Stop> {
        self.live.stop_signal()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.failures.clock()
    }

    /// How long the stream may take as a whole; `None` for no bound.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.route.timeout
    }

    /// So many more chunks were handed on.
    pub(super) fn chunks(&mut self, count: usize) {
        self.chunks += count as u64;
    }

    /// The stream has come to its end: it is no longer listed.
    pub(super) fn close(&mut self, end: StreamEnd) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        self.live.leave();
        if let Some(started) = self.started {
            self.telemetry.emit(Family::Stream, || StreamEvent::Stop {
                request_id: self.live.id(),
                service: &self.route.config.service,
                request_type: &self.route.config.request_type,
                duration: self.clock().now().saturating_sub(started),
                chunks: self.chunks,
                end,
                open: self.live.open_streams(),
            });
        }
    }
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        self.close(StreamEnd::Lost);
    }
}
