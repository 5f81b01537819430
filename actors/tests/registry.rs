//! The contract of the registry: unique names, many actors under one key, and entries that end with their actor.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::ThreadId,
};

use actix::{fut::wrap_future, prelude::*};
use actix_otp::{
    ArbiterPool, ChildSpec, DuplicateRegistry, DynamicSupervisorRef, DynamicSupervisorSpec,
    ExitContext, ExitReason, Placement, Registry, StartChildError, Strategy as Restarts,
    SupervisorSpec,
};
use proptest::prelude::*;
use support::{paused, settle};

type Names = Registry<String, Addr<Holder>, u32>;
type Groups = DuplicateRegistry<String, Addr<Holder>, u32>;

/// An actor that does with its context what a test wants.
struct Holder;

impl Actor for Holder {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Do(Deed);

type Deed = Box<dyn FnOnce(&mut Context<Holder>) + Send>;

impl Handler<Do> for Holder {
    type Result = ();

    fn handle(&mut self, Do(deed): Do, ctx: &mut Context<Self>) {
        deed(ctx);
    }
}

/// Runs a deed inside of an actor.
async fn within<R: Send + 'static>(
    holder: &Addr<Holder>,
    deed: impl FnOnce(&mut Context<Holder>) -> R + Send + 'static,
) -> R {
    let (sender, result) = tokio::sync::oneshot::channel();
    let deed = move |ctx: &mut Context<Holder>| drop(sender.send(deed(ctx)));
    holder.send(Do(Box::new(deed))).await.expect("alive");
    result.await.expect("done")
}

/// Registers an actor under a unique key; false where somebody else has it.
async fn claim(names: &Names, holder: &Addr<Holder>, key: &str, value: u32) -> bool {
    let (names, key) = (names.clone(), key.to_owned());
    within(holder, move |ctx| names.register(ctx, key, value).is_ok()).await
}

async fn join(groups: &Groups, holder: &Addr<Holder>, key: &str, value: u32) {
    let (groups, key) = (groups.clone(), key.to_owned());
    within(holder, move |ctx| groups.register(ctx, key, value)).await;
}

async fn leave(groups: &Groups, holder: &Addr<Holder>, key: &str) -> usize {
    let (groups, key) = (groups.clone(), key.to_owned());
    within(holder, move |ctx| groups.unregister(ctx, &key)).await
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

#[test]
fn an_empty_registry_counts_and_finds_nothing() {
    let (names, groups) = (Names::new(), Groups::new());
    assert_eq!((names.count(), groups.count()), (0, 0));
    assert!(names.get("a").is_none() && names.lookup("a").is_empty());
    assert!(names.select(|_, _, _| Some(())).is_empty());
    assert!(groups.select(|_, _, _| Some(())).is_empty());
    assert_eq!(names.dispatch("a", |_, _| panic!("nobody is there")), 0);
    assert_eq!(groups.dispatch("a", |_, _| panic!("nobody is there")), 0);
}

#[test]
fn a_registered_actor_is_found_with_its_value_from_everywhere() {
    paused(async {
        let names = Names::new();
        let holder = Holder.start();
        assert!(claim(&names, &holder, "a", 1).await);
        assert_eq!(names.get("a"), Some(holder.clone()));
        assert_eq!(names.lookup("a"), [(holder.clone(), 1)]);
        assert_eq!(names.with("a", |_, value| *value), Some(1));
        let elsewhere = names.clone();
        let found = std::thread::spawn(move || elsewhere.lookup("a"));
        assert_eq!(found.join().ok(), Some(vec![(holder, 1)]));
        assert!(names.get("b").is_none());
    });
}

#[test]
fn a_key_belongs_to_one_actor_at_a_time_and_a_refusal_changes_nothing() {
    paused(async {
        let names = Names::new();
        let (holder, other) = (Holder.start(), Holder.start());
        assert!(claim(&names, &holder, "a", 1).await);
        for rival in [&holder, &other] {
            let asked = names.clone();
            let refused = within(rival, move |ctx| asked.register(ctx, "a".into(), 2)).await;
            assert_eq!(refused.expect_err("taken").holder, holder);
        }
        assert_eq!(names.lookup("a"), [(holder.clone(), 1)]);
        assert_eq!(names.keys(&holder), ["a"]);
        assert_eq!(names.values(&holder, "a"), [1]);
        assert!(names.keys(&other).is_empty());
        assert!(names.values(&other, "a").is_empty());
        assert!(claim(&names, &holder, "b", 2).await);
        assert_eq!(sorted(names.keys(&holder)), ["a", "b"]);
        assert_eq!(names.count(), 2);
    });
}

#[test]
fn a_duplicate_key_takes_many_actors_and_one_actor_many_times() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        join(&groups, &a, "hello", 1).await;
        join(&groups, &b, "hello", 2).await;
        join(&groups, &a, "hello", 3).await;
        join(&groups, &a, "world", 4).await;
        let found = [(a.clone(), 1), (b.clone(), 2), (a.clone(), 3)];
        assert_eq!(groups.lookup("hello"), found, "in order of registration");
        assert_eq!(groups.count(), 4, "entries, not keys");
        assert_eq!(sorted(groups.keys(&a)), ["hello", "hello", "world"]);
        assert_eq!(groups.keys(&b), ["hello"]);
        assert_eq!(groups.values(&a, "hello"), [1, 3]);
        assert_eq!(groups.values(&b, "hello"), [2]);
        assert!(groups.values(&b, "world").is_empty());
    });
}

