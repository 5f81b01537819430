//! Calls that are given up before their node has answered.
//!
//! A node that is held up reads nothing, and finds all that came meanwhile at once. Servers end a connection on which more
//! calls than a few (20 in hyper) were cancelled before they were looked at, because attackers do the same ("rapid reset"),
//! and every call and stream beside would be lost with it. So only a few cancellations are sent at once; the others wait until
//! the node has answered a ping, and so has read the calls that they belong to.

use bytes::Bytes;
use h2::{SendStream, client::ResponseFuture};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many cancellations are sent that the node has not confirmed.
const AT_ONCE: usize = 16;

/// A call on its way; its drop cancels it.
pub(super) type Sent = (ResponseFuture, SendStream<Bytes>);

/// The cancellations on one connection.
#[derive(Default)]
pub(super) struct Cancels {
    state: Mutex<State>,
    /// Wakes who sends pings.
    held: Notify,
}

#[derive(Default)]
struct State {
    unconfirmed: usize,
    held: Vec<Sent>,
}

/// What the answer to one ping confirms.
pub(super) struct Confirmed {
    unconfirmed: usize,
    held: Vec<Sent>,
}

impl Cancels {
    /// Cancels a call: at once, or with the answer to the next ping.
    pub(super) fn cancel(&self, call: Sent) {
        let mut state = self.state.lock();
        if state.unconfirmed < AT_ONCE {
            state.unconfirmed += 1;
            // The call is dropped after the lock.
            drop(state);
        } else {
            state.held.push(call);
            drop(state);
            self.held.notify_one();
        }
    }

    /// Is done when cancellations wait for a ping.
    pub(super) async fn wait_for_ping(&self) {
        self.held.notified().await;
    }

    /// What a ping confirms that is sent right after this.
    pub(super) fn ping(&self) -> Confirmed {
        let mut state = self.state.lock();
        Confirmed {
            unconfirmed: state.unconfirmed,
            held: std::mem::take(&mut state.held),
        }
    }

    /// Notes that the ping was answered.
    pub(super) fn pong(&self, confirmed: Confirmed) {
        self.state.lock().unconfirmed -= confirmed.unconfirmed;
        drop(confirmed.held);
    }
}
