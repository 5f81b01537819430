//! What telemetry is told of pulls and pushes.

use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::{
    model::{FunConfig, Nodes, PushConfig, PushOptions, ServiceConfig},
    telemetry::{ConfigEvent, Event, Family},
};

fn function(request_type: &str) -> FunConfig {
    let config = FunConfig::builder("users", request_type).call("Users", request_type);
    config.local().build().unwrap()
}

fn push(version: &str) -> PushConfig {
    let functions = [function("get"), function("list")];
    PushConfig::new("users", Nodes::list(["n1"]), version, functions)
}

/// A world whose puller knows one service on one node.
fn world() -> World {
    let token = Some(PushToken::from("s3cret"));
    let world = World::new(Allowlist::default(), token, PullerSettings::default());
    let service = ServiceConfig::new("users", Nodes::list(["n1"]), Mfa::new("Configs", "all"))
        .with_version_check(Mfa::new("Configs", "version"));
    world.pulls.add(vec![service]).unwrap();
    world
}

fn words(event: &Event<'_>) -> String {
    match event {
        Event::Config(ConfigEvent::PullStart { service }) => format!("pull {service}"),
        Event::Config(ConfigEvent::PullStop {
            service,
            duration,
            stored,
            rejected,
            error,
        }) => {
            let error = error
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            format!("pulled {service} {stored} {rejected} in {duration:?}{error}")
        }
        Event::Config(ConfigEvent::Push {
            service,
            config_version,
            stored,
            error,
        }) => {
            let error = error
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            format!("push {service} {config_version} {stored}{error}")
        }
        other => format!("unexpected: {other:?}"),
    }
}

/// Hears everything about configs from now on.
fn hear(world: &World) -> Arc<Mutex<Vec<String>>> {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = {
        let heard = Arc::clone(&heard);
        move |event: &Event<'_>| heard.lock().push(words(event))
    };
    let attached = world.telemetry.attach("test", Family::Config, note);
    attached.unwrap();
    heard
}

#[test]
fn a_pull_is_told_from_its_start_to_its_stop_with_what_came_of_it() {
    let world = world();
    let heard = hear(&world);
    let round = || world.pulls.round(false).now_or_never();
    let bad = json!({"request_type": "bad"});
    let list = json!([function("get"), function("list"), bad]);
    let answers = json!({"version": {"returns": "v1"}, "config": {"returns": list}});
    world.script.set_json("n1", answers);
    assert!(round().is_some());
    assert!(round().is_some());
    world.script.set_json(
        "n1",
        json!({"version": {"fails": "x"}, "config": {"fails": "x"}}),
    );
    assert!(round().is_some());
    let heard = heard.lock();
    assert_eq!(
        heard[..5],
        [
            "pull users",
            "pulled users 2 1 in 0ns",
            "pull users",
            "pulled users 0 0 in 0ns",
            "pull users",
        ]
    );
    assert!(
        heard[5].starts_with("pulled users 0 0 in 0ns: n1: "),
        "{}",
        heard[5]
    );
    assert_eq!(heard.len(), 6);
}

#[test]
fn the_duration_of_a_pull_is_that_of_the_clock_and_one_that_is_given_up_says_so() {
    let world = world();
    let heard = hear(&world);
    world
        .script
        .set_json("n1", json!({"config": {"returns": []}}));
    world.script.hold("n1");
    {
        let mut round = Box::pin(world.pulls.round(false));
        assert!((&mut round).now_or_never().is_none());
        world.clock.advance(Duration::from_millis(30));
        world.script.release();
        assert!((&mut round).now_or_never().is_some());
    }
    world.script.hold("n1");
    assert!(world.pulls.round(false).now_or_never().is_none());
    assert_eq!(
        *heard.lock(),
        [
            "pull users",
            "pulled users 0 0 in 30ms",
            "pull users",
            "pulled users 0 0 in 0ns: the pull was given up",
        ]
    );
}

#[test]
fn a_push_is_told_whether_it_is_stored_skipped_or_refused() {
    let world = world();
    let heard = hear(&world);
    let plain = PushOptions::default();
    for _ in 0..2 {
        let push = push("1").with_token("s3cret");
        world.pushes.push(push.clone(), plain).unwrap();
    }
    world
        .pushes
        .push(push("2").with_token("wrong"), plain)
        .unwrap_err();
    let unreadable = json!({"service": "users", "config_version": "3", "fun_configs": 7});
    world.pushes.push_json(unreadable, plain).unwrap_err();
    world.pushes.push_json(json!(7), plain).unwrap_err();
    let heard = heard.lock();
    assert_eq!(
        heard[..3],
        [
            "push users 1 2",
            "push users 1 0",
            "push users 2 0: the push token is missing or wrong",
        ]
    );
    assert!(heard[3].starts_with("push users 3 0: "), "{}", heard[3]);
    assert!(heard[3].contains("fun_configs"), "{}", heard[3]);
    assert!(heard[4].starts_with("push   0: "), "{}", heard[4]);
    assert_eq!(heard.len(), 5);
}

#[test]
fn a_handler_may_ask_for_what_it_is_told_about() {
    let world = world();
    let seen: Arc<Mutex<Vec<(usize, u64)>>> = Arc::default();
    let look = {
        let (pushes, pulls) = (Arc::clone(&world.pushes), Arc::clone(&world.pulls));
        let seen = Arc::clone(&seen);
        move |_: &Event<'_>| {
            let seen_now = (pushes.services().len(), pulls.status().rounds);
            seen.lock().push(seen_now);
        }
    };
    world
        .telemetry
        .attach("test", Family::Config, look)
        .unwrap();
    let pushed = push("1").with_token("s3cret");
    world.pushes.push(pushed, PushOptions::default()).unwrap();
    world.pulls.round(false).now_or_never().unwrap();
    assert_eq!(*seen.lock(), [(1, 0), (1, 0), (1, 0)]);
}

#[cfg(feature = "metrics")]
#[test]
fn pulls_and_pushes_are_counted_and_timed_by_the_recorder() {
    use crate::telemetry::{Filter, metrics, metrics::tests::Sums};

    let world = world();
    let sums = Sums::default();
    ::metrics::with_local_recorder(&sums, || {
        let attached = world
            .telemetry
            .attach("metrics", Filter::all(), metrics::handler());
        attached.unwrap();
        let pushed = push("1").with_token("s3cret");
        world.pushes.push(pushed, PushOptions::default()).unwrap();
        world
            .pushes
            .push(push("2"), PushOptions::default())
            .unwrap_err();
        world.pulls.round(false).now_or_never().unwrap();
    });
    for counter in [
        "gen_api_config_pushes_total{outcome=success}",
        "gen_api_config_pushes_total{outcome=failure}",
        "gen_api_config_pulls_total{service=users,outcome=failure}",
    ] {
        assert_eq!(sums.value(counter), Some(1.0), "{counter}");
    }
    let timed = "gen_api_config_pull_duration_seconds{service=users}";
    assert_eq!(sums.value(timed), Some(0.0));
}
