//! The rows of the page `old_names`, one after the other: each verb and each message works (specification, section 22).

use std::sync::Arc;

use actix::Message;
use actix_otp::{ArbiterPool, ChildRef};
use gen_api::{
    Execute, GenApi, Settings, StartStream,
    arguments::{ArgOrders, ArgType, CallArgs, Limits, convert},
    clock::{Clock, ManualClock},
    config::{
        Add, AddServices, BatchAdd, Clear, Delete, DeleteServices, Disable, Enable, ForcePull,
        GetPullerStatus, LookupError, Pull, Push, PushOnStartup, PushTo, Pusher, PusherSettings,
        Update, Verify, VerifyAt,
    },
    connection::{Connection, Outlet, PushError},
    function::{FunctionError, Functions, StreamHandle},
    model::{
        CheckPermission, FunConfig, Identity, Mfa, Nodes, PushConfig, PushOptions, PushOutcome,
        Request, Response, ServiceConfig, Verification,
    },
    node::Address,
    permission,
    rate_limiter::{
        self, AddGlobalLimit, Check, CheckKey, GetConfig, GetGlobalLimits, GetStatus, LimitKey,
        RateLimit, RateLimitUpdate, RemoveGlobalLimit, Reset, Scope, SetGlobalLimits, UpdateConfig,
    },
    relay::{GetGroupInfo, GroupType, MemberStatus},
    service_node::InMemoryTransport,
    stream::StopStream,
    telemetry::Filter,
    worker_pool::{PoolSettings, Run, WorkerPool, WorkerPoolActor},
};
use serde_json::{Map, json};

/// The old names of which the page has a row.
const OLD_NAMES: [&str; 65] = [
    "execute!",
    "execute_params!",
    "execute_with_timeout!",
    "check_rate_limit(request)",
    "check_rate_limit(key, scope, kind)",
    "get_global_limits",
    "set_global_limits",
    "add_global_limit",
    "remove_global_limit",
    "get_rate_limit_config",
    "update_rate_limit_config",
    "get_rate_limit_status",
    "reset_rate_limit",
    "push_config",
    "verify_config",
    "ConfigPusher.push`",
    "ConfigPusher.push_on_startup",
    "ConfigPusher.verify",
    "ConfigPusher.from_service_config",
    "client_mode: true",
    "ConfigPuller.add",
    "ConfigPuller.pull",
    "force_pull",
    "get_services",
    "get_api_list",
    "get_service_version",
    "get_all_versions",
    "ConfigPuller.child_spec",
    "ConfigDb.add",
    "batch_add",
    "update",
    "delete",
    "enable",
    "disable",
    "get_fast",
    "get_latest",
    "get_all_functions",
    "get_all_services",
    "count",
    "clear",
    "StreamCall.start_link",
    "stop_stream",
    "send_result",
    "send_last_result",
    "send_complete",
    "send_error",
    "get_node",
    "get_nodes",
    "check_permission",
    "convert_args!",
    "WorkerPool.execute_async",
    "Relay.create_group",
    "delete_group",
    "get_group_info",
    "Relay.join_group",
    "leave_group",
    "accept_member",
    "mute_member",
    "handle_relay",
    "attach_telemetry",
    "detach_telemetry",
    "cache_status",
    "pool_status",
    "pushed_services_status",
    "rl_global",
];

#[test]
fn every_old_name_stands_in_the_first_column_of_the_page() {
    let page = include_str!("../src/old_names.rs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | "));
    let old: Vec<&str> = rows.filter_map(|row| row.split(" | ").next()).collect();
    for name in OLD_NAMES {
        assert!(old.iter().any(|row| row.contains(name)), "{name}");
    }
}

fn config(request_type: &str) -> FunConfig {
    let config = FunConfig::builder("svc", request_type).call("T", request_type);
    config.local().build().expect("a valid config")
}

async fn start() -> GenApi {
    async fn ping() -> Result<&'static str, FunctionError> {
        Ok("pong")
    }
    async fn ticks(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result("tick").await?;
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "ping", ping)
        .register("T", "ticks", ticks);
    let ticks = FunConfig::builder("svc", "ticks").call("T", "ticks");
    let ticks = ticks.local().stream().build().expect("a valid config");
    let builder = GenApi::builder()
        .functions(functions)
        .configs([config("ping"), ticks])
        .settings(Settings::default().with_threads(1));
    builder.start().await.expect("the engine starts")
}

