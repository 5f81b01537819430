//! The relay against a naive model of specification, section 21: random commands of a few users, each answer and each delivery
//! compared.

use super::*;

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
const USERS: [&str; 4] = ["ann", "bob", "cid", "dan"];
/// Two for each user; those of one user may serve others too.
const CONNECTIONS: usize = 8;

#[derive(Clone, Debug)]
enum Command {
    Create(usize, GroupType, usize, usize),
    Join(usize, usize, usize),
    Attach(usize, usize, usize),
    Leave(usize, usize),
    Accept(usize, usize, usize),
    Mute(usize, usize, usize),
    Unmute(usize, usize, usize),
    Send(usize, usize),
    Delete(usize),
    DeleteBy(usize, usize),
    End(usize),
    Advance(u64),
    Sweep,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let group = || 0..GROUPS.len();
    let user = || 0..USERS.len();
    let connection = || 0..CONNECTIONS;
    let group_type = prop_oneof![
        Just(GroupType::Public),
        Just(GroupType::Private),
        Just(GroupType::StrictPrivate),
        Just(GroupType::StrictPrivate),
    ];
    let pair = move || (group(), user(), user());
    let command = prop_oneof![
        3 => (group(), group_type, user(), connection()).prop_map(|(g, t, u, c)| Command::Create(g, t, u, c)),
        6 => (group(), user(), connection()).prop_map(|(g, u, c)| Command::Join(g, u, c)),
        4 => (group(), user(), connection()).prop_map(|(g, u, c)| Command::Attach(g, u, c)),
        2 => (group(), user()).prop_map(|(g, u)| Command::Leave(g, u)),
        5 => pair().prop_map(|(g, a, u)| Command::Accept(g, a, u)),
        4 => pair().prop_map(|(g, a, u)| Command::Mute(g, a, u)),
        3 => pair().prop_map(|(g, a, u)| Command::Unmute(g, a, u)),
        6 => (group(), user()).prop_map(|(g, u)| Command::Send(g, u)),
        1 => group().prop_map(Command::Delete),
        1 => (group(), user()).prop_map(|(g, u)| Command::DeleteBy(g, u)),
        1 => connection().prop_map(Command::End),
        1 => (1..80_u64).prop_map(Command::Advance),
        1 => Just(Command::Sweep),
    ];
    proptest::collection::vec(command, 1..120)
}

fn settings() -> RelaySettings {
    RelaySettings {
        empty_group_ttl_ms: 100,
        max_groups: 2,
        max_members: 3,
        max_connections: 2,
        max_memberships: 2,
        ..RelaySettings::default()
    }
}

/// Everything in plain lists, each rule as the sentence has it.
#[derive(Default)]
struct Model {
    now: u64,
    groups: Vec<ModelGroup>,
    ended: BTreeSet<usize>,
}

struct ModelGroup {
    id: usize,
    group_type: GroupType,
    members: Vec<ModelMember>,
    empty_since: Option<u64>,
}

#[derive(Clone)]
struct ModelMember {
    user: usize,
    status: MemberStatus,
    is_admin: bool,
    connections: Vec<usize>,
}

impl Model {
    /// Groups whose time is over are no groups; but until a sweep they take up room.
    fn group(&mut self, id: usize) -> Option<&mut ModelGroup> {
        let now = self.now;
        let mut groups = self.groups.iter_mut();
        groups.find(|group| group.id == id && !group.is_over(now))
    }

    fn memberships_of(&self, connection: usize) -> usize {
        let members = self.groups.iter().flat_map(|group| &group.members);
        members
            .filter(|member| member.connections.contains(&connection))
            .count()
    }

    fn judge_connection(&self, connection: usize) -> Result<(), RelayError> {
        if self.ended.contains(&connection) {
            return Err(RelayError::ConnectionEnded);
        }
        if self.memberships_of(connection) >= 2 {
            return Err(RelayError::TooManyMemberships { max: 2 });
        }
        Ok(())
    }

    fn create(
        &mut self,
        id: usize,
        group_type: GroupType,
        user: usize,
        connection: usize,
    ) -> Result<(), RelayError> {
        if self.group(id).is_some() {
            return Err(RelayError::AlreadyExists);
        }
        if self.groups.len() >= 2 && !self.groups.iter().any(|group| group.id == id) {
            return Err(RelayError::TooManyGroups { max: 2 });
        }
        self.judge_connection(connection)?;
        self.groups.retain(|group| group.id != id);
        self.groups.push(ModelGroup {
            id,
            group_type,
            members: vec![ModelMember {
                user,
                status: MemberStatus::Active,
                is_admin: true,
                connections: vec![connection],
            }],
            empty_since: None,
        });
        Ok(())
    }

