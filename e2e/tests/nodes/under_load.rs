//! Three nodes under load, of which one is killed or frozen.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gen_api::{
    GenApi,
    model::{FunConfigBuilder, Response, Retry},
};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::fixture::{
    Folder, LIMIT, Process, config, echo, gateway, node_of, noted, request, settings, until,
};

/// How often a request begins.
const PACE: Duration = Duration::from_millis(4);

/// Three nodes, each with a file of what ran on it.
struct Cluster {
    nodes: BTreeMap<&'static str, Process>,
    folder: Folder,
}

impl Cluster {
    fn start() -> Self {
        let folder = Folder::new();
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            folder,
        };
        for name in ["a", "b", "c"] {
            cluster.start_at(name, "127.0.0.1:0");
        }
        cluster
    }

    fn start_at(&mut self, name: &'static str, listen: &str) {
        let ledger = self.ledger(name);
        let ledger = ledger.to_str().expect("a path");
        let arguments = ["--name", name, "--ledger", ledger, "--listen", listen];
        self.nodes.insert(name, Process::node(arguments));
    }

    fn ledger(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn urls(&self) -> Vec<String> {
        self.nodes.values().map(Process::url).collect()
    }

    /// How often each request ran, on all nodes together.
    fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for name in ["a", "b", "c"] {
            for (id, count) in noted(&self.ledger(name), "ran") {
                *runs.entry(id).or_default() += count;
            }
        }
        runs
    }

    fn runs_of(&self, name: &str) -> usize {
        noted(&self.ledger(name), "ran").len()
    }
}

/// What became of one request of a load.
struct Ended {
    id: String,
    begun: Instant,
    took: Duration,
    responses: Vec<Response>,
}

impl Ended {
    fn succeeded(&self) -> bool {
        self.responses.len() == 1 && self.responses[0].success
    }
}

/// Requests that begin one after another, whatever becomes of those before.
struct Load {
    goes_on: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    work: JoinHandle<Vec<Ended>>,
}

impl Load {
    fn start(api: &GenApi) -> Self {
        let (goes_on, begun) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (api, ongoing, count) = (api.clone(), Arc::clone(&goes_on), Arc::clone(&begun));
        let work = tokio::spawn(async move {
            let mut requests = JoinSet::new();
            let mut ticks = tokio::time::interval(PACE);
            while ongoing.load(Ordering::Relaxed) {
                ticks.tick().await;
                let id = format!("r-{}", count.fetch_add(1, Ordering::Relaxed));
                let request = request(id.clone(), "slow", &json!({ "ms": 5 }));
                let api = api.clone();
                requests.spawn(async move {
                    let begun = Instant::now();
                    let reply = async { api.execute(request).await.collect().await };
                    let responses = tokio::time::timeout(LIMIT, reply).await;
                    Ended {
                        id,
                        begun,
                        took: begun.elapsed(),
                        responses: responses.unwrap_or_default(),
                    }
                });
            }
            requests.join_all().await
        });
        Self {
            goes_on,
            begun,
            work,
        }
    }

    /// Waits until so many more requests have begun.
    async fn goes_on(&self, requests: u64) {
        let until_then = self.begun.load(Ordering::Relaxed) + requests;
        until("the load goes on", async || {
            self.begun.load(Ordering::Relaxed) >= until_then
        })
        .await;
    }

    async fn stop(self) -> Vec<Ended> {
        self.goes_on.store(false, Ordering::Relaxed);
        self.work.await.expect("a load")
    }
}

async fn under_load(cluster: &Cluster, retry: Option<Retry>) -> (GenApi, Load) {
    let slow: FunConfigBuilder = config("slow", cluster.urls());
    let slow = match retry {
        Some(retry) => slow.retry(retry),
        None => slow,
    };
    let api = gateway(settings(), [slow, config("echo", cluster.urls())]).await;
    let load = Load::start(&api);
    until("all nodes serve", async || {
        ["a", "b", "c"]
            .iter()
            .all(|name| cluster.runs_of(name) > 10)
    })
    .await;
    (api, load)
}