fn request(request_type: &str) -> Request {
    Request::new("r", "svc", request_type)
}

/// Asks an actor that lives.
async fn ask<A, M>(actor: &ChildRef<A>, message: M) -> M::Result
where
    A: actix::Actor<Context = actix::Context<A>> + actix::Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    match actor.call(message).await {
        Ok(answer) => answer,
        Err(_) => panic!("the actor {} does not live", actor.id()),
    }
}

#[tokio::test]
async fn executor() {
    let api = start().await;
    let pong = Some(Response::sync("r", "pong"));
    assert_eq!(api.execute(request("ping")).await.response, pong);
    let json = br#"{"request_id":"r","service":"svc","request_type":"ping"}"#;
    let answered = api.execute_json(&Identity::anonymous(), json).await;
    assert_eq!(answered.response, pong);
    let minute = std::time::Duration::from_secs(60);
    let limited = api.execute_with_timeout(request("ping"), minute).await;
    assert_eq!(limited.response, pong);
    let reply = ask(api.executor(0), Execute::new(request("ping"))).await;
    assert_eq!(reply.response, pong);
    api.stop().await;
}

#[tokio::test]
async fn rate_limits() {
    let api = start().await;
    let (limiter, actor) = (api.rate_limiter(), api.rate_limiter_actor());
    let of_users = |requests| RateLimit::new(LimitKey::UserId, requests, 60_000);
    let of_devices = RateLimit::new(LimitKey::DeviceId, 9, 60_000);
    let key = || ("ann".to_owned(), Scope::Global, LimitKey::UserId);
    let ann = || request("ping").with_user_id("ann");

    limiter.set_global_limits(vec![of_users(3)]).expect("valid");
    limiter.add_global_limit(of_devices.clone()).expect("valid");
    assert_eq!(limiter.global_limits(), [of_users(3), of_devices.clone()]);
    assert!(limiter.remove_global_limit(&LimitKey::DeviceId));
    assert_eq!(limiter.check(&ann()), Ok(()));
    let (value, scope, kind) = key();
    assert_eq!(limiter.check_key(&value, &scope, &kind), Ok(()));
    let status = limiter.status(&value, &scope, &kind);
    assert_eq!(status.first().map(|limit| limit.remaining), Some(1));
    assert!(limiter.reset(&value, &scope, &kind));
    let off = || {
        let mut update = RateLimitUpdate::new();
        update.enabled = Some(false);
        update
    };
    limiter.update_config(off()).expect("valid");
    assert!(!limiter.config().enabled);

    let mut on = RateLimitUpdate::new();
    on.enabled = Some(true);
    ask(actor, UpdateConfig(on)).await.expect("valid");
    assert!(ask(actor, GetConfig).await.enabled);
    let set = SetGlobalLimits(vec![of_users(2)]);
    ask(actor, set).await.expect("valid");
    let add = AddGlobalLimit(of_devices);
    ask(actor, add).await.expect("valid");
    assert!(ask(actor, RemoveGlobalLimit(LimitKey::DeviceId)).await);
    assert_eq!(ask(actor, GetGlobalLimits).await, [of_users(2)]);
    assert_eq!(ask(actor, Check(ann())).await, Ok(()));
    let (value, scope, kind) = key();
    let check = CheckKey { value, scope, kind };
    assert_eq!(ask(actor, check.clone()).await, Ok(()));
    assert!(ask(actor, check).await.is_err());
    let (value, scope, kind) = key();
    let status = ask(actor, GetStatus { value, scope, kind }).await;
    assert_eq!(status.first().map(|limit| limit.remaining), Some(0));
    let (value, scope, kind) = key();
    assert!(ask(actor, Reset { value, scope, kind }).await);
    assert_eq!(ask(actor, rate_limiter::Clear).await, 0);
    api.stop().await;
}

#[tokio::test]
async fn receiver() {
    let api = start().await;
    let receiver = api.receiver();
    let push = |version: &str| {
        let nodes = Nodes::list(["http://a:1"]);
        PushConfig::new("users", nodes, version, [named("users", "get")])
    };
    let outcome = receiver.push(push("v1"), PushOptions::default()).await;
    assert_eq!(outcome, Ok(PushOutcome::Accepted));
    assert_eq!(receiver.verify("users", "v1"), Verification::Matched);
    let message = Push {
        config: Box::new(push("v2")),
        options: PushOptions::default(),
    };
    let outcome = ask(receiver.actor(), message).await;
    assert_eq!(outcome, Ok(PushOutcome::Accepted));
    let message = Verify {
        service: "users".to_owned(),
        config_version: "v1".to_owned(),
    };
    let verified = ask(receiver.actor(), message).await;
    assert_eq!(verified, Verification::Mismatch("v2".to_owned()));
    api.stop().await;
}

