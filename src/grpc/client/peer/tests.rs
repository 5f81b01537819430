use std::{collections::VecDeque, future::ready};

use parking_lot::Mutex;
use tokio::{sync::oneshot, task::yield_now};

use super::*;
use crate::grpc::client::target::{Encryption, Target};

const INTERVAL: Duration = Duration::from_millis(500);

#[test]
fn pauses_double_up_to_some_seconds_with_jitter() {
    let near = |failures, millis: u64| {
        for _ in 0..50 {
            let pause = pause(INTERVAL, failures).as_secs_f64() * 1_000.0;
            let ratio = pause / millis as f64;
            assert!((0.75..=1.25).contains(&ratio), "{failures}: {pause}");
        }
    };
    for (failures, millis) in [(1, 500), (2, 1_000), (4, 4_000), (5, 5_000), (90, 5_000)] {
        near(failures, millis);
    }
    let long = Duration::from_secs(60);
    assert!(pause(long, 9) >= long.mul_f64(0.75));
}

/// A node that takes connections as it is told; otherwise it refuses them.
#[derive(Clone, Default)]
struct Node {
    opened: Arc<Mutex<VecDeque<Opened>>>,
    /// When it was tried, and whether it was to take the secret.
    tried: Arc<Mutex<Vec<(Instant, bool)>>>,
}

impl Connect for Node {
    fn connect<'t>(
        &'t self,
        _: &'t NodeTarget,
        proven: bool,
    ) -> BoxFuture<'t, Result<Opened, String>> {
        self.tried.lock().push((Instant::now(), proven));
        let opened = self.opened.lock().pop_front();
        ready(opened.ok_or_else(|| "refused".to_owned())).boxed()
    }
}

impl Node {
    /// Takes one connection, which ends with what is returned.
    async fn takes(&self, number: u64) -> oneshot::Sender<()> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (sender, connection) = h2::client::handshake(near).await.unwrap();
        let (end, ended) = oneshot::channel();
        self.opened.lock().push_back(Opened {
            sender,
            number,
            cancels: Arc::default(),
            silent: Arc::default(),
            work: Box::pin(async move {
                let _open = (far, connection);
                let _ = ended.await;
                Ended::Closed("it ended".to_owned())
            }),
        });
        end
    }

    fn tries(&self) -> usize {
        self.tried.lock().len()
    }

    /// The pause before the last try.
    fn last_pause(&self) -> Duration {
        let tried = self.tried.lock();
        tried[tried.len() - 1].0 - tried[tried.len() - 2].0
    }

    async fn until_tried(&self, peer: &Peer, times: usize) {
        while self.tries() < times {
            // As long as somebody asks for it.
            let _ = peer.link().now_or_never();
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn keep(node: &Node) -> (Arc<Peer>, watch::Sender<()>) {
    let Ok(Target::Node(target)) = Target::parse("http://node:1", Encryption::None) else {
        panic!("an address");
    };
    let peer = Arc::new(Peer::new(target, INTERVAL));
    let closing = watch::Sender::new(());
    tokio::spawn(Arc::clone(&peer).keep(node.clone(), closing.subscribe()));
    (peer, closing)
}

async fn link(peer: &Peer) -> Arc<Link> {
    match peer.link().await {
        Ok(link) => link,
        Err(_) => panic!("it is up"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_before_a_dead_node_is_tried_again_start_anew_once_it_has_served() {
    let node = Node::default();
    let (peer, _open) = keep(&node);
    for _ in 0..5 {
        let tries = node.tries();
        node.until_tried(&peer, tries + 6).await;
        assert!(node.last_pause() > Duration::from_secs(2));
        let end = node.takes(1).await;
        peer.connected(0).await;
        link(&peer).await.served();
        end.send(()).unwrap();
        // At once, and then after the first pause.
        let tries = node.tries();
        node.until_tried(&peer, tries + 2).await;
        assert!(node.last_pause() < 2 * INTERVAL, "{:?}", node.last_pause());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_what_it_has_just_begun_is_tried_ever_more_rarely() {
    let node = Node::default();
    for _ in 0..6 {
        drop(node.takes(1).await);
    }
    let (peer, _open) = keep(&node);
    node.until_tried(&peer, 6).await;
    assert!(node.last_pause() > Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_each_connection_before_it_has_served_is_not_connected_in_a_storm() {
    let node = Node::default();
    let mut ends = Vec::new();
    for number in 1..=6 {
        ends.push(node.takes(number).await);
    }
    let (peer, _open) = keep(&node);
    for number in 1..=6 {
        // What a call does that finds a GOAWAY.
        peer.connected(number - 1).await;
        peer.retire(&link(&peer).await);
    }
    node.until_tried(&peer, 6).await;
    assert!(node.last_pause() > Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_tried_at_once_when_it_is_urged_and_once_in_an_interval() {
    let node = Node::default();
    let (peer, _open) = keep(&node);
    assert!(peer.urge().is_none(), "it is not known to be dead");
    node.until_tried(&peer, 6).await;
    yield_now().await;
    assert!(peer.urge().is_none(), "it was tried just now");
    sleep(INTERVAL).await;
    let before = Instant::now();
    let urged = peer.urge().expect("it may be urged");
    assert!(peer.urge().is_none(), "it is being tried");
    assert!(!urged.await);
    sleep(INTERVAL).await;
    let _end = node.takes(1).await;
    assert!(peer.urge().expect("it may be urged").await);
    assert_eq!(peer.is_up(), Some(true));
    assert!(before.elapsed() < 2 * INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_refused_the_secret_is_down_until_it_takes_it() {
    let node = Node::default();
    let mut ends = vec![node.takes(1).await];
    let (peer, _open) = keep(&node);
    peer.connected(0).await;
    peer.deny(&link(&peer).await);
    assert_eq!(peer.is_up(), Some(false));
    node.until_tried(&peer, 3).await;
    assert_eq!(peer.is_up(), Some(false));
    ends.push(node.takes(2).await);
    assert_eq!(peer.connected(1).await, Some(2));
    let proven: Vec<bool> = node
        .tried
        .lock()
        .iter()
        .map(|(_, proven)| *proven)
        .collect();
    assert!(
        !proven[0] && proven[1..].iter().all(|proven| *proven),
        "{proven:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_connection_keeps_the_node_tried_and_hears_of_each_one() {
    let node = Node::default();
    let (peer, _open) = keep(&node);
    let waiting = tokio::spawn({
        let peer = Arc::clone(&peer);
        async move { peer.connected(1).await }
    });
    // Long after anybody has asked for it.
    sleep(10 * IDLE).await;
    let end = node.takes(1).await;
    peer.connected(0).await;
    end.send(()).unwrap();
    let _end = node.takes(2).await;
    assert_eq!(waiting.await.unwrap(), Some(2));
}
