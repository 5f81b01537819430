//! Panics whose payload panics in turn when it is dropped: wherever they come from, they are panics like any other.

use std::panic::panic_any;

use actix::prelude::*;
use actix_otp::{
    ChildSpec, DynamicSupervisorSpec, ExitReason, Registry, Restart, StartChildError,
    StartDynamicError, StartError, Strategy, SupervisionEvent,
};

use crate::{
    cast::{start, supervisor, which},
    support::{Journal, Ping, Worker, crash, paused, settle},
};

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload goes off");
    }
}

fn went_off() -> ExitReason {
    ExitReason::Panicked("a panic whose payload is no text".into())
}

/// Goes off where it is told to.
struct Carrier(&'static str);

impl Carrier {
    fn go_off(&self, at: &'static str) {
        if self.0 == at {
            panic_any(Bomb);
        }
    }
}

impl Actor for Carrier {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.go_off("started");
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.go_off("stopping");
        Running::Stop
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.go_off("drop");
    }
}

impl Handler<Ping> for Carrier {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, ctx: &mut Context<Self>) -> Self::Result {
        self.go_off("handler");
        ctx.stop();
        MessageResult("stopping")
    }
}

fn carrier(at: &'static str) -> ChildSpec<Carrier> {
    ChildSpec::new(at, move || {
        let carrier = Carrier(at);
        carrier.go_off("factory");
        carrier
    })
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_fails_a_start_like_any_other_panic() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 9)).await;
        for at in ["factory", "started"] {
            let answer = root.start_child(carrier(at)).await.map(drop);
            let error = StartError::Exited(went_off());
            let id = at.into();
            assert_eq!(answer, Err(StartChildError::Start { id, error }));
        }
        assert!(which(&root).await.is_empty());
        root.shutdown().await;
    });
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_is_followed_by_a_restart_like_any_other_panic() {
    paused(async {
        for (at, reason) in [
            ("handler", went_off()),
            ("stopping", went_off()),
            ("drop", ExitReason::Normal),
        ] {
            let root = start(supervisor(Strategy::OneForOne, 9)).await;
            let child = root.start_child(carrier(at)).await.expect("it starts");
            let down = child.monitor();
            let _ = child.call(Ping).await;
            assert_eq!(down.await.reason, reason, "{at}");
            assert_eq!(child.wait_until_running(1).await, 2);
            assert_eq!(root.incarnation(), Some(1));
            root.shutdown().await;
        }
    });
}

#[test]
fn an_observer_with_such_a_payload_costs_its_supervisor_nothing() {
    paused(async {
        let (spec, dynamic) = DynamicSupervisorSpec::new().build("dynamic");
        let worker = Worker::spec("worker", &Journal::default());
        let worker_ref = worker.child_ref();
        let tree = supervisor(Strategy::OneForOne, 9)
            .observer(|_: &SupervisionEvent| panic_any(Bomb))
            .child(spec)
            .child(worker);
        let root = start(tree).await;
        crash(&worker_ref).await;
        let child = dynamic.start_child(|| Carrier("drop")).await.expect("runs");
        assert_eq!(child.stop().await, ExitReason::Normal);
        assert_eq!(which(&root).await, ["dynamic:1", "worker:2"]);
        root.shutdown().await;
    });
}

#[test]
fn a_dynamic_supervisor_starts_others_after_a_factory_with_such_a_payload() {
    paused(async {
        let (spec, dynamic) = DynamicSupervisorSpec::new().build("dynamic");
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        let failed = |answer| assert_eq!(answer, Err(StartError::Exited(went_off()).into()));
        let of_factory = || -> Carrier { panic_any(Bomb) };
        failed(dynamic.start_child(of_factory).await.map(drop));
        failed(dynamic.start_spec(carrier("factory")).await.map(drop));
        assert!(dynamic.start_child(|| Carrier("never")).await.is_ok());
        assert_eq!(which(&root).await, ["dynamic:1"]);
        root.shutdown().await;
    });
}

#[derive(Message)]
#[rtype(result = "()")]
struct Parcel(#[allow(dead_code)] Bomb);

impl Handler<Parcel> for Carrier {
    type Result = ();

    fn handle(&mut self, _: Parcel, _: &mut Context<Self>) {}
}

#[test]
fn what_waits_for_a_child_that_never_ran_may_panic_when_it_is_dropped() {
    paused(async {
        let (spec, dynamic) = DynamicSupervisorSpec::new().build("dynamic");
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        let never = dynamic.spawn_child(|| -> Carrier { panic!("in its factory") });
        never.expect("admitted").addr().do_send(Parcel(Bomb));
        settle().await;
        assert!(dynamic.start_child(|| Carrier("never")).await.is_ok());
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_lets_go_of_a_factory_that_panics_when_it_is_dropped() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 9)).await;
        let spec = |id: &str| {
            let owned = Bomb;
            ChildSpec::new(id, move || {
                let _ = &owned;
                Carrier("never")
            })
        };
        let temporary = spec("temporary").restart(Restart::Temporary);
        root.start_child(temporary).await.expect("it starts");
        root.start_child(spec("other")).await.expect("it starts");
        root.terminate_child("other").await.expect("it ends");
        root.delete_child("other").await.expect("it is forgotten");
        assert_eq!(which(&root).await, ["temporary:1"]);
        root.shutdown().await;
    });
}

/// Registers itself under two names, with values that go off.
struct Named(Registry<&'static str, Addr<Named>, Bomb>);

impl Actor for Named {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for name in ["a", "b"] {
            assert!(self.0.register(ctx, name, Bomb).is_ok());
        }
    }
}

#[test]
fn an_actor_with_values_that_panic_when_they_are_dropped_leaves_no_entry() {
    paused(async {
        let names = Registry::new();
        let handle = names.clone();
        let spec = ChildSpec::new("named", move || Named(handle.clone()));
        let named = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        assert_eq!(names.count(), 2);
        assert_eq!(named.stop().await, ExitReason::Normal);
        assert_eq!(named.wait_until_running(1).await, 2);
        root.shutdown().await;
        assert_eq!(names.count(), 0);
    });
}

#[test]
fn a_start_that_fails_with_an_error_that_panics_when_it_is_shown_is_a_failed_start() {
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic_any(Bomb)
        }
    }
    paused(async {
        let (spec, dynamic) = DynamicSupervisorSpec::new().build("dynamic");
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        let spec = ChildSpec::<Carrier>::try_new("mute", || Err(Mute));
        let answer = root.start_child(spec).await.map(drop);
        let error = StartError::Exited(went_off());
        let id = "mute".into();
        assert_eq!(answer, Err(StartChildError::Start { id, error }));
        let answer = dynamic.try_start_child::<Carrier, _, _>(|| Err(Mute)).await;
        let error = StartDynamicError::Start(StartError::Exited(went_off()));
        assert_eq!(answer.map(drop), Err(error));
        root.shutdown().await;
    });
}
