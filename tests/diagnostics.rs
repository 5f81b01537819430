//! How the engine says it is doing: typed, and as tables (specification, section 17).

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, stream};
use gen_api::{
    GenApi, GenApiBuilder, Settings,
    arguments::{ArgDeclaration, ArgType},
    clock::ManualClock,
    config::LookupError,
    diagnostics::{HealthReport, HealthStatus, PermissionRule},
    function::{FunctionError, Functions},
    model::{
        CheckPermission, FunConfig, FunConfigBuilder, Mfa, Nodes, PushConfig, PushOptions,
        PushOutcome, Request, Retry, ServiceConfig,
    },
    rate_limiter::{ApiLimit, LimitKey, RateLimit, RateLimitUpdate},
    telemetry::Outcome,
    worker_pool::{CircuitSettings, PoolSettings},
};

fn config(service: &str, request_type: &str) -> FunConfigBuilder {
    FunConfig::builder(service, request_type)
        .call("T", "ok")
        .local()
}

fn functions() -> Functions {
    async fn ok() -> Result<u32, Infallible> {
        Ok(1)
    }
    async fn fails() -> Result<u32, FunctionError> {
        Err(FunctionError::failed("locked"))
    }
    async fn panics() -> Result<u32, Infallible> {
        panic!("kaboom")
    }
    async fn hangs() -> Result<u32, Infallible> {
        pending().await
    }
    async fn numbers() -> Result<impl stream::Stream<Item = Result<u32, Infallible>>, Infallible> {
        Ok(stream::iter([1, 2].map(Ok)))
    }
    Functions::new()
        .register("T", "ok", ok)
        .register("T", "fails", fails)
        .register("T", "panics", panics)
        .register("T", "hangs", hangs)
        .register_stream("T", "numbers", numbers)
}

fn engine(configs: impl IntoIterator<Item = FunConfigBuilder>) -> GenApiBuilder {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    GenApi::builder()
        .functions(functions())
        .configs(configs)
        .settings(Settings::default().with_threads(1))
}

async fn start(builder: GenApiBuilder) -> GenApi {
    builder.start().await.expect("the engine starts")
}

