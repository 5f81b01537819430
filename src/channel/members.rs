//! Which channels of which clients have joined a topic: where broadcasts go.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;
use slab::Slab;

use super::{
    Payload,
    frame::{Kind, Version, write_push},
    membership::{InvalidPush, Seat},
    outbox::Packet,
};

/// The topics that somebody has joined.
#[derive(Debug, Default)]
pub(crate) struct Members {
    hasher: RandomState,
    shards: [Mutex<HashMap<Arc<str>, Arc<Topic>>>; SHARDS],
}

const SHARDS: usize = 16;

/// The members of one topic. One broadcast after another goes through the lock, so all members see them in one order.
#[derive(Debug, Default)]
struct Topic(Mutex<TopicState>);

#[derive(Debug, Default)]
struct TopicState {
    members: Slab<Arc<Seat>>,
    /// Empty and taken out of the table: who holds it has to look for the topic anew.
    retired: bool,
}

impl Members {
    /// Adds a member; `before` is done first, in one step with it as far as broadcasts are concerned.
    pub(crate) fn join(self: &Arc<Self>, seat: Arc<Seat>, before: impl FnOnce()) -> Joined {
        loop {
            let topic = {
                let mut shard = self.shard(&seat.topic).lock();
                let topic = shard.entry(Arc::clone(&seat.topic)).or_default();
                Arc::clone(topic)
            };
            let mut state = topic.0.lock();
            if state.retired {
                continue;
            }
            before();
            let key = state.members.insert(Arc::clone(&seat));
            drop(state);
            return Joined {
                table: Arc::clone(self),
                name: Arc::clone(&seat.topic),
                topic,
                key,
            };
        }
    }

    /// Sends an event to all members but one; how many took it.
    pub(crate) fn broadcast(
        &self,
        topic: &str,
        event: &str,
        payload: &Payload,
        but: Option<&Arc<Seat>>,
    ) -> Result<usize, InvalidPush> {
        let mut broadcast = Broadcast::new(topic, event, payload)?;
        let found = self.shard(topic).lock().get(topic).map(Arc::clone);
        let Some(found) = found else {
            return Ok(0);
        };
        let state = found.0.lock();
        let others = |seat: &&Arc<Seat>| but.is_none_or(|but| !Arc::ptr_eq(but, seat));
        let seats = state.members.iter().map(|(_, seat)| seat).filter(others);
        Ok(seats.filter(|seat| broadcast.send(seat)).count())
    }

    /// Sends an event to the members of one socket id; how many took it.
    pub(crate) fn push(
        &self,
        socket_id: &str,
        topic: &str,
        event: &str,
        payload: &Payload,
    ) -> Result<usize, InvalidPush> {
        let Some(found) = self.shard(topic).lock().get(topic).map(Arc::clone) else {
            return Ok(0);
        };
        let state = found.0.lock();
        let mut taken = 0;
        for (_, seat) in &state.members {
            if seat.session.socket_id() == socket_id && seat.push(event, payload)? {
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// How many members a topic has.
    pub(crate) fn count(&self, topic: &str) -> usize {
        let shard = self.shard(topic).lock();
        shard
            .get(topic)
            .map_or(0, |topic| topic.0.lock().members.len())
    }

    /// How many topics somebody has joined.
    pub(crate) fn topics(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, topic: &str) -> &Mutex<HashMap<Arc<str>, Arc<Topic>>> {
        let index = self.hasher.hash_one(topic) as usize % SHARDS;
        &self.shards[index]
    }
}

/// A member's entry; dropping it takes the entry out.
#[derive(Debug)]
pub(crate) struct Joined {
    table: Arc<Members>,
    name: Arc<str>,
    topic: Arc<Topic>,
    key: usize,
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut state = self.topic.0.lock();
        state.members.try_remove(self.key);
        state.retired = state.members.is_empty();
        let retired = state.retired;
        drop(state);
        if retired {
            let mut shard = self.table.shard(&self.name).lock();
            let own = |topic: &Arc<Topic>| Arc::ptr_eq(topic, &self.topic);
            if shard.get(&self.name).is_some_and(own) {
                shard.remove(&self.name);
            }
        }
    }
}

/// An event for many, written at most once for each version of the protocol.
struct Broadcast<'a> {
    topic: &'a str,
    event: &'a str,
    payload: &'a Payload,
    v1: Option<Packet>,
    v2: Option<Packet>,
}

impl<'a> Broadcast<'a> {
    fn new(topic: &'a str, event: &'a str, payload: &'a Payload) -> Result<Self, InvalidPush> {
        let mut broadcast = Self {
            topic,
            event,
            payload,
            v1: None,
            v2: None,
        };
        broadcast.v2 = Some(broadcast.write(Version::V2)?);
        Ok(broadcast)
    }

    fn write(&self, version: Version) -> Result<Packet, InvalidPush> {
        let mut packet = Packet::default();
        let write = |out: &mut Vec<u8>| -> Result<Kind, _> {
            write_push(out, version, None, self.topic, self.event, self.payload)
        };
        packet.try_add(write)?;
        Ok(packet)
    }

    /// Whether the member took it.
    fn send(&mut self, seat: &Seat) -> bool {
        let packet = match seat.outbox.version() {
            Version::V2 => self.v2.as_ref(),
            Version::V1 => {
                if self.v1.is_none() {
                    // Only bytes cannot be written for version 1; such clients go without.
                    self.v1 = self.write(Version::V1).ok();
                }
                self.v1.as_ref()
            }
        };
        let takes = seat.outbox.can_take(self.payload).is_ok();
        packet.is_some_and(|packet| takes && seat.outbox.push_packet(packet).is_ok())
    }
}