#[test]
fn an_actor_unregisters_its_own_entries_and_no_others() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert_eq!(leave(&groups, &a, "hello").await, 0);
        for value in 1..=2 {
            join(&groups, &a, "hello", value).await;
        }
        join(&groups, &a, "world", 3).await;
        join(&groups, &b, "hello", 4).await;
        assert_eq!(leave(&groups, &a, "hello").await, 2);
        assert_eq!(groups.keys(&a), ["world"]);
        assert_eq!(groups.lookup("hello"), [(b.clone(), 4)]);
        assert_eq!(leave(&groups, &a, "world").await, 1);
        assert!(groups.keys(&a).is_empty());
        assert_eq!(leave(&groups, &a, "world").await, 0);
        assert_eq!(groups.count(), 1);

        let names = Names::new();
        assert!(claim(&names, &a, "a", 1).await);
        let asked = names.clone();
        assert_eq!(within(&b, move |ctx| asked.unregister(ctx, "a")).await, 0);
        assert_eq!(names.get("a"), Some(a.clone()));
        let asked = names.clone();
        assert_eq!(within(&a, move |ctx| asked.unregister(ctx, "a")).await, 1);
        assert!(names.get("a").is_none());
        assert!(claim(&names, &b, "a", 2).await);
    });
}

#[test]
fn entries_are_unregistered_by_their_value() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        for value in [1, 2, 3] {
            join(&groups, &a, "hello", value).await;
        }
        join(&groups, &b, "hello", 2).await;
        for (range, removed) in [(2..3, 1), (9..99, 0), (1..9, 2)] {
            let asked = groups.clone();
            let deed = move |ctx: &mut Context<Holder>| {
                asked.unregister_if(ctx, "hello", |value| range.contains(value))
            };
            assert_eq!(within(&a, deed).await, removed);
        }
        assert_eq!(groups.lookup("hello"), [(b, 2)]);
    });
}

#[test]
fn a_value_is_updated_by_its_owner_alone() {
    paused(async {
        let names = Names::new();
        let (holder, other) = (Holder.start(), Holder.start());
        assert!(claim(&names, &holder, "a", 1).await);
        let update = |key: &'static str| {
            let asked = names.clone();
            move |ctx: &mut Context<Holder>| {
                asked.update_value(ctx, &key.to_owned(), |value| value + 1)
            }
        };
        assert_eq!(within(&holder, update("a")).await, Some((2, 1)));
        assert_eq!(names.lookup("a"), [(holder.clone(), 2)]);
        let never = |key: &'static str| {
            let asked = names.clone();
            move |ctx: &mut Context<Holder>| {
                asked.update_value(ctx, &key.to_owned(), |_| panic!("not its own"))
            }
        };
        assert_eq!(within(&holder, never("unknown")).await, None);
        assert_eq!(within(&other, never("a")).await, None);
        assert_eq!(names.keys(&holder), ["a"]);
    });
}