fn named(service: &str, request_type: &str) -> FunConfig {
    let config = FunConfig::builder(service, request_type).call("T", request_type);
    config.local().build().expect("a valid config")
}

#[tokio::test]
async fn puller() {
    let api = start().await;
    let puller = api.puller();
    let service = || {
        let nodes = Nodes::list(["http://a:1"]);
        ServiceConfig::new("users", nodes, Mfa::new("Configs", "all"))
    };
    puller.add([service()]).expect("a valid service");
    assert!(puller.get_services().contains_key("users"));
    // There is no transport, so the service cannot be reached.
    let report = puller.pull().await.expect("the puller lives");
    assert_eq!((report.results.len(), report.failures), (1, 1));
    let report = puller.force_pull().await.expect("the puller lives");
    assert_eq!(report.failures, 2);
    assert_eq!(puller.get_api_list("users"), None);
    assert_eq!(puller.get_service_version("users"), None);
    assert_eq!(puller.get_all_versions().get("users"), Some(&None));
    puller.delete(["users"]);
    assert!(puller.get_services().is_empty());

    let actor = puller.actor();
    assert_eq!(ask(actor, AddServices(vec![service()])).await, Ok(()));
    assert_eq!(ask(actor, Pull).await.failures, 3);
    assert_eq!(ask(actor, ForcePull).await.failures, 4);
    assert_eq!(ask(actor, GetPullerStatus).await.services.len(), 1);
    ask(actor, DeleteServices(vec!["users".to_owned()])).await;
    assert!(puller.get_services().is_empty());

    let tree = api.supervision_tree().await.to_string();
    assert!(tree.contains("puller"), "{tree}");
    api.stop().await;
}

#[tokio::test]
async fn config_db() {
    let api = start().await;
    let db = api.config_db();
    db.clear().await.expect("it lives");
    let versioned = |version: &str| {
        let config = FunConfig::builder("svc", "ping").version(version);
        let config = config.call("T", "ping").local();
        config.build().expect("a valid config")
    };
    db.add(config("ping")).await.expect("valid");
    db.update(versioned("1.0.0")).await.expect("valid");
    let report = db.batch_add(vec![versioned("2.0.0")]).await;
    assert_eq!(report.expect("it lives").stored, 1);
    db.disable("svc", "ping", Some("2.0.0"))
        .await
        .expect("known");
    assert_eq!(db.get_latest("svc", "ping"), Ok(versioned("1.0.0")));
    db.enable("svc", "ping", Some("2.0.0"))
        .await
        .expect("known");
    assert_eq!(db.get_fast("svc", "ping"), Ok(versioned("2.0.0")));
    assert_eq!(db.get("svc", "ping", None), Ok(config("ping")));
    assert_eq!(db.count(), 3);
    assert_eq!(db.get_all_functions()["svc"]["ping"].len(), 3);
    assert!(db.get_all_services().contains("svc"));
    db.delete("svc", "ping", None).await.expect("it lives");
    assert_eq!(db.get("svc", "ping", None), Err(LookupError::NotFound));

    let actor = db.actor();
    ask(actor, Clear).await;
    assert_eq!(db.count(), 0);
    ask(actor, Add(config("ping"))).await.expect("valid");
    ask(actor, Update(config("ping"))).await.expect("valid");
    assert_eq!(ask(actor, BatchAdd(vec![config("b")])).await.stored, 1);
    let (service, request_type) = ("svc".to_owned(), "b".to_owned());
    let disable = Disable {
        service: service.clone(),
        request_type: request_type.clone(),
        version: None,
    };
    ask(actor, disable).await.expect("known");
    assert_eq!(db.get_fast("svc", "b"), Err(LookupError::Disabled));
    let enable = Enable {
        service: service.clone(),
        request_type: request_type.clone(),
        version: None,
    };
    ask(actor, enable).await.expect("known");
    assert!(db.get_fast("svc", "b").is_ok());
    let delete = Delete {
        service,
        request_type,
        version: None,
    };
    ask(actor, delete).await;
    assert_eq!(db.get_fast("svc", "b"), Err(LookupError::NotFound));
    api.stop().await;
}

