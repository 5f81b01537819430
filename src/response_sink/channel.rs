//! A bounded queue from one task to one reader, made for many small chunks.
//!
//! Own code instead of tokio's channel, for three reasons. An idle one is small: tokio's sets 32 places apart at once. The
//! reader takes all that is there in one piece and is woken only where it found nothing. And the writer, once it had to
//! wait, is woken when half of the room is free again, not for each place: a change of tasks costs more than many chunks.
//! What counts as unread is what the reader has not yet handed out, so the bound holds all the same.

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::ReceiverGone;
use crate::model::{Chunk, Response};

/// A channel with `capacity` places for unread items (at least one), and for the terminal response beside them.
pub(super) fn channel(capacity: usize, request_id: Arc<str>) -> (Writer, Reader) {
    let channel = Arc::new(Channel {
        capacity: capacity.max(1),
        state: Mutex::default(),
    });
    let writer = Writer {
        channel: Arc::clone(&channel),
    };
    let reader = Reader {
        channel,
        request_id,
        taken: VecDeque::new(),
        handed_out: 0,
    };
    (writer, reader)
}

/// A chunk becomes a response only when it is handed out: until then it is a third of the size, and its copy of the
/// request id is made and freed on one thread.
enum Item {
    Chunk(Chunk),
    Response(Box<Response>),
}

struct Channel {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    /// How many places the items of the queue, and of what the reader took out of it, still take up.
    unread: usize,
    /// Who waits for an item.
    reader: Option<Waker>,
    /// Who wants to hear that the reader is gone, and that there is room where `writer_waits`.
    writer: Option<Waker>,
    writer_waits: bool,
    reader_is_gone: bool,
    /// Nothing follows what is in the queue.
    ended: bool,
}

/// Where a waker is kept, unless the same one is there already.
fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(kept) => kept.clone_from(waker),
        empty => *empty = Some(waker.clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl State {
    /// Gives room back; the writer, where it waits for that.
    fn free(&mut self, room: usize) -> Option<Waker> {
        self.unread = self.unread.saturating_sub(room);
        if room > 0 && mem::take(&mut self.writer_waits) {
            self.writer.take()
        } else {
            None
        }
    }
}

/// The end of the task that answers.
pub(super) struct Writer {
    channel: Arc<Channel>,
}

impl Writer {
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ReceiverGone>> {
        let mut state = self.channel.state.lock();
        if state.reader_is_gone {
            return Poll::Ready(Err(ReceiverGone));
        }
        match self.channel.capacity.saturating_sub(state.unread) {
            0 => {
                state.writer_waits = true;
                keep(&mut state.writer, cx.waker());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.channel.state.lock();
        if state.reader_is_gone {
            return Poll::Ready(());
        }
        keep(&mut state.writer, cx.waker());
        Poll::Pending
    }

    pub(super) fn send_chunks(&mut self, chunks: &mut VecDeque<Chunk>) {
        self.push(|state| {
            state.unread += chunks
                .iter()
                .map(|chunk| chunk.places as usize)
                .sum::<usize>();
            state.queue.extend(chunks.drain(..).map(Item::Chunk));
        });
    }

    pub(super) fn send(&mut self, response: Response) {
        self.push(|state| {
            state.unread += 1;
            state.queue.push_back(Item::Response(Box::new(response)));
        });
    }

    /// The terminal response, which takes up no room.
    pub(super) fn finish(&mut self, response: Response) {
        let response = Box::new(response);
        self.push(|state| state.queue.push_back(Item::Response(response)));
    }

    fn push(&mut self, push: impl FnOnce(&mut State)) {
        let mut state = self.channel.state.lock();
        if state.reader_is_gone {
            return;
        }
        push(&mut state);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.channel.state.lock();
        state.ended = true;
        let (reader, own) = (state.reader.take(), state.writer.take());
        drop(state);
        drop(own);
        wake(reader);
    }
}

/// The end of whoever asked.
pub(super) struct Reader {
    channel: Arc<Channel>,
    request_id: Arc<str>,
    /// Taken out of the queue, to be handed out next.
    taken: VecDeque<Item>,
    /// How many places were handed out since room was given back.
    handed_out: usize,
}

impl Reader {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        if self.taken.is_empty() {
            let mut state = self.channel.state.lock();
            let writer = state.free(mem::take(&mut self.handed_out));
            mem::swap(&mut state.queue, &mut self.taken);
            let ended = state.ended;
            if self.taken.is_empty() && !ended {
                keep(&mut state.reader, cx.waker());
            }
            drop(state);
            wake(writer);
            if self.taken.is_empty() {
                return if ended {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
        }
        let (response, places) = match self.taken.pop_front() {
            Some(Item::Chunk(Chunk { value, places })) => {
                let response = Response::stream_chunk(&*self.request_id, value);
                (response, places as usize)
            }
            Some(Item::Response(response)) => (*response, 1),
            None => return Poll::Pending,
        };
        self.handed_out += places;
        if self.handed_out >= (self.channel.capacity / 2).max(1) {
            let handed_out = mem::take(&mut self.handed_out);
            let writer = self.channel.state.lock().free(handed_out);
            wake(writer);
        }
        Poll::Ready(Some(response))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.channel.state.lock();
        state.reader_is_gone = true;
        let unread = mem::take(&mut state.queue);
        let (writer, own) = (state.writer.take(), state.reader.take());
        drop(state);
        // The writer may live on for long; what nobody will read does not.
        drop((unread, own));
        wake(writer);
    }
}

#[cfg(test)]
mod tests;
