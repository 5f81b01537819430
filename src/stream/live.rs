//! The streams that are open now, found by request id.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;

use crate::function::StreamCloser;

/// No open stream has this request id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no open stream has the request id `{0}`")]
#[non_exhaustive]
pub struct UnknownStream(pub String);

/// The open streams. It outlives the actors of the streams.
#[derive(Default)]
pub(crate) struct LiveStreams {
    by_request: papaya::HashMap<Arc<str>, Arc<Stop>>,
}

/// The way to stop one stream from outside.
pub(crate) struct Stop {
    asked: AtomicBool,
    /// The task of the stream.
    task: AtomicWaker,
    producer: StreamCloser,
}

impl Stop {
    /// Asks the stream to end; what its producer sends from now on is refused.
    pub(super) fn ask(&self) {
        // In this order: a function that fails because it was cut off must not look like one that failed by itself.
        self.asked.store(true, Ordering::Release);
        self.producer.close();
        self.task.wake();
    }

    /// Whether somebody has asked.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Who is woken when somebody asks; to be told before [`is_asked`](Self::is_asked) is looked at.
    pub(super) fn tell(&self, task: &Waker) {
        self.task.register(task);
    }
}

impl LiveStreams {
    /// Lists a stream; a second one with the same request id takes the place of the first.
    pub(crate) fn enter(self: &Arc<Self>, id: Arc<str>, producer: StreamCloser) -> LiveStream {
        let stop = Arc::new(Stop {
            asked: AtomicBool::new(false),
            task: AtomicWaker::new(),
            producer,
        });
        self.by_request
            .pin()
            .insert(Arc::clone(&id), Arc::clone(&stop));
        LiveStream {
            streams: Arc::clone(self),
            id,
            stop,
        }
    }

    pub(crate) fn stop(&self, request_id: &str) -> Result<(), UnknownStream> {
        match self.by_request.pin().get(request_id) {
            Some(stop) => {
                stop.ask();
                Ok(())
            }
            None => Err(UnknownStream(request_id.to_owned())),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.by_request.len()
    }
}

/// A stream's entry in the list; dropping it takes the entry out.
pub(crate) struct LiveStream {
    streams: Arc<LiveStreams>,
    id: Arc<str>,
    stop: Arc<Stop>,
}

impl LiveStream {
    pub(super) fn stop_signal(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// The id of the request.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// How many streams are open, this one included while it is listed.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.count()
    }

    /// Takes the entry out of the list, if it is there.
    pub(super) fn leave(&self) {
        let own = |_: &Arc<str>, stop: &Arc<Stop>| Arc::ptr_eq(stop, &self.stop);
        let _ = self.streams.by_request.pin().remove_if(&*self.id, own);
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveStream").field(&self.id).finish()
    }
}
