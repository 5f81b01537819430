//! Config lists that are long, and some that are too long.

use gen_api::{
    GenApi,
    config::{FailedFilter, PullResult},
    model::{Nodes, ServiceConfig},
    service_node::Offer,
    settings::Settings,
};
use serde_json::json;

use super::fixture::{Process, ask, door, echo, gateway, listening, request, settings, until};

/// How many configs the program `node` offers by itself.
const OWN: usize = 4;
/// More than this do not fit into a message of the size that the tests set.
const SMALL: usize = 64 * 1024;

fn service(name: &str, node: &Process) -> ServiceConfig {
    Offer::default().service_config(name, Nodes::list([node.url()]))
}

/// Whatever the puller has pulled by itself meanwhile.
async fn pull_anew(api: &GenApi, service: &str) -> PullResult {
    let report = api.puller().force_pull().await.expect("a report");
    report.results[service].clone()
}

/// Long lists keep a build without optimizations busy for seconds; how soon silence is noticed is tested elsewhere.
fn patient(mut settings: Settings) -> Settings {
    settings.puller.pull_timeout_ms = 30_000;
    settings.grpc.keepalive_timeout_ms = 20_000;
    settings
}

async fn serves_the_last(api: &GenApi) {
    let last = request("last", "echo_9999", &json!({ "value": 1 }));
    let response = ask(api, last).await;
    assert!(response.success, "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_functions_are_pulled_and_pushed() {
    let pushed_to = gateway(listening(), []).await;
    let gateway_door = door(&pushed_to);
    let node = Process::node(["--filler", "10000", "--push-to", &gateway_door]);

    let pulling = gateway(patient(settings()), []).await;
    pulling
        .puller()
        .add([service("demo", &node)])
        .expect("a service");
    let pulled = pull_anew(&pulling, "demo").await;
    let all =
        matches!(pulled, PullResult::Pulled { stored, refused: 0, .. } if stored == 10_000 + OWN);
    let mut first = FailedFilter::default();
    first.limit = Some(1);
    let refused = pulling.failed_configs().list(&first);
    assert!(all, "{pulled:?}: {refused:?}");
    assert_eq!(pulling.config_db().count(), 10_000 + OWN);
    serves_the_last(&pulling).await;
    let again = pulling.puller().pull().await.expect("a report");
    assert_eq!(again.results["demo"], PullResult::Skipped);
    pulling.stop().await;

    until("all of them are stored", async || {
        pushed_to.receiver().pushed_services().contains_key("demo")
    })
    .await;
    assert_eq!(pushed_to.config_db().count(), 10_000 + OWN);
    serves_the_last(&pushed_to).await;
    pushed_to.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_the_size_limit_is_refused_whole_and_the_next_one_taken() {
    let mut settings = listening();
    settings.grpc.max_message_bytes = SMALL;
    let api = gateway(settings, []).await;
    let gateway_door = door(&api);
    let mut large = Process::node([
        "--service",
        "large",
        "--filler",
        "1000",
        "--push-to",
        &gateway_door,
    ]);
    until("the large push is refused", async || {
        let status = large.ask("status");
        let error = &status["targets"][0]["last_error"];
        error
            .as_str()
            .is_some_and(|error| error.contains("message_too_large"))
    })
    .await;
    assert_eq!(api.config_db().count(), 0);
    assert!(api.receiver().pushed_services().is_empty());

    let mut small = Process::node(["--push-to", &gateway_door]);
    until("the small push is accepted", async || {
        small.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    assert_eq!(api.config_db().count(), OWN);
    assert!(echo(&api, "r-1").await.success);
    assert_eq!(large.ask("status")["targets"][0]["state"], "trying");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_list_over_the_size_limit_of_either_side_fails_for_its_service_alone() {
    let bytes = SMALL.to_string();
    let of_node = [
        "--service",
        "of_node",
        "--filler",
        "1000",
        "--max-message-bytes",
        &bytes,
    ];
    let of_node = Process::node(of_node);
    let of_gateway = Process::node(["--service", "of_gateway", "--filler", "1000"]);
    let small = Process::node(["--service", "demo"]);
    let mut limited = patient(settings());
    limited.grpc.max_message_bytes = SMALL;
    for settings in [patient(settings()), limited] {
        let gateway_is_limited = settings.grpc.max_message_bytes == SMALL;
        let api = gateway(settings, []).await;
        let services = [
            service("of_node", &of_node),
            service("of_gateway", &of_gateway),
            service("demo", &small),
        ];
        api.puller().add(services).expect("services");
        // Whatever the puller has pulled by itself meanwhile.
        let report = api.puller().force_pull().await.expect("a report");
        let is_too_large = |name: &str| match &report.results[name] {
            PullResult::Failed { reason } => reason.contains("message_too_large"),
            _ => false,
        };
        assert!(is_too_large("of_node"), "{report:?}");
        assert_eq!(is_too_large("of_gateway"), gateway_is_limited, "{report:?}");
        let pulled = matches!(
            report.results["demo"],
            PullResult::Pulled { stored: OWN, .. }
        );
        assert!(pulled, "{report:?}");
        assert!(echo(&api, "r-1").await.success);
        api.stop().await;
    }
}
