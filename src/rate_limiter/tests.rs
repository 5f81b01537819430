//! The contract of the handle, by a clock that stands still until it is moved.

use std::{collections::HashMap, thread};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::{ManualClock, Sleep};

const USER: LimitKey = LimitKey::UserId;

fn limit(key: &str, max_requests: u32, window_ms: u64) -> RateLimit {
    RateLimit::new(LimitKey::from(key), max_requests, window_ms)
}

fn api_limit(request_type: &str, key: &str, max_requests: u32, window_ms: u64) -> ApiLimit {
    ApiLimit::new("svc", request_type, limit(key, max_requests, window_ms))
}

fn limiter(global: &[RateLimit], api: &[ApiLimit]) -> (RateLimiter, ManualClock) {
    let clock = ManualClock::new();
    let config = RateLimitConfig {
        global_limits: global.to_vec(),
        api_limits: api.to_vec(),
        ..RateLimitConfig::default()
    };
    let limiter = RateLimiter::with_config(Arc::new(clock.clone()), config).unwrap();
    (limiter, clock)
}

fn request(request_type: &str, user: &str) -> Request {
    Request::new("r", "svc", request_type).with_user_id(user)
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn limited(answer: Result<(), RateLimitError>) -> Limited {
    match answer {
        Err(RateLimitError::Limited(limited)) => limited,
        other => panic!("not limited: {other:?}"),
    }
}

#[test]
fn the_handle_goes_to_any_thread() {
    fn everywhere<T: Send + Sync + Clone + 'static>() {}
    everywhere::<RateLimiter>();
}

#[test]
fn a_refusal_tells_the_limit_and_the_client_how_many_seconds_to_wait() {
    let (limiter, clock) = limiter(&[], &[api_limit("op", "user_id", 2, 61_500)]);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    clock.advance(ms(300));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    clock.advance(ms(100));
    let refused = limited(limiter.check(&request("op", "ann")));
    let expected = Limited {
        key: USER,
        max_requests: 2,
        current_requests: 2,
        window_ms: 61_500,
        retry_after_ms: 61_100,
        scope: Scope::api("svc", "op"),
    };
    assert_eq!(refused, expected);
    assert_eq!(refused.retry_after_secs(), 62);
    assert_eq!(
        RateLimitError::from(refused).to_string(),
        "Rate limit exceeded. Please retry after 62 seconds."
    );
}

#[test]
fn waiting_as_long_as_told_always_helps_even_between_two_milliseconds() {
    let (limiter, clock) = limiter(&[limit("user_id", 1, 1_000)], &[]);
    clock.advance(Duration::from_nanos(999_999));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    clock.advance(Duration::from_nanos(2));
    // The millisecond has changed, the window has not moved by one.
    let wait = limited(limiter.check(&request("op", "ann"))).retry_after_ms;
    assert_eq!(wait, 1_000);
    clock.advance(Duration::from_nanos(999_999_997));
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).retry_after_ms,
        1
    );
    clock.advance(Duration::from_nanos(1));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
}

#[test]
fn a_request_is_counted_by_its_address_too() {
    let (limiter, _clock) = limiter(&[limit("ip_address", 1, 1_000)], &[]);
    let mut request = request("op", "ann");
    for _ in 0..3 {
        assert_eq!(limiter.check(&request), Ok(()));
    }
    request.ip_address = Some("192.0.2.1".to_owned());
    assert_eq!(limiter.check(&request), Ok(()));
    request.user_id = Some("bob".to_owned());
    assert_eq!(limited(limiter.check(&request)).key, LimitKey::IpAddress);
}

#[test]
fn of_several_limits_without_room_the_first_in_the_configuration_is_reported() {
    let api = [api_limit("op", "user_id", 1, 1_000)];
    let global = [
        limit("user_id", 5, 1_000),
        limit("room", 1, 2_000),
        limit("user_id", 1, 3_000),
    ];
    let (limiter, _clock) = limiter(&global, &api);
    let with_room = request("op", "ann").with_arg("room", "lobby");
    assert_eq!(limiter.check(&with_room), Ok(()));
    assert_eq!(limited(limiter.check(&with_room)).window_ms, 2_000);
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).window_ms,
        3_000
    );
    limiter.set_global_limits(Vec::new()).unwrap();
    assert_eq!(limited(limiter.check(&with_room)).window_ms, 1_000);
}