#[tokio::test]
async fn stream_call_and_stream_helper() {
    let api = start().await;
    for through_its_actor in [true, false] {
        let started = ask(api.executor(0), StartStream::new(request("ticks"))).await;
        let started = started.expect("a stream");
        if through_its_actor {
            let stopped = started.stream().addr().send(StopStream).await;
            stopped.expect("it runs");
        } else {
            api.stop_stream("r").expect("it runs");
        }
        let responses = started.reply.collect().await;
        assert_eq!(responses.last(), Some(&Response::stream_end("r")));
    }
    api.stop().await;
}

#[tokio::test]
async fn stream_helper() {
    async fn all(how: String, stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await?;
        match how.as_str() {
            "last" => stream.send_last_result(2).await?,
            "complete" => stream.complete().await?,
            _ => stream.fail(FunctionError::public("no more")).await?,
        }
        Ok(())
    }
    let config = FunConfig::builder("svc", "all").call("T", "all").stream();
    let config = config.arg("how", ArgType::String).local().build();
    let api = GenApi::builder()
        .functions(Functions::new().register("T", "all", all))
        .config(config.expect("a valid config"))
        .start()
        .await
        .expect("the engine starts");
    for (how, end) in [
        ("last", Response::last_stream_chunk("r", 2)),
        ("complete", Response::stream_end("r")),
        ("error", Response::error("r", "no more")),
    ] {
        let reply = api.execute(request("all").with_arg("how", how)).await;
        let responses = reply.collect().await;
        assert_eq!(responses[1..], [Response::stream_chunk("r", 1), end]);
    }
    api.stop().await;
}

#[tokio::test]
async fn node_selector_permission_and_arguments() {
    let api = start().await;
    let config = FunConfig::builder("svc", "far").call("T", "far");
    let config = config.nodes(["http://a:1", "http://b:2"]).build();
    let config = config.expect("a valid config");
    let selector = api.node_selector();
    let picked = selector.pick(&request("far"), &config).await;
    let picked = picked.expect("there are nodes").to_string();
    assert!(["http://a:1", "http://b:2"].contains(&&*picked));
    let order = selector.order(&request("far"), &config).await;
    assert_eq!(order.expect("there are nodes").fallback().count(), 1);

    let anybody = CheckPermission::AnyAuthenticated;
    let map = ArgOrders::Names(Vec::new());
    assert!(!permission::check(&anybody, &request("ping"), &map));
    let ann = request("ping").with_user_id("ann");
    assert!(permission::check(&anybody, &ann, &map));

    let types = [("n".to_owned(), ArgType::Num.into())].into();
    let orders = ArgOrders::Names(vec!["n".to_owned()]);
    let args = Map::from_iter([("n".to_owned(), json!(7))]);
    let converted = convert(args, &types, &orders, &Limits::default());
    assert_eq!(converted, Ok(CallArgs::List(vec![json!(7)])));
    api.stop().await;
}

#[tokio::test]
async fn worker_pool() {
    let api = start().await;
    for pool in [api.async_pool(), api.stream_pool()] {
        let answer = ask(pool, Run::new(async { 6 * 7 })).await;
        assert_eq!(answer.expect("there is room"), 42);
    }
    let status = api.pool_status();
    assert_eq!(
        (status.async_pool.executed, status.stream_pool.executed),
        (1, 1)
    );
    api.async_pool().kill().await;
    api.async_pool().wait_until_running(1).await;
    let answer = ask(api.async_pool(), Run::new(async { 1 })).await;
    assert_eq!(answer.expect("there is room"), 1);
    assert_eq!(api.pool_status().async_pool.executed, 2);
    api.stop().await;
}

#[actix::test]
async fn worker_pool_of_ones_own() {
    use actix::Actor;
    let clock = Arc::new(gen_api::clock::ManualClock::new());
    let pool = WorkerPool::new("own", PoolSettings::new(1, 0), clock);
    let threads = ArbiterPool::new(1).expect("a thread");
    let actor = WorkerPoolActor::new(pool.clone(), threads).start();
    let answer = actor.send(Run::new(async { "done" })).await;
    assert_eq!(answer.expect("it lives").expect("there is room"), "done");
    assert_eq!(pool.status().executed, 1);
}