#[test]
fn dispatch_reaches_each_entry_of_the_key_once_in_order_on_the_thread_of_the_caller() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        join(&groups, &a, "hello", 1).await;
        join(&groups, &b, "hello", 2).await;
        join(&groups, &b, "world", 3).await;
        let reached = |key: &str| {
            let mut reached: Vec<(ThreadId, u32)> = Vec::new();
            let count = groups.dispatch(key, |address, value| {
                assert!(address.connected());
                reached.push((std::thread::current().id(), *value));
            });
            assert_eq!(count, reached.len());
            reached
        };
        let here = std::thread::current().id();
        assert_eq!(reached("hello"), [(here, 1), (here, 2)]);
        assert_eq!(reached("world"), [(here, 3)]);
        assert!(reached("nobody").is_empty());

        let names = Names::new();
        assert!(claim(&names, &a, "a", 1).await);
        let mut values = Vec::new();
        assert_eq!(names.dispatch("a", |_, value| values.push(*value)), 1);
        assert_eq!(values, [1]);
    });
}

#[test]
fn a_function_that_dispatch_or_select_calls_may_use_the_registry() {
    paused(async {
        let groups = Groups::new();
        let holder = Holder.start();
        join(&groups, &holder, "hello", 1).await;
        let inner = groups.clone();
        let asked = groups.clone();
        let deed = move |ctx: &mut Context<Holder>| {
            asked.dispatch("hello", |_, _| {
                inner.register(ctx, "hello".into(), 2);
                inner.unregister_if(ctx, "hello", |value| {
                    assert!(inner.count() > 0);
                    *value == 1
                });
            })
        };
        assert_eq!(within(&holder, deed).await, 1, "what was there at first");
        let values = groups.select(|key, _, value| Some((groups.lookup(key).len(), *value)));
        assert_eq!(values, [(1, 2)]);
    });
}

#[test]
fn select_goes_through_all_entries_and_shapes_the_result() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        for (holder, key, value) in [(&a, "x", 1), (&b, "x", 1), (&b, "y", 2)] {
            join(&groups, holder, key, value).await;
        }
        let all = groups.select(|key, address, value| Some((key.clone(), *address == a, *value)));
        let (x, y) = ("x".to_owned(), "y".to_owned());
        let expected = vec![(x.clone(), false, 1), (x, true, 1), (y, false, 2)];
        assert_eq!(sorted(all), expected);
        let of_b = groups.select(|key, address, _| (*address == b).then(|| key.clone()));
        assert_eq!(sorted(of_b), ["x", "y"]);
        let ones = groups.select(|_, _, value| (*value == 1).then_some(()));
        assert_eq!(ones.len(), 2);
    });
}

#[test]
fn actors_of_different_types_share_a_registry_of_recipients() {
    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct News(&'static str);

    struct Reader(Topics, Arc<Mutex<Vec<&'static str>>>);
    struct Archive(Topics, Arc<Mutex<Vec<&'static str>>>);
    type Topics = DuplicateRegistry<&'static str, Recipient<News>>;

    impl Actor for Reader {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            self.0.register(ctx, "sport", ());
        }
    }
    impl Actor for Archive {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            self.0.register(ctx, "sport", ());
            self.0.register(ctx, "weather", ());
        }
    }
    impl Handler<News> for Reader {
        type Result = ();
        fn handle(&mut self, News(news): News, _: &mut Context<Self>) {
            self.1.lock().expect("read").push(news);
        }
    }
    impl Handler<News> for Archive {
        type Result = ();
        fn handle(&mut self, News(news): News, _: &mut Context<Self>) {
            self.1.lock().expect("read").push(news);
        }
    }

    paused(async {
        let (topics, read) = (Topics::new(), Arc::new(Mutex::new(Vec::new())));
        Reader(topics.clone(), Arc::clone(&read)).start();
        Archive(topics.clone(), Arc::clone(&read)).start();
        settle().await;
        let publish = |topic: &str, news: &'static str| {
            topics.dispatch(topic, |recipient, ()| recipient.do_send(News(news)))
        };
        assert_eq!(publish("weather", "rain"), 1);
        assert_eq!(publish("sport", "goal"), 2);
        settle().await;
        assert_eq!(
            sorted(read.lock().expect("read").clone()),
            ["goal", "goal", "rain"]
        );
    });
}

