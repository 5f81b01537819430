//! A client's connection, as functions and parts of the engine see it: something to push responses to, which ends one day.
//!
//! A door that keeps connections, such as a WebSocket endpoint, makes one [`Connection`] for each channel a client has
//! joined, gives it to every request ([`Request::with_connection`](super::Request::with_connection)) and ends it when
//! the client is gone. Doors without lasting connections have none.
//!
//! ```
//! use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
//! use gen_api::{connection::{Connection, Outlet, PushError}, model::Response};
//!
//! struct Socket(SyncSender<Response>);
//!
//! impl Outlet for Socket {
//!     fn push(&self, response: Response) -> Result<(), PushError> {
//!         self.0.try_send(response).map_err(|error| match error {
//!             TrySendError::Full(_) => PushError::Full,
//!             TrySendError::Disconnected(_) => PushError::Gone,
//!         })
//!     }
//! }
//!
//! let (sender, sent) = sync_channel(8);
//! let connection = Connection::new(Socket(sender));
//! connection.push(Response::sync("r-1", "hello"))?;
//! assert_eq!(sent.recv().map(|response| response.result), Ok("hello".into()));
//!
//! connection.end();
//! assert_eq!(connection.push(Response::sync("r-2", "late")), Err(PushError::Gone));
//! # Ok::<(), PushError>(())
//! ```

use std::{
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use actix_otp::catch_panic;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Response;

/// What a door does to hand a response to the client of one connection.
///
/// It may be called on any thread, and by several at a time; pushes that come one after the other must reach the client
/// in that order. It may call [`Connection::end`].
pub trait Outlet: Send + Sync + 'static {
    /// Hands a response to the client. Never blocks: what has no room is refused.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] where the client is too slow, [`PushError::Gone`] where nothing will ever reach it again.
    fn push(&self, response: Response) -> Result<(), PushError>;

    /// Hands over a response that belongs after the reply to the request with its id. A door that answers requests on the
    /// same connection holds it back until then, and what is pushed later behind it.
    ///
    /// The default pushes at once.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    fn push_after_reply(&self, response: Response) -> Result<(), PushError> {
        self.push(response)
    }
}

/// Why a response was not handed to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The connection has ended; it ends with the first push that says so.
    #[error("the connection has ended")]
    Gone,
    /// The client takes responses too slowly, and there is no room for more. The connection goes on.
    #[error("the connection takes no more at the moment")]
    Full,
}

/// The handle on one connection of a client: cheap to clone, usable from any thread, and equal to its clones only.
///
/// Whoever made it ends it: a handle that is dropped says nothing, since functions and relay groups hold others.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared<dyn Outlet>>,
}

struct Shared<O: ?Sized> {
    id: ConnectionId,
    ended: AtomicBool,
    /// Wakes those who wait for the end.
    end: Notify,
    /// Told of the end by the thread that ends it.
    watchers: Mutex<Vec<Weak<dyn WatchConnection>>>,
    outlet: O,
}

/// A part of the engine that keeps something for connections and forgets it when they end.
pub(crate) trait WatchConnection: Send + Sync {
    fn connection_ended(&self, id: ConnectionId);
}

