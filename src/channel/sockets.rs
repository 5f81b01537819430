//! The connections that are open, by number and by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{Session, outbox::Outbox};

/// The open connections of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: papaya::HashMap<u64, Arc<Listing>>,
    next: AtomicU64,
    addresses: Mutex<HashMap<IpAddr, usize>>,
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

    /// Counts a connection of an address in, unless it has as many as it may have.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Admitted> {
        let mut addresses = self.addresses.lock();
        let count = addresses.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Admitted {
            sockets: Arc::clone(self),
            address,
        })
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

/// A connection's share of what its address may have.
#[derive(Debug)]
pub(crate) struct Admitted {
    sockets: Arc<Sockets>,
    address: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut addresses = self.sockets.addresses.lock();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::frame::Version;

    #[test]
    fn an_address_has_no_more_connections_than_it_may_and_gets_them_back() {
        let sockets = Arc::new(Sockets::default());
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = sockets.admit(one, 2).unwrap();
        let _second = sockets.admit(one, 2).unwrap();
        assert!(sockets.admit(one, 2).is_none());
        assert!(sockets.admit(other, 2).is_some());
        drop(first);
        assert!(sockets.admit(one, 2).is_some());
        assert_eq!(sockets.addresses.lock().len(), 1);
    }

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
