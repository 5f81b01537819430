//! Pushes that meet pulls, other pushes of the same name, and older versions.

use std::{io, sync::Arc};

use gen_api::{
    GenApi, ServiceNode,
    config::PullResult,
    function::Functions,
    grpc::GrpcClient,
    model::{
        FunConfig, Mfa, Nodes, PushConfig, PushOptions, PushOutcome, ServiceConfig, SkipReason,
        Verification,
    },
    node::{Address, NodeClient},
    service_node::Offer,
    settings::GrpcSettings,
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::Notify};

use super::fixture::{
    LIMIT, Process, SECRET, ask, door, echo, gateway, listening, node_of, request, settings, until,
};

/// Pushes as a node would, over gRPC.
async fn push(api: &GenApi, config: &PushConfig) -> PushOutcome {
    let settings = GrpcSettings::default().with_cluster_secret(SECRET);
    let client = GrpcClient::new(&settings, Handle::current()).expect("a client");
    let gateway = Address::new(door(api)).expect("an address");
    let pushed = client.push(&gateway, config, PushOptions::default(), LIMIT);
    pushed.await.expect("an accepted push")
}

fn function(name: &str) -> FunConfig {
    let config = FunConfig::builder("demo", name).call("Demo", name).local();
    config.build().expect("a config")
}

/// A node in this process whose list of configs comes when the test says so.
struct Held {
    node: ServiceNode,
    asked: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    /// It lists these functions, and has all that the tests name.
    async fn listing(names: &'static [&'static str]) -> Self {
        let (asked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (is_asked, released) = (Arc::clone(&asked), Arc::clone(&release));
        let answer = |answer: &'static str| move || async move { Ok::<_, io::Error>(answer) };
        let functions = Functions::new()
            .register("Demo", "shared", answer("shared"))
            .register("Demo", "pulled", answer("pulled"))
            .register("Demo", "pushed", answer("pushed"))
            .register("Held", "configs", move || {
                let (asked, release) = (Arc::clone(&is_asked), Arc::clone(&released));
                async move {
                    asked.notify_one();
                    release.notified().await;
                    // Once released it holds nobody: the puller's own round may have asked too.
                    release.notify_one();
                    let listed: Vec<_> = names.iter().map(|name| function(name)).collect();
                    serde_json::to_value(listed).map_err(io::Error::other)
                }
            });
        let listen = "127.0.0.1:0".parse().expect("an address");
        let grpc = GrpcSettings::default()
            .with_listen(listen)
            .with_cluster_secret(SECRET);
        let node = ServiceNode::builder().functions(functions).grpc(grpc);
        Self {
            node: node.start().await.expect("a node"),
            asked,
            release,
        }
    }

    fn nodes(&self) -> Nodes {
        Nodes::list([format!("http://{}", self.node.address())])
    }

    fn service(&self) -> ServiceConfig {
        ServiceConfig::new("demo", self.nodes(), Mfa::new("Held", "configs"))
    }
}

