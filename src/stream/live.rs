//! The streams that are open now, found by request id.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::function::StreamCloser;

/// Why no stream was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopStreamError {
    /// No open stream has this request id, or the one that had it was stopped already.
    #[error("no open stream has the request id `{0}`")]
    Unknown(String),
    /// Several open streams have it, and not all are known to be of one user. None was stopped.
    #[error("several open streams have the request id `{0}`, and not all are of one user")]
    Ambiguous(String),
}

/// The open streams. It outlives the actors of the streams.
#[derive(Default)]
pub(crate) struct LiveStreams {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Request ids are the clients' choice, so several streams may have one; the number tells them apart.
    streams: BTreeMap<(Arc<str>, u64), Arc<Stop>>,
    next_number: u64,
}

/// Whose streams somebody wants to stop.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// Those of one user, or of requests without one.
    Of(Option<&'a str>),
    Anybody,
}

/// The way to stop one stream from outside.
pub(crate) struct Stop {
    asked: AtomicBool,
    /// The task of the stream.
    task: AtomicWaker,
    producer: StreamCloser,
    /// Who asked for the stream.
    user_id: Option<Box<str>>,
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
    /// Lists a stream of this user.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: Arc<str>,
        user_id: Option<Box<str>>,
        producer: StreamCloser,
    ) -> LiveStream {
        let stop = Arc::new(Stop {
            asked: AtomicBool::new(false),
            task: AtomicWaker::new(),
            producer,
            user_id,
        });
        let mut state = self.state.lock();
        let number = state.next_number;
        state.next_number += 1;
        let key = (id, number);
        state.streams.insert(key.clone(), Arc::clone(&stop));
        LiveStream {
            streams: Arc::clone(self),
            key,
            stop,
        }
    }

    /// Stops the streams of the owner that have this request id and were not stopped before.
    pub(crate) fn stop(&self, request_id: &str, owner: Owner<'_>) -> Result<(), StopStreamError> {
        let found: Vec<_> = {
            let state = self.state.lock();
            let id: Arc<str> = request_id.into();
            let same_id = state.streams.range((Arc::clone(&id), 0)..=(id, u64::MAX));
            let open = same_id
                .map(|(_, stop)| stop)
                .filter(|stop| !stop.is_asked());
            let owned = open.filter(|stop| match owner {
                Owner::Of(user) => stop.user_id.as_deref() == user,
                Owner::Anybody => true,
            });
            owned.cloned().collect()
        };
        let Some(first) = found.first() else {
            return Err(StopStreamError::Unknown(request_id.to_owned()));
        };
        let of_one_user = found.iter().all(|stop| stop.user_id == first.user_id);
        if found.len() > 1 && !(of_one_user && first.user_id.is_some()) {
            return Err(StopStreamError::Ambiguous(request_id.to_owned()));
        }
        // Outside of the lock, for it wakes tasks.
        for stop in found {
            stop.ask();
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.state.lock().streams.len()
    }
}

/// A stream's entry in the list; dropping it takes the entry out.
pub(crate) struct LiveStream {
    streams: Arc<LiveStreams>,
    key: (Arc<str>, u64),
    stop: Arc<Stop>,
}

impl LiveStream {
    pub(super) fn stop_signal(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// The id of the request.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.key.0
    }

    /// How many streams are open, this one included while it is listed.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.count()
    }

    /// Takes the entry out of the list, if it is there.
    pub(super) fn leave(&self) {
        let removed = self.streams.state.lock().streams.remove(&self.key);
        drop(removed);
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveStream").field(&self.key).finish()
    }
}
