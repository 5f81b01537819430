//! What telemetry is told of a stream (SPEC section 16).

use std::{sync::Arc, time::Duration};

use super::live::LiveStream;
use crate::{
    clock::Clock,
    config::Route,
    telemetry::{Family, StreamEnd, StreamEvent, Telemetry},
};

/// Looks at one stream while it is open, and keeps it listed; dropped before it is closed, it tells that the stream was
/// lost.
pub(super) struct StreamWatch {
    live: LiveStream,
    route: Arc<Route>,
    telemetry: Telemetry,
    clock: Arc<dyn Clock>,
    /// Where somebody listened at the start.
    started: Option<Duration>,
    chunks: u64,
    open: bool,
}

impl StreamWatch {
    pub(super) fn open(
        live: LiveStream,
        route: Arc<Route>,
        telemetry: Telemetry,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let listened = telemetry.listens(Family::Stream);
        telemetry.emit(Family::Stream, || StreamEvent::Start {
            request_id: live.id(),
            service: &route.config.service,
            request_type: &route.config.request_type,
            open: live.open_streams(),
        });
        Self {
            started: listened.then(|| clock.now()),
            live,
            route,
            telemetry,
            clock,
            chunks: 0,
            open: true,
        }
    }

    /// One more chunk was handed on.
    pub(super) fn chunk(&mut self) {
        self.chunks += 1;
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
                duration: self.clock.now().saturating_sub(started),
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
