//! Where the chunks of a stream come from: the function's answer, its stream handle, or the Rust `Stream` it returns.

use std::{
    collections::VecDeque,
    mem,
    task::{Context, Poll},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use serde_json::Value;

use crate::{
    call::local::CallError,
    function::{FunctionError, Outcome, StreamEvent, StreamEvents},
    model::{Chunk, StreamBuffer},
    request_error::RequestError,
};

/// Calls the function, once the stream has its turn.
pub(crate) type Begin = Box<dyn FnOnce() -> Running + Send>;

/// The running function.
pub(crate) type Running = BoxFuture<'static, Result<Outcome, RequestError>>;

/// The producer's side of one stream.
///
/// The answer of the function is the first chunk. A function that goes on working while its chunks are handed on answers
/// later: its answer then follows what it has sent before. So does its failure.
pub(super) struct Source {
    function: FunctionState,
    events: StreamEvents,
    answer: Answer,
    /// Nothing more comes from the function's handle.
    drained: bool,
}

enum FunctionState {
    New(Begin),
    Running(Running),
    /// It answered with a stream.
    Stream(BoxStream<'static, Result<Value, FunctionError>>),
    Done,
}

/// What the function answered with, until it is handed on.
enum Answer {
    None,
    First(Value),
    /// It waits for what was sent before it.
    Late(Value),
    /// As does this; in a box, for most streams never see one.
    Failed(Box<RequestError>),
}

/// How the producer has ended its stream.
pub(super) enum SourceEnd {
    Complete,
    Last(Value),
    /// The producer said so.
    Failed(RequestError),
    /// The function failed, or nobody is left who could feed the stream.
    BrokenOff(RequestError),
}

impl Source {
    pub(super) fn new(begin: Begin, events: StreamEvents) -> Self {
        Self {
            function: FunctionState::New(begin),
            events,
            answer: Answer::None,
            drained: false,
        }
    }

    /// Lets the function go on; `begun` tells whether a chunk of it was handed on already.
    pub(super) fn advance(&mut self, begun: bool, cx: &mut Context<'_>) {
        if let FunctionState::New(_) = self.function
            && let FunctionState::New(begin) = mem::replace(&mut self.function, FunctionState::Done)
        {
            self.function = FunctionState::Running(begin());
        }
        let FunctionState::Running(call) = &mut self.function else {
            return;
        };
        let Poll::Ready(answer) = call.poll_unpin(cx) else {
            return;
        };
        self.function = FunctionState::Done;
        match answer {
            Ok(Outcome::Stream(stream)) => self.function = FunctionState::Stream(stream),
            Ok(Outcome::Value(value)) if begun => self.answer = Answer::Late(value),
            Ok(Outcome::Value(value)) => self.answer = Answer::First(value),
            Ok(_) => {}
            Err(error) => {
                // What it has sent so far is handed on, and nobody goes on sending.
                self.events.close();
                self.answer = Answer::Failed(Box::new(error));
            }
        }
    }

    /// Adds the chunks that are ready, until they take `room` places; the end, where no chunk is left before it.
    pub(super) fn poll_chunks(
        &mut self,
        room: usize,
        chunks: &mut VecDeque<Chunk>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<SourceEnd>> {
        if let Answer::First(_) = self.answer
            && let Answer::First(value) = mem::replace(&mut self.answer, Answer::None)
        {
            chunks.push_back(self.events.buffer().chunk(value));
            return Poll::Ready(None);
        }
        if let FunctionState::Stream(stream) = &mut self.function {
            return poll_stream(stream, self.events.buffer(), room, chunks, cx);
        }
        if !self.drained
            && let Poll::Ready(event) = self.events.poll_results(cx, room, chunks)
        {
            let end = match event {
                None => None,
                Some(StreamEvent::Last(value)) => Some(SourceEnd::Last(value)),
                Some(StreamEvent::Complete) => Some(SourceEnd::Complete),
                Some(StreamEvent::Failed(error)) => Some(SourceEnd::Failed(failed(error))),
                Some(StreamEvent::Result(value)) => {
                    chunks.push_back(self.events.buffer().chunk(value));
                    None
                }
                Some(StreamEvent::Vanished) => {
                    self.drained = true;
                    return self.poll_rest(chunks);
                }
            };
            return Poll::Ready(end);
        }
        self.poll_rest(chunks)
    }

    /// What follows when nothing is to be had from the handle, now or for ever.
    fn poll_rest(&mut self, chunks: &mut VecDeque<Chunk>) -> Poll<Option<SourceEnd>> {
        match mem::replace(&mut self.answer, Answer::None) {
            Answer::First(value) | Answer::Late(value) => {
                chunks.push_back(self.events.buffer().chunk(value));
                return Poll::Ready(None);
            }
            Answer::Failed(error) if self.drained => {
                return Poll::Ready(Some(SourceEnd::BrokenOff(*error)));
            }
            answer => self.answer = answer,
        }
        if self.drained && matches!(self.function, FunctionState::Done) {
            let vanished = RequestError::ProducerVanished;
            return Poll::Ready(Some(SourceEnd::BrokenOff(vanished)));
        }
        Poll::Pending
    }

    /// Drops the function and closes its handle.
    pub(super) fn close(&mut self) {
        self.function = FunctionState::Done;
        self.events.close();
    }
}

/// Takes the items of a Rust `Stream` that are ready; its end completes, its first error or its panic fails.
fn poll_stream(
    stream: &mut BoxStream<'static, Result<Value, FunctionError>>,
    buffer: StreamBuffer,
    room: usize,
    chunks: &mut VecDeque<Chunk>,
    cx: &mut Context<'_>,
) -> Poll<Option<SourceEnd>> {
    let mut taken = 0;
    let end = loop {
        if taken >= room {
            return Poll::Ready(None);
        }
        match stream.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(value))) => {
                let chunk = buffer.chunk(value);
                taken += chunk.places as usize;
                chunks.push_back(chunk);
            }
            Poll::Ready(Some(Err(error))) => break SourceEnd::Failed(failed(error)),
            Poll::Ready(None) => break SourceEnd::Complete,
            Poll::Pending if chunks.is_empty() => return Poll::Pending,
            Poll::Pending => return Poll::Ready(None),
        }
    };
    Poll::Ready(Some(end))
}

fn failed(error: FunctionError) -> RequestError {
    RequestError::Call(CallError::from(error))
}