#[test]
fn a_request_refused_by_one_limit_is_recorded_by_none() {
    let api = [
        api_limit("op", "user_id", 5, 1_000),
        api_limit("op", "room", 1, 1_000),
    ];
    let (limiter, _clock) = limiter(&[limit("user_id", 5, 1_000)], &api);
    let request = request("op", "ann").with_arg("room", "lobby");
    assert_eq!(limiter.check(&request), Ok(()));
    for _ in 0..10 {
        let refused = limited(limiter.check(&request));
        assert_eq!(refused.key, LimitKey::from("room"));
    }
    for scope in [Scope::Global, Scope::api("svc", "op")] {
        assert_eq!(limiter.status("ann", &scope, &USER)[0].current_requests, 1);
    }
}

#[test]
fn limits_on_one_kind_of_key_look_at_one_history() {
    let global = [limit("user_id", 2, 100), limit("user_id", 3, 1_000)];
    let (limiter, clock) = limiter(&global, &[]);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).retry_after_ms,
        100
    );
    clock.advance(ms(100));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).retry_after_ms,
        900
    );
    let status = limiter.status("ann", &Scope::Global, &USER);
    let used: Vec<_> = status
        .iter()
        .map(|limit| (limit.current_requests, limit.remaining, limit.window_ms))
        .collect();
    assert_eq!(used, [(1, 1, 100), (3, 0, 1_000)]);
    assert_eq!(limiter.tracked_keys(), 1);
}

#[test]
fn an_added_limit_takes_the_place_of_all_on_its_key_and_keeps_their_counts() {
    let global = [
        limit("user_id", 9, 100),
        limit("room", 9, 100),
        limit("user_id", 9, 1_000),
    ];
    let (limiter, _clock) = limiter(&global, &[]);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    limiter.add_global_limit(limit("user_id", 1, 500)).unwrap();
    assert_eq!(
        limiter.global_limits(),
        [limit("room", 9, 100), limit("user_id", 1, 500)]
    );
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).current_requests,
        1
    );
}

#[test]
fn an_invalid_change_is_an_error_and_changes_nothing() {
    let global = [limit("user_id", 1, 100)];
    let (limiter, _clock) = limiter(&global, &[]);
    let before = limiter.config();
    let error = limiter
        .add_global_limit(limit("user_id", 0, 100))
        .unwrap_err();
    assert_eq!(error.field, "limit.max_requests");
    let error = limiter
        .set_global_limits(vec![limit("room", 1, 1), limit("user_id", 1, 0)])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "global_limits[1].window_ms must be 1 to 31536000000, but is 0"
    );
    let mut wrong = before.clone();
    wrong.enabled = false;
    wrong.api_limits = vec![api_limit("", "user_id", 1, 1)];
    assert!(limiter.update_config(wrong.clone()).is_err());
    assert!(RateLimiter::with_config(Arc::new(ManualClock::new()), wrong).is_err());
    assert_eq!(limiter.config(), before);
}

#[test]
fn a_change_keeps_the_counts_of_the_limits_that_stay() {
    let api = [api_limit("op", "user_id", 3, 1_000)];
    let (limiter, _clock) = limiter(&[limit("user_id", 5, 1_000)], &api);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    let mut config = limiter.config();
    config.global_limits.insert(0, limit("room", 1, 1));
    config
        .api_limits
        .insert(0, api_limit("other", "user_id", 1, 1));
    limiter.update_config(config).unwrap();
    for scope in [Scope::Global, Scope::api("svc", "op")] {
        assert_eq!(limiter.status("ann", &scope, &USER)[0].current_requests, 1);
    }
}

#[test]
fn a_limit_taken_away_and_put_back_finds_its_counts_until_they_are_too_old() {
    let (limiter, clock) = limiter(&[limit("user_id", 1, 1_000)], &[]);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    assert!(limiter.remove_global_limit(&USER));
    assert!(!limiter.remove_global_limit(&USER));
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    clock.advance(ms(999));
    assert_eq!(limiter.sweep().remaining, 1);
    limiter
        .add_global_limit(limit("user_id", 1, 1_000))
        .unwrap();
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).retry_after_ms,
        1
    );

    assert!(limiter.remove_global_limit(&USER));
    clock.advance(ms(1));
    let swept = limiter.sweep();
    assert_eq!((swept.removed, swept.remaining), (1, 0));
    assert!(!limiter.reset("ann", &Scope::Global, &USER));
    limiter
        .add_global_limit(limit("user_id", 1, 1_000))
        .unwrap();
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
}

#[test]
fn switched_off_it_neither_limits_nor_records_and_keeps_what_it_has() {
    let (limiter, _clock) = limiter(&[limit("user_id", 2, 1_000)], &[]);
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    let mut off = RateLimitUpdate::new();
    off.enabled = Some(false);
    limiter.update_config(off.clone()).unwrap();
    for _ in 0..5 {
        assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
        assert_eq!(limiter.check_key("ann", &Scope::Global, &USER), Ok(()));
    }
    off.enabled = Some(true);
    limiter.update_config(off).unwrap();
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    assert_eq!(
        limited(limiter.check(&request("op", "ann"))).current_requests,
        2
    );
}

