use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ManualClock,
    node::{Address, NodeSettings, sticky::STICKY_TTL},
};

/// A selector, the answer of its resolver, and how often the resolver was asked.
struct World {
    clock: ManualClock,
    selector: NodeSelector,
    answer: Arc<Mutex<Result<Value, String>>>,
    asked: Arc<AtomicUsize>,
}

impl World {
    fn new(settings: NodeSettings) -> Self {
        let clock = ManualClock::new();
        let answer = Arc::new(Mutex::new(Ok(json!(["n1", "n2", "n3"]))));
        let asked = Arc::new(AtomicUsize::new(0));
        let ask = {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            move |_: Mfa| {
                asked.fetch_add(1, Ordering::Relaxed);
                std::future::ready(answer.lock().clone())
            }
        };
        let resolver = NodeResolver::new(ask, Arc::new(clock.clone()), settings);
        Self {
            clock,
            selector: NodeSelector::new(resolver),
            answer,
            asked,
        }
    }

    fn pick(&self, request: &Request, config: &FunConfig) -> Result<String, NodeError> {
        let picked = self.selector.pick(request, config).now_or_never();
        picked.unwrap().map(|node| node.to_string())
    }

    fn order(&self, request: &Request, config: &FunConfig) -> Result<Vec<String>, NodeError> {
        let order = self.selector.order(request, config).now_or_never();
        let order = order.unwrap()?;
        Ok(order.iter().map(Node::to_string).collect())
    }

    fn answers(&self, answer: Value) {
        *self.answer.lock() = Ok(answer);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn world() -> World {
    World::new(NodeSettings::default())
}

fn config(mode: ChooseNodeMode) -> FunConfig {
    let mut config = FunConfig::builder("s", "t")
        .call("M", "f")
        .local()
        .build()
        .unwrap();
    config.nodes = Nodes::list(["n1", "n2", "n3"]);
    config.choose_node_mode = mode;
    config
}

fn resolved(mode: ChooseNodeMode) -> FunConfig {
    FunConfig {
        nodes: Nodes::Resolver(Mfa::new("R", "nodes")),
        ..config(mode)
    }
}

fn request() -> Request {
    Request::new("r", "s", "t").with_user_id("ann")
}

fn sticky() -> ChooseNodeMode {
    ChooseNodeMode::Sticky("user_id".to_owned())
}

#[test]
fn a_function_of_this_process_needs_nobody() {
    let world = world();
    for mode in [
        ChooseNodeMode::RoundRobin,
        ChooseNodeMode::Custom("nobody".to_owned()),
    ] {
        let mut config = config(mode);
        config.nodes = Nodes::Local;
        assert_eq!(world.pick(&request(), &config).unwrap(), "local");
    }
    assert_eq!(world.asked(), 0);
    assert!(world.selector.shared.configs.is_empty());
}

#[test]
fn round_robin_is_exact_under_concurrency() {
    let (world, config) = (world(), config(ChooseNodeMode::RoundRobin));
    let run = || -> Vec<String> {
        let picks = (0..3_000).map(|_| world.pick(&request(), &config));
        picks.map(Result::unwrap).collect()
    };
    let picked: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        let picked = threads.into_iter().map(|thread| thread.join().unwrap());
        picked.flatten().collect()
    });
    for node in ["n1", "n2", "n3"] {
        assert_eq!(
            picked.iter().filter(|picked| *picked == node).count(),
            4_000
        );
    }
}

#[test]
fn each_config_has_its_own_turn_and_keeps_it_when_the_list_changes() {
    let world = world();
    let mut first = config(ChooseNodeMode::RoundRobin);
    let second = FunConfig {
        version: Some("2.0.0".to_owned()),
        ..first.clone()
    };
    assert_eq!(world.pick(&request(), &first).unwrap(), "n1");
    assert_eq!(world.pick(&request(), &second).unwrap(), "n1");
    assert_eq!(world.pick(&request(), &first).unwrap(), "n2");
    first.nodes = Nodes::list(["m1", "m2", "m3", "m4"]);
    assert_eq!(world.pick(&request(), &first).unwrap(), "m3");
    world.selector.reset_round_robin();
    assert_eq!(
        world.order(&request(), &first).unwrap(),
        ["m1", "m2", "m3", "m4"]
    );
}

#[test]
fn a_changed_list_is_seen_at_once() {
    let (world, mut config) = (world(), config(ChooseNodeMode::Hash));
    let before = world.pick(&request(), &config).unwrap();
    config.nodes = Nodes::list(["other"]);
    assert_eq!(world.pick(&request(), &config).unwrap(), "other");
    config.nodes = Nodes::list(["n1", "n2", "n3"]);
    assert_eq!(world.pick(&request(), &config).unwrap(), before);
}

