//! The streams that are open now, found by request id.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
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
    /// The engine has ended: what is still to be opened ends too.
    is_cut: bool,
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
    /// Why, as a [`StopReason`]; 0 before anybody has asked.
    asked: AtomicU8,
    /// The task of the stream.
    task: AtomicWaker,
    producer: StreamCloser,
    /// Who asked for the stream.
    user_id: Option<Box<str>>,
}

/// Why a stream is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Somebody has had enough: the stream is complete.
    Request = 1,
    /// The engine has stopped, and waits no longer.
    Shutdown = 2,
}

impl Stop {
    /// Asks the stream to end; what its producer sends from now on is refused. Who asks first gives the reason.
    pub(super) fn ask(&self, reason: StopReason) {
        // In this order: a function that fails because it was cut off must not look like one that failed by itself.
        let (release, acquire) = (Ordering::Release, Ordering::Acquire);
        let _ = self
            .asked
            .compare_exchange(0, reason as u8, release, acquire);
        self.producer.close();
        self.task.wake();
    }

    /// Why somebody has asked, if anybody has.
    pub(super) fn asked(&self) -> Option<StopReason> {
        match self.asked.load(Ordering::Acquire) {
            0 => None,
            reason if reason == StopReason::Request as u8 => Some(StopReason::Request),
            _ => Some(StopReason::Shutdown),
        }
    }

    /// Who is woken when somebody asks; to be told before [`asked`](Self::asked) is looked at.
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
            asked: AtomicU8::new(0),
            task: AtomicWaker::new(),
            producer,
            user_id,
        });
        let (key, is_cut) = {
            let mut state = self.state.lock();
            let key = (id, state.next_number);
            state.next_number += 1;
            state.streams.insert(key.clone(), Arc::clone(&stop));
            (key, state.is_cut)
        };
        if is_cut {
            stop.ask(StopReason::Shutdown);
        }
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
                .filter(|stop| stop.asked().is_none());
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
            stop.ask(StopReason::Request);
        }
        Ok(())
    }

    /// Ends all streams, because the engine ends; also those that are still to be opened.
    pub(crate) fn cut(&self) {
        let open: Vec<_> = {
            let mut state = self.state.lock();
            state.is_cut = true;
            state.streams.values().cloned().collect()
        };
        for stop in open {
            stop.ask(StopReason::Shutdown);
        }
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