async fn supervised() -> (actix_otp::SupervisorRef, DynamicSupervisorRef) {
    let (spec, children) = DynamicSupervisorSpec::new().build("dynamic");
    let root = SupervisorSpec::new(Restarts::OneForOne).child(spec);
    (root.start("root").await.expect("starts"), children)
}

#[test]
fn when_anybody_hears_of_the_end_of_a_supervised_actor_its_entries_are_gone() {
    paused(async {
        let (root, children) = supervised().await;
        let (names, groups) = (Names::new(), Groups::new());
        for how in ["panic", "exit", "stop", "kill", "terminate", "shutdown"] {
            let child = children.start_child(|| Holder).await.expect("starts");
            assert!(claim(&names, child.addr(), "a", 1).await);
            join(&groups, child.addr(), "a", 1).await;
            join(&groups, child.addr(), "a", 2).await;
            let deed = |deed: fn(&mut Context<Holder>)| child.addr().do_send(Do(Box::new(deed)));
            match how {
                "panic" => deed(|_| panic!("told to panic")),
                "exit" => deed(|ctx| ctx.exit(ExitReason::error("oops"))),
                "stop" => drop(child.stop().await),
                "kill" => drop(child.kill().await),
                "terminate" => children.terminate_child(&child).await.expect("a child"),
                _ => drop(root.shutdown().await),
            }
            child.exited().await;
            assert!(names.get("a").is_none(), "{how}");
            assert!(groups.lookup("a").is_empty(), "{how}");
            assert_eq!((names.count(), groups.count()), (0, 0), "{how}");
            assert!(names.keys(child.addr()).is_empty(), "{how}");
        }
    });
}

#[test]
fn the_entries_of_a_bare_actor_vanish_with_it_too() {
    paused(async {
        let names = Names::new();
        let deeds: [fn(&mut Context<Holder>); 3] = [
            |_| panic!("told to panic"),
            |ctx| ctx.stop(),
            |ctx| ctx.terminate(),
        ];
        for deed in deeds {
            let holder = Holder.start();
            assert!(claim(&names, &holder, "a", 1).await);
            holder.do_send(Do(Box::new(deed)));
            settle().await;
            assert!(names.get("a").is_none());
            assert_eq!(names.count(), 0);
        }
    });
}

