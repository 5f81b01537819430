//! More than a pool can take, and from many threads.

use super::*;

#[tokio::test]
async fn of_ten_times_the_capacity_what_fits_runs_in_order_and_the_rest_is_refused_at_once() {
    let pool = pool(1_000, 10_000);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for _ in 0..110_000 {
        match pool.admit() {
            Ok(ticket) => accepted.push(ticket),
            Err(Rejected::QueueFull) => refused += 1,
            Err(other) => panic!("unexpected: {other}"),
        }
    }
    assert_eq!((accepted.len(), refused), (11_000, 99_000));
    let status = pool.status();
    assert_eq!((status.busy, status.queued), (1_000, 10_000));
    assert_eq!((status.idle, status.rejected), (0, 99_000));

    // All run side by side in one executor, which polls only what was woken; each holds its place for a turn.
    let order = Mutex::new(Vec::new());
    let run = |(number, ticket): (usize, Ticket)| {
        let order = &order;
        async move {
            let place = ticket.place().await;
            order.lock().push(number);
            tokio::task::yield_now().await;
            place.finish(TaskEnd::Completed);
        }
    };
    let tasks: FuturesUnordered<_> = accepted.into_iter().enumerate().map(run).collect();
    assert_eq!(tasks.count().await, 11_000);
    assert!(
        order.lock().is_sorted(),
        "places went in the order of arrival"
    );
    let status = pool.status();
    assert_eq!((status.busy, status.queued, status.idle), (0, 0, 1_000));
    assert_eq!((status.executed, status.cancelled), (11_000, 0));
}

#[test]
fn a_pool_of_streams_holds_its_limit_of_places_and_frees_each() {
    let pools = WorkerPools::new(
        PoolSettings::ASYNC,
        PoolSettings::STREAM,
        PoolSettings::BLOCKING,
        &(Arc::new(ManualClock::new()) as Arc<dyn Clock>),
        None,
    );
    let pool = &pools.stream_pool;
    let mut open: VecDeque<_> = (0..10_000).map(|_| placed(pool)).collect();
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
    for _ in 0..10_000 {
        drop(open.pop_front());
        open.push_back(placed(pool));
        assert!(pool.admit().is_err());
    }
    drop(open);
    assert_eq!(
        (pool.status().idle, pool.status().cancelled),
        (10_000, 20_000)
    );
}

/// Many threads at once, each of which gives up at a random point; the places are a limit all the time.
#[test]
fn threads_that_give_up_at_any_point_leave_nothing_behind() {
    const PLACES: usize = 3;
    let pool = pool(PLACES, 4);
    let (running, accepted, refused) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut random = rand::rng();
                let mut waiting: Vec<PlaceFuture> = Vec::new();
                for _ in 0..5_000 {
                    match pool.admit() {
                        Err(_) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(ticket) => {
                            accepted.fetch_add(1, Ordering::SeqCst);
                            if random.random_ratio(9, 10) {
                                waiting.push(Box::pin(ticket.place()));
                            }
                        }
                    }
                    waiting.retain_mut(|future| {
                        let Some(place) = poll_once(future) else {
                            return random.random_ratio(9, 10);
                        };
                        let now_running = running.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now_running <= PLACES);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        match random.random_ratio(1, 2) {
                            true => place.finish(TaskEnd::Completed),
                            false => drop(place),
                        }
                        false
                    });
                }
            });
        }
    });
    let status = pool.status();
    assert_eq!((status.busy, status.queued, status.idle), (0, 0, PLACES));
    assert_eq!(status.rejected, refused.into_inner());
    assert_balanced(&pool, accepted.into_inner());
}
