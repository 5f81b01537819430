//! One stream as an actor: it runs the function, hands its chunks on in order, and ends in exactly one way.

use std::{
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use serde_json::Value;

use super::{
    live::{LiveStream, Stop},
    watch::StreamWatch,
};
use crate::{
    call::local::CallError,
    clock::Clock,
    config::Route,
    function::{FunctionError, Outcome, StreamEvent, StreamEvents},
    model::Response,
    request_error::RequestError,
    respond,
    response_sink::{ReceiverGone, ResponseSink},
    telemetry::{StreamEnd, Telemetry},
    worker_pool::{Place, TaskEnd, Ticket},
};

/// The actor of one stream, a temporary child of the engine's stream supervisor.
///
/// It ends with the stream. Killed, it leaves an error as the terminal response.
pub struct StreamCall {
    work: Option<StreamWork>,
    stop: Arc<Stop>,
}

/// What a stream is made of.
pub(crate) struct StreamWork {
    /// The running function.
    pub(crate) call: BoxFuture<'static, Result<Outcome, RequestError>>,
    /// What the function's stream handle sends.
    pub(crate) events: StreamEvents,
    pub(crate) sink: ResponseSink,
    /// Sent before everything else, where the receiver does not get it in another way.
    pub(crate) acknowledgement: Option<Response>,
    /// Bounds the stream as a whole; `None` for no bound.
    pub(crate) timeout: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) detail_error: bool,
    pub(crate) live: LiveStream,
    /// The config behind the stream.
    pub(crate) route: Arc<Route>,
    pub(crate) telemetry: Telemetry,
    /// Its place among the open streams, which it holds until it ends.
    pub(crate) ticket: Ticket,
}

/// Ends a stream from outside (SPEC section 7): its receiver gets what was sent before, as far as it has room, and the
/// completion; its producer's next send fails.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopStream;

impl StreamCall {
    pub(crate) fn new(work: StreamWork) -> Self {
        Self {
            stop: work.live.stop_signal(),
            work: Some(work),
        }
    }
}

impl Actor for StreamCall {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.work.take() {
            Some(work) => {
                let stop = Arc::clone(&self.stop);
                ctx.spawn(work.run(stop).into_actor(self).map(|(), _, ctx| ctx.stop()));
            }
            None => ctx.stop(),
        }
    }
}

impl Handler<StopStream> for StreamCall {
    type Result = ();

    fn handle(&mut self, _: StopStream, _: &mut Context<Self>) {
        self.stop.ask();
    }
}

impl fmt::Debug for StreamCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCall").finish_non_exhaustive()
    }
}

/// How a stream ended.
enum End {
    Complete,
    Last(Value),
    /// Somebody stopped it from outside.
    Stopped,
    /// The producer said so, or the time was up.
    Failed(RequestError),
    /// The function failed, or nobody is left who could feed the stream.
    BrokenOff(RequestError),
    ReceiverGone,
}

impl End {
    fn kind(&self) -> StreamEnd {
        match self {
            Self::Complete | Self::Last(_) => StreamEnd::Complete,
            Self::Stopped => StreamEnd::Stopped,
            Self::Failed(_) | Self::BrokenOff(_) => StreamEnd::Failed,
            Self::ReceiverGone => StreamEnd::ReceiverGone,
        }
    }
}

impl From<ReceiverGone> for End {
    fn from(_: ReceiverGone) -> Self {
        Self::ReceiverGone
    }
}

impl StreamWork {
    async fn run(self, stop: Arc<Stop>) {
        let Self {
            call,
            mut events,
            mut sink,
            acknowledgement,
            timeout,
            clock,
            detail_error,
            live,
            ticket,
            route,
            telemetry,
        } = self;
        let request_id = sink.request_id();
        sink.on_loss(respond::lost);
        let mut watch = StreamWatch::open(live, route, telemetry, Arc::clone(&clock));
        if let Some(acknowledgement) = acknowledgement
            && sink.send(acknowledgement).await.is_err()
        {
            watch.close(StreamEnd::ReceiverGone);
            return sink.abandon();
        }
        let mut place = ticket.place().await;
        let end = {
            let mut stopped = pin!(stop.asked());
            let mut gone = pin!(sink.receiver_gone());
            let mut expired = timeout.map(|timeout| (timeout, clock.sleep(timeout)));
            let outlet = Outlet {
                sink: &mut sink,
                place: &mut place,
                request_id: &request_id,
                watch: &mut watch,
            };
            let mut forward = pin!(forward(call, &mut events, outlet));
            poll_fn(|cx| {
                if gone.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(End::ReceiverGone);
                }
                if let Some((timeout, sleep)) = &mut expired
                    && sleep.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(End::Failed(CallError::TimedOut(*timeout).into()));
                }
                let unfinished = |next: &Poll<End>| {
                    matches!(next, Poll::Pending | Poll::Ready(End::BrokenOff(_)))
                };
                let mut next = forward.as_mut().poll(cx);
                if unfinished(&next) && stopped.as_mut().poll(cx).is_ready() {
                    // What was sent before the stop goes out before the end, as far as the receiver has room.
                    if next.is_pending() {
                        next = forward.as_mut().poll(cx);
                    }
                    if unfinished(&next) {
                        next = Poll::Ready(End::Stopped);
                    }
                }
                next
            })
            .await
        };
        // The producer and the registry learn of the end before the receiver does, so that nothing follows it.
        events.close();
        watch.close(end.kind());
        place.finish(match &end {
            End::Failed(error) | End::BrokenOff(error) => error.task_end(),
            _ => TaskEnd::Completed,
        });
        match end {
            End::Complete | End::Stopped => sink.finish(Response::stream_end(request_id)),
            End::Last(value) => sink.finish(Response::last_stream_chunk(request_id, value)),
            End::Failed(error) | End::BrokenOff(error) => {
                tracing::warn!(%request_id, %error, "a stream failed");
                sink.finish(respond::failure(request_id, &error, detail_error));
            }
            End::ReceiverGone => sink.abandon(),
        }
    }
}

