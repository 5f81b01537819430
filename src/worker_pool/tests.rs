//! The contract of a pool: who is accepted, who is next, what is counted, and that nothing leaks.

mod circuit;
mod events;
mod load;
mod waking;

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered, task::noop_waker};
use parking_lot::Mutex;
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::clock::ManualClock;

fn pool(places: usize, queue: usize) -> WorkerPool {
    let settings = PoolSettings::new(places, queue);
    WorkerPool::new("test", settings, Arc::new(ManualClock::new()))
}

fn placed(pool: &WorkerPool) -> Place {
    let ticket = pool.admit().expect("the pool takes it");
    ticket.try_place().expect("a place is free")
}

/// Every accepted task is somewhere, and in one state only.
fn assert_balanced(pool: &WorkerPool, accepted: u64) {
    let status = pool.status();
    let somewhere = (status.queued + status.busy) as u64 + status.executed + status.cancelled;
    assert_eq!(somewhere, accepted, "{status:?}");
}

type PlaceFuture = Pin<Box<dyn Future<Output = Place> + Send>>;

fn poll_once(future: &mut PlaceFuture) -> Option<Place> {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(&noop_waker()))
    {
        Poll::Ready(place) => Some(place),
        Poll::Pending => None,
    }
}

#[test]
fn handles_tickets_and_places_go_anywhere() {
    fn handle<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + 'static>() {}
    handle::<WorkerPool>();
    handle::<WorkerPools>();
    sent::<Ticket>();
    sent::<Place>();
}

#[test]
fn what_exceeds_places_and_queue_is_refused_at_once() {
    let pool = pool(2, 1);
    let held = [placed(&pool), placed(&pool)];
    let queued = pool.admit().unwrap();
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
    let status = pool.status();
    assert_eq!((status.idle, status.busy, status.queued), (0, 2, 1));
    assert_eq!((status.rejected, status.executed), (1, 0));
    drop((held, queued));
    assert!(pool.admit().is_ok());
}

#[test]
fn a_pool_without_a_queue_gives_a_place_or_refuses() {
    let pool = pool(1, 0);
    let place = placed(&pool);
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
    place.finish(TaskEnd::Completed);
    placed(&pool).finish(TaskEnd::Completed);
    assert_eq!(pool.status().executed, 2);
}

#[test]
fn a_ticket_without_its_place_yet_keeps_its_turn() {
    let pool = pool(1, 2);
    let first = placed(&pool);
    let second = pool.admit().unwrap().try_place().unwrap_err();
    let third = pool.admit().unwrap();
    first.finish(TaskEnd::Completed);
    let third = third.try_place().unwrap_err();
    second.try_place().unwrap().finish(TaskEnd::Completed);
    third.try_place().unwrap().finish(TaskEnd::Completed);
}

#[test]
fn a_freed_place_goes_to_the_queue_and_not_to_a_newcomer() {
    let pool = pool(1, 1);
    let first = placed(&pool);
    let second = pool.admit().unwrap();
    drop(first);
    // The place is taken although its owner has not asked for it yet; the newcomer waits.
    let newcomer = pool.admit().unwrap().try_place().unwrap_err();
    drop(second);
    assert!(newcomer.try_place().is_ok());
}

#[test]
fn each_end_counts_where_it_belongs() {
    let pool = pool(1, 0);
    for end in [
        TaskEnd::Completed,
        TaskEnd::Error,
        TaskEnd::Panicked,
        TaskEnd::TimedOut,
        TaskEnd::Cancelled,
    ] {
        placed(&pool).finish(end);
    }
    drop(placed(&pool));
    drop(pool.admit());
    let status = pool.status();
    assert_eq!((status.executed, status.failed, status.errors), (4, 2, 1));
    assert_eq!((status.cancelled, status.idle), (3, 1));
}

#[test]
fn a_place_is_given_back_while_a_panic_unwinds() {
    let pool = pool(1, 0);
    let place = placed(&pool);
    let thread = thread::spawn(move || {
        let _place = place;
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
    assert_eq!((pool.status().idle, pool.status().cancelled), (1, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    Ask(prop::sample::Index),
    DropTicket(prop::sample::Index),
    Finish(prop::sample::Index, TaskEnd),
    Resize(usize, usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let end = prop::sample::select(vec![
        TaskEnd::Completed,
        TaskEnd::Error,
        TaskEnd::Panicked,
        TaskEnd::TimedOut,
        TaskEnd::Cancelled,
    ]);
    prop_oneof![
        8 => Just(Step::Admit),
        6 => index().prop_map(Step::Ask),
        2 => index().prop_map(Step::DropTicket),
        5 => (index(), end).prop_map(|(which, end)| Step::Finish(which, end)),
        1 => (0..5_usize, 0..5_usize).prop_map(|(places, queue)| Step::Resize(places, queue)),
        1 => (0..4_000_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    /// Whatever is asked, dropped and finished in whatever order: the counts are exact, tickets get their places in
    /// their order, and in the end nothing is held.
    #[test]
    fn no_history_unbalances_a_pool(steps in prop::collection::vec(step(), 1..200)) {
        let clock = ManualClock::new();
        let settings = PoolSettings::new(2, 3).with_circuit(CircuitSettings::new(3, 5_000));
        let pool = WorkerPool::new("test", settings, Arc::new(clock.clone()));
        let (mut waiting, mut running) = (Vec::<(u64, PlaceFuture)>::new(), Vec::new());
        let (mut accepted, mut refused, mut ended) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Admit => match pool.admit() {
                    Ok(ticket) => {
                        waiting.push((accepted, Box::pin(ticket.place())));
                        accepted += 1;
                    }
                    Err(_) => refused += 1,
                },
                Step::Ask(which) if !waiting.is_empty() => {
                    let which = which.index(waiting.len());
                    let (number, future) = &mut waiting[which];
                    let number = *number;
                    if let Some(place) = poll_once(future) {
                        running.push(place);
                        drop(waiting.remove(which));
                        // Who has a place overtook nobody: all that came before have theirs too.
                        for (before, future) in &mut waiting {
                            if *before < number {
                                let place = poll_once(future);
                                prop_assert!(place.is_some());
                                running.extend(place);
                            }
                        }
                        waiting.retain(|(before, _)| *before > number);
                    }
                }
                Step::DropTicket(which) if !waiting.is_empty() => {
                    drop(waiting.swap_remove(which.index(waiting.len())));
                }
                Step::Finish(which, end) if !running.is_empty() => {
                    let place: Place = running.swap_remove(which.index(running.len()));
                    place.finish(end);
                    ended += u64::from(end != TaskEnd::Cancelled);
                }
                Step::Resize(places, queue) => pool.resize(Some(places), Some(queue)),
                Step::Advance(ms) => clock.advance(Duration::from_millis(ms)),
                Step::Ask(_) | Step::DropTicket(_) | Step::Finish(..) => {}
            }
            let status = pool.status();
            prop_assert_eq!((status.executed, status.rejected), (ended, refused));
            prop_assert_eq!(status.busy + status.queued, waiting.len() + running.len());
            prop_assert!(status.busy >= running.len());
            prop_assert!(status.queued == 0 || status.busy >= status.places);
            assert_balanced(&pool, accepted);
        }
        drop((waiting, running));
        let status = pool.status();
        prop_assert_eq!((status.busy, status.queued), (0, 0));
        pool.resize(Some(1), None);
        clock.advance(Duration::from_secs(5));
        prop_assert!(pool.admit().is_ok(), "whatever was, a pool at rest takes a task");
    }
}