#[test]
fn a_direct_check_of_an_empty_value_is_not_limited() {
    let (limiter, _clock) = limiter(&[limit("user_id", 1, 1_000)], &[]);
    for _ in 0..3 {
        assert_eq!(limiter.check_key("", &Scope::Global, &USER), Ok(()));
    }
    assert_eq!(limiter.tracked_keys(), 0);
}

#[test]
fn a_reset_forgets_one_key_in_one_scope() {
    let api = [api_limit("op", "user_id", 9, 1_000)];
    let (limiter, _clock) = limiter(&[limit("user_id", 9, 1_000)], &api);
    for user in ["ann", "bob"] {
        assert_eq!(limiter.check(&request("op", user)), Ok(()));
    }
    assert!(limiter.reset("ann", &Scope::Global, &USER));
    assert!(!limiter.reset("ann", &Scope::Global, &USER));
    let used = |user, scope: &Scope| limiter.status(user, scope, &USER)[0].current_requests;
    assert_eq!(used("ann", &Scope::Global), 0);
    assert_eq!(used("bob", &Scope::Global), 1);
    assert_eq!(used("ann", &Scope::api("svc", "op")), 1);
}

#[test]
fn a_sweep_forgets_idle_keys_and_clear_all_of_them() {
    let (limiter, clock) = limiter(&[limit("user_id", 2, 1_000)], &[]);
    for user in 0..100 {
        assert_eq!(limiter.check(&request("op", &format!("u{user}"))), Ok(()));
    }
    clock.advance(ms(999));
    for user in 0..10 {
        assert_eq!(limiter.check(&request("op", &format!("u{user}"))), Ok(()));
    }
    assert_eq!(limiter.sweep().removed, 0);
    clock.advance(ms(1));
    let swept = limiter.sweep();
    assert_eq!((swept.removed, swept.remaining), (90, 10));
    assert_eq!(limiter.tracked_keys(), 10);
    assert_eq!(
        limiter.status("u3", &Scope::Global, &USER)[0].current_requests,
        1
    );
    assert_eq!(limiter.clear(), 10);
    assert_eq!(limiter.tracked_keys(), 0);
}

#[test]
fn long_values_are_told_apart_without_being_kept() {
    let (limiter, _clock) = limiter(&[limit("room", 1, 1_000)], &[]);
    let room = |last: &str| {
        let value = format!("{}{last}", "x".repeat(100_000));
        request("op", "ann").with_arg("room", value)
    };
    assert_eq!(limiter.check(&room("a")), Ok(()));
    assert_eq!(limiter.check(&room("b")), Ok(()));
    assert!(limiter.check(&room("a")).is_err());
    assert_eq!(limiter.tracked_keys(), 2);
}

/// A clock whose time cannot be read.
#[derive(Debug)]
struct BrokenClock;