/// Moves the clock whenever somebody sleeps, until the future is done.
async fn driving<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_cache_status_counts_functions_versions_and_switches_by_service() {
    let api = start(engine([
        config("users", "get").version("1.0.0"),
        config("users", "get").version("2.0.0"),
        config("users", "list").disabled(),
        config("billing", "get"),
    ]))
    .await;
    let status = api.cache_status();
    let expected = "\
service  functions  versions  enabled  disabled
billing          1         1        1         0
users            2         3        2         1
total            3         4        3         1";
    assert_eq!(status.to_string(), expected);
    assert_eq!(status.total().versions, api.config_db().count());
    api.config_db().clear().await.expect("it lives");
    assert!(api.cache_status().services.is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_call_flow_shows_every_stage_with_its_rules_in_the_order_of_the_way() {
    let rich = FunConfig::builder("users", "get")
        .version("1.2.0")
        .call("Users", "get")
        .nodes(["http://a:1", "http://b:2"])
        .arg("id", ArgType::Uuid)
        .arg(
            "fields",
            ArgDeclaration::new(ArgType::ListString).max_items(10),
        )
        .check_permission(CheckPermission::Role(vec!["admin".to_owned()]))
        .before_execute(("T", "ok"))
        .after_execute(("H", "missing"))
        .hook_timeout(Duration::from_millis(250))
        .request_info()
        .retry(Retry::Times(3))
        .timeout(Duration::from_secs(2))
        .asynchronous();
    let mut settings = Settings::default().with_threads(1);
    settings.engine.max_in_flight = Some(500);
    let api = start(engine([rich]).settings(settings)).await;
    let per_user = RateLimit::new(LimitKey::UserId, 100, 60_000);
    let own = ApiLimit::new("users", "get", RateLimit::new(LimitKey::DeviceId, 5, 1_000));
    let other = ApiLimit::new("users", "list", per_user.clone());
    let mut limits = RateLimitUpdate::new();
    limits.global_limits = Some(vec![per_user]);
    limits.api_limits = Some(vec![own, other]);
    let limiter = api.rate_limiter();
    limiter.update_config(limits).expect("valid limits");

    let flow = api.call_flow("users", "get").expect("it is configured");
    let expected = r#"stage        rule
admission    at most 500 requests in flight
config       users/get 1.2.0, enabled
before hook  T.ok within 250 ms
node         random of ["http://a:1","http://b:2"]
permission   {"role":["admin"]}
rate limit   global, user_id: 100 in 60000 ms
rate limit   this API, device_id: 5 in 1000 ms
argument     fields: {"max_items":10,"type":"list_string"}
argument     id: uuid
arguments    order ["id","fields"], then the request info
call         Users.get
timeout      2000 ms
retry        {"all_nodes":3}
after hook   H.missing within 250 ms, not registered
response     async"#;
    assert_eq!(flow.to_string(), expected);
    assert!(!flow.registered);
    assert_eq!(flow.retry, Some(Retry::AllNodes(3)));
    assert!(flow.before_execute.is_some_and(|hook| hook.registered));

    let mut off = RateLimitUpdate::new();
    off.enabled = Some(false);
    limiter.update_config(off).expect("a valid change");
    let flow = api.call_flow("users", "get").expect("it is configured");
    assert!(flow.global_limits.is_empty() && flow.api_limits.is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_plain_call_flow_says_what_is_not_there() {
    let plain = FunConfig::builder("svc", "plain")
        .call("Nobody", "knows")
        .local()
        .permission_callback(("T", "ok"))
        .no_timeout();
    let api = start(engine([plain])).await;
    let flow = api.call_flow("svc", "plain").expect("it is configured");
    let expected = "\
stage        rule
admission    no limit
config       svc/plain unversioned, enabled
before hook  none
node         local
permission   T.ok within 5000 ms
rate limit   none
arguments    none, what is sent is dropped
call         Nobody.knows, not registered
timeout      none
retry        none
after hook   none
response     sync";
    assert_eq!(flow.to_string(), expected);
    assert!(matches!(flow.permission, PermissionRule::Callback(callback) if callback.registered));
    api.stop().await;
}

#[tokio::test]
async fn a_call_flow_is_that_of_the_config_which_would_answer() {
    let api = start(engine([
        config("svc", "a").version("9.0.0"),
        config("svc", "a").version("10.0.0"),
        config("svc", "a").version("11.0.0").disabled(),
        config("svc", "off").disabled(),
        config("svc", "all-off").version("1.0.0").disabled(),
        config("svc", "all-off").version("2.0.0").disabled(),
    ]))
    .await;
    let version = |flow: gen_api::diagnostics::CallFlow| (flow.version, flow.enabled);
    assert_eq!(
        api.call_flow("svc", "a").map(version),
        Ok((Some("10.0.0".to_owned()), true))
    );
    assert_eq!(api.call_flow("svc", "off").map(version), Ok((None, false)));
    for unknown in ["all-off", "nothing"] {
        let flow = api.call_flow("svc", unknown).map(version);
        assert_eq!(flow, Err(LookupError::NotFound));
    }
    let flows = api.call_flows().flows.into_iter().map(version);
    let expected = [
        (Some("9.0.0"), true),
        (Some("10.0.0"), true),
        (Some("11.0.0"), false),
        (Some("1.0.0"), false),
        (Some("2.0.0"), false),
        (None, false),
    ];
    let expected = expected.map(|(version, enabled)| (version.map(str::to_owned), enabled));
    assert_eq!(flows.collect::<Vec<_>>(), expected);
    api.stop().await;
}

#[tokio::test]
async fn the_call_flows_print_as_one_table() {
    let api = start(engine([
        config("svc", "a").version("1.0.0"),
        FunConfig::builder("svc", "b")
            .call("Nobody", "knows")
            .nodes(["http://a:1"])
            .check_permission(CheckPermission::AnyAuthenticated)
            .after_execute(("T", "ok"))
            .retry(Retry::SameNode(2))
            .stream()
            .disabled(),
    ]))
    .await;
    let limit = RateLimit::new(LimitKey::UserId, 1, 1_000);
    api.rl_global().add(limit).expect("a valid limit");
    let expected = r#"
service  function  version  enabled  mode    call          found  node                      permission         hooks  limits  timeout ms  retry
svc      a         1.0.0    yes      sync    T.ok          yes    local                     false              none        1        5000  none
svc      b         -        no       stream  Nobody.knows  no     random of ["http://a:1"]  any_authenticated  after       1        5000  {"same_node":2}"#;
    assert_eq!(format!("\n{}", api.call_flows()), expected);
    api.stop().await;
}

#[tokio::test]
async fn the_cluster_view_counts_what_may_be_called_where() {
    let api = start(engine([
        config("users", "get").nodes(["http://a:1", "http://b:2"]),
        config("users", "list").nodes(["http://a:1", "http://a:1"]),
        config("users", "old").nodes(["http://gone:3"]).disabled(),
        config("files", "get"),
        config("search", "find").resolver(("Nodes", "of_search")),
    ]))
    .await;
    let expected = "\
service  node                      configs  state
files    local                           1  up
search   resolver Nodes.of_search        1  -
users    http://a:1                      2  -
users    http://b:2                      1  -";
    assert_eq!(api.cluster_view().to_string(), expected);
    api.stop().await;
}

#[tokio::test]
async fn the_pushed_services_are_shown_with_what_they_pushed_last() {
    let api = start(engine([])).await;
    assert_eq!(
        api.pushed_services_status().to_string(),
        "service  version  functions  pulled too  nodes"
    );
    let users = |version: &str, functions: &[&str]| {
        let functions = functions.iter().map(|name| {
            let function = config("users", name).build();
            function.expect("a valid config")
        });
        let nodes = Nodes::list(["http://a:1", "http://b:2"]);
        PushConfig::new("users", nodes, version, functions)
    };
    let orders = {
        let function = config("orders", "list").build().expect("a valid config");
        let nodes = Nodes::Resolver(Mfa::new("Nodes", "of_orders"));
        let service = ServiceConfig::new("orders", nodes, Mfa::new("Configs", "all"));
        PushConfig::from_service_config(service, "2024-01", [function])
    };
    for push in [users("1", &["get"]), users("2", &["get", "list"]), orders] {
        let outcome = api.receiver().push(push, PushOptions::default()).await;
        assert_eq!(outcome, Ok(PushOutcome::Accepted));
    }
    let expected = "\
service  version  functions  pulled too  nodes
orders   2024-01          1  yes         resolver Nodes.of_orders
users    2                2  no          http://a:1, http://b:2";
    let status = api.pushed_services_status();
    assert_eq!(status.to_string(), expected);
    let json = serde_json::to_value(&status).expect("it has a JSON form");
    assert_eq!(json["services"]["users"]["config_version"], "2");
    let deleted = api.receiver().delete_pushed("users").await;
    assert_eq!(deleted, Ok(()));
    assert_eq!(api.pushed_services_status().services.len(), 1);
    api.stop().await;
}

fn status_of(report: &HealthReport, component: &str) -> (HealthStatus, String) {
    let found = report
        .components
        .iter()
        .find(|found| found.component == component);
    let found = found.unwrap_or_else(|| panic!("{component} is not in\n{report}"));
    (found.status, found.detail.clone())
}

#[tokio::test]
async fn a_healthy_engine_says_so_of_every_actor_and_part() {
    let api = start(engine([config("svc", "a")])).await;
    let report = api.health_check().await;
    assert!(report.is_healthy(), "{report}");
    let first_lines: Vec<_> = report
        .to_string()
        .lines()
        .take(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(
        first_lines
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        [
            vec!["component", "status", "detail"],
            vec!["engine", "healthy"]
        ]
    );
    for actor in [
        "gen_api",
        "gen_api/config_db",
        "gen_api/executors/executor-0",
    ] {
        assert_eq!(
            status_of(&report, actor),
            (HealthStatus::Healthy, "running, incarnation 1".to_owned())
        );
    }
    for part in ["async pool", "stream pool", "admission", "functions"] {
        assert_eq!(status_of(&report, part).0, HealthStatus::Healthy);
    }
    api.stop().await;
}

#[tokio::test]
async fn an_actor_that_does_not_run_degrades_the_engine_and_a_stop_ends_it() {
    let api = start(engine([])).await;
    let terminated = api.root().terminate_child("config_db").await;
    assert!(terminated.is_ok());
    let report = api.health_check().await;
    assert_eq!(report.status, HealthStatus::Degraded);
    assert_eq!(
        status_of(&report, "gen_api/config_db"),
        (HealthStatus::Degraded, "stopped".to_owned())
    );
    api.stop().await;
    assert_eq!(api.health_check().await.status, HealthStatus::Stopped);
}

#[tokio::test]
async fn an_open_circuit_degrades_the_engine() {
    let clock = ManualClock::new();
    let mut settings = Settings::default().with_threads(1);
    settings.async_pool = PoolSettings::new(1, 0).with_circuit(CircuitSettings::new(1, 5_000));
    let panics = config("svc", "panics").call("T", "panics").asynchronous();
    let builder = engine([panics]).settings(settings).clock(Arc::new(clock));
    let api = start(builder).await;
    let _ = api
        .execute(Request::new("r", "svc", "panics"))
        .await
        .collect()
        .await;
    let report = api.health_check().await;
    assert_eq!(report.status, HealthStatus::Degraded);
    assert_eq!(
        status_of(&report, "async pool"),
        (
            HealthStatus::Degraded,
            "the circuit is open for 5000 ms".to_owned()
        )
    );
    api.stop().await;
}

#[tokio::test]
async fn what_is_full_or_missing_degrades_the_engine() {
    let mut settings = Settings::default().with_threads(1);
    settings.engine.max_in_flight = Some(2);
    settings.engine.stop_timeout_ms = 0;
    settings.async_pool = PoolSettings::new(1, 0);
    let api = start(
        engine([
            config("svc", "hangs").call("T", "hangs"),
            config("svc", "later").call("T", "hangs").asynchronous(),
            config("svc", "lost").call("T", "missing"),
            config("svc", "elsewhere")
                .call("T", "missing")
                .nodes(["http://a:1"]),
        ])
        .settings(settings),
    )
    .await;
    let _later = api.execute(Request::new("1", "svc", "later")).await;
    let mut hanging = pin!(api.execute(Request::new("2", "svc", "hangs")));
    assert!(hanging.as_mut().now_or_never().is_none());
    let report = api.health_check().await;
    assert_eq!(report.status, HealthStatus::Degraded);
    assert_eq!(
        status_of(&report, "admission"),
        (
            HealthStatus::Degraded,
            "2 of 2 requests in flight".to_owned()
        )
    );
    assert_eq!(
        status_of(&report, "async pool"),
        (
            HealthStatus::Degraded,
            "all 1 places and the queue are taken".to_owned()
        )
    );
    assert_eq!(
        status_of(&report, "functions"),
        (
            HealthStatus::Degraded,
            "1 of 4 configs name a function that is not registered, such as svc/lost: T.missing"
                .to_owned()
        )
    );
    api.stop().await;
}

#[tokio::test]
async fn statistics_count_requests_by_outcome_retries_and_streams() {
    let clock = ManualClock::new();
    let api = start(
        engine([
            config("svc", "ok"),
            config("svc", "retried")
                .call("T", "fails")
                .retry(Retry::SameNode(2)),
            config("svc", "panics").call("T", "panics"),
            config("svc", "numbers").call("T", "numbers").stream(),
            config("svc", "waits").call("T", "hangs").no_timeout(),
        ])
        .clock(Arc::new(clock.clone())),
    )
    .await;
    assert_eq!(api.statistics().total_requests(), 0);
    for name in ["ok", "ok", "panics", "nothing", "numbers"] {
        let _ = api
            .execute(Request::new("r", "svc", name))
            .await
            .collect()
            .await;
    }
    let _ = driving(&clock, api.execute(Request::new("r", "svc", "retried"))).await;
    let _ = api.execute_trusted_json(b"no request").await;
    let abandoned = api
        .execute(Request::new("r", "svc", "waits"))
        .now_or_never();
    assert!(abandoned.is_none());
    let mut waiting = Box::pin(api.execute(Request::new("r", "svc", "waits")));
    assert!(waiting.as_mut().now_or_never().is_none());
    clock.advance(Duration::from_secs(60) - clock_time(&clock));

    let expected = "\
since the start       count
uptime in s              60
requests                  7
  success                 3
  failed                  1
  unsupported             1
  disabled                0
  rejected                0
  denied                  0
  rate_limited            0
  invalid_arguments       0
  unavailable             0
  exception               1
  cancelled               1
requests in flight        1
undecodable payloads      1
retries                   2
retries exhausted         1
streams opened            1
streams open              0";
    let statistics = api.statistics();
    assert_eq!(statistics.to_string(), expected);
    assert_eq!(statistics.requests(Outcome::Success), 3);
    let json = serde_json::to_value(&statistics).expect("it has a JSON form");
    assert_eq!(json["requests"]["cancelled"], 1);
    drop(waiting);
    api.stop().await;
}

fn clock_time(clock: &ManualClock) -> Duration {
    gen_api::clock::Clock::now(clock)
}

#[tokio::test]
async fn rate_limits_are_viewed_and_changed_and_print_as_tables() {
    let clock = Arc::new(ManualClock::new());
    let api = start(engine([config("svc", "a"), config("svc", "b")]).clock(clock)).await;
    let global = api.rl_global();
    let per_user = RateLimit::new(LimitKey::UserId, 10, 60_000);
    let per_device = RateLimit::new(LimitKey::DeviceId, 5, 1_000);
    global
        .set(vec![per_user.clone(), per_device])
        .expect("valid limits");
    assert!(global.remove(&LimitKey::DeviceId));
    assert!(!global.remove(&LimitKey::DeviceId));
    global
        .add(RateLimit::new(LimitKey::IpAddress, 2_000, 1_000))
        .expect("a valid limit");
    assert!(global.add(RateLimit::new(LimitKey::UserId, 0, 1)).is_err());
    assert_eq!(global.view().first(), Some(&per_user));
    let expected = "\
key         requests  window ms
user_id           10      60000
ip_address      2000       1000";
    assert_eq!(global.to_string(), expected);

    let mut own = RateLimitUpdate::new();
    let on_a = RateLimit::new(LimitKey::UserId, 3, 1_000);
    own.api_limits = Some(vec![ApiLimit::new("svc", "a", on_a)]);
    api.rate_limiter().update_config(own).expect("valid limits");
    let expected = "\
rate limiting on, fails open, sweeps every 60000 ms
scope   key         requests  window ms
global  user_id           10      60000
global  ip_address      2000       1000
svc/a   user_id            3       1000";
    assert_eq!(api.rl_config().to_string(), expected);

    for name in ["a", "b", "b"] {
        let _ = api
            .execute(Request::new("r", "svc", name).with_user_id("ann"))
            .await;
    }
    let expected = "\
key      value  scope   used  remaining  requests  window ms
user_id  ann    global     3          7        10      60000
user_id  ann    svc/a      1          2         3       1000";
    assert_eq!(api.rl_status("ann").to_string(), expected);
    assert!(
        api.rl_status("bob")
            .limits
            .iter()
            .all(|limit| limit.current_requests == 0)
    );
    api.stop().await;
}