/// Tells connections of this process apart; a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl Connection {
    /// A connection whose client is reached through `outlet`.
    #[must_use]
    pub fn new(outlet: impl Outlet) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let shared = Arc::new(Shared {
            id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            ended: AtomicBool::new(false),
            end: Notify::new(),
            watchers: Mutex::default(),
            outlet,
        });
        Self { shared }
    }

    /// Which connection this is.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared.id
    }

    /// Hands a response to the client; never blocks.
    ///
    /// # Errors
    ///
    /// [`PushError`]. An outlet that says [`Gone`](PushError::Gone), or panics, ends the connection.
    pub fn push(&self, response: Response) -> Result<(), PushError> {
        self.hand_over(|outlet| outlet.push(response))
    }

    /// Hands a response to the client after the reply to the request with the response's id; at once where that request has
    /// its reply, or came another way. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push).
    pub fn push_after_reply(&self, response: Response) -> Result<(), PushError> {
        self.hand_over(|outlet| outlet.push_after_reply(response))
    }

    fn hand_over(
        &self,
        push: impl FnOnce(&dyn Outlet) -> Result<(), PushError>,
    ) -> Result<(), PushError> {
        if self.is_ended() {
            return Err(PushError::Gone);
        }
        let outlet = &self.shared.outlet;
        let pushed = catch_panic(|| push(outlet));
        let pushed = pushed.unwrap_or_else(|_| {
            tracing::error!(connection = %self.id(), "the outlet of a connection panicked");
            Err(PushError::Gone)
        });
        if pushed == Err(PushError::Gone) {
            self.end();
        }
        pushed
    }

    /// Ends the connection: nothing is pushed any more, its relay memberships are gone when this returns, and those who
    /// wait for its [end](Self::ended) are woken. A door calls it when its client is gone; calling it again does nothing.
    pub fn end(&self) {
        if self.shared.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let watchers = std::mem::take(&mut *self.shared.watchers.lock());
        self.shared.end.notify_waiters();
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.connection_ended(self.id());
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Waits for its end. Dropping the future is fine; a new one waits again, or is done at once after the end.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut end = pin!(shared.end.notified());
            // From here on no end is missed, and an earlier one shows in the flag.
            end.as_mut().enable();
            if !shared.ended.load(Ordering::SeqCst) {
                end.await;
            }
        }
    }

    /// Has `watcher` told of the end, once however often it is given; false where the connection has ended already.
    pub(crate) fn watch(&self, watcher: Weak<dyn WatchConnection>) -> bool {
        let mut watchers = self.shared.watchers.lock();
        if self.is_ended() {
            return false;
        }
        watchers.retain(|known| known.strong_count() > 0);
        let address = |watcher: &Weak<dyn WatchConnection>| watcher.as_ptr().cast::<()>();
        if !watchers
            .iter()
            .any(|known| address(known) == address(&watcher))
        {
            watchers.push(watcher);
        }
        true
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Connection {}

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        hash::{BuildHasher, RandomState},
        sync::atomic::AtomicUsize,
    };

    use futures_util::FutureExt;

    use super::*;

    /// Answers each push in the same way.
    struct Answers(Result<(), PushError>);

    impl Outlet for Answers {
        fn push(&self, _: Response) -> Result<(), PushError> {
            self.0
        }
    }

    struct Panics;

    impl Outlet for Panics {
        fn push(&self, _: Response) -> Result<(), PushError> {
            panic!("broken on purpose");
        }
    }

    #[derive(Default)]
    struct Ends(Mutex<Vec<ConnectionId>>);

    impl WatchConnection for Ends {
        fn connection_ended(&self, id: ConnectionId) {
            self.0.lock().push(id);
        }
    }

    fn weak(watcher: &Arc<Ends>) -> Weak<dyn WatchConnection> {
        let watcher: Weak<Ends> = Arc::downgrade(watcher);
        watcher
    }

    fn open() -> Connection {
        Connection::new(Answers(Ok(())))
    }

    fn response() -> Response {
        Response::sync("r", 1)
    }

    #[test]
    fn a_connection_equals_its_clones_and_no_other() {
        let (one, other, hasher) = (open(), open(), RandomState::new());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        assert!(one.id() < other.id());
        assert_ne!(one.id().to_string(), other.id().to_string());
        let hash = |connection: &Connection| hasher.hash_one(connection);
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&other));
    }

    #[test]
    fn a_full_outlet_keeps_the_connection_open() {
        let full = Connection::new(Answers(Err(PushError::Full)));
        assert_eq!(full.push(response()), Err(PushError::Full));
        assert!(!full.is_ended());
    }

    #[test]
    fn an_outlet_that_is_gone_or_panics_ends_the_connection() {
        for outlet in [
            Connection::new(Answers(Err(PushError::Gone))),
            Connection::new(Panics),
        ] {
            assert_eq!(outlet.push(response()), Err(PushError::Gone));
            assert!(outlet.is_ended());
        }
    }

    #[test]
    fn nothing_is_pushed_after_the_end() {
        struct Counts(Arc<AtomicUsize>);
        impl Outlet for Counts {
            fn push(&self, _: Response) -> Result<(), PushError> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
        let pushes = Arc::new(AtomicUsize::new(0));
        let connection = Connection::new(Counts(Arc::clone(&pushes)));
        assert_eq!(connection.push(response()), Ok(()));
        connection.clone().end();
        assert_eq!(connection.push(response()), Err(PushError::Gone));
        assert_eq!(pushes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_end_wakes_who_waits_and_is_there_for_who_comes_late() {
        let connection = open();
        let mut waiting = Box::pin(connection.ended());
        assert!(waiting.as_mut().now_or_never().is_none());
        // Dropped in the middle, it takes nothing from the others.
        let mut dropped = Box::pin(connection.ended());
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        let unpolled = connection.ended();
        connection.end();
        assert!(waiting.now_or_never().is_some());
        assert!(unpolled.now_or_never().is_some());
        assert!(connection.ended().now_or_never().is_some());
    }

    #[test]
    fn a_watcher_is_told_of_the_end_once() {
        let (connection, watcher) = (open(), Arc::new(Ends::default()));
        assert!(connection.watch(weak(&watcher)));
        assert!(connection.watch(weak(&watcher)));
        connection.end();
        connection.end();
        assert_eq!(*watcher.0.lock(), [connection.id()]);
        assert!(!connection.watch(weak(&watcher)));
    }

    #[test]
    fn a_watcher_that_is_gone_leaves_nothing_behind() {
        let connection = open();
        for _ in 0..3 {
            assert!(connection.watch(weak(&Arc::new(Ends::default()))));
        }
        assert_eq!(connection.shared.watchers.lock().len(), 1);
        connection.end();
    }
}
