//! Joining, leaving and ending the channels of a socket.

use std::sync::{Arc, OnceLock};

use actix::{Addr, AsyncContext, Context};
use bytes::Bytes;
use serde_json::json;

use super::{Ended, Socket};
use crate::channel::{
    Channel,
    frame::{Frame, RawPayload, Ref, Status, Version},
    joined::{ChannelActor, End, JoinRequest, Take},
    membership::Seat,
    outlet::Pushes,
    reasons,
    request::Sent,
    respond,
};

/// A channel that is joined.
#[derive(Clone)]
pub(super) struct Entry {
    serial: u64,
    seat: Arc<Seat>,
    kind: Arc<Channel>,
    pub(super) actor: Addr<ChannelActor>,
}

/// What the next frames wait for.
pub(super) enum Busy {
    /// The join callback.
    Joining {
        topic: Arc<str>,
        entry: Entry,
        reference: Ref,
        /// The channel that it takes the place of.
        old: Option<Ref>,
    },
    /// The end of the channel whose place is taken.
    Replacing { old: Entry, next: Box<Next> },
    /// The leave callback.
    Leaving {
        topic: Arc<str>,
        entry: Entry,
        reference: Ref,
    },
}

/// A join that is to come.
pub(super) struct Next {
    topic: Arc<str>,
    kind: Arc<Channel>,
    join_ref: Ref,
    request: JoinRequest,
}

impl Busy {
    fn entry(&self) -> &Entry {
        match self {
            Self::Joining { entry, .. } | Self::Leaving { entry, .. } => entry,
            Self::Replacing { old, .. } => old,
        }
    }

    /// The connection has ended; a channel that is ending already does not mind.
    pub(super) fn end(self) {
        self.entry().actor.do_send(End::Disconnected);
    }
}

impl Socket {
    pub(super) fn join(&mut self, frame: &Frame<'_>, ctx: &mut Context<Self>) {
        let Some(kind) = self.door.kind_of(&frame.topic) else {
            return self.unmatched(frame);
        };
        let join_ref = match (self.version(), &frame.join_ref) {
            // Version 1 has none of its own.
            (Version::V1, Ref::Null) => &frame.reference,
            (_, join_ref) => join_ref,
        };
        let next = Next {
            topic: Arc::from(&*frame.topic),
            kind: Arc::clone(kind),
            join_ref: join_ref.clone(),
            request: JoinRequest {
                reference: frame.reference.clone(),
                payload: copied(frame),
            },
        };
        match self.channels.remove(&*frame.topic) {
            Some(old) => {
                old.actor.do_send(End::Replaced);
                let next = Box::new(next);
                self.busy = Some(Busy::Replacing { old, next });
            }
            None => self.start(next, None, ctx),
        }
    }

    fn start(&mut self, next: Next, old: Option<Ref>, ctx: &mut Context<Self>) {
        let (reference, topic) = (next.request.reference.clone(), Arc::clone(&next.topic));
        let refuse = |socket: &Self, reason| {
            let (join_ref, status) = (&next.join_ref, Status::Error);
            socket.reply(join_ref, &reference, &topic, status, Some(reason));
            socket.close_old(&topic, old.as_ref());
        };
        if self.channels.len() >= self.door.settings.max_channels {
            return refuse(self, reasons::TOO_MANY_CHANNELS);
        }
        self.serial += 1;
        let seat = Arc::new(Seat {
            topic: Arc::clone(&topic),
            join_ref: next.join_ref.clone(),
            session: Arc::clone(&self.session),
            outbox: Arc::clone(&self.outbox),
            pushes: Pushes::new(),
            actor: OnceLock::new(),
        });
        let actor = ChannelActor::new(
            Arc::clone(&self.door),
            Arc::clone(&next.kind),
            Arc::clone(&seat),
            next.request,
            ctx.address(),
            self.serial,
        );
        match self.door.channels.spawn_local(actor) {
            Ok(child) => {
                let entry = Entry {
                    serial: self.serial,
                    seat,
                    kind: next.kind,
                    actor: child.addr().clone(),
                };
                self.busy = Some(Busy::Joining {
                    topic,
                    entry,
                    reference,
                    old,
                });
            }
            Err(error) => {
                tracing::debug!(
                    error = crate::log_text::printed(&error),
                    "a channel could not be started"
                );
                let (join_ref, status) = (&next.join_ref, Status::Error);
                let reason = Some(reasons::UNAVAILABLE);
                self.reply(join_ref, &reference, &topic, status, reason);
                self.close_old(&topic, old.as_ref());
            }
        }
    }

    pub(super) fn leave(&mut self, frame: &Frame<'_>) {
        let Some(entry) = self.channels.get(&*frame.topic) else {
            let (join_ref, reference) = (&frame.join_ref, &frame.reference);
            return self.reply(join_ref, reference, &frame.topic, Status::Ok, None);
        };
        if is_stale(frame, entry) {
            return;
        }
        if let Some((topic, entry)) = self.channels.remove_entry(&*frame.topic) {
            entry.actor.do_send(End::Left);
            self.busy = Some(Busy::Leaving {
                topic,
                entry,
                reference: frame.reference.clone(),
            });
        }
    }