async fn answer_of(api: &GenApi, name: &str) -> Value {
    ask(api, request(format!("of-{name}"), name, &json!({})))
        .await
        .result
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_comes_during_a_pull_serves_at_once_and_stays_beside_it() {
    let held = Held::listing(&["shared", "pulled"]).await;
    let mut waiting = listening();
    waiting.puller.pull_timeout_ms = 30_000;
    let api = gateway(waiting, []).await;
    api.puller().add([held.service()]).expect("a service");
    let pulling = tokio::spawn({
        let api = api.clone();
        async move { api.puller().pull().await }
    });
    held.asked.notified().await;

    let pushed = [function("shared"), function("pushed")];
    let config = PushConfig::new("demo", held.nodes(), "1", pushed);
    assert_eq!(push(&api, &config).await, PushOutcome::Accepted);
    assert_eq!(answer_of(&api, "pushed").await, "pushed");
    assert_eq!(answer_of(&api, "pulled").await, Value::Null);

    held.release.notify_one();
    let report = pulling.await.expect("a pull").expect("a report");
    let stored = matches!(report.results["demo"], PullResult::Pulled { stored: 2, .. });
    assert!(stored, "{report:?}");
    for name in ["shared", "pulled", "pushed"] {
        assert_eq!(answer_of(&api, name).await, name);
    }
    assert_eq!(api.config_db().count(), 3);
    assert_eq!(api.receiver().verify("demo", "1"), Verification::Matched);
    api.stop().await;
    held.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_deletes_and_comes_again_during_a_pull_is_not_undone_by_it() {
    let held = Held::listing(&["pulled"]).await;
    let mut waiting = listening();
    waiting.puller.pull_timeout_ms = 30_000;
    let api = gateway(waiting, []).await;
    let pulled = PushConfig::from_service_config(held.service(), "1", [function("pushed")]);
    assert_eq!(push(&api, &pulled).await, PushOutcome::Accepted);
    let pulling = tokio::spawn({
        let api = api.clone();
        async move { api.puller().pull().await }
    });
    held.asked.notified().await;
    api.receiver()
        .delete_pushed("demo")
        .await
        .expect("a receiver");
    held.release.notify_one();
    let report = pulling.await.expect("a pull").expect("a report");
    // What was on its way when the service was deleted is not stored.
    assert_eq!(report.results["demo"], PullResult::Outdated);
    assert_eq!(api.config_db().count(), 1);
    assert!(api.puller().get_services().is_empty());
    api.stop().await;
    held.node.stop().await;
}

async fn accepted(node: &mut Process) {
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_services_with_one_name_the_later_serves_and_the_earlier_keeps_quiet() {
    let api = gateway(listening(), []).await;
    let gateway_door = door(&api);
    let node = |name, version| {
        Process::node([
            "--name",
            name,
            "--config-version",
            version,
            "--push-to",
            &gateway_door,
        ])
    };
    let mut earlier = node("earlier", "1");
    accepted(&mut earlier).await;
    assert_eq!(node_of(&echo(&api, "r-1").await), "earlier");
    let mut later = node("later", "2");
    accepted(&mut later).await;
    until("the earlier one learns of it", async || {
        earlier.ask("status")["targets"][0]["state"] == json!({ "superseded": "2" })
    })
    .await;
    for index in 0..10 {
        assert_eq!(node_of(&echo(&api, format!("r-{index}")).await), "later");
    }
    // They do not overwrite each other in turn.
    assert_eq!(earlier.ask("status")["targets"][0]["pushes"], 1);
    assert_eq!(later.ask("status")["targets"][0]["pushes"], 1);
    let pushed = api.receiver().pushed_services();
    assert_eq!(pushed["demo"].config_version, "2");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_a_service_run_side_by_side_each_on_its_nodes() {
    let api = gateway(listening(), []).await;
    let gateway_door = door(&api);
    let nodes = ["1.0.0", "2.0.0"].map(|version| {
        let arguments = ["--name", version, "--function-version", version];
        Process::node(arguments.into_iter().chain(["--push-to", &gateway_door]))
    });
    until("both have pushed", async || api.config_db().count() == 8).await;
    for version in ["1.0.0", "2.0.0"] {
        let asked = request(version, "echo", &json!({ "value": 1 })).with_version(version);
        assert_eq!(node_of(&ask(&api, asked).await), version);
    }
    assert_eq!(node_of(&echo(&api, "the latest").await), "2.0.0");
    drop(nodes);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_version_that_goes_back_is_what_is_stored_then() {
    let api = gateway(listening(), []).await;
    let nodes = [
        Process::node(["--name", "one"]),
        Process::node(["--name", "two"]),
    ];
    let echo_on = |node: &Process, version: &str| {
        let config = super::fixture::config("echo", [node.url()])
            .build()
            .expect("a config");
        PushConfig::new("demo", Nodes::list([node.url()]), version, [config])
    };
    let (one, two) = (echo_on(&nodes[0], "1"), echo_on(&nodes[1], "2"));
    for (config, node) in [(&one, "one"), (&two, "two"), (&one, "one")] {
        assert_eq!(push(&api, config).await, PushOutcome::Accepted);
        assert_eq!(node_of(&echo(&api, node).await), node);
        let version = &config.config_version;
        assert_eq!(
            api.receiver().verify("demo", version),
            Verification::Matched
        );
    }
    let skipped = PushOutcome::Skipped(SkipReason::VersionMatches);
    assert_eq!(push(&api, &one).await, skipped);
    assert_eq!(
        api.receiver().verify("demo", "2"),
        Verification::Mismatch("1".to_owned())
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_version_that_goes_back_is_pulled_like_any_other() {
    let mut patient = settings();
    patient.puller.pull_interval_ms = 3_600_000;
    let api = gateway(patient, []).await;
    let start = |listen: &str, version| {
        let arguments = ["--listen", listen, "--config-version", version];
        Process::node(arguments.into_iter().chain(["--function-version", version]))
    };
    let mut node = start("127.0.0.1:0", "2.0.0");
    let listen = node.at.to_string();
    let nodes = Nodes::list([node.url()]);
    let service = Offer::default().service_config("demo", nodes).with_prune();
    api.puller().add([service]).expect("a service");
    for version in ["2.0.0", "1.0.0", "2.0.0"] {
        node.kill();
        node = start(&listen, version);
        until("the node is pulled", async || {
            // Whatever the puller has pulled by itself meanwhile.
            let report = api.puller().force_pull().await.expect("a report");
            matches!(report.results["demo"], PullResult::Pulled { stored: 4, .. })
        })
        .await;
        let known = api.puller().get_service_version("demo");
        assert_eq!(known, Some(json!(version)));
        // Pruned: only what the node lists now is left.
        assert_eq!(api.config_db().count(), 4);
        let stored = api
            .config_db()
            .get_latest("demo", "echo")
            .expect("a config");
        assert_eq!(stored.version.as_deref(), Some(version));
        let again = api.puller().pull().await.expect("a report");
        assert_eq!(again.results["demo"], PullResult::Skipped);
    }
    api.stop().await;
}
