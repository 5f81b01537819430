//! Hearing of changes, and keys that are taken over in one step.

use actix::prelude::*;
use actix_otp::{CallError, CastError, ExitReason, Registry, RegistryChange, RegistryListener};
use futures_util::FutureExt;

use crate::{
    holder::{Groups, Holder, Names, claim, join, leave, within},
    support::{paused, settle},
};

type Changes = RegistryListener<String, Addr<Holder>>;

/// The changes so far: `+key` and `-key` with the place of the actor among those given, `?n` for so many missed.
fn so_far(changes: &mut Changes, actors: &[&Addr<Holder>]) -> Vec<String> {
    let place = |address| actors.iter().position(|actor| **actor == address);
    std::iter::from_fn(|| changes.recv().now_or_never().flatten())
        .map(|change| match change {
            RegistryChange::Registered { key, address } => format!("+{key} {:?}", place(address)),
            RegistryChange::Unregistered { key, address } => format!("-{key} {:?}", place(address)),
            RegistryChange::Missed(n) => format!("?{n}"),
            other => format!("unexpected: {other:?}"),
        })
        .collect()
}

async fn take_over(names: &Names, holder: &Addr<Holder>, key: &str) -> Option<Addr<Holder>> {
    let (names, key) = (names.clone(), key.to_owned());
    within(holder, move |ctx| names.take_over(ctx, key, 0)).await
}

#[test]
fn a_listener_hears_who_registers_and_who_leaves_by_whatever_way_in_order() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        join(&groups, &a, "before", 1).await;
        let mut changes = groups.listen(100);
        join(&groups, &a, "g", 1).await;
        join(&groups, &b, "g", 2).await;
        assert_eq!(leave(&groups, &a, "g").await, 1);
        let actors = [&a, &b];
        assert_eq!(
            so_far(&mut changes, &actors),
            ["+g Some(0)", "+g Some(1)", "-g Some(0)"]
        );
        within(&b, ActorContext::stop).await;
        settle().await;
        assert_eq!(so_far(&mut changes, &actors), ["-g Some(1)"]);
        within(&a, ActorContext::stop).await;
        settle().await;
        assert_eq!(so_far(&mut changes, &actors), ["-before Some(0)"]);
        drop(groups);
        assert_eq!(changes.recv().now_or_never(), Some(None));
    });
}

#[test]
fn a_refused_registration_is_no_change() {
    paused(async {
        let names = Names::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert!(claim(&names, &a, "n", 1).await);
        let mut changes = names.listen(100);
        assert!(!claim(&names, &b, "n", 2).await);
        assert!(so_far(&mut changes, &[&a, &b]).is_empty());
    });
}

#[test]
fn a_listener_that_does_not_read_is_told_how_much_it_missed_and_holds_no_more_than_it_asked_for() {
    paused(async {
        let groups = Groups::new();
        let a = Holder.start();
        let (mut slow, mut quick) = (groups.listen(2), groups.listen(100));
        drop(groups.listen(1));
        for n in 0..5 {
            join(&groups, &a, &n.to_string(), 0).await;
        }
        let expected = ["?3", "+0 Some(0)", "+1 Some(0)"];
        assert_eq!(so_far(&mut slow, &[&a]), expected);
        assert_eq!(so_far(&mut quick, &[&a]).len(), 5);
        join(&groups, &a, "5", 0).await;
        assert_eq!(so_far(&mut slow, &[&a]), ["+5 Some(0)"]);
    });
}

#[test]
fn a_key_is_taken_over_in_one_step_and_the_former_holder_keeps_its_others() {
    paused(async {
        let names = Names::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert!(claim(&names, &a, "n", 1).await);
        assert!(claim(&names, &a, "other", 1).await);
        let mut changes = names.listen(100);
        assert_eq!(take_over(&names, &b, "n").await, Some(a.clone()));
        assert_eq!(names.get("n"), Some(b.clone()));
        assert_eq!(names.keys(&a), ["other"]);
        assert_eq!(names.keys(&b), ["n"]);
        assert_eq!(names.count(), 2);
        let both = [&a, &b];
        assert_eq!(so_far(&mut changes, &both), ["-n Some(0)", "+n Some(1)"]);

        // The end of the former holder takes nothing away from the present one.
        within(&a, ActorContext::stop).await;
        settle().await;
        assert_eq!(so_far(&mut changes, &both), ["-other Some(0)"]);
        assert_eq!(names.get("n"), Some(b.clone()));
        within(&b, ActorContext::stop).await;
        settle().await;
        assert_eq!(names.count(), 0);
    });
}

