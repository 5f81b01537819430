use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    clock::ManualClock,
    model::{
        Response,
        connection::{Outlet, PushError},
    },
    telemetry::{Event, Family, RelayEvent, Telemetry},
};

mod model;

/// A client: what it was pushed, and how it answers pushes.
#[derive(Clone, Default)]
struct Client(Arc<ClientState>);

#[derive(Default)]
struct ClientState {
    pushed: Mutex<Vec<Response>>,
    is_full: AtomicBool,
    is_gone: AtomicBool,
}

impl Client {
    fn connect(&self) -> Connection {
        Connection::new(self.clone())
    }

    fn take(&self) -> Vec<Response> {
        std::mem::take(&mut self.0.pushed.lock())
    }

    /// The texts of the messages it was pushed.
    fn messages(&self) -> Vec<Value> {
        let messages = self.take().into_iter();
        messages
            .map(|response| response.result["message"].clone())
            .collect()
    }
}

impl Outlet for Client {
    fn push(&self, response: Response) -> Result<(), PushError> {
        if self.0.is_gone.load(Ordering::SeqCst) {
            return Err(PushError::Gone);
        }
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err(PushError::Full);
        }
        self.0.pushed.lock().push(response);
        // Where turns were not taken, another message would now come in between.
        std::thread::yield_now();
        Ok(())
    }
}

/// An outlet of this function.
struct Calls<F>(F);

impl<F: Fn() -> Result<(), PushError> + Send + Sync + 'static> Outlet for Calls<F> {
    fn push(&self, _: Response) -> Result<(), PushError> {
        (self.0)()
    }
}

fn open() -> Connection {
    Client::default().connect()
}

/// A relay whose actor does not run: the verbs do not need it.
fn relay_with(settings: RelaySettings) -> (RelayRef, ManualClock, Telemetry) {
    let (clock, telemetry) = (ManualClock::new(), Telemetry::new());
    let table = RelayTable::new(settings, Arc::new(clock.clone()), telemetry.clone());
    let (_, relay) = Relay::child(table);
    (relay, clock, telemetry)
}

fn relay() -> RelayRef {
    relay_with(RelaySettings::default()).0
}

/// The result of a verb that has nobody to wait for.
fn now<T>(verb: impl Future<Output = T>) -> T {
    verb.now_or_never().expect("nobody else has a turn")
}

fn status(relay: &RelayRef, group: &str, user: &str) -> Option<MemberStatus> {
    let info = relay.info(group).expect("it exists");
    info.members.get(user).map(|member| member.status)
}

/// A public group `g` of these users, each with a client of his own.
fn public_group<const N: usize>(relay: &RelayRef, users: [&str; N]) -> [Client; N] {
    let clients = users.map(|_| Client::default());
    for (index, (user, client)) in users.iter().zip(&clients).enumerate() {
        if index == 0 {
            now(relay.create("g", GroupType::Public, user, client.connect())).expect("it is new");
        } else {
            now(relay.join("g", user, client.connect())).expect("anybody may join");
        }
    }
    clients
}

#[test]
fn a_message_reaches_every_member_under_the_request_id_of_its_sender_with_the_time() {
    let relay = relay();
    let clients = public_group(&relay, ["ann", "bob"]);
    let message = json!({"text": "hi"});
    let sent = now(relay.send("g", "bob", message.clone(), "r-7")).expect("bob is active");
    assert_eq!((sent.recipients, sent.missed), (2, 0));
    let [ann, bob] = clients.map(|client| client.take());
    assert_eq!(ann, bob);
    let [response] = ann.try_into().expect("one message");
    let mut result = response.result.clone();
    let time = result["timestamp"].take();
    assert_eq!(
        Response { result, ..response },
        Response::sync(
            "r-7",
            json!({"group_id": "g", "from_user_id": "bob", "message": message, "timestamp": null})
        )
    );
    let time = time.as_str().expect("a text");
    let time: jiff::Timestamp = time.parse().expect("RFC 3339");
    let age = jiff::Timestamp::now().duration_since(time);
    assert!(age.abs() < jiff::SignedDuration::from_mins(5), "{age}");
}

