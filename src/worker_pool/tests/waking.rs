//! Who is woken when a place is free, and what happens while a pool is resized.

use super::*;

#[test]
fn new_places_go_to_those_who_wait_in_their_order() {
    let pool = pool(0, 3);
    let tickets: [Ticket; 3] = std::array::from_fn(|_| pool.admit().unwrap());
    pool.resize(Some(2), None);
    let [first, second, third] = tickets;
    let third = third.try_place().unwrap_err();
    let held = (first.try_place().unwrap(), second.try_place().unwrap());
    assert_eq!(pool.status().queued, 1);
    drop(held);
    assert!(third.try_place().is_ok());
}

#[test]
fn a_smaller_pool_interrupts_nobody_and_takes_fewer_from_then_on() {
    let pool = pool(3, 2);
    let mut held: Vec<_> = (0..3).map(|_| placed(&pool)).collect();
    let queued = [pool.admit().unwrap(), pool.admit().unwrap()];
    pool.resize(Some(1), Some(1));
    let status = pool.status();
    assert_eq!((status.places, status.busy, status.idle), (1, 3, 0));
    assert_eq!((status.queue, status.queued), (1, 2));
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);

    held.truncate(1);
    assert_eq!((pool.status().busy, pool.status().queued), (1, 2));
    let [first, second] = queued;
    let first = first.try_place().unwrap_err();
    held.clear();
    assert_eq!((pool.status().busy, pool.status().queued), (1, 1));
    drop(first.try_place().unwrap());
    assert!(second.try_place().is_ok());
}

#[test]
fn a_waiting_task_is_woken_by_its_new_place() {
    let pool = pool(0, 1);
    let woken = Arc::new(CountedWakes::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut place = Box::pin(pool.admit().unwrap().place());
    let mut cx = Context::from_waker(&waker);
    assert!(place.as_mut().poll(&mut cx).is_pending());
    pool.resize(None, Some(5));
    assert_eq!(woken.count(), 0);
    pool.resize(Some(1), None);
    assert_eq!(woken.count(), 1);
    assert!(place.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let pool = pool(1, 1);
    let held = placed(&pool);
    let mut place = Box::pin(pool.admit().unwrap().place());
    let wakes: [Arc<CountedWakes>; 2] = std::array::from_fn(|_| Arc::default());
    for wakes in &wakes {
        let waker = Waker::from(Arc::clone(wakes));
        let polled = place.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(held);
    assert_eq!(wakes.map(|wakes| wakes.count()), [0, 1]);
}

#[test]
fn one_freed_place_wakes_one() {
    let pool = pool(1, 10);
    let held = placed(&pool);
    let wakes = Arc::new(CountedWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut waiting: Vec<_> = (0..10)
        .map(|_| Box::pin(pool.admit().unwrap().place()))
        .collect();
    for place in &mut waiting {
        let polled = place.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(held);
    assert_eq!(wakes.count(), 1);
}

/// An executor may keep a task alive by its waker alone, and with the task a ticket.
#[test]
fn a_waker_that_owns_a_ticket_can_be_dropped_by_the_pool() {
    struct Owner(
        #[expect(dead_code, reason = "held until the waker is dropped")] Mutex<Option<Ticket>>,
    );
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let pool = pool(1, 9);
    let held = placed(&pool);
    let waker_with_ticket = || Waker::from(Arc::new(Owner(Mutex::new(pool.admit().ok()))));
    let mut place = Box::pin(pool.admit().unwrap().place());
    for _ in 0..2 {
        let waker = waker_with_ticket();
        let polled = place.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    // The first waker was replaced, and the second goes with the one who leaves the queue.
    assert_eq!(pool.status().queued, 2);
    drop(place);
    assert_eq!(pool.status().queued, 0);
    drop(held);
    assert_balanced(&pool, 4);
}

#[derive(Default)]
struct CountedWakes(AtomicUsize);

impl CountedWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountedWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