/// Where the chunks of a stream go.
struct Outlet<'a> {
    sink: &'a mut ResponseSink,
    place: &'a mut Place,
    request_id: &'a str,
    watch: &'a mut StreamWatch,
}

impl Outlet<'_> {
    async fn send(&mut self, chunk: Value) -> Result<(), ReceiverGone> {
        self.place.works();
        let chunk = Response::stream_chunk(self.request_id, chunk);
        self.sink.send(chunk).await?;
        self.watch.chunk();
        Ok(())
    }
}

/// Hands on the function's answer and what its handle sends, until the stream ends.
///
/// The answer is the first chunk. A function that goes on working while its chunks are handed on answers later: its answer
/// then follows what it has sent before.
async fn forward(
    mut call: BoxFuture<'static, Result<Outcome, RequestError>>,
    events: &mut StreamEvents,
    mut outlet: Outlet<'_>,
) -> End {
    let mut progress = Progress::default();
    loop {
        let step = poll_fn(|cx| progress.poll(&mut call, events, cx));
        let chunk = match step.await {
            Step::Chunk(value) => value,
            Step::Stream(stream) => return forward_stream(stream, outlet).await,
            Step::End(end) => return end,
        };
        progress.begun = true;
        if let Err(gone) = outlet.send(chunk).await {
            return gone.into();
        }
    }
}

/// How far a stream has come.
#[derive(Default)]
struct Progress {
    /// A chunk was handed on.
    begun: bool,
    answered: bool,
    /// An answer that came late and waits for what was sent before it.
    late_answer: Option<Value>,
    /// The function's handle is gone without an end.
    vanished: bool,
}

enum Step {
    Chunk(Value),
    Stream(BoxStream<'static, Result<Value, FunctionError>>),
    End(End),
}

impl Progress {
    fn poll(
        &mut self,
        call: &mut BoxFuture<'static, Result<Outcome, RequestError>>,
        events: &mut StreamEvents,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Step> {
        if !self.answered
            && let Poll::Ready(answer) = call.poll_unpin(cx)
        {
            self.answered = true;
            match answer {
                Err(error) => return Poll::Ready(Step::End(End::BrokenOff(error))),
                Ok(Outcome::Stream(stream)) => return Poll::Ready(Step::Stream(stream)),
                Ok(Outcome::Value(value)) if self.begun => self.late_answer = Some(value),
                Ok(Outcome::Value(value)) => return Poll::Ready(Step::Chunk(value)),
                Ok(_) => {}
            }
        }
        if !self.vanished
            && let Poll::Ready(event) = events.poll_next(cx)
        {
            match event {
                StreamEvent::Result(value) => return Poll::Ready(Step::Chunk(value)),
                StreamEvent::Last(value) => return Poll::Ready(Step::End(End::Last(value))),
                StreamEvent::Complete => return Poll::Ready(Step::End(End::Complete)),
                StreamEvent::Failed(error) => {
                    return Poll::Ready(Step::End(End::Failed(function_failed(error))));
                }
                StreamEvent::Vanished => self.vanished = true,
            }
        }
        if let Some(answer) = self.late_answer.take() {
            return Poll::Ready(Step::Chunk(answer));
        }
        if self.answered && self.vanished {
            let vanished = RequestError::ProducerVanished;
            return Poll::Ready(Step::End(End::BrokenOff(vanished)));
        }
        Poll::Pending
    }
}

/// Hands on the items of a Rust `Stream`; its end completes, its first error or its panic fails.
async fn forward_stream(
    mut stream: BoxStream<'static, Result<Value, FunctionError>>,
    mut outlet: Outlet<'_>,
) -> End {
    loop {
        match stream.next().await {
            None => return End::Complete,
            Some(Ok(value)) => {
                if let Err(gone) = outlet.send(value).await {
                    return gone.into();
                }
            }
            Some(Err(error)) => return End::Failed(function_failed(error)),
        }
    }
}

fn function_failed(error: FunctionError) -> RequestError {
    RequestError::Call(CallError::from(error))
}
