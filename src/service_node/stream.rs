//! A streaming function at work for a gateway: its chunks as they are read, and no chunk sooner.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use super::core::failure;
use crate::{
    call::local::CallError,
    clock::{Clock, Sleep},
    function::{FunctionError, Outcome, StreamEvent, StreamEvents},
    node::client::{NodeCallError, NodeStream, RemoteFailure, StreamChunk},
};

type Item = Result<StreamChunk, NodeCallError>;

/// A streaming function and what it sends. Reading drives the function; dropping ends it.
///
/// The order is that of a stream in the gateway's own process (specification, section 7): the function's answer is the first chunk, or
/// follows what the function has sent before it answered.
pub(super) struct RunningStream {
    /// `None` once the stream has ended: the function is dropped with its end.
    work: Option<Work>,
    /// The first item, which was waited for to know whether the call was accepted.
    first: Option<Item>,
    timeout: Option<Duration>,
    /// Armed when the function waits for the first time.
    timer: Option<Sleep>,
    clock: Arc<dyn Clock>,
}

struct Work {
    /// `None` once it has answered.
    call: Option<BoxFuture<'static, Result<Outcome, CallError>>>,
    /// What the stream handle sends; `None` once no handle is left.
    events: Option<StreamEvents>,
    /// The Rust stream that the function answered with.
    answer: Option<BoxStream<'static, Result<Value, FunctionError>>>,
    /// A late answer, which waits for what was sent before it.
    late: Option<Value>,
    /// How the function failed, which follows what was sent before it.
    failure: Option<NodeCallError>,
    begun: bool,
}

/// What comes next of a stream.
enum Step {
    Chunk(Value),
    Last(Value),
    Complete,
    Failed(NodeCallError),
}

impl RunningStream {
    pub(super) fn new(
        call: BoxFuture<'static, Result<Outcome, CallError>>,
        events: StreamEvents,
        timeout: Option<Duration>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            work: Some(Work {
                call: Some(call),
                events: Some(events),
                answer: None,
                late: None,
                failure: None,
                begun: false,
            }),
            first: None,
            timeout,
            timer: None,
            clock,
        }
    }

    /// The stream, once its function has sent something or completed; how it failed where it did so before that.
    pub(super) async fn begun(mut self) -> Result<NodeStream, NodeCallError> {
        match poll_fn(|cx| self.poll_item(cx)).await {
            Some(Err(error)) => return Err(error),
            first => self.first = first,
        }
        Ok(Box::pin(self))
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let step = match work.poll(cx) {
            Poll::Ready(step) => step,
            Poll::Pending => {
                let Some(after) = self.timeout else {
                    return Poll::Pending;
                };
                let timer = self.timer.get_or_insert_with(|| self.clock.sleep(after));
                ready!(timer.as_mut().poll(cx));
                Step::Failed(NodeCallError::TimedOut { after })
            }
        };
        let last = match step {
            Step::Chunk(value) => {
                work.begun = true;
                return Poll::Ready(Some(Ok(StreamChunk::Result(value))));
            }
            Step::Last(value) => Some(Ok(StreamChunk::Last(value))),
            Step::Complete => None,
            Step::Failed(error) => Some(Err(error)),
        };
        self.work = None;
        Poll::Ready(last)
    }
}

impl Stream for RunningStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        self.poll_item(cx)
    }
}

impl Work {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(call) = &mut self.call
            && let Poll::Ready(answer) = call.poll_unpin(cx)
        {
            self.call = None;
            match answer {
                Err(error) => self.failure = Some(failure(error)),
                Ok(Outcome::Stream(stream)) => self.answer = Some(stream),
                Ok(Outcome::Value(value)) if self.begun => self.late = Some(value),
                Ok(Outcome::Value(value)) => return Poll::Ready(Step::Chunk(value)),
                Ok(Outcome::Unit) => {}
            }
        }
        if let Some(stream) = &mut self.answer {
            return Poll::Ready(match ready!(stream.poll_next_unpin(cx)) {
                None => Step::Complete,
                Some(Ok(value)) => Step::Chunk(value),
                Some(Err(error)) => failed(error),
            });
        }
        if let Some(events) = &mut self.events
            && let Poll::Ready(event) = events.poll_next(cx)
        {
            match event {
                StreamEvent::Result(value) => return Poll::Ready(Step::Chunk(value)),
                StreamEvent::Last(value) => return Poll::Ready(Step::Last(value)),
                StreamEvent::Complete => return Poll::Ready(Step::Complete),
                StreamEvent::Failed(error) => return Poll::Ready(failed(error)),
                StreamEvent::Vanished => self.events = None,
            }
        }
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Step::Failed(error));
        }
        if let Some(answer) = self.late.take() {
            return Poll::Ready(Step::Chunk(answer));
        }
        if self.call.is_none() && self.events.is_none() {
            let vanished = RemoteFailure::failed("the producer of the stream vanished");
            return Poll::Ready(Step::Failed(NodeCallError::Failed(vanished)));
        }
        Poll::Pending
    }
}

fn failed(error: FunctionError) -> Step {
    Step::Failed(failure(CallError::from(error)))
}
