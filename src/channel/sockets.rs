//! The connections that are open.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Session, outbox::Outbox};

/// The open connections of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: papaya::HashMap<u64, Arc<Listing>>,
    next: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) session: Arc<Session>,
    pub(crate) outbox: Arc<Outbox>,
}

impl Sockets {
    /// Lists a connection.
    pub(crate) fn enter(self: &Arc<Self>, session: &Arc<Session>, outbox: &Arc<Outbox>) -> Listed {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let listing = Arc::new(Listing {
            session: Arc::clone(session),
            outbox: Arc::clone(outbox),
        });
        self.open.pin().insert(number, listing);
        Listed {
            sockets: Arc::clone(self),
            number,
        }
    }

    /// Does something with each connection that has this id; how many those are.
    pub(crate) fn each(&self, socket_id: &str, act: impl Fn(&Listing)) -> usize {
        let open = self.open.pin();
        let own = open
            .values()
            .filter(|listing| listing.session.socket_id() == socket_id);
        own.inspect(|listing| act(listing)).count()
    }

    pub(crate) fn for_all(&self, act: impl Fn(&Listing)) {
        for listing in self.open.pin().values() {
            act(listing);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len()
    }
}

/// A connection's entry; dropping it takes the entry out.
#[derive(Debug)]
pub(crate) struct Listed {
    sockets: Arc<Sockets>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sockets.open.pin().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::frame::Version;

    #[test]
    fn connections_are_found_by_their_id_while_they_are_open() {
        let sockets = Arc::new(Sockets::default());
        let enter = |id: &str| {
            let session = Arc::new(Session::anonymous().with_socket_id(id));
            sockets.enter(&session, &Arc::new(Outbox::websocket(Version::V2, 10)))
        };
        let _kept = [enter("user:1"), enter("user:2")];
        let gone = enter("user:1");
        assert_eq!(sockets.each("user:1", |_| {}), 2);
        drop(gone);
        assert_eq!(sockets.each("user:1", |_| {}), 1);
        assert_eq!(sockets.each("user:3", |_| {}), 0);
        assert_eq!(sockets.count(), 2);
    }
}