    fn join(
        &mut self,
        id: usize,
        user: usize,
        connection: usize,
    ) -> Result<MemberStatus, RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        let before = group.member(user).cloned();
        match before.as_ref().map(|member| member.status) {
            Some(MemberStatus::Muted) => {}
            Some(_) => return Err(RelayError::AlreadyMember),
            None if group.members.len() >= 3 => return Err(RelayError::GroupFull { max: 3 }),
            None => {}
        }
        let status = match group.group_type {
            GroupType::Public => MemberStatus::Active,
            _ => MemberStatus::Pending,
        };
        if before.is_none_or(|member| !member.connections.contains(&connection)) {
            self.judge_connection(connection)?;
        }
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        group.members.retain(|member| member.user != user);
        group.members.push(ModelMember {
            user,
            status,
            is_admin: false,
            connections: vec![connection],
        });
        group.empty_since = None;
        Ok(status)
    }

    fn attach(
        &mut self,
        id: usize,
        user: usize,
        connection: usize,
    ) -> Result<MemberStatus, RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        let Some(member) = group.member(user).cloned() else {
            return self.join(id, user, connection);
        };
        if !member.connections.contains(&connection) {
            if member.connections.len() >= 2 {
                return Err(RelayError::TooManyConnections { max: 2 });
            }
            self.judge_connection(connection)?;
            let member = self.group(id).and_then(|group| group.member(user));
            member.expect("found before").connections.push(connection);
        }
        Ok(member.status)
    }

    fn leave(&mut self, id: usize, user: usize) -> Result<(), RelayError> {
        let now = self.now;
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        group.member(user).ok_or(RelayError::UserNotInGroup)?;
        group.remove_where(now, |member| member.user == user);
        Ok(())
    }

    fn end(&mut self, connection: usize) {
        self.ended.insert(connection);
        for group in &mut self.groups {
            for member in &mut group.members {
                member.connections.retain(|other| *other != connection);
            }
            group.remove_where(self.now, |member| member.connections.is_empty());
        }
    }

    fn accept(&mut self, id: usize, actor: usize, user: usize) -> Result<(), RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        let group_type = group.group_type;
        let accepter = group.member(actor).ok_or(RelayError::UserNotInGroup)?;
        let may = match group_type {
            GroupType::StrictPrivate => accepter.has_power(),
            _ => accepter.status == MemberStatus::Active,
        };
        if !may {
            return Err(RelayError::NotAdmin);
        }
        let member = group.member(user).ok_or(RelayError::UserNotInGroup)?;
        match member.status {
            MemberStatus::Pending => member.status = MemberStatus::Active,
            _ => return Err(RelayError::UserNotPending),
        }
        Ok(())
    }

    fn set_mute(
        &mut self,
        id: usize,
        actor: usize,
        user: usize,
        mute: bool,
    ) -> Result<(), RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        if group.group_type != GroupType::StrictPrivate {
            return Err(RelayError::NotStrictPrivate);
        }
        if !group.member(actor).is_some_and(|actor| actor.has_power()) {
            return Err(RelayError::NotAdmin);
        }
        let member = group.member(user).ok_or(RelayError::UserNotInGroup)?;
        match (mute, member.status) {
            (true, MemberStatus::Active) => member.status = MemberStatus::Muted,
            (false, MemberStatus::Muted) => member.status = MemberStatus::Active,
            (true, _) => return Err(RelayError::CannotMute),
            (false, _) => return Err(RelayError::NotMuted),
        }
        Ok(())
    }

    fn delete(&mut self, id: usize, actor: Option<usize>) -> Result<(), RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        if let Some(actor) = actor
            && !group.member(actor).is_some_and(|actor| actor.has_power())
        {
            return Err(RelayError::NotAdmin);
        }
        self.groups.retain(|group| group.id != id);
        Ok(())
    }

    /// For how many members a message is, and the connections that it reaches, with repetitions.
    fn send(&mut self, id: usize, user: usize) -> Result<(usize, Vec<usize>), SendError> {
        let group = self.group(id).ok_or(SendError::GroupNotFound)?;
        let sender = group.member(user).ok_or(SendError::NotAMember)?;
        match sender.status {
            MemberStatus::Pending => return Err(SendError::Pending),
            MemberStatus::Muted => return Err(SendError::Muted),
            MemberStatus::Active => {}
        }
        let receivers = group.members.iter();
        let receivers = receivers.filter(|member| member.status != MemberStatus::Pending);
        let receivers: Vec<_> = receivers.map(|member| &member.connections).collect();
        let mut reached: Vec<_> = receivers.iter().copied().flatten().copied().collect();
        reached.sort_unstable();
        Ok((receivers.len(), reached))
    }

    fn sweep(&mut self) -> Swept {
        let (before, now) = (self.groups.len(), self.now);
        self.groups.retain(|group| !group.is_over(now));
        Swept {
            removed: before - self.groups.len(),
            remaining: self.groups.len(),
        }
    }

    fn info(&mut self, id: usize) -> Result<GroupInfo, RelayError> {
        let group = self.group(id).ok_or(RelayError::NotFound)?;
        let members = group.members.iter().map(|member| {
            let role = if member.is_admin {
                MemberRole::Admin
            } else {
                MemberRole::Member
            };
            let info = MemberInfo {
                status: member.status,
                roles: vec![role],
            };
            (USERS[member.user].to_owned(), info)
        });
        Ok(GroupInfo {
            group_id: GROUPS[id].to_owned(),
            group_type: group.group_type,
            members: members.collect(),
        })
    }
}

