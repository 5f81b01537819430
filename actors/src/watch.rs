//! Watching one incarnation at its messages, for specs that ask for it: [`Watch`].

use std::{sync::Arc, time::Duration};

use actix::Actor;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{control::Control, parcel::Parcel, stats::CurrentMessage};

/// What a spec asks to be watched.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watching {
    pub(crate) stuck_after: Option<Duration>,
    pub(crate) traces: bool,
}

impl Watching {
    /// The watch on the next incarnation, where there is anything to be watched.
    pub(crate) fn begin(self, id: &Arc<str>, incarnation: u64) -> Option<Arc<Watch>> {
        (self.traces || self.stuck_after.is_some()).then(|| {
            Arc::new(Watch {
                id: Arc::clone(id),
                incarnation,
                watching: self,
                current: Mutex::new(None),
            })
        })
    }
}

/// The watch on one incarnation.
pub(crate) struct Watch {
    id: Arc<str>,
    incarnation: u64,
    watching: Watching,
    /// The type of the message that the actor is at work on, and since when.
    current: Mutex<Option<(&'static str, Instant)>>,
}

impl Watch {
    pub(crate) fn deliver<A: Actor>(
        &self,
        parcel: Box<dyn Parcel<A>>,
        actor: &mut A,
        ctx: &mut A::Context,
        taker: &Arc<Control>,
    ) {
        let message = parcel.message();
        if self.watching.stuck_after.is_some() {
            *self.current.lock() = Some((message, Instant::now()));
        }
        let _span = self.watching.traces.then(|| {
            tracing::info_span!(
                "message",
                child = &*self.id,
                incarnation = self.incarnation,
                message_type = message
            )
            .entered()
        });
        parcel.deliver(actor, ctx, taker);
    }

    /// The actor has nothing to do.
    pub(crate) fn rests(&self) {
        if self.watching.stuck_after.is_some() {
            *self.current.lock() = None;
        }
    }

    pub(crate) fn current(&self) -> Option<CurrentMessage> {
        let (message, since) = (*self.current.lock())?;
        let time = since.elapsed();
        Some(CurrentMessage {
            message,
            time,
            stuck: self.watching.stuck_after.is_some_and(|limit| time > limit),
        })
    }
}
