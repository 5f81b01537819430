//! Entries and their actors: an entry ends with its actor, a name comes back with it, and an entry keeps it alive.

use std::sync::mpsc;

use actix::{fut::wrap_future, prelude::*};
use actix_otp::{
    ArbiterPool, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, ExitContext, ExitReason,
    Placement, Registry, StartChildError, Strategy, SupervisorRef, SupervisorSpec,
};

use crate::{
    holder::{Do, Groups, Holder, Names, claim, join, leave, within},
    support::{paused, settle},
};

async fn supervised() -> (SupervisorRef, DynamicSupervisorRef) {
    let (spec, children) = DynamicSupervisorSpec::new().build("dynamic");
    let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
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
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
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
        let root = SupervisorSpec::new(Strategy::OneForOne).child(first);
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
