//! An inbox that outlives the incarnations it feeds: [`SharedInbox`].
//!
//! It is there for as long as some supervisor means to run one of those who take from it, be it after a restart. When the
//! last one is not started again, it is closed, so that nobody waits for an answer that cannot come; where one is started
//! all the same, it begins with an empty inbox.

use std::sync::Arc;

use actix::{Actor, Context};
use parking_lot::Mutex;

use crate::{exit::ExitReason, inbox::Inbox};

pub(crate) struct SharedInbox<A: Actor>(Mutex<State<A>>);

struct State<A: Actor> {
    /// `None` while nobody takes from it.
    inbox: Option<Arc<Inbox<A>>>,
    /// How many stations are manned.
    manned: usize,
}

impl<A: Actor> Default for SharedInbox<A> {
    fn default() -> Self {
        Self(Mutex::new(State {
            inbox: None,
            manned: 0,
        }))
    }
}

impl<A: Actor> SharedInbox<A> {
    /// The inbox, unless nobody takes from it.
    pub(crate) fn inbox(&self) -> Option<Arc<Inbox<A>>> {
        self.0.lock().inbox.clone()
    }
}

/// The place of one child at a shared inbox.
pub(crate) struct Station<A: Actor> {
    shared: Arc<SharedInbox<A>>,
    /// From a start until there will be no other; changed under the lock of `shared`.
    manned: Mutex<bool>,
}

impl<A: Actor<Context = Context<A>>> Station<A> {
    pub(crate) fn new(shared: Arc<SharedInbox<A>>) -> Self {
        Self {
            shared,
            manned: Mutex::new(false),
        }
    }

    /// The child is started.
    pub(crate) fn enter(&self, capacity: usize) -> Arc<Inbox<A>> {
        let mut state = self.shared.0.lock();
        if !std::mem::replace(&mut *self.manned.lock(), true) {
            state.manned += 1;
        }
        let inbox = state
            .inbox
            .get_or_insert_with(|| Arc::new(Inbox::new(capacity, true)));
        Arc::clone(inbox)
    }

    /// The child is not started again, for this reason.
    pub(crate) fn leave(&self, reason: &ExitReason) {
        let closed = {
            let mut state = self.shared.0.lock();
            if !std::mem::replace(&mut *self.manned.lock(), false) {
                return;
            }
            state.manned -= 1;
            match state.manned {
                0 => state.inbox.take(),
                _ => None,
            }
        };
        if let Some(inbox) = closed {
            inbox.close(Some(reason.clone()));
        }
    }
}