#[test]
fn equal_lists_share_one_ring_over_configs_and_answers_of_a_resolver() {
    let world = world();
    let other = FunConfig {
        request_type: "other".to_owned(),
        ..config(ChooseNodeMode::Hash)
    };
    let list = |config: &FunConfig| {
        world.pick(&request(), config).unwrap();
        let found = world.selector.state(config).found();
        Arc::clone(&found.as_deref().unwrap().list)
    };
    let ring = list(&config(ChooseNodeMode::Hash));
    assert!(Arc::ptr_eq(&ring, &list(&other)));
    for _ in 0..2 {
        assert!(Arc::ptr_eq(&ring, &list(&resolved(ChooseNodeMode::Hash))));
    }
}

#[test]
fn a_resolver_is_asked_at_each_selection() {
    let (world, config) = (world(), resolved(ChooseNodeMode::RoundRobin));
    assert_eq!(world.pick(&request(), &config).unwrap(), "n1");
    world.answers(json!(["m1", "m2"]));
    assert_eq!(world.order(&request(), &config).unwrap(), ["m2", "m1"]);
    assert_eq!(world.asked(), 2);
}

#[test]
fn a_cached_answer_serves_exactly_as_long_as_its_setting_says() {
    let settings = NodeSettings::default().with_resolver_cache(Duration::from_millis(100));
    let (world, config) = (World::new(settings), resolved(ChooseNodeMode::Hash));
    world.pick(&request(), &config).unwrap();
    world.answers(json!(["m"]));
    world.clock.advance(Duration::from_millis(99));
    assert_ne!(world.pick(&request(), &config).unwrap(), "m");
    assert_eq!(world.asked(), 1);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.pick(&request(), &config).unwrap(), "m");
    assert_eq!(world.asked(), 2);
    // The same answer is as fresh as a new one.
    world.clock.advance(Duration::from_millis(100));
    world.pick(&request(), &config).unwrap();
    world.clock.advance(Duration::from_millis(99));
    world.pick(&request(), &config).unwrap();
    assert_eq!(world.asked(), 3);
}

#[test]
fn a_cached_answer_does_not_serve_another_resolver_nor_a_failure() {
    let settings = NodeSettings::default().with_resolver_cache(Duration::from_secs(1));
    let (world, mut config) = (World::new(settings), resolved(ChooseNodeMode::Random));
    *world.answer.lock() = Err("boom".to_owned());
    let error = world.pick(&request(), &config).unwrap_err();
    assert_eq!(error.code(), "dynamic_node_resolution_failed");
    world.answers(json!(["m"]));
    assert_eq!(world.pick(&request(), &config).unwrap(), "m");
    config.nodes = Nodes::Resolver(Mfa::new("R", "other"));
    world.answers(json!(["o"]));
    assert_eq!(world.pick(&request(), &config).unwrap(), "o");
}

#[test]
fn no_nodes_is_an_error_in_every_mode() {
    let world = world();
    world
        .selector
        .register("first", |_: &Request, _: &FunConfig, _: &[Node]| 0);
    for mode in [
        ChooseNodeMode::Random,
        ChooseNodeMode::Hash,
        ChooseNodeMode::HashKey("user_id".to_owned()),
        ChooseNodeMode::RoundRobin,
        sticky(),
        ChooseNodeMode::Custom("first".to_owned()),
    ] {
        for nodes in [Nodes::list([""; 0]), Nodes::list(["", " "])] {
            let config = FunConfig {
                nodes,
                ..config(mode.clone())
            };
            let error = world.order(&request(), &config).unwrap_err();
            assert_eq!(error.code(), "no_nodes_available", "{config:?}");
        }
    }
}

