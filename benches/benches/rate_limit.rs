//! A rate check of a warm key among 10 000, beside governor keyed by `String`.
//!
//! governor keeps one number a key and admits an even flow with bursts; `RateLimiter` keeps the history and is exact for
//! every window.
//!
//! `cargo bench -p gen_api-benches --bench rate_limit`

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gen_api::{
    clock::SystemClock,
    model::Request,
    rate_limiter::{LimitKey, RateLimit, RateLimiter},
};
use gen_api_benches::{
    Comparison,
    engines::{USERS, owned_request},
    is_wanted, on_this_thread, on_threads, one_thread,
};
use governor::{DefaultKeyedRateLimiter, Quota};

fn main() {
    if !is_wanted() {
        return;
    }
    let runtime = one_thread();
    let clock = Arc::new(SystemClock::new(runtime.handle().clone()));
    let limited = |limits: &[(u32, u64)]| {
        let limiter = RateLimiter::new(Arc::clone(&clock) as _);
        let limits = limits
            .iter()
            .map(|(most, window_ms)| RateLimit::new(LimitKey::UserId, *most, *window_ms));
        limiter
            .set_global_limits(limits.collect())
            .expect("valid limits");
        limiter
    };
    let requests: Vec<_> = (0..USERS).map(owned_request).collect();
    let names: Vec<_> = requests
        .iter()
        .map(|request| request.user_id.clone().expect("each has one"))
        .collect();

    // Each key is checked about every millisecond, so the window holds a tenth of its maximum or less.
    let governor_admits = governed(Duration::from_micros(10), 100);
    let few = limited(&[(100, 5)]);
    let many = limited(&[(10_000, 200)]);
    let two = limited(&[(100, 5), (10_000, 200)]);
    Comparison::default()
        .with("governor, 100 000 a second", |times| {
            on_this_thread(|| pass(&governor_admits, &names, times))
        })
        .with("`RateLimiter`, 100 in 5 ms", |times| {
            on_this_thread(|| admit(&few, &requests, times))
        })
        .with("`RateLimiter`, 10 000 in 200 ms", |times| {
            on_this_thread(|| admit(&many, &requests, times))
        })
        .with("`RateLimiter`, both limits", |times| {
            on_this_thread(|| admit(&two, &requests, times))
        })
        .print("A check that passes, one of 10 000 keys in turn");

    Comparison::default()
        .with("governor, 100 000 a second", |times| {
            on_threads(2, times, |_, times| pass(&governor_admits, &names, times))
        })
        .with("`RateLimiter`, 100 in 5 ms", |times| {
            on_threads(2, times, |_, times| admit(&few, &requests, times))
        })
        .with("`RateLimiter`, both limits", |times| {
            on_threads(2, times, |_, times| admit(&two, &requests, times))
        })
        .print("The same on two threads at once, for each");

    let governor_refuses = governed(Duration::from_secs(3_600), 1);
    let refusing = limited(&[(1, 3_600_000)]);
    let hundred = limited(&[(100, 3_600_000)]);
    pass(&governor_refuses, &names, USERS);
    admit(&refusing, &requests, USERS);
    for _ in 0..100 {
        admit(&hundred, &requests, USERS);
    }
    Comparison::default()
        .with("governor, 1 an hour", |times| {
            on_this_thread(|| {
                let refused =
                    in_turn(&names, times).filter(|name| governor_refuses.check_key(name).is_err());
                assert_eq!(refused.count() as u64, times);
            })
        })
        .with("`RateLimiter`, 1 in an hour", |times| {
            on_this_thread(|| refuse(&refusing, &requests, times))
        })
        .with("`RateLimiter`, 100 in an hour", |times| {
            on_this_thread(|| refuse(&hundred, &requests, times))
        })
        .print("A check that refuses, one of 10 000 keys in turn");
}

fn governed(period: Duration, burst: u32) -> DefaultKeyedRateLimiter<String> {
    let quota = Quota::with_period(period).expect("not zero");
    let burst = NonZeroU32::new(burst).expect("not zero");
    governor::RateLimiter::keyed(quota.allow_burst(burst))
}

/// As many of these in turn.
fn in_turn<T>(all: &[T], times: u64) -> impl Iterator<Item = &T> {
    all.iter().cycle().take(times as usize)
}

fn pass(governor: &DefaultKeyedRateLimiter<String>, names: &[String], times: u64) {
    let passed = in_turn(names, times).filter(|name| governor.check_key(name).is_ok());
    assert!(nearly_all(passed.count(), times));
}

fn admit(limiter: &RateLimiter, requests: &[Request], times: u64) {
    let passed = in_turn(requests, times).filter(|request| limiter.check(request).is_ok());
    assert!(nearly_all(passed.count(), times));
}

fn refuse(limiter: &RateLimiter, requests: &[Request], times: u64) {
    let refused = in_turn(requests, times).filter(|request| limiter.check(request).is_err());
    assert_eq!(refused.count() as u64, times);
}

/// A thread that loses its processor in the middle of a check may judge by a time long past, and be refused for it.
fn nearly_all(passed: usize, times: u64) -> bool {
    passed as u64 + times / 100 + 1 >= times
}
