//! Replies that an actor dropped: the caller learns whether the actor lives on, and not before that is certain.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use actix::{
    dev::{MessageResponse, OneshotSender},
    prelude::*,
};
use actix_otp::{ArbiterPool, CallError, ChildSpec, ExitReason, Placement, Strategy};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::{
    cast::{start, supervisor, workers},
    support::{ExitWith, Journal, LoseReply, Ping, paused},
};

#[test]
fn a_task_that_loses_its_reply_costs_the_reply_and_not_the_child() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        assert_eq!(child.call(LoseReply).await, Err(CallError::NoReply));
        assert_eq!(child.incarnation(), Some(1));
        root.shutdown().await;
    });
}

/// Loses its reply and goes on with its turn until it is told how that ends.
#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
struct Lose;

/// What comes of [`Lose`]; the channels belong to the actor that is to handle it.
struct Lost {
    lost: mpsc::Sender<()>,
    ends_well: mpsc::Receiver<bool>,
}

struct Loser(Option<Lost>);

impl Actor for Loser {
    type Context = Context<Self>;
}

impl Handler<Lose> for Loser {
    type Result = Lost;

    fn handle(&mut self, Lose: Lose, _: &mut Context<Self>) -> Lost {
        self.0.take().expect("asked once")
    }
}

impl MessageResponse<Loser, Lose> for Lost {
    fn handle(self, _: &mut Context<Loser>, reply: Option<OneshotSender<()>>) {
        drop(reply);
        drop(self.lost);
        assert_eq!(self.ends_well.recv(), Ok(true), "told to panic");
    }
}

#[test]
fn whether_a_child_outlives_a_lost_reply_is_said_only_when_the_turn_is_over() {
    for ends_well in [true, false] {
        paused(async {
            let (lost, is_lost) = mpsc::channel();
            let (end, how_it_ends) = mpsc::channel();
            let made = Mutex::new(Some(Lost {
                lost,
                ends_well: how_it_ends,
            }));
            let thread = ArbiterPool::new(1).expect("a thread");
            let child = ChildSpec::new("loser", move || Loser(made.lock().expect("made").take()))
                .placement(Placement::Pool(thread));
            let handle = child.child_ref();
            let root = start(supervisor(Strategy::OneForOne, 9).child(child)).await;
            let call = handle.call(Lose);
            tokio::pin!(call);
            assert!(call.as_mut().now_or_never().is_none());
            // Ends when the reply is lost; the turn in which that happened goes on.
            let _ = is_lost.recv();
            assert!(timeout(Duration::from_secs(60), &mut call).await.is_err());
            end.send(ends_well).expect("it waits");
            match call.await {
                Err(CallError::NoReply) => assert!(ends_well),
                Err(CallError::Died(ExitReason::Panicked(_))) => assert!(!ends_well),
                other => panic!("{other:?}"),
            }
            root.shutdown().await;
        });
    }
}

#[test]
fn a_caller_that_looks_late_hears_why_the_incarnation_died_that_it_had_called() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 9),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        child
            .cast(ExitWith(ExitReason::error("the first")))
            .expect("running");
        let mut late = Box::pin(child.call(Ping));
        assert!((&mut late).now_or_never().is_none());
        child.wait_until_running(1).await;
        child
            .cast(ExitWith(ExitReason::error("the second")))
            .expect("running");
        child.wait_until_running(2).await;
        let answer = late.await;
        assert_eq!(answer, Err(CallError::Died(ExitReason::error("the first"))));
        root.shutdown().await;
    });
}