#[test]
fn a_free_key_a_dead_holders_key_and_ones_own_are_taken_over_from_nobody() {
    paused(async {
        let names = Names::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert_eq!(take_over(&names, &a, "n").await, None);
        assert_eq!(take_over(&names, &a, "n").await, None);
        assert_eq!((names.keys(&a), names.count()), (vec!["n".to_owned()], 1));
        within(&a, ActorContext::stop).await;
        settle().await;
        assert_eq!(take_over(&names, &b, "n").await, None);
        assert_eq!(names.get("n"), Some(b));
    });
}

#[test]
fn an_actor_that_lost_its_last_key_is_no_longer_kept_alive_by_it() {
    paused(async {
        let names = Names::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert!(claim(&names, &a, "n", 1).await);
        let weak = a.downgrade();
        drop(a);
        settle().await;
        assert!(weak.upgrade().is_some_and(|a| a.connected()));
        assert!(take_over(&names, &b, "n").await.is_some());
        settle().await;
        assert!(weak.upgrade().is_none());
    });
}

/// Has the changes of a registry delivered.
struct Listener(Registry<String, Addr<Holder>, u32>, usize);

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.add_stream(self.0.listen(10));
    }
}

impl StreamHandler<RegistryChange<String, Addr<Holder>>> for Listener {
    fn handle(&mut self, _: RegistryChange<String, Addr<Holder>>, _: &mut Context<Self>) {
        self.1 += 1;
    }
}

#[derive(Message)]
#[rtype(result = "usize")]
struct Heard;

impl Handler<Heard> for Listener {
    type Result = usize;

    fn handle(&mut self, _: Heard, _: &mut Context<Self>) -> usize {
        self.1
    }
}

#[test]
fn an_actor_can_have_the_changes_delivered_as_a_stream() {
    paused(async {
        let names = Names::new();
        let listener = Listener(names.clone(), 0).start();
        settle().await;
        let a = Holder.start();
        assert!(claim(&names, &a, "n", 1).await);
        settle().await;
        assert_eq!(listener.send(Heard).await, Ok(1));
    });
}

/// Sent by whoever need not know who handles it.
#[derive(Debug, PartialEq, Message)]
#[rtype(result = "u32")]
struct Ask(u32);

impl Handler<Ask> for Holder {
    type Result = u32;

    fn handle(&mut self, Ask(n): Ask, ctx: &mut Context<Self>) -> u32 {
        if n == 0 {
            ctx.terminate();
            panic!("told to panic");
        }
        n
    }
}

#[test]
fn a_handle_by_key_reaches_whoever_has_the_key_when_a_message_is_sent() {
    paused(async {
        let names = Names::new();
        let ask = names.message_ref::<Ask>("n".to_owned());
        assert_eq!(ask.call(Ask(1)).await, Err(CallError::NotRunning(Ask(1))));
        assert_eq!(ask.cast(Ask(1)), Err(CastError::NotRunning(Ask(1))));
        assert!(!ask.is_running());
        let (a, b) = (Holder.start(), Holder.start());
        assert!(claim(&names, &a, "n", 1).await);
        assert_eq!(ask.call(Ask(2)).await, Ok(2));
        let died = Err(CallError::Died(ExitReason::NotRunning));
        assert_eq!(ask.call(Ask(0)).await, died);
        assert!(claim(&names, &b, "n", 1).await);
        assert_eq!(ask.call(Ask(3)).await, Ok(3));
        assert_eq!((ask.cast(Ask(4)), ask.send(Ask(5)).await), (Ok(()), Ok(())));
        assert!(ask.is_running());
    });
}
