//! One client's channel as the engine's functions and the relay see it.
//!
//! Pushes reach the client in the order in which they were made. One that belongs after a reply is held until that is
//! sent, and holds up those behind it: otherwise a relay group would have another order for its sender than for the rest.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};

use super::{
    endpoint::Door,
    membership::Seat,
    outbox::{Outbox, Packet, Refused},
    respond::add_push,
};
use crate::{
    connection::{Outlet, PushError},
    model::Response,
};

pub(super) struct ChannelOutlet {
    pub(super) door: Arc<Door>,
    pub(super) seat: Arc<Seat>,
}

/// The pushes to one channel, and the replies that some of them wait for.
#[derive(Debug)]
pub(super) struct Pushes(Mutex<State>);

#[derive(Debug)]
struct State {
    awaited: SmallVec<[AwaitedReply; 2]>,
    /// What waits, in order; the first one for a reply.
    held: VecDeque<Held>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    after: Option<AwaitedReply>,
    packet: Packet,
}

/// A reply that the client does not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AwaitedReply {
    /// To the join: nothing is pushed before it.
    Join,
    /// To a request whose id has this hash. Where two have one, a push comes a little later than it could.
    Request(u64),
}

impl AwaitedReply {
    pub(super) fn of_request(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self::Request(hasher.finish())
    }
}

impl Pushes {
    /// Those of a client that has yet to join.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            awaited: smallvec![AwaitedReply::Join],
            held: VecDeque::new(),
            held_bytes: 0,
        }))
    }

    /// A reply will come.
    pub(super) fn expect(&self, reply: AwaitedReply) {
        self.0.lock().awaited.push(reply);
    }

    /// The reply was sent: what waited for it follows.
    pub(super) fn replied(&self, reply: AwaitedReply, outbox: &Outbox) {
        let mut state = self.0.lock();
        if let Some(index) = state.awaited.iter().position(|awaited| *awaited == reply) {
            state.awaited.swap_remove(index);
        }
        state.release(outbox);
    }

    fn push(
        &self,
        outbox: &Outbox,
        after: Option<AwaitedReply>,
        write: impl FnOnce(&mut Packet),
    ) -> Result<(), Refused> {
        // Held while the outbox takes the packet, so that no other comes in between.
        let mut state = self.0.lock();
        let after = match after {
            _ if state.waits(Some(AwaitedReply::Join)) => Some(AwaitedReply::Join),
            after if state.waits(after) => after,
            _ => None,
        };
        if after.is_none() && state.held.is_empty() {
            return outbox.push(write);
        }
        let mut packet = Packet::default();
        write(&mut packet);
        state.held_bytes += packet.len();
        state.held.push_back(Held { after, packet });
        state.release(outbox);
        Ok(())
    }
}

impl State {
    fn waits(&self, after: Option<AwaitedReply>) -> bool {
        after.is_some_and(|after| self.awaited.contains(&after))
    }

    /// Sends what waits for nothing any more, and what takes more room than there is: the outbox knows what to do with it.
    fn release(&mut self, outbox: &Outbox) {
        while let Some(Held { after, packet }) = self.held.pop_front() {
            if self.waits(after) && self.held_bytes <= outbox.limit() {
                self.held.push_front(Held { after, packet });
                return;
            }
            self.held_bytes -= packet.len();
            // A client that is gone or too slow is closed: the next push says so.
            let _ = outbox.push_packet(&packet);
        }
    }
}

impl ChannelOutlet {
    fn hand_over(&self, response: &Response, after: Option<AwaitedReply>) -> Result<(), PushError> {
        let (seat, event) = (&self.seat, self.door.settings.request_event.as_str());
        let write = |packet: &mut Packet| add_push(packet, seat, event, response);
        let pushed = seat.pushes.push(&seat.outbox, after, write);
        pushed.map_err(|refused| match refused {
            Refused::Gone => PushError::Gone,
            Refused::Full => PushError::Full,
        })
    }
}

impl Outlet for ChannelOutlet {
    fn push(&self, response: Response) -> Result<(), PushError> {
        self.hand_over(&response, None)
    }

    fn push_after_reply(&self, response: Response) -> Result<(), PushError> {
        let id = response.request_id.as_deref();
        self.hand_over(&response, id.map(AwaitedReply::of_request))
    }
}