#[test]
fn a_sticky_value_may_go_elsewhere_after_an_hour() {
    let (world, config) = (world(), config(sticky()));
    let first = world.pick(&request(), &config).unwrap();
    world.clock.advance(STICKY_TTL - Duration::from_millis(1));
    assert_eq!(world.pick(&request(), &config).unwrap(), first);
    let seen: BTreeSet<String> = (0..100)
        .map(|_| {
            world.clock.advance(STICKY_TTL);
            world.pick(&request(), &config).unwrap()
        })
        .collect();
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_sticky_mode_without_a_value_binds_nothing() {
    let (world, config) = (world(), config(sticky()));
    let nameless = Request::new("r", "s", "t");
    let seen: BTreeSet<String> = (0..100)
        .map(|_| world.pick(&nameless, &config).unwrap())
        .collect();
    assert_eq!((seen.len(), world.selector.sticky_entries()), (3, 0));
}

#[test]
fn the_functions_of_a_service_share_bindings_and_services_do_not() {
    let world = world();
    let (one, mut two, mut three) = (config(sticky()), config(sticky()), config(sticky()));
    two.request_type = "two".to_owned();
    three.service = "three".to_owned();
    for user in 0..20 {
        let request = request().with_user_id(user.to_string());
        let order = world.order(&request, &one).unwrap();
        assert_eq!(world.order(&request, &two).unwrap(), order);
        world.pick(&request, &three).unwrap();
    }
    assert_eq!(world.selector.sticky_entries(), 40);
    world.clock.advance(STICKY_TTL);
    world.selector.sweep();
    assert_eq!(world.selector.sticky_entries(), 0);
}

#[test]
fn a_custom_selector_sees_request_config_and_nodes() {
    let world = world();
    world.selector.register(
        "by_id",
        |request: &Request, config: &FunConfig, nodes: &[Node]| {
            assert_eq!(config.service, "s");
            nodes
                .iter()
                .position(|node| node.to_string() == request.request_id)
        },
    );
    let config = config(ChooseNodeMode::Custom("by_id".to_owned()));
    let of = |id: &str| world.order(&Request::new(id, "s", "t"), &config);
    assert_eq!(of("n2").unwrap(), ["n2", "n1", "n3"]);
    assert_eq!(of("n9").unwrap_err().code(), "no_nodes_available");
}

#[test]
fn a_custom_selector_can_order_and_leave_out() {
    let world = world();
    let config = config(ChooseNodeMode::Custom("fixed".to_owned()));
    for (places, expected) in [(vec![2, 0, 2], Some(vec!["n3", "n1"])), (vec![], None)] {
        let chosen = places.clone();
        world
            .selector
            .register("fixed", move |_: &Request, _: &FunConfig, _: &[Node]| {
                chosen.clone()
            });
        let order = world.order(&request(), &config).ok();
        let expected: Option<Vec<String>> =
            expected.map(|names| names.into_iter().map(str::to_owned).collect());
        assert_eq!(order, expected, "{places:?}");
    }
}

#[test]
fn a_custom_selector_that_is_unknown_or_wrong_fails_the_request_alone() {
    let world = world();
    let panics = |_: &Request, _: &FunConfig, _: &[Node]| -> usize { panic!("kaboom") };
    world.selector.register("panics", panics);
    world
        .selector
        .register("outside", |_: &Request, _: &FunConfig, nodes: &[Node]| {
            nodes.len()
        });
    world
        .selector
        .register("beyond", |_: &Request, _: &FunConfig, _: &[Node]| {
            vec![0, 3]
        });
    for name in ["panics", "outside", "beyond", "nobody"] {
        let config = config(ChooseNodeMode::Custom(name.to_owned()));
        let error = world.pick(&request(), &config).unwrap_err();
        assert_eq!(error.code(), "node_selection_failed");
        assert!(error.to_string().contains(name), "{error}");
        assert!(!error.to_string().contains("kaboom"), "{error}");
    }
}

#[test]
fn configs_that_are_gone_are_forgotten() {
    let world = world();
    let mut config = config(ChooseNodeMode::RoundRobin);
    for version in ["1.0.0", "2.0.0"] {
        config.version = Some(version.to_owned());
        world.pick(&request(), &config).unwrap();
    }
    world
        .selector
        .retain(|_, _, version| version == Some("2.0.0"));
    assert_eq!(world.pick(&request(), &config).unwrap(), "n2");
    config.version = Some("1.0.0".to_owned());
    assert_eq!(world.pick(&request(), &config).unwrap(), "n1");
}

#[test]
fn a_selection_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let (world, config, request) = (world(), resolved(ChooseNodeMode::Hash), request());
    is_send(world.selector.order(&request, &config));
    is_send(world.selector.pick(&request, &config));
}

proptest! {
    #[test]
    fn an_order_holds_every_node_once(
        names in proptest::collection::btree_set("[a-z]{1,5}", 1..10),
        mode in proptest::sample::select(vec![
            ChooseNodeMode::Random,
            ChooseNodeMode::Hash,
            ChooseNodeMode::HashKey("device_id".to_owned()),
            ChooseNodeMode::RoundRobin,
            sticky(),
        ]),
        id in ".{0,10}",
    ) {
        let config = FunConfig { nodes: Nodes::list(&names), ..config(mode) };
        let request = request().with_arg("x", 1);
        let request = Request { request_id: id, ..request };
        let mut order = world().order(&request, &config).unwrap();
        order.sort_unstable();
        prop_assert_eq!(order, names.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_keys(
        names in proptest::collection::btree_set("[a-z]{1,5}", 2..10),
        keys in proptest::collection::vec(".{1,10}", 20),
    ) {
        let (world, mut config) = (world(), config(ChooseNodeMode::HashKey("key".to_owned())));
        let of = |config: &FunConfig, key: &String| {
            world.pick(&request().with_arg("key", key.as_str()), config).unwrap()
        };
        config.nodes = Nodes::list(&names);
        let before: Vec<String> = keys.iter().map(|key| of(&config, key)).collect();
        let leaver = Address::new(names.first().unwrap()).unwrap();
        config.nodes = Nodes::list(names.iter().skip(1));
        for (key, before) in keys.iter().zip(before) {
            let after = of(&config, key);
            prop_assert!(after == before || before == leaver.as_str());
        }
    }
}