#[test]
fn the_entries_of_an_actor_vanish_with_its_arbiter() {
    let pool = ArbiterPool::new(1).expect("a thread");
    let of_child = pool.clone();
    paused(async {
        let names = Names::new();
        let spec = ChildSpec::new("holder", || Holder).placement(Placement::Pool(of_child));
        let holder = spec.child_ref();
        let root = SupervisorSpec::new(Restarts::OneForOne).child(spec);
        let root = root.start("root").await.expect("starts");
        assert!(claim(&names, &holder.addr().expect("running"), "a", 1).await);
        let end = holder.monitor();
        pool.get(0).stop();
        assert_eq!(end.await.reason, ExitReason::ArbiterStopped);
        assert_eq!(names.count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn a_dead_holder_never_blocks_even_before_its_entries_are_cleaned_up() {
    /// Runs while the actor is torn down: its mailbox is closed, its entries are still in the table.
    struct Between(Names, Addr<Holder>, mpsc::Sender<(usize, bool, bool)>);

    impl Drop for Between {
        fn drop(&mut self) {
            let Self(names, heir, report) = self;
            let (sender, taken) = mpsc::channel();
            let (asked, count) = (names.clone(), names.count());
            let invisible = names.get("a").is_none() && names.lookup("a").is_empty();
            heir.do_send(Do(Box::new(move |ctx| {
                let _ = sender.send(asked.register(ctx, "a".into(), 2).is_ok());
            })));
            let taken = taken.recv().unwrap_or(false);
            let _ = report.send((count, invisible, taken));
        }
    }

    let pool = ArbiterPool::new(1).expect("a thread");
    let (sender, heir) = mpsc::channel();
    pool.get(0)
        .spawn_fn(move || drop(sender.send(Holder.start())));
    let heir = heir.recv().expect("starts");
    paused(async {
        let names = Names::new();
        let holder = Holder.start();
        let (report, reported) = mpsc::channel();
        let between = Between(names.clone(), heir.clone(), report);
        // Futures of a context are dropped in the order they were spawned: this one before the guard of the entries.
        within(&holder, move |ctx| {
            ctx.spawn(wrap_future(async move {
                let _between = between;
                std::future::pending::<()>().await;
            }));
        })
        .await;
        assert!(claim(&names, &holder, "a", 1).await);
        holder.do_send(Do(Box::new(ActorContext::stop)));
        settle().await;
        assert_eq!(reported.try_recv(), Ok((1, true, true)));
        assert_eq!(names.lookup("a"), [(heir.clone(), 2)], "the heir keeps it");
        assert_eq!(names.count(), 1);
    });
    drop(heir);
    pool.stop();
}

/// Starts under a name, or not at all.
struct Named(Registry<&'static str, Addr<Named>, u32>);

impl Actor for Named {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Err(taken) = self.0.register(ctx, "the name", 7) {
            ctx.exit(ExitReason::error(taken));
        }
    }
}

#[test]
fn an_actor_starts_under_a_name_and_has_it_again_after_a_restart() {
    paused(async {
        let names = Registry::new();
        let spec = |id: &'static str| {
            let names = names.clone();
            ChildSpec::new(id, move || Named(names.clone()))
        };
        let first = spec("first");
        let child = first.child_ref();
        let root = SupervisorSpec::new(Restarts::OneForOne).child(first);
        let root = root.start("root").await.expect("starts");
        assert_eq!(names.get("the name"), child.addr());
        assert_eq!(names.with("the name", |_, value| *value), Some(7));

        let refused = root.start_child(spec("second")).await.map(drop);
        assert!(
            matches!(&refused, Err(StartChildError::Start { error, .. })
                if error.to_string().contains("already registered")),
            "{refused:?}"
        );
        assert_eq!(names.get("the name"), child.addr());

        child.kill().await;
        child.wait_until_running(1).await;
        assert_eq!(names.get("the name"), child.addr());
        assert_eq!(names.count(), 1);
        root.shutdown().await;
        assert!(names.get("the name").is_none());
    });
}

#[test]
fn a_registered_actor_lives_without_an_address_until_it_unregisters_or_the_registry_is_gone() {
    paused(async {
        for registry_goes in [false, true] {
            let groups = Groups::new();
            let holder = Holder.start();
            for key in ["a", "b"] {
                join(&groups, &holder, key, 1).await;
            }
            let weak = holder.downgrade();
            let lives = || weak.upgrade().is_some_and(|holder| holder.connected());
            drop(holder);
            settle().await;
            assert!(lives());
            if registry_goes {
                drop(groups);
            } else {
                let holder = groups.lookup("a").remove(0).0;
                assert_eq!(leave(&groups, &holder, "a").await, 1);
                drop(holder);
                settle().await;
                assert!(lives(), "it has another key");
                let holder = groups.lookup("b").remove(0).0;
                assert_eq!(leave(&groups, &holder, "b").await, 1);
            }
            settle().await;
            assert!(!lives());
        }
    });
}

#[test]
fn a_unique_key_never_has_two_holders_whoever_competes_for_it() {
    let pool = ArbiterPool::new(2).expect("threads");
    let names = Names::new();
    let holders = Arc::new(AtomicUsize::new(0));
    let (report, reports) = mpsc::channel();
    for thread in 0..2 {
        let (names, holders, report) = (names.clone(), Arc::clone(&holders), report.clone());
        pool.get(thread).spawn_fn(move || {
            let holder = Holder.start();
            for _ in 0..2_000 {
                let (names, holders, report) =
                    (names.clone(), Arc::clone(&holders), report.clone());
                holder.do_send(Do(Box::new(move |ctx| {
                    let won = names.register(ctx, "a".into(), 0).is_ok();
                    if won {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        assert!(names.get("a").is_some());
                        holders.fetch_sub(1, Ordering::SeqCst);
                        assert_eq!(names.unregister(ctx, "a"), 1);
                    }
                    let _ = report.send(won);
                })));
            }
        });
    }
    drop(report);
    let won = reports.iter().filter(|won| *won).count();
    assert!(won > 0);
    assert_eq!(names.count(), 0);
    pool.stop();
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Register(usize, u8),
    Unregister(usize, u8),
    Replace(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let actor = 0..3_usize;
    prop_oneof![
        4 => (actor.clone(), 0..3_u8).prop_map(|(actor, key)| Step::Register(actor, key)),
        2 => (actor.clone(), 0..3_u8).prop_map(|(actor, key)| Step::Unregister(actor, key)),
        1 => actor.prop_map(Step::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_kinds_of_registry_agree_with_a_list_of_pairs(steps in prop::collection::vec(step(), 1..40)) {
        paused(async {
            let (names, groups) = (Names::new(), Groups::new());
            let mut actors: Vec<_> = (0..3).map(|_| Holder.start()).collect();
            // (actor, key) in order of registration.
            let (mut unique, mut all) = (Vec::<(usize, u8)>::new(), Vec::<(usize, u8)>::new());
            for step in steps {
                match step {
                    Step::Register(actor, key) => {
                        let free = unique.iter().all(|(_, held)| *held != key);
                        let claimed = claim(&names, &actors[actor], &key.to_string(), 0).await;
                        prop_assert_eq!(claimed, free);
                        join(&groups, &actors[actor], &key.to_string(), 0).await;
                        unique.extend(free.then_some((actor, key)));
                        all.push((actor, key));
                    }
                    Step::Unregister(actor, key) => {
                        let asked = names.clone();
                        let deed = move |ctx: &mut Context<Holder>| asked.unregister(ctx, &key.to_string());
                        let gone = within(&actors[actor], deed).await;
                        prop_assert_eq!(gone, unique.iter().filter(|pair| **pair == (actor, key)).count());
                        unique.retain(|pair| *pair != (actor, key));
                        let gone = leave(&groups, &actors[actor], &key.to_string()).await;
                        prop_assert_eq!(gone, all.iter().filter(|pair| **pair == (actor, key)).count());
                        all.retain(|pair| *pair != (actor, key));
                    }
                    Step::Replace(actor) => {
                        actors[actor].do_send(Do(Box::new(ActorContext::terminate)));
                        settle().await;
                        actors[actor] = Holder.start();
                        unique.retain(|(owner, _)| *owner != actor);
                        all.retain(|(owner, _)| *owner != actor);
                    }
                }
                prop_assert_eq!(names.count(), unique.len());
                prop_assert_eq!(groups.count(), all.len());
                for key in 0..3_u8 {
                    let under = |pairs: &[(usize, u8)]| -> Vec<_> {
                        let pairs = pairs.iter().filter(|(_, of)| *of == key);
                        pairs.map(|(actor, _)| (actors[*actor].clone(), 0)).collect()
                    };
                    prop_assert_eq!(names.lookup(&key.to_string()), under(&unique));
                    prop_assert_eq!(groups.lookup(&key.to_string()), under(&all));
                }
                for (index, actor) in actors.iter().enumerate() {
                    let of = |pairs: &[(usize, u8)]| -> Vec<_> {
                        let own = pairs.iter().filter(|(owner, _)| *owner == index);
                        sorted(own.map(|(_, key)| key.to_string()).collect())
                    };
                    prop_assert_eq!(sorted(names.keys(actor)), of(&unique));
                    prop_assert_eq!(sorted(groups.keys(actor)), of(&all));
                }
            }
            Ok(())
        })?;
    }
}