/// Every request ended in exactly one response, and whoever was told of a success had its function run.
fn each_is_answered_once(ended: &[Ended], runs: &BTreeMap<String, usize>) {
    for one in ended {
        assert_eq!(one.responses.len(), 1, "{}: {:?}", one.id, one.responses);
        assert!(!one.responses[0].has_more);
        if one.succeeded() {
            assert!(runs.contains_key(&one.id), "{} never ran", one.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_and_restarted_under_load_loses_no_request_and_runs_none_twice() {
    let mut cluster = Cluster::start();
    let (api, load) = under_load(&cluster, None).await;
    load.goes_on(200).await;
    let listen = cluster.nodes["b"].at.to_string();
    cluster.nodes.remove("b").expect("a node").kill();
    let killed = Instant::now();
    load.goes_on(300).await;
    let before = cluster.runs_of("b");
    cluster.start_at("b", &listen);
    until("the restarted node serves again", async || {
        cluster.runs_of("b") > before + 10
    })
    .await;
    let ended = load.stop().await;
    let runs = cluster.runs();
    each_is_answered_once(&ended, &runs);
    // Without retry a request that had been sent is not sent again, and so may fail; it never runs twice.
    for (id, count) in &runs {
        assert_eq!(*count, 1, "{id} ran {count} times");
    }
    // The others get its share as soon as the connection has broken, and while it is known dead nobody waits for it.
    let late = ended.iter().filter(|one| !one.succeeded());
    for one in late {
        let after = one.begun.saturating_duration_since(killed);
        assert!(
            after < Duration::from_secs(2),
            "{:?} after {after:?}",
            one.responses
        );
        assert!(one.took < Duration::from_secs(5), "{:?}", one.took);
    }
    let failed = ended.iter().filter(|one| !one.succeeded()).count();
    assert!(failed * 10 < ended.len(), "{failed} of {}", ended.len());
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_and_restarted_one_after_another_cost_only_the_calls_that_run_on_them()
 {
    let mut cluster = Cluster::start();
    let (api, load) = under_load(&cluster, None).await;
    for name in ["a", "b", "c"].repeat(3) {
        let listen = cluster.nodes[name].at.to_string();
        cluster.nodes.remove(name).expect("a node").kill();
        load.goes_on(50).await;
        let before = cluster.runs_of(name);
        cluster.start_at(name, &listen);
        until("the restarted node serves again", async || {
            cluster.runs_of(name) > before
        })
        .await;
    }
    let ended = load.stop().await;
    each_is_answered_once(&ended, &cluster.runs());
    for one in ended.iter().filter(|one| !one.succeeded()) {
        let error = one.responses[0].error.as_deref().unwrap_or_default();
        assert!(error.contains("lost during the call"), "{error}");
    }
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_stopped_in_order_one_after_another_cost_no_call() {
    let mut cluster = Cluster::start();
    let (api, load) = under_load(&cluster, None).await;
    for name in ["a", "b", "c"].repeat(3) {
        let listen = cluster.nodes[name].at.to_string();
        cluster.nodes.remove(name).expect("a node").stop();
        let before = cluster.runs_of(name);
        cluster.start_at(name, &listen);
        until("the restarted node serves again", async || {
            cluster.runs_of(name) > before
        })
        .await;
    }
    let ended = load.stop().await;
    let runs = cluster.runs();
    each_is_answered_once(&ended, &runs);
    for one in &ended {
        assert!(one.succeeded(), "{}: {:?}", one.id, one.responses);
    }
    assert!(runs.values().all(|count| *count == 1), "{runs:?}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_retry_on_all_nodes_every_request_survives_a_killed_node() {
    let mut cluster = Cluster::start();
    let (api, load) = under_load(&cluster, Some(Retry::AllNodes(2))).await;
    cluster.nodes.remove("c").expect("a node").kill();
    load.goes_on(300).await;
    let ended = load.stop().await;
    let runs = cluster.runs();
    each_is_answered_once(&ended, &runs);
    for one in &ended {
        assert!(one.succeeded(), "{}: {:?}", one.id, one.responses);
    }
    // What died with the node ran once more elsewhere, and nothing more often.
    assert!(runs.values().all(|count| *count <= 2), "{runs:?}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_is_noticed_passed_over_and_used_again_when_it_wakes() {
    let cluster = Cluster::start();
    let (api, load) = under_load(&cluster, None).await;
    cluster.nodes["a"].freeze();
    let frozen = Instant::now();
    load.goes_on(1_000).await;
    let before = cluster.runs_of("a");
    cluster.nodes["a"].thaw();
    until("the node that woke up serves again", async || {
        node_of(&echo(&api, "again").await) == "a" && cluster.runs_of("a") > before + 10
    })
    .await;
    let ended = load.stop().await;
    let runs = cluster.runs();
    each_is_answered_once(&ended, &runs);
    for (id, count) in runs.iter().filter(|(id, _)| *id != "again") {
        assert_eq!(*count, 1, "{id} ran {count} times");
    }
    // Half a second between two signs of life and a second of patience; the rest is for a busy machine. Calls may take
    // twenty seconds, so it was not their timeout.
    let noticed = Duration::from_secs(5);
    for one in ended.iter().filter(|one| !one.succeeded()) {
        assert!(
            one.took < noticed,
            "{:?} after {:?}",
            one.responses,
            one.took
        );
        let after = one.begun.saturating_duration_since(frozen);
        assert!(after < noticed, "{:?} begun {after:?} after", one.responses);
    }
    let failed = ended.iter().filter(|one| !one.succeeded()).count();
    assert!(
        failed > 0,
        "calls on the frozen node cannot have been answered"
    );
    api.stop().await;
}
