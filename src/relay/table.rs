//! All groups: found by id, changed one command at a time each, and left by connections that end.
//!
//! Locks are taken in the order `changing`, a group's `state`, `memberships`. None of them is held while a response is
//! pushed or an event delivered, both of which run code of the embedder.

mod send;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    Swept,
    error::RelayError,
    group::{GroupInfo, GroupType, MemberStatus, Members, Parted},
    memberships::Memberships,
    settings::RelaySettings,
};
use crate::{
    clock::Clock,
    model::connection::{Connection, ConnectionId, WatchConnection},
    telemetry::{Family, LeaveCause, RelayEvent, Telemetry},
};

/// All groups. It outlives the actor that sweeps it.
pub(crate) struct RelayTable {
    groups: papaya::HashMap<Arc<str>, Arc<Group>>,
    /// Held while a group comes or goes, so that they can be counted.
    changing: Mutex<()>,
    memberships: Memberships,
    settings: RelaySettings,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    /// What connections are given to tell of their end.
    watcher: Weak<Self>,
}

pub(super) struct Group {
    id: Arc<str>,
    /// Commands on the group take turns, in the order in which they came, and a message is pushed to all members in one
    /// turn: that is the one order of its messages. Waiting for it blocks no thread, and nothing waits while holding it.
    turn: tokio::sync::Mutex<()>,
    /// Taken for a moment by whose turn it is, and by the end of a connection, which waits for nobody's turn: a door may
    /// end a connection while it is pushed to.
    state: Mutex<State>,
}

struct State {
    members: Members,
    /// Since when nobody is in it.
    empty_since: Option<Duration>,
    /// Deleted or forgotten; whoever still holds the group must not find it.
    over: bool,
}

impl RelayTable {
    pub(crate) fn new(
        settings: RelaySettings,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> Arc<Self> {
        Arc::new_cyclic(|watcher: &Weak<Self>| Self {
            groups: papaya::HashMap::new(),
            changing: Mutex::default(),
            memberships: Memberships::default(),
            settings,
            clock,
            telemetry,
            watcher: Weak::clone(watcher),
        })
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn settings(&self) -> &RelaySettings {
        &self.settings
    }

    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn create(
        &self,
        group_id: &str,
        group_type: GroupType,
        user_id: &str,
        connection: Connection,
    ) -> Result<(), RelayError> {
        self.judge_id("group_id", group_id)?;
        self.judge_id("user_id", user_id)?;
        let user: Arc<str> = user_id.into();
        let group = Arc::new(Group {
            id: group_id.into(),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                members: Members::new(group_type, Arc::clone(&user), connection.clone()),
                empty_since: None,
                over: false,
            }),
        });
        let count = {
            let _changing = self.changing.lock();
            let groups = self.groups.pin();
            match groups.get(group_id) {
                Some(existing) if !self.is_over(&existing.state.lock()) => {
                    return Err(RelayError::AlreadyExists);
                }
                None if groups.len() >= self.settings.max_groups => {
                    let max = self.settings.max_groups;
                    return Err(RelayError::TooManyGroups { max });
                }
                Some(_) | None => {}
            }
            // The end of the connection waits for this and then finds the member.
            let _state = group.state.lock();
            self.add_membership(&connection, &group, &user)?;
            if let Some(expired) = groups.insert(Arc::clone(&group.id), Arc::clone(&group)) {
                expired.state.lock().over = true;
            }
            groups.len()
        };
        self.emit(|| RelayEvent::Created {
            group_id,
            group_type: group_type.as_str(),
            user_id,
            groups: count,
        });
        Ok(())
    }

    pub(super) async fn join(
        &self,
        group_id: &str,
        user_id: &str,
        connection: Connection,
    ) -> Result<MemberStatus, RelayError> {
        let group = self.find(group_id)?;
        self.judge_id("user_id", user_id)?;
        let _turn = group.turn.lock().await;
        let state = self.open(&group)?;
        self.enter(&group, state, user_id, connection)
    }

    pub(super) async fn attach(
        &self,
        group_id: &str,
        user_id: &str,
        connection: Connection,
    ) -> Result<MemberStatus, RelayError> {
        let group = self.find(group_id)?;
        self.judge_id("user_id", user_id)?;
        let _turn = group.turn.lock().await;
        let mut state = self.open(&group)?;
        let max = self.settings.max_connections;
        let Some(status) = state.members.may_attach(user_id, &connection, max)? else {
            return self.enter(&group, state, user_id, connection);
        };
        self.add_membership(&connection, &group, &user_id.into())?;
        state.members.attach(user_id, connection);
        Ok(status)
    }

    /// Makes the user a member, by whoever has the group's turn.
    fn enter(
        &self,
        group: &Arc<Group>,
        mut state: MutexGuard<'_, State>,
        user_id: &str,
        connection: Connection,
    ) -> Result<MemberStatus, RelayError> {
        let user: Arc<str> = user_id.into();
        let status = state.members.may_join(user_id, self.settings.max_members)?;
        self.add_membership(&connection, group, &user)?;
        if let Some(mut old) = state.members.join(user, status, connection.clone()) {
            old.connections.retain(|other| *other != connection);
            self.forget_membership(group, &old);
        }
        state.empty_since = None;
        drop(state);
        self.emit(|| RelayEvent::Joined {
            group_id: &group.id,
            user_id,
            status: status.as_str(),
        });
        Ok(status)
    }

    pub(super) async fn leave(&self, group_id: &str, user_id: &str) -> Result<(), RelayError> {
        let group = self.find(group_id)?;
        let _turn = group.turn.lock().await;
        {
            let mut state = self.open(&group)?;
            let parted = state.members.leave(user_id)?;
            self.forget_membership(&group, &parted);
            self.note_empty(&mut state);
        }
        self.emit(|| RelayEvent::Left {
            group_id,
            user_id,
            cause: LeaveCause::Asked,
        });
        Ok(())
    }