impl ModelGroup {
    fn is_over(&self, now: u64) -> bool {
        self.empty_since.is_some_and(|since| now - since >= 100)
    }

    fn member(&mut self, user: usize) -> Option<&mut ModelMember> {
        self.members.iter_mut().find(|member| member.user == user)
    }

    fn remove_where(&mut self, now: u64, leaves: impl Fn(&ModelMember) -> bool) {
        let before = self.members.len();
        self.members.retain(|member| !leaves(member));
        if before > 0 && self.members.is_empty() {
            self.empty_since = Some(now);
        }
    }
}

impl ModelMember {
    fn has_power(&self) -> bool {
        self.is_admin && self.status == MemberStatus::Active
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_answer_and_every_delivery_is_that_of_a_naive_model(commands in commands()) {
        let (relay, clock, _) = relay_with(settings());
        let mut model = Model::default();
        let clients = [(); CONNECTIONS].map(|()| Client::default());
        let connections = clients.each_ref().map(Client::connect);
        for (number, command) in commands.into_iter().enumerate() {
            match command {
                Command::Create(g, group_type, u, c) => prop_assert_eq!(
                    now(relay.create(GROUPS[g], group_type, USERS[u], connections[c].clone())),
                    model.create(g, group_type, u, c)
                ),
                Command::Join(g, u, c) => prop_assert_eq!(
                    now(relay.join(GROUPS[g], USERS[u], connections[c].clone())),
                    model.join(g, u, c)
                ),
                Command::Attach(g, u, c) => prop_assert_eq!(
                    now(relay.attach(GROUPS[g], USERS[u], connections[c].clone())),
                    model.attach(g, u, c)
                ),
                Command::Leave(g, u) => {
                    prop_assert_eq!(now(relay.leave(GROUPS[g], USERS[u])), model.leave(g, u));
                }
                Command::Accept(g, a, u) => prop_assert_eq!(
                    now(relay.accept(GROUPS[g], USERS[a], USERS[u])),
                    model.accept(g, a, u)
                ),
                Command::Mute(g, a, u) => prop_assert_eq!(
                    now(relay.mute(GROUPS[g], USERS[a], USERS[u])),
                    model.set_mute(g, a, u, true)
                ),
                Command::Unmute(g, a, u) => prop_assert_eq!(
                    now(relay.unmute(GROUPS[g], USERS[a], USERS[u])),
                    model.set_mute(g, a, u, false)
                ),
                Command::Delete(g) => {
                    prop_assert_eq!(now(relay.delete(GROUPS[g])), model.delete(g, None));
                }
                Command::DeleteBy(g, u) => prop_assert_eq!(
                    now(relay.delete_by(GROUPS[g], USERS[u])),
                    model.delete(g, Some(u))
                ),
                Command::End(c) => {
                    connections[c].end();
                    model.end(c);
                }
                Command::Advance(millis) => {
                    clock.advance(Duration::from_millis(millis));
                    model.now += millis;
                }
                Command::Sweep => prop_assert_eq!(relay.sweep(), model.sweep()),
                Command::Send(g, u) => {
                    let sent = now(relay.send(GROUPS[g], USERS[u], number, "r"));
                    let mut reached = Vec::new();
                    for (c, client) in clients.iter().enumerate() {
                        for message in client.messages() {
                            prop_assert_eq!(message, number);
                            reached.push(c);
                        }
                    }
                    let expected = model.send(g, u);
                    prop_assert_eq!(
                        sent.map(|sent| (sent.recipients, sent.missed)),
                        expected.as_ref().map(|(members, _)| (*members, 0)).map_err(|error| *error)
                    );
                    prop_assert_eq!(reached, expected.unwrap_or_default().1);
                }
            }
            for (g, group) in GROUPS.iter().enumerate() {
                prop_assert_eq!(relay.info(group), model.info(g));
            }
            let serving = (0..CONNECTIONS).filter(|c| model.memberships_of(*c) > 0).count();
            prop_assert_eq!(relay.table.connections(), serving);
            prop_assert_eq!(relay.count(), model.groups.len());
        }
        for connection in &connections {
            connection.end();
        }
        prop_assert_eq!(relay.table.connections(), 0);
    }
}
