//! Which memberships a connection serves, so that its end finds them without looking through all groups.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{error::RelayError, table::Group};
use crate::model::connection::{Connection, ConnectionId, WatchConnection};

/// The memberships of all connections that have some.
#[derive(Default)]
pub(super) struct Memberships(Mutex<HashMap<ConnectionId, Places>>);

/// The places of one connection. A group with the id of a deleted one is another: its address tells them apart, which stays
/// taken while the group is listed here.
type Places = HashMap<(usize, Arc<str>), Arc<Group>>;

fn key(group: &Arc<Group>, user: &Arc<str>) -> (usize, Arc<str>) {
    (Arc::as_ptr(group).addr(), Arc::clone(user))
}

impl Memberships {
    /// Notes that the connection serves this user's place in the group; noting it again changes nothing.
    pub(super) fn add(
        &self,
        connection: &Connection,
        group: &Arc<Group>,
        user: &Arc<str>,
        watcher: Weak<dyn WatchConnection>,
        max: usize,
    ) -> Result<(), RelayError> {
        let key = key(group, user);
        let mut all = self.0.lock();
        match all.entry(connection.id()) {
            Entry::Occupied(mut places) => {
                let places = places.get_mut();
                if places.len() >= max && !places.contains_key(&key) {
                    return Err(RelayError::TooManyMemberships { max });
                }
                places.insert(key, Arc::clone(group));
            }
            // A connection that ends from here on tells the watcher, who waits for this lock.
            Entry::Vacant(places) if connection.watch(watcher) => {
                places.insert(HashMap::from([(key, Arc::clone(group))]));
            }
            Entry::Vacant(_) => return Err(RelayError::ConnectionEnded),
        }
        Ok(())
    }

    pub(super) fn remove(&self, connection: ConnectionId, group: &Arc<Group>, user: &Arc<str>) {
        let mut all = self.0.lock();
        if let Entry::Occupied(mut places) = all.entry(connection) {
            places.get_mut().remove(&key(group, user));
            if places.get().is_empty() {
                places.remove();
            }
        }
    }

    /// Takes out all memberships of a connection: the users and their groups.
    pub(super) fn take(
        &self,
        connection: ConnectionId,
    ) -> impl Iterator<Item = (Arc<str>, Arc<Group>)> + use<> {
        let places = self.0.lock().remove(&connection).unwrap_or_default();
        places.into_iter().map(|((_, user), group)| (user, group))
    }

    /// How many connections serve some membership.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.0.lock().len()
    }
}