    /// Gives an event to its channel.
    pub(super) fn hand_over(&mut self, frame: &Frame<'_>, bytes: &Bytes) {
        let Some(entry) = self.channels.get(&*frame.topic) else {
            return self.unmatched(frame);
        };
        if is_stale(frame, entry) {
            return;
        }
        let settings = &self.door.settings;
        let is_request = entry.kind.takes_requests() && frame.event == settings.request_event;
        let (most, most_bytes) = (settings.max_in_flight, settings.incoming_bytes);
        match self.in_flight.admit(bytes.len(), most, most_bytes) {
            Some(permit) => entry.actor.do_send(Take {
                reference: frame.reference.clone(),
                event: (!is_request).then(|| frame.event.clone().into_owned()),
                // An event may wait for the one before it, and its callback may keep what it gets.
                payload: if is_request {
                    sent(frame, bytes)
                } else {
                    copied(frame)
                },
                permit,
            }),
            // Here and not by the actor, so that nothing of it waits there.
            None if is_request => {
                let payload = sent(frame, bytes);
                respond::refuse(&self.door, &entry.seat, &frame.reference, &payload);
            }
            None => {
                let (join_ref, reason) = (&entry.seat.join_ref, Some(reasons::TOO_MANY_EVENTS));
                self.reply(
                    join_ref,
                    &frame.reference,
                    &frame.topic,
                    Status::Error,
                    reason,
                );
            }
        }
    }

    fn unmatched(&self, frame: &Frame<'_>) {
        let (status, reason) = (Status::Error, Some(reasons::UNMATCHED_TOPIC));
        self.reply_for_socket(&frame.reference, &frame.topic, status, reason);
    }

    pub(super) fn has_joined(&mut self, serial: u64) {
        match self.busy.take() {
            Some(Busy::Joining {
                topic, entry, old, ..
            }) if entry.serial == serial => {
                self.close_old(&topic, old.as_ref());
                self.channels.insert(topic, entry);
            }
            other => self.busy = other,
        }
    }

    pub(super) fn has_ended(
        &mut self,
        serial: u64,
        topic: &Arc<str>,
        ended: Ended,
        ctx: &mut Context<Self>,
    ) {
        let awaited = |busy: &mut Busy| busy.entry().serial == serial;
        match self.busy.take_if(awaited) {
            Some(Busy::Joining {
                topic,
                entry,
                reference,
                old,
            }) => {
                if ended == Ended::Crashed {
                    let (status, reason) = (Status::Error, Some(reasons::JOIN_CRASHED));
                    self.reply(&entry.seat.join_ref, &reference, &topic, status, reason);
                }
                self.close_old(&topic, old.as_ref());
            }
            Some(Busy::Replacing { old, next }) => {
                self.start(*next, Some(old.seat.join_ref.clone()), ctx);
            }
            Some(Busy::Leaving {
                topic,
                entry,
                reference,
            }) => {
                self.reply(&entry.seat.join_ref, &reference, &topic, Status::Ok, None);
                self.tell_close(&entry.seat.join_ref, &topic);
            }
            None => self.has_ended_by_itself(serial, topic, ended),
        }
    }

    fn has_ended_by_itself(&mut self, serial: u64, topic: &Arc<str>, ended: Ended) {
        let is_current = |entry: &Entry| entry.serial == serial;
        if !self.channels.get(topic).is_some_and(is_current) {
            return;
        }
        if let Some(entry) = self.channels.remove(topic) {
            match ended {
                Ended::Crashed => {
                    let reason = reasons::reason(reasons::CHANNEL_CRASH);
                    self.tell(&entry.seat.join_ref, topic, "phx_error", &reason);
                }
                _ => self.tell_close(&entry.seat.join_ref, topic),
            }
        }
    }

    fn close_old(&self, topic: &str, old: Option<&Ref>) {
        if let Some(join_ref) = old {
            self.tell_close(join_ref, topic);
        }
    }

    fn tell_close(&self, join_ref: &Ref, topic: &str) {
        self.tell(join_ref, topic, "phx_close", &json!({}));
    }
}

/// Whether the frame belongs to an earlier join of the topic; one without a join ref belongs to the present one.
fn is_stale(frame: &Frame<'_>, entry: &Entry) -> bool {
    frame.join_ref != Ref::Null && frame.join_ref != entry.seat.join_ref
}

/// The payload without a copy.
fn sent(frame: &Frame<'_>, bytes: &Bytes) -> Sent {
    match frame.payload {
        RawPayload::Json(raw) => Sent::Json(bytes.slice_ref(raw.get().as_bytes())),
        RawPayload::Binary(raw) => Sent::Binary(bytes.slice_ref(raw)),
    }
}

/// The payload in memory of its own: a slice would keep all that was read together with it, for as long as it is kept.
fn copied(frame: &Frame<'_>) -> Sent {
    match frame.payload {
        RawPayload::Json(raw) => Sent::Json(Bytes::copy_from_slice(raw.get().as_bytes())),
        RawPayload::Binary(raw) => Sent::Binary(Bytes::copy_from_slice(raw)),
    }
}