    pub(super) async fn accept(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        let group = self.find(group_id)?;
        let _turn = group.turn.lock().await;
        self.open(&group)?.members.accept(actor_id, user_id)?;
        self.emit(|| RelayEvent::Accepted {
            group_id,
            actor_id,
            user_id,
        });
        Ok(())
    }

    pub(super) async fn mute(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        let group = self.find(group_id)?;
        let _turn = group.turn.lock().await;
        self.open(&group)?.members.mute(actor_id, user_id)?;
        self.emit(|| RelayEvent::Muted {
            group_id,
            actor_id,
            user_id,
        });
        Ok(())
    }

    pub(super) async fn unmute(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        let group = self.find(group_id)?;
        let _turn = group.turn.lock().await;
        self.open(&group)?.members.unmute(actor_id, user_id)?;
        self.emit(|| RelayEvent::Unmuted {
            group_id,
            actor_id,
            user_id,
        });
        Ok(())
    }

    /// Deletes a group, where an actor is given on behalf of that member.
    pub(super) async fn delete(
        &self,
        group_id: &str,
        actor_id: Option<&str>,
    ) -> Result<(), RelayError> {
        let group = self.find(group_id)?;
        let _turn = group.turn.lock().await;
        let mut members = 0;
        {
            let mut state = self.open(&group)?;
            if let Some(actor) = actor_id {
                state.members.judge_admin(actor)?;
            }
            state.over = true;
            for parted in state.members.take_all() {
                self.forget_membership(&group, &parted);
                members += 1;
            }
        }
        let groups = self.remove(&group);
        self.emit(|| RelayEvent::Deleted {
            group_id,
            members,
            groups,
        });
        Ok(())
    }

    /// The group as it is, where a viewer is given for the eyes of that user.
    pub(super) fn info(
        &self,
        group_id: &str,
        viewer: Option<&str>,
    ) -> Result<GroupInfo, RelayError> {
        let group = self.find(group_id)?;
        let state = self.open(&group)?;
        if let Some(viewer) = viewer {
            state.members.judge_viewer(viewer)?;
        }
        Ok(state.members.info(group_id))
    }

    /// Forgets the groups that have been empty for too long.
    pub(super) fn sweep(&self) -> Swept {
        let mut removed = 0;
        for group in self.groups.pin().values() {
            let over = {
                let mut state = group.state.lock();
                state.over = self.is_over(&state);
                state.over
            };
            if over {
                self.remove(group);
                removed += 1;
            }
        }
        let swept = Swept {
            removed,
            remaining: self.count(),
        };
        self.emit(|| RelayEvent::Cleanup {
            removed: swept.removed,
            remaining: swept.remaining,
        });
        swept
    }

    /// How many connections serve some membership.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.memberships.connections()
    }

    fn judge_id(&self, field: &'static str, id: &str) -> Result<(), RelayError> {
        let max_bytes = self.settings.max_id_bytes;
        if id.is_empty() || id.len() > max_bytes {
            return Err(RelayError::InvalidId { field, max_bytes });
        }
        Ok(())
    }

    fn find(&self, group_id: &str) -> Result<Arc<Group>, RelayError> {
        let groups = self.groups.pin();
        groups.get(group_id).cloned().ok_or(RelayError::NotFound)
    }

    /// The members of a group that was found, unless it has come to its end since.
    fn open<'a>(&self, group: &'a Group) -> Result<MutexGuard<'a, State>, RelayError> {
        let state = group.state.lock();
        if self.is_over(&state) {
            return Err(RelayError::NotFound);
        }
        Ok(state)
    }

    fn is_over(&self, state: &State) -> bool {
        let expired = |since: Duration| {
            self.clock.now().saturating_sub(since) >= self.settings.empty_group_ttl()
        };
        state.over || state.empty_since.is_some_and(expired)
    }

    fn note_empty(&self, state: &mut State) {
        if state.members.len() == 0 {
            state.empty_since = Some(self.clock.now());
        }
    }

    /// Takes a group that is over out of the table, unless another has its id by now; how many there are then.
    fn remove(&self, group: &Arc<Group>) -> usize {
        let _changing = self.changing.lock();
        let groups = self.groups.pin();
        let _ = groups.remove_if(&group.id, |_, found| Arc::ptr_eq(found, group));
        groups.len()
    }

    fn add_membership(
        &self,
        connection: &Connection,
        group: &Arc<Group>,
        user: &Arc<str>,
    ) -> Result<(), RelayError> {
        let watcher: Weak<Self> = Weak::clone(&self.watcher);
        let max = self.settings.max_memberships;
        self.memberships.add(connection, group, user, watcher, max)
    }

    fn forget_membership(&self, group: &Arc<Group>, parted: &Parted) {
        for connection in &parted.connections {
            let id = connection.id();
            self.memberships.remove(id, group, &parted.user_id);
        }
    }

    fn emit<'a>(&self, event: impl FnOnce() -> RelayEvent<'a>) {
        self.telemetry.emit(Family::Relay, event);
    }
}

impl WatchConnection for RelayTable {
    fn connection_ended(&self, id: ConnectionId) {
        for (user, group) in self.memberships.take(id) {
            let left = {
                let mut state = group.state.lock();
                let left = state.members.leave_with(&user, id);
                if left {
                    self.note_empty(&mut state);
                }
                left
            };
            if left {
                self.emit(|| RelayEvent::Left {
                    group_id: &group.id,
                    user_id: &user,
                    cause: LeaveCause::ConnectionEnded,
                });
            }
        }
    }
}

impl fmt::Debug for RelayTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayTable")
            .field("groups", &self.count())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