#[tokio::test]
async fn relay() {
    struct Nowhere;

    impl Outlet for Nowhere {
        fn push(&self, _: Response) -> Result<(), PushError> {
            Ok(())
        }
    }

    let api = start().await;
    let (relay, connection) = (api.relay(), Connection::new(Nowhere));
    let created = relay.create("tea", GroupType::StrictPrivate, "ann", connection.clone());
    created.await.expect("it is new");
    let joined = relay.join("tea", "bob", connection).await;
    assert_eq!(joined, Ok(MemberStatus::Pending));
    relay.accept("tea", "ann", "bob").await.expect("he waits");
    relay.mute("tea", "ann", "bob").await.expect("he is active");
    relay
        .unmute("tea", "ann", "bob")
        .await
        .expect("he is muted");
    let sent = relay.send("tea", "bob", "hi", "r").await;
    assert_eq!(sent.map(|sent| sent.recipients), Ok(2));
    let ask_info = GetGroupInfo {
        group_id: "tea".to_owned(),
        viewer_id: None,
    };
    let info = ask(relay.actor(), ask_info).await;
    assert_eq!(info, relay.info("tea"));
    assert_eq!(info.map(|group| group.members.len()), Ok(2));
    relay.leave("tea", "bob").await.expect("he is a member");
    relay.delete("tea").await.expect("it is there");
    assert_eq!(relay.count(), 0);
    api.stop().await;
}

#[tokio::test]
async fn telemetry() {
    let api = start().await;
    let attached = api.telemetry().attach("mine", Filter::all(), |_| {});
    assert_eq!(attached, Ok(()));
    assert!(api.telemetry().detach("mine"));
    assert!(!api.telemetry().detach("mine"));
    api.stop().await;
}

#[tokio::test]
async fn every_status_prints_as_a_table() {
    let api = start().await;
    let tables = [
        api.cache_status().to_string(),
        api.pool_status().to_string(),
        api.pushed_services_status().to_string(),
        api.rl_global().to_string(),
        api.rl_status("ann").to_string(),
    ];
    let headers = ["service", "pool", "service", "key", "key"];
    for (table, header) in tables.iter().zip(headers) {
        assert!(table.starts_with(header), "{table}");
    }
    let rules = api.rl_config().to_string();
    assert!(rules.starts_with("rate limiting on"), "{rules}");
    api.stop().await;
}

#[tokio::test]
async fn the_verbs_of_the_pusher_work_on_the_side_of_the_service() {
    let api = start().await;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let transport = InMemoryTransport::new(Arc::clone(&clock));
    let gateway = Address::new("mem://gateway").expect("an address");
    transport.serve_gateway(gateway.clone(), api.receiver().clone());
    let (child, pusher) = Pusher::child(Arc::new(transport), PusherSettings::default(), clock);
    api.root().start_child(child).await.expect("a child");
    let options = PushOptions::default();
    let service = |name: &str| {
        let configs = Mfa::new("Configs", "all");
        let config = FunConfig::builder(name, "get").call("T", "get").local();
        let service = ServiceConfig::new(name, Nodes::list(["mem://node"]), configs);
        Pusher::from_service_config(service, "1", [config.build().expect("a config")])
    };

    let pushed = pusher.push(&gateway, &service("one"), options).await;
    assert_eq!(pushed, Ok(PushOutcome::Accepted));
    let message = PushTo {
        gateway: gateway.clone(),
        config: Box::new(service("two")),
        options,
    };
    let pushed = ask(pusher.actor(), message).await;
    assert_eq!(pushed, Ok(PushOutcome::Accepted));

    let kept = pusher.push_on_startup([gateway.clone()], service("three"), options);
    kept.await.expect("a pusher");
    pusher.wait_until_accepted("three").await;
    let message = PushOnStartup {
        gateways: vec![gateway.clone()],
        config: Box::new(service("four")),
        options,
    };
    ask(pusher.actor(), message).await;
    pusher.wait_until_accepted("four").await;

    for name in ["one", "two", "three", "four"] {
        let verified = pusher.verify(&gateway, name, "1").await;
        assert_eq!(verified, Ok(Verification::Matched), "{name}");
    }
    let message = VerifyAt {
        gateway,
        service: "five".to_owned(),
        config_version: "1".to_owned(),
    };
    let verified = ask(pusher.actor(), message).await;
    assert_eq!(verified, Ok(Verification::NotFound));
    assert_eq!(api.puller().get_services().len(), 4);
    api.stop().await;
}
