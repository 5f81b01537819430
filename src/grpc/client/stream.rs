//! A stream of a node, as the engine reads it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tonic::Streaming;

use super::{
    error::{malformed, of_status},
    wire,
};
use crate::{
    clock::Sleep,
    grpc::proto::{StreamItem, stream_item::Item},
    node::{NodeCallError, client::StreamChunk},
};

/// The chunks of a stream that a node has accepted. An error is the last that it yields.
pub(super) struct Chunks {
    /// None once it has ended; its drop cancels the call on the node.
    items: Option<Streaming<StreamItem>>,
    /// When the stream has to be over, and how long it had.
    limit: Option<(Sleep, Duration)>,
    turn: u32,
}

/// After how many chunks without a wait the limit is looked at.
const LOOKS_AT_LIMIT: u32 = 64;

impl Chunks {
    /// Waits for the node to accept the call.
    pub(super) async fn accepted(
        mut items: Streaming<StreamItem>,
    ) -> Result<Streaming<StreamItem>, NodeCallError> {
        let first = items.message().await.map_err(|status| of_status(&status))?;
        match first.and_then(|first| first.item) {
            Some(Item::Accepted(_)) => Ok(items),
            Some(Item::Failure(failure)) => Err(wire::failed(failure)),
            Some(Item::Chunk(_) | Item::Last(_)) => Err(malformed("a chunk came first")),
            None => Err(malformed("the stream was neither accepted nor did it fail")),
        }
    }

    pub(super) fn new(items: Streaming<StreamItem>, limit: Option<(Sleep, Duration)>) -> Self {
        Self {
            items: Some(items),
            limit,
            turn: 0,
        }
    }

    fn end(&mut self) {
        self.items = None;
        self.limit = None;
    }
}

impl Stream for Chunks {
    type Item = Result<StreamChunk, NodeCallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(items) = &mut this.items else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *items).poll_next(cx);
        // Also now and then while there is always a chunk ready: such a node must not outlast the limit.
        this.turn = this.turn.wrapping_add(1);
        if (polled.is_pending() || this.turn.is_multiple_of(LOOKS_AT_LIMIT))
            && let Some((sleep, after)) = &mut this.limit
            && sleep.as_mut().poll(cx).is_ready()
        {
            let after = *after;
            this.end();
            return Poll::Ready(Some(Err(NodeCallError::TimedOut { after })));
        }
        let chunk = match ready!(polled) {
            None => None,
            Some(Err(status)) => Some(Err(of_status(&status))),
            Some(Ok(item)) => Some(match item.item {
                Some(Item::Chunk(json)) => wire::value(&json).map(StreamChunk::Result),
                Some(Item::Last(json)) => wire::value(&json).map(StreamChunk::Last),
                Some(Item::Failure(failure)) => Err(wire::failed(failure)),
                Some(Item::Accepted(_)) => Err(malformed("the stream was accepted twice")),
                None => Err(malformed("an item of the stream is empty")),
            }),
        };
        if matches!(chunk, Some(Ok(StreamChunk::Last(_)))) {
            // The stream is complete. Where its status has come too, its end is no cancellation.
            let _ = Pin::new(items).poll_next(cx);
        }
        if !matches!(chunk, Some(Ok(StreamChunk::Result(_)))) {
            this.end();
        }
        Poll::Ready(chunk)
    }
}
