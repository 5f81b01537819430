//! The turn of an actor: it ends after a few messages, so that others have theirs, and a kill comes in between two.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix::prelude::*;
use actix_otp::{ChildRef, ChildSpec, ExitReason, Strategy, SupervisorRef};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::{
    cast::{start, supervisor, which},
    support::{Ping, paused},
};

/// Counts what it handles, whatever becomes of it.
struct Counter(Arc<AtomicUsize>);

impl Actor for Counter {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Count;

impl Handler<Count> for Counter {
    type Result = ();

    fn handle(&mut self, _: Count, _: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Kills the one who handles it.
#[derive(Message)]
#[rtype(result = "()")]
struct Kill(ChildRef<Counter>);

impl Handler<Kill> for Counter {
    type Result = ();

    fn handle(&mut self, Kill(own): Kill, _: &mut Context<Self>) {
        assert!(own.kill().now_or_never().is_none());
    }
}

/// Makes more work each time, for ever.
#[derive(Message)]
#[rtype(result = "()")]
enum Busy {
    Notify,
    Cast(ChildRef<Counter>),
}

impl Handler<Busy> for Counter {
    type Result = ();

    fn handle(&mut self, busy: Busy, ctx: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        match &busy {
            Busy::Notify => ctx.notify(busy),
            Busy::Cast(own) => own.clone().cast(busy).unwrap_or_default(),
        }
    }
}

impl Handler<Ping> for Counter {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Self::Result {
        MessageResult("counter")
    }
}

async fn counter() -> (SupervisorRef, ChildRef<Counter>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let spec = ChildSpec::new("counter", move || Counter(Arc::clone(&counted)));
    let child = spec.child_ref();
    let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
    (root, child, count)
}

#[test]
fn a_kill_comes_in_between_two_messages() {
    paused(async {
        let (root, child, count) = counter().await;
        let down = child.monitor();
        for _ in 0..3 {
            assert!(child.cast(Count).is_ok());
        }
        assert!(child.cast(Kill(child.clone())).is_ok());
        for _ in 0..100_000 {
            assert!(child.cast(Count).is_ok());
        }
        assert_eq!(down.await.reason, ExitReason::Killed);
        assert_eq!(count.load(Ordering::SeqCst), 3);
        root.shutdown().await;
    });
}

#[test]
fn an_actor_with_a_backlog_lets_others_on_its_thread_have_their_turn() {
    paused(async {
        let (root, child, count) = counter().await;
        for _ in 0..100_000 {
            assert!(child.cast(Count).is_ok());
        }
        assert_eq!(which(&root).await, ["counter:1"]);
        let handled = count.load(Ordering::SeqCst);
        assert!(handled < 1_000, "{handled}");
        assert_eq!(child.call(Ping).await, Ok("counter"));
        assert_eq!(count.load(Ordering::SeqCst), 100_000);
        root.shutdown().await;
    });
}

#[test]
fn an_actor_that_makes_work_for_itself_for_ever_lets_others_have_their_turn_and_can_be_ended() {
    paused(async {
        for cast in [false, true] {
            let (root, child, count) = counter().await;
            let busy = if cast {
                Busy::Cast(child.clone())
            } else {
                Busy::Notify
            };
            assert!(child.cast(busy).is_ok());
            for _ in 0..10 {
                yield_now().await;
            }
            assert!(count.load(Ordering::SeqCst) > 10);
            assert_eq!(which(&root).await, ["counter:1"]);
            assert_eq!(child.call(Ping).await, Ok("counter"));
            assert_eq!(child.kill().await, ExitReason::Killed);
            child.wait_until_running(1).await;
            assert!(child.cast(Busy::Notify).is_ok());
            root.terminate_child("counter").await.expect("ends");
            root.shutdown().await;
        }
    });
}

#[test]
fn what_is_sent_to_the_address_goes_past_the_bound_for_actix_drains_it_in_one_go() {
    paused(async {
        let (root, child, count) = counter().await;
        let addr = child.addr().expect("running");
        for _ in 0..1_000 {
            addr.do_send(Count);
        }
        yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 1_000);
        root.shutdown().await;
    });
}
