//! Which memberships a connection serves, so that its end finds them without looking through all groups.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{error::RelayError, table::Group};
use crate::model::connection::{Connection, ConnectionId, WatchConnection};

/// The memberships of all connections that have some.
#[derive(Default)]
pub(super) struct Memberships(Mutex<HashMap<ConnectionId, HashSet<Place>>>);

/// One user's place in one group.
pub(super) struct Place {
    group: Arc<Group>,
    user: Arc<str>,
}

impl Memberships {
    /// Notes a membership that the connection serves from now on; noting it again changes nothing.
    pub(super) fn add(
        &self,
        connection: &Connection,
        place: Place,
        watcher: Weak<dyn WatchConnection>,
        max: usize,
    ) -> Result<(), RelayError> {
        let mut all = self.0.lock();
        match all.entry(connection.id()) {
            Entry::Occupied(mut places) => {
                let places = places.get_mut();
                if places.len() >= max && !places.contains(&place) {
                    return Err(RelayError::TooManyMemberships { max });
                }
                places.insert(place);
            }
            // A connection that ends from here on tells the watcher, who waits for this lock.
            Entry::Vacant(places) if connection.watch(watcher) => {
                places.insert(HashSet::from([place]));
            }
            Entry::Vacant(_) => return Err(RelayError::ConnectionEnded),
        }
        Ok(())
    }

    pub(super) fn remove(&self, connection: ConnectionId, place: &Place) {
        let mut all = self.0.lock();
        if let Entry::Occupied(mut places) = all.entry(connection) {
            places.get_mut().remove(place);
            if places.get().is_empty() {
                places.remove();
            }
        }
    }

    /// Takes out all memberships of a connection.
    pub(super) fn take(&self, connection: ConnectionId) -> HashSet<Place> {
        self.0.lock().remove(&connection).unwrap_or_default()
    }

    /// How many connections serve some membership.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.0.lock().len()
    }
}

impl Place {
    pub(super) fn new(group: &Arc<Group>, user: Arc<str>) -> Self {
        Self {
            group: Arc::clone(group),
            user,
        }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn user(&self) -> &Arc<str> {
        &self.user
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.group, &other.group) && self.user == other.user
    }
}

impl Eq for Place {}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.group).hash(state);
        self.user.hash(state);
    }
}
