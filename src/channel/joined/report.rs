//! What must happen at the end of a channel, whatever ends it: both are done on drop.

use std::sync::Arc;

use actix::Addr;

use crate::{
    channel::socket::{Ended, Notice, Socket},
    connection::Connection,
};

/// The channel's connection, which ends with it whatever ends that.
pub(super) struct OwnConnection(pub(super) Connection);

impl Drop for OwnConnection {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Tells the socket how the channel fares; dropped with the actor, whatever ended that.
pub(super) struct Report {
    pub(super) socket: Addr<Socket>,
    pub(super) serial: u64,
    pub(super) topic: Arc<str>,
    pub(super) ended: Ended,
}

impl Report {
    pub(super) fn joined(&self) {
        self.socket.do_send(Notice::Joined(self.serial));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.socket.do_send(Notice::Ended {
            serial: self.serial,
            topic: Arc::clone(&self.topic),
            ended: self.ended,
        });
    }
}