#[test]
fn a_full_member_misses_the_message_and_stays_while_one_that_is_gone_leaves_every_group() {
    let relay = relay();
    let [ann, full, gone, last] = public_group(&relay, ["ann", "full", "gone", "last"]);
    // A group in which nothing is sent learns of it all the same.
    let other = gone.connect();
    now(relay.create("h", GroupType::Private, "ann", ann.connect())).expect("it is new");
    now(relay.join("h", "gone", other.clone())).expect("it is open");
    now(relay.leave("g", "gone")).expect("a member");
    now(relay.join("g", "gone", other)).expect("anybody may join");

    full.0.is_full.store(true, Ordering::SeqCst);
    gone.0.is_gone.store(true, Ordering::SeqCst);
    let sent = now(relay.send("g", "ann", 1, "r")).expect("ann is active");
    assert_eq!((sent.recipients, sent.missed), (4, 2));
    assert_eq!([ann.messages(), last.messages()], [[1], [1]]);
    assert_eq!(status(&relay, "g", "gone"), None);
    assert_eq!(status(&relay, "h", "gone"), None);

    full.0.is_full.store(false, Ordering::SeqCst);
    let sent = now(relay.send("g", "full", 2, "r")).expect("full is active still");
    assert_eq!((sent.recipients, sent.missed), (3, 0));
    assert_eq!(full.messages(), [2]);
}

#[test]
fn an_outlet_that_panics_counts_as_gone_and_disturbs_nobody() {
    let relay = relay();
    let [ann, last] = public_group(&relay, ["ann", "zoe"]);
    let broken = Connection::new(Calls(|| panic!("broken on purpose")));
    now(relay.join("g", "bob", broken)).expect("anybody may join");
    let sent = now(relay.send("g", "ann", 1, "r")).expect("ann is active");
    assert_eq!((sent.recipients, sent.missed), (3, 1));
    assert_eq!([ann.messages(), last.messages()], [[1], [1]]);
    assert_eq!(status(&relay, "g", "bob"), None);
}

#[test]
fn a_door_may_end_connections_in_the_middle_of_a_push() {
    let relay = relay();
    let [ann, zoe] = public_group(&relay, ["ann", "zoe"]);
    // Bob's outlet ends the connections of the members after him, and his own.
    let (carl, dora) = (Client::default(), Client::default());
    let ends: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let bob = Connection::new(Calls({
        let ends = Arc::clone(&ends);
        move || {
            ends.lock().iter().for_each(Connection::end);
            Ok(())
        }
    }));
    let of_carl = carl.connect();
    ends.lock().extend([bob.clone(), of_carl.clone()]);
    now(relay.join("g", "bob", bob)).expect("anybody may join");
    now(relay.join("g", "carl", of_carl)).expect("anybody may join");
    now(relay.join("g", "dora", dora.connect())).expect("anybody may join");

    let sent = now(relay.send("g", "ann", 1, "r")).expect("ann is active");
    assert_eq!((sent.recipients, sent.missed), (5, 1));
    assert_eq!([&ann, &dora, &zoe].map(Client::messages), [[1], [1], [1]]);
    assert!(carl.take().is_empty());
    let members: Vec<_> = relay
        .info("g")
        .expect("it is there")
        .members
        .into_keys()
        .collect();
    assert_eq!(members, ["ann", "dora", "zoe"]);
}