impl Clock for BrokenClock {
    fn now(&self) -> Duration {
        panic!("no time");
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

#[test]
fn what_the_limiter_cannot_answer_passes_unless_it_fails_closed() {
    let mut config = RateLimitConfig {
        global_limits: vec![limit("user_id", 1, 1_000)],
        ..RateLimitConfig::default()
    };
    let limiter = RateLimiter::with_config(Arc::new(BrokenClock), config.clone()).unwrap();
    assert_eq!(limiter.check(&request("op", "ann")), Ok(()));
    config.fail_open = false;
    limiter.update_config(config).unwrap();
    assert_eq!(
        limiter.check(&request("op", "ann")),
        Err(RateLimitError::Unavailable)
    );
    assert_eq!(
        limiter.check_key("ann", &Scope::Global, &USER),
        Err(RateLimitError::Unavailable)
    );
    let unlimited = Request::new("r", "svc", "op");
    assert_eq!(limiter.check(&unlimited), Ok(()));
}

#[test]
fn many_threads_together_get_exactly_what_the_limits_admit() {
    const THREADS: u32 = 4;
    let api = [api_limit("op", "room", 700, 1_000)];
    let global = [limit("user_id", 500, 1_000), limit("device_id", 900, 1_000)];
    let (limiter, _clock) = limiter(&global, &api);
    let admitted: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let limiter = &limiter;
                scope.spawn(move || {
                    let request = request("op", if thread % 2 == 0 { "ann" } else { "bob" })
                        .with_device_id("d")
                        .with_arg("room", "lobby");
                    let passed = (0..1_000).filter(|_| limiter.check(&request).is_ok());
                    u32::try_from(passed.count()).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // The room is the narrowest: both users together want 1000, the device takes 900.
    assert_eq!(admitted, 700);
    let used = |value, scope: &Scope, key: &str| {
        limiter.status(value, scope, &LimitKey::from(key))[0].current_requests
    };
    let users = used("ann", &Scope::Global, "user_id") + used("bob", &Scope::Global, "user_id");
    assert_eq!(users, 700);
    assert_eq!(used("d", &Scope::Global, "device_id"), 700);
    assert_eq!(used("lobby", &Scope::api("svc", "op"), "room"), 700);
}

#[test]
fn without_a_declaration_an_argument_counts_as_a_text_only() {
    let (limiter, _clock) = limiter(&[limit("id", 1, 1_000)], &[]);
    let check = |value: serde_json::Value| {
        let request = Request::new("r", "svc", "op").with_arg("id", value);
        limiter.check(&request).is_ok()
    };
    for uncounted in [json!(7), json!(true), json!(null), json!([7]), json!("")] {
        assert!(check(uncounted.clone()) && check(uncounted));
    }
    assert!(check(json!("7")) && !check(json!("7")));
}

/// What the handle promises, kept the plain way: every admitted request for ever, one list a key.
#[derive(Default)]
struct Model {
    histories: HashMap<(bool, &'static str, String), Vec<u64>>,
}

impl Model {
    /// The limits that apply, as (key of the history, maximum, window).
    fn applying(
        config: &RateLimitConfig,
        request: &Request,
    ) -> Vec<((bool, &'static str, String), u32, u64)> {
        let of = |global: bool, key: &LimitKey, max, window| {
            let kind = if *key == USER { "user" } else { "room" };
            key.value_in(request)
                .map(|value| ((global, kind, value.to_owned()), max, window))
        };
        let global = config
            .global_limits
            .iter()
            .filter_map(|limit| of(true, &limit.key, limit.max_requests, limit.window_ms));
        let api = config
            .api_limits
            .iter()
            .filter(|limit| limit.request_type == request.request_type)
            .filter_map(|limit| of(false, &limit.key, limit.max_requests, limit.window_ms));
        global.chain(api).collect()
    }

    fn check(&mut self, config: &RateLimitConfig, request: &Request, now: u64) -> bool {
        let limits = Self::applying(config, request);
        let room = limits.iter().all(|(key, max, window)| {
            let history = self.histories.entry(key.clone()).or_default();
            history
                .iter()
                .filter(|stamp| now - **stamp < *window)
                .count()
                < *max as usize
        });
        if room {
            let mut keys: Vec<_> = limits.into_iter().map(|(key, ..)| key).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                self.histories.entry(key).or_default().push(now);
            }
        }
        room
    }
}

fn some_limits() -> impl Strategy<Value = Vec<RateLimit>> {
    let one = (prop::bool::ANY, 1_u32..5, 1_u64..50).prop_map(|(by_user, max, window)| {
        limit(if by_user { "user_id" } else { "room" }, max, window)
    });
    prop::collection::vec(one, 0..4)
}

#[derive(Clone, Debug)]
enum Step {
    Check(u8, Option<u8>),
    Wait(u64),
    Sweep,
    Reset(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..3, prop::option::of(0_u8..2)).prop_map(|(user, room)| Step::Check(user, room)),
        4 => (0_u64..30).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
        1 => (0_u8..3).prop_map(Step::Reset),
    ]
}

proptest! {
    #[test]
    fn it_decides_as_a_naive_model_does(
        global in some_limits(),
        api in some_limits(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let api: Vec<_> = api.into_iter().map(|limit| ApiLimit::new("svc", "op", limit)).collect();
        let (limiter, clock) = limiter(&global, &api);
        let config = limiter.config();
        let mut model = Model::default();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Check(user, room) => {
                    let mut request = request("op", &format!("u{user}"));
                    if let Some(room) = room {
                        request.args.insert("room".to_owned(), json!(format!("u{room}")));
                    }
                    let expected = model.check(&config, &request, now);
                    prop_assert_eq!(limiter.check(&request).is_ok(), expected);
                }
                Step::Wait(pause) => {
                    now += pause;
                    clock.advance(ms(pause));
                }
                Step::Sweep => {
                    limiter.sweep();
                }
                Step::Reset(user) => {
                    let user = format!("u{user}");
                    limiter.reset(&user, &Scope::Global, &USER);
                    model.histories.remove(&(true, "user", user));
                }
            }
        }
    }
}