#[test]
fn a_verb_waits_for_its_turn_and_one_that_is_dropped_before_has_done_nothing() {
    let relay = relay();
    let [ann] = public_group(&relay, ["ann"]);
    let tries = Arc::new(AtomicUsize::new(0));
    let bob = Connection::new(Calls({
        let (relay, tries) = (relay.clone(), Arc::clone(&tries));
        move || {
            // A message is being pushed, so this one has to wait, and is dropped.
            assert!(relay.leave("g", "ann").now_or_never().is_none());
            assert!(relay.send("g", "ann", 2, "r").now_or_never().is_none());
            assert!(relay.join("g", "zoe", open()).now_or_never().is_none());
            tries.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }));
    now(relay.join("g", "bob", bob)).expect("anybody may join");
    now(relay.send("g", "ann", 1, "r")).expect("ann is active");
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert_eq!(ann.messages(), [1]);
    assert_eq!(status(&relay, "g", "ann"), Some(MemberStatus::Active));
    assert_eq!(status(&relay, "g", "zoe"), None);
    now(relay.leave("g", "ann")).expect("the turn was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_members_get_the_messages_of_concurrent_senders_in_one_order() {
    const MESSAGES: usize = 100;
    let relay = relay();
    let users = ["u0", "u1", "u2", "u3", "u4", "u5"];
    let clients = public_group(&relay, users);
    let start = Arc::new(tokio::sync::Barrier::new(users.len()));
    let senders = users.map(|user| {
        let (relay, start) = (relay.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            for number in 0..MESSAGES {
                let message = json!([user, number]);
                let sent = relay.send("g", user, message, "r").await;
                assert_eq!(sent.map(|sent| sent.missed), Ok(0));
            }
        })
    });
    for sender in senders {
        sender.await.expect("it panics not");
    }
    let [first, others @ ..] = clients.map(|client| client.take());
    assert_eq!(first.len(), users.len() * MESSAGES);
    assert!(others.iter().all(|other| *other == first));
    for user in users {
        let own = first.iter().filter(|m| m.result["from_user_id"] == user);
        let numbers: Vec<_> = own.map(|m| m.result["message"][1].clone()).collect();
        assert_eq!(numbers, (0..MESSAGES).map(Value::from).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_joins_leaves_and_ends_in_the_middle_of_it_sees_a_gapless_part_of_that_order() {
    const MESSAGES: usize = 300;
    let relay = relay();
    let [steady] = public_group(&relay, ["steady"]);
    let sender = tokio::spawn({
        let relay = relay.clone();
        async move {
            for number in 0..MESSAGES {
                relay
                    .send("g", "steady", number, "r")
                    .await
                    .expect("it is active");
                tokio::task::yield_now().await;
            }
        }
    });
    let visitors = [0, 1, 2].map(|visitor| {
        let relay = relay.clone();
        tokio::spawn(async move {
            let user = format!("visitor-{visitor}");
            let mut visits = Vec::new();
            for visit in 0..50 {
                let client = Client::default();
                let connection = client.connect();
                relay
                    .join("g", &user, connection.clone())
                    .await
                    .expect("not in it");
                tokio::task::yield_now().await;
                if visit % 2 == 0 {
                    relay.leave("g", &user).await.expect("in it");
                } else {
                    connection.end();
                }
                let seen = client.messages();
                tokio::task::yield_now().await;
                visits.push((visit % 2 == 0, seen, client));
            }
            visits
        })
    });
    sender.await.expect("it panics not");
    assert_eq!(
        steady.messages(),
        (0..MESSAGES).map(Value::from).collect::<Vec<_>>()
    );
    for visitor in visitors {
        for (left, mut seen, client) in visitor.await.expect("it panics not") {
            let late = client.messages();
            assert!(!left || late.is_empty(), "pushed after the leave: {late:?}");
            // A push that had begun when the connection ended may come after the look.
            seen.extend(late);
            let numbers: Vec<_> = seen.iter().filter_map(Value::as_u64).collect();
            assert!(
                numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "{numbers:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_ends_while_it_joins_and_creates_leaves_nobody_behind() {
    let relay = relay();
    let _ann = public_group(&relay, ["ann"]);
    for round in 0..300 {
        let connection = open();
        let joining = {
            let (relay, connection) = (relay.clone(), connection.clone());
            tokio::spawn(async move { relay.join("g", "bob", connection).await })
        };
        let creating = {
            let (relay, connection) = (relay.clone(), connection.clone());
            tokio::spawn(async move {
                relay
                    .create("new", GroupType::Public, "bob", connection)
                    .await
            })
        };
        tokio::task::yield_now().await;
        connection.end();
        for done in [
            joining.await.map(|joined| joined.map(|_| ())),
            creating.await,
        ] {
            let done = done.expect("it panics not");
            assert!(
                matches!(done, Ok(()) | Err(RelayError::ConnectionEnded)),
                "{done:?}"
            );
        }
        assert_eq!(status(&relay, "g", "bob"), None, "in round {round}");
        if relay.info("new").is_ok() {
            assert_eq!(status(&relay, "new", "bob"), None, "in round {round}");
            relay.delete("new").await.expect("it is there");
        }
        assert_eq!(relay.table.connections(), 1, "in round {round}");
    }
}

#[test]
fn a_connection_that_has_ended_can_neither_create_nor_join() {
    let relay = relay();
    let _ann = public_group(&relay, ["ann"]);
    let ended = open();
    ended.end();
    let created = now(relay.create("h", GroupType::Public, "bob", ended.clone()));
    assert_eq!(created, Err(RelayError::ConnectionEnded));
    assert_eq!(relay.info("h"), Err(RelayError::NotFound));
    assert_eq!(
        now(relay.join("g", "bob", ended)),
        Err(RelayError::ConnectionEnded)
    );
    assert_eq!(status(&relay, "g", "bob"), None);
}

#[test]
fn an_admin_who_muted_himself_has_no_power_and_is_a_plain_member_when_he_joins_again() {
    let relay = relay();
    let strict = GroupType::StrictPrivate;
    now(relay.create("g", strict, "ann", open())).expect("it is new");
    for user in ["bob", "carl"] {
        now(relay.join("g", user, open())).expect("it is open");
    }
    now(relay.accept("g", "ann", "bob")).expect("she is admin");
    now(relay.mute("g", "ann", "ann")).expect("she is admin");

    assert_eq!(
        now(relay.accept("g", "ann", "carl")),
        Err(RelayError::NotAdmin)
    );
    assert_eq!(
        now(relay.mute("g", "ann", "bob")),
        Err(RelayError::NotAdmin)
    );
    assert_eq!(
        now(relay.unmute("g", "ann", "ann")),
        Err(RelayError::NotAdmin)
    );
    assert_eq!(now(relay.delete_by("g", "ann")), Err(RelayError::NotAdmin));
    assert_eq!(now(relay.send("g", "ann", 1, "r")), Err(SendError::Muted));

    assert_eq!(
        now(relay.join("g", "ann", open())),
        Ok(MemberStatus::Pending)
    );
    let info = relay.info("g").expect("it exists");
    assert_eq!(info.members["ann"].roles, [MemberRole::Member]);
}

#[test]
fn a_command_is_judged_by_group_then_actor_then_target() {
    let relay = relay();
    let verbs = |group: &str, actor: &str, target: &str| {
        [
            now(relay.accept(group, actor, target)),
            now(relay.mute(group, actor, target)),
            now(relay.unmute(group, actor, target)),
        ]
    };
    now(relay.create("public", GroupType::Public, "ann", open())).expect("it is new");
    now(relay.create("strict", GroupType::StrictPrivate, "ann", open())).expect("it is new");
    let not_found = Err(RelayError::NotFound);
    assert_eq!(verbs("ghost", "zoe", "zoe"), [not_found; 3]);
    let stranger = Err(RelayError::UserNotInGroup);
    let wrong_type = Err(RelayError::NotStrictPrivate);
    assert_eq!(
        verbs("public", "zoe", "yan"),
        [stranger, wrong_type, wrong_type]
    );
    let no_admin = Err(RelayError::NotAdmin);
    assert_eq!(
        verbs("strict", "zoe", "yan"),
        [stranger, no_admin, no_admin]
    );
    assert_eq!(verbs("strict", "ann", "yan"), [stranger; 3]);
    assert_eq!(
        verbs("strict", "ann", "ann"),
        [Err(RelayError::UserNotPending), Ok(()), no_admin]
    );
}

#[test]
fn an_empty_group_stays_joinable_until_its_time_is_over_and_then_its_id_is_free() {
    let (relay, clock, _) = relay_with(RelaySettings::default());
    let hour = Duration::from_secs(3_600);
    let ann = open();
    now(relay.create("g", GroupType::Public, "ann", ann.clone())).expect("it is new");
    clock.advance(2 * hour);
    ann.end();
    clock.advance(hour - Duration::from_millis(1));
    assert_eq!(
        relay.sweep(),
        Swept {
            removed: 0,
            remaining: 1
        }
    );
    assert_eq!(
        now(relay.join("g", "bob", open())),
        Ok(MemberStatus::Active)
    );
    clock.advance(2 * hour);
    now(relay.leave("g", "bob")).expect("it is not empty");

    clock.advance(hour);
    // Not swept yet, and gone all the same.
    assert_eq!(relay.count(), 1);
    assert_eq!(relay.info("g"), Err(RelayError::NotFound));
    assert_eq!(
        now(relay.join("g", "bob", open())),
        Err(RelayError::NotFound)
    );
    assert_eq!(now(relay.delete("g")), Err(RelayError::NotFound));
    let sent = now(relay.send("g", "bob", 1, "r"));
    assert_eq!(sent, Err(SendError::GroupNotFound));
    now(relay.create("g", GroupType::Private, "carl", open())).expect("the id is free");
    assert_eq!(
        relay.sweep(),
        Swept {
            removed: 0,
            remaining: 1
        }
    );
    assert_eq!(status(&relay, "g", "carl"), Some(MemberStatus::Active));

    now(relay.leave("g", "carl")).expect("a member");
    clock.advance(hour);
    assert_eq!(
        relay.sweep(),
        Swept {
            removed: 1,
            remaining: 0
        }
    );
}

#[test]
fn what_clients_can_make_the_relay_hold_is_bounded() {
    let settings = RelaySettings {
        max_groups: 3,
        max_members: 2,
        max_memberships: 2,
        max_message_bytes: 5,
        max_id_bytes: 4,
        ..RelaySettings::default()
    };
    let (relay, _, _) = relay_with(settings);
    let public = GroupType::Public;
    let (ann, bob) = (open(), open());
    for (field, group, user) in [
        ("group_id", "", "ann"),
        ("group_id", "group", "ann"),
        ("user_id", "g", ""),
        ("user_id", "g", "ännä"),
    ] {
        let invalid = Err(RelayError::InvalidId {
            field,
            max_bytes: 4,
        });
        assert_eq!(now(relay.create(group, public, user, ann.clone())), invalid);
    }
    assert_eq!(relay.count(), 0);
    for group in ["g1", "g2"] {
        now(relay.create(group, public, "ann", ann.clone())).expect("there is room");
    }
    let max_memberships = RelayError::TooManyMemberships { max: 2 };
    let created = now(relay.create("g3", public, "ann", ann.clone()));
    assert_eq!(created, Err(max_memberships));
    assert_eq!(relay.info("g3"), Err(RelayError::NotFound));
    now(relay.create("g3", public, "bob", bob.clone())).expect("there is room");
    let created = now(relay.create("g4", public, "bob", bob.clone()));
    assert_eq!(created, Err(RelayError::TooManyGroups { max: 3 }));
    assert_eq!(
        now(relay.join("g3", "ann", ann.clone())),
        Err(max_memberships)
    );

    let long = Err(RelayError::InvalidId {
        field: "user_id",
        max_bytes: 4,
    });
    assert_eq!(now(relay.join("g1", "robert", bob.clone())), long);
    now(relay.join("g1", "bob", bob.clone())).expect("there is room");
    let full = Err(RelayError::GroupFull { max: 2 });
    assert_eq!(now(relay.join("g1", "carl", open())), full);
    // Room that was given back is there again.
    now(relay.leave("g1", "ann")).expect("a member");
    now(relay.join("g3", "ann", ann)).expect("there is room");

    assert!(now(relay.send("g3", "ann", "123", "r")).is_ok());
    let too_large = Err(SendError::TooLarge { max_bytes: 5 });
    for message in [json!("1234"), json!("\n\n"), json!([1, 2, 3])] {
        assert_eq!(
            now(relay.send("g3", "ann", message.clone(), "r")),
            too_large
        );
        // The sender is judged first.
        assert_eq!(
            now(relay.send("g3", "zoe", message, "r")),
            Err(SendError::NotAMember)
        );
    }
}

#[test]
fn a_muted_member_may_join_again_where_there_is_no_room_left() {
    let settings = RelaySettings {
        max_members: 2,
        max_memberships: 1,
        ..RelaySettings::default()
    };
    let (relay, _, _) = relay_with(settings);
    let bob = open();
    now(relay.create("g", GroupType::StrictPrivate, "ann", open())).expect("it is new");
    now(relay.join("g", "bob", bob.clone())).expect("there is room");
    for connection in [bob.clone(), open()] {
        now(relay.accept("g", "ann", "bob")).expect("he waits");
        now(relay.mute("g", "ann", "bob")).expect("he is active");
        assert_eq!(
            now(relay.join("g", "bob", connection)),
            Ok(MemberStatus::Pending)
        );
    }
    // The first connection has nothing to do with the membership any more.
    bob.end();
    assert_eq!(status(&relay, "g", "bob"), Some(MemberStatus::Pending));
    assert_eq!(relay.table.connections(), 2);
}

#[test]
fn a_member_with_several_connections_hears_over_each_and_leaves_with_the_last() {
    let settings = RelaySettings {
        max_connections: 2,
        ..RelaySettings::default()
    };
    let (relay, _, _) = relay_with(settings);
    let [ann] = public_group(&relay, ["ann"]);
    let (first, second) = (Client::default(), Client::default());
    let windows = [first.connect(), second.connect()];
    for window in &windows {
        let attached = now(relay.attach("g", "bob", window.clone()));
        assert_eq!(attached, Ok(MemberStatus::Active));
    }
    let third = now(relay.attach("g", "bob", open()));
    assert_eq!(third, Err(RelayError::TooManyConnections { max: 2 }));
    let again = now(relay.attach("g", "bob", windows[0].clone()));
    assert_eq!(again, Ok(MemberStatus::Active));

    // Bob is one member; he misses a message where neither window takes it.
    for (is_full, missed) in [([false, false], 0), ([true, false], 0), ([true, true], 1)] {
        for (client, is_full) in [&first, &second].into_iter().zip(is_full) {
            client.0.is_full.store(is_full, Ordering::SeqCst);
        }
        let sent = now(relay.send("g", "ann", 1, "r")).expect("ann is active");
        assert_eq!((sent.recipients, sent.missed), (2, missed));
    }
    assert_eq!(ann.messages().len(), 3);
    assert_eq!([first.messages().len(), second.messages().len()], [1, 2]);

    windows[0].end();
    assert_eq!(status(&relay, "g", "bob"), Some(MemberStatus::Active));
    windows[1].end();
    assert_eq!(status(&relay, "g", "bob"), None);
    assert_eq!(relay.table.connections(), 1);
}

#[test]
fn a_further_connection_makes_nobody_active() {
    let relay = relay();
    now(relay.create("g", GroupType::StrictPrivate, "ann", open())).expect("it is new");
    for status in [MemberStatus::Pending, MemberStatus::Muted] {
        if status == MemberStatus::Muted {
            now(relay.accept("g", "ann", "bob")).expect("he waits");
            now(relay.mute("g", "ann", "bob")).expect("he is active");
        }
        assert_eq!(now(relay.attach("g", "bob", open())), Ok(status));
    }
    // Who leaves leaves with all connections.
    now(relay.leave("g", "bob")).expect("a member");
    assert_eq!(relay.table.connections(), 1);
}

#[test]
fn only_the_senders_own_message_waits_for_the_reply() {
    /// Counts what comes at once and what comes after the reply.
    #[derive(Clone, Default)]
    struct Counts(Arc<[AtomicUsize; 2]>);

    impl Outlet for Counts {
        fn push(&self, _: Response) -> Result<(), PushError> {
            self.0[0].fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        fn push_after_reply(&self, _: Response) -> Result<(), PushError> {
            self.0[1].fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    let relay = relay();
    let (ann, bob) = (Counts::default(), Counts::default());
    let connect = |client: &Counts| Connection::new(client.clone());
    now(relay.create("g", GroupType::Public, "ann", connect(&ann))).expect("it is new");
    now(relay.join("g", "bob", connect(&bob))).expect("anybody may join");
    for sender in ["ann", "ann", "bob"] {
        now(relay.send("g", sender, 1, "r")).expect("active");
    }
    let counted = |client: &Counts| {
        client
            .0
            .each_ref()
            .map(|count| count.load(Ordering::SeqCst))
    };
    assert_eq!([counted(&ann), counted(&bob)], [[1, 2], [2, 1]]);
}

#[test]
fn a_group_shows_its_members_to_those_who_could_be_in_it_unasked() {
    let relay = relay();
    now(relay.create("open", GroupType::Public, "ann", open())).expect("it is new");
    assert!(relay.info_for("open", "zoe").is_ok());
    let closed = Err(RelayError::UserNotInGroup);
    for (group, group_type) in [("p", GroupType::Private), ("s", GroupType::StrictPrivate)] {
        now(relay.create(group, group_type, "ann", open())).expect("it is new");
        now(relay.join(group, "bob", open())).expect("it is open");
        assert!(relay.info_for(group, "ann").is_ok());
        assert_eq!(relay.info_for(group, "bob"), closed);
        assert_eq!(relay.info_for(group, "zoe"), closed);
    }
    now(relay.accept("s", "ann", "bob")).expect("he waits");
    now(relay.mute("s", "ann", "bob")).expect("he is active");
    assert!(relay.info_for("s", "bob").is_ok());
    assert_eq!(relay.info_for("ghost", "ann"), Err(RelayError::NotFound));
}

#[test]
fn each_change_is_told_once_and_a_refused_command_is_not() {
    let (relay, clock, telemetry) = relay_with(RelaySettings::default());
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = (relay.clone(), Arc::clone(&told));
    let note = move |event: &Event<'_>| {
        let (relay, told) = &notes;
        if let Event::Relay(event) = event {
            // A handler may look: no lock is held.
            let _ = (relay.info("g"), relay.count());
            told.lock().push(format!("{event:?}"));
        }
    };
    telemetry
        .attach("notes", Family::Relay, note)
        .expect("a free id");
    let (ann, bob) = (open(), open());
    now(relay.create("g", GroupType::StrictPrivate, "ann", ann.clone())).expect("it is new");
    now(relay.create("g", GroupType::Public, "ann", ann.clone())).expect_err("the id is taken");
    now(relay.join("g", "bob", bob.clone())).expect("it is open");
    now(relay.accept("g", "ann", "bob")).expect("he waits");
    now(relay.accept("g", "ann", "bob")).expect_err("he does not wait");
    now(relay.mute("g", "ann", "bob")).expect("he is active");
    now(relay.unmute("g", "ann", "bob")).expect("he is muted");
    now(relay.send("g", "bob", 1, "r")).expect("he is active");
    now(relay.send("g", "zoe", 1, "r")).expect_err("a stranger");
    bob.end();
    bob.end();
    now(relay.leave("g", "ann")).expect("a member");
    clock.advance(Duration::from_secs(3_600));
    relay.sweep();
    now(relay.create("g", GroupType::Public, "ann", ann.clone())).expect("the id is free");
    now(relay.delete("g")).expect("it is there");
    ann.end();

    use crate::telemetry::LeaveCause::{Asked, ConnectionEnded};
    let group_id = "g";
    let left = |user_id, cause| RelayEvent::Left {
        group_id,
        user_id,
        cause,
    };
    let created = |group_type| RelayEvent::Created {
        group_id,
        group_type,
        user_id: "ann",
        groups: 1,
    };
    let (actor_id, user_id) = ("ann", "bob");
    let expected = [
        created("strict_private"),
        RelayEvent::Joined {
            group_id,
            user_id,
            status: "pending",
        },
        RelayEvent::Accepted {
            group_id,
            actor_id,
            user_id,
        },
        RelayEvent::Muted {
            group_id,
            actor_id,
            user_id,
        },
        RelayEvent::Unmuted {
            group_id,
            actor_id,
            user_id,
        },
        RelayEvent::Sent {
            group_id,
            user_id,
            recipients: 2,
            missed: 0,
        },
        left("bob", ConnectionEnded),
        left("ann", Asked),
        RelayEvent::Cleanup {
            removed: 1,
            remaining: 0,
        },
        created("public"),
        RelayEvent::Deleted {
            group_id,
            members: 1,
            groups: 0,
        },
    ];
    let told: Vec<_> = told.lock().clone();
    assert_eq!(told, expected.map(|event| format!("{event:?}")));
}
