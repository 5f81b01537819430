//! What is known of one node: its connection, or why there is none; and the task that keeps it.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::future::{Either, select};
use rand::RngExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    connection::{Connector, Ended, Opened, Sender},
    target::NodeTarget,
};

/// How long a node is kept that nobody asks for.
pub(super) const IDLE: Duration = Duration::from_secs(300);
/// How long after somebody asked for a dead node it is still tried to bring it back.
const STILL_WANTED: Duration = Duration::from_secs(30);
/// The longest pause between two trials, unless the setting is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A node that somebody asked for.
pub(super) struct Peer {
    pub(super) target: NodeTarget,
    /// What calls look at first; the same as in `phase`.
    link: ArcSwapOption<Link>,
    phase: watch::Sender<Phase>,
    /// Wakes the trials of a dead node that nobody had asked for.
    wanted: Notify,
    /// When somebody asked last, in milliseconds since `origin`.
    asked: AtomicU64,
    origin: Instant,
}

/// Where a peer stands.
#[derive(Clone)]
enum Phase {
    Connecting,
    Up(Arc<Link>),
    Dead(Arc<str>),
    /// Forgotten; who still asks asks for a new one.
    Gone,
}

/// An open connection.
pub(super) struct Link {
    pub(super) sender: Sender,
    silent: Arc<OnceLock<String>>,
    /// Whether a call on it was ever answered.
    served: AtomicBool,
    retired: Notify,
}

impl Link {
    /// Why it was given up, where its end alone does not tell.
    pub(super) fn given_up(&self) -> Option<&str> {
        self.silent.get().map(String::as_str)
    }

    /// Notes that a call was answered.
    pub(super) fn served(&self) {
        // Read first: all calls share this line of memory, and only the first has to change it.
        if !self.served.load(Ordering::Relaxed) {
            self.served.store(true, Ordering::Relaxed);
        }
    }
}

/// Why there is no connection.
pub(super) enum NoLink {
    /// The node is known to be dead.
    Dead(Arc<str>),
    /// The peer was forgotten meanwhile.
    Gone,
}

/// How the work on a connection ended.
enum End {
    /// It has ended; `served` where it was of use.
    Lost {
        reason: String,
        served: bool,
    },
    Silent(String),
    Retired,
    Idle,
}

impl Peer {
    pub(super) fn new(target: NodeTarget) -> Self {
        Self {
            target,
            link: ArcSwapOption::empty(),
            phase: watch::Sender::new(Phase::Connecting),
            wanted: Notify::new(),
            asked: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    /// The connection. Waits while it is being made; a node that is known dead is answered at once.
    pub(super) async fn link(&self) -> Result<Arc<Link>, NoLink> {
        self.asked.store(self.now(), Ordering::Relaxed);
        if let Some(link) = self.link.load_full() {
            return Ok(link);
        }
        let mut phase = self.phase.subscribe();
        let known = phase.wait_for(|phase| !matches!(phase, Phase::Connecting));
        let known = known.await.map(|phase| phase.clone());
        match known {
            Ok(Phase::Up(link)) => Ok(link),
            Ok(Phase::Dead(reason)) => {
                self.wanted.notify_one();
                Err(NoLink::Dead(reason))
            }
            _ => Err(NoLink::Gone),
        }
    }

    /// Tells that this connection takes no more calls, so that the next one gets another.
    pub(super) fn retire(&self, link: &Arc<Link>) {
        self.phase.send_if_modified(|phase| {
            let current = matches!(phase, Phase::Up(current) if Arc::ptr_eq(current, link));
            if current {
                self.link.store(None);
                *phase = Phase::Connecting;
            }
            current
        });
        link.retired.notify_one();
    }

    /// Whether it is up or down, where that is known.
    pub(super) fn is_up(&self) -> Option<bool> {
        match &*self.phase.borrow() {
            Phase::Up(_) => Some(true),
            Phase::Dead(_) => Some(false),
            Phase::Connecting | Phase::Gone => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Gone)
    }

    /// Keeps the connection until nobody asks any more or the client has gone.
    pub(super) async fn keep(
        self: Arc<Self>,
        connector: Connector,
        trial_interval: Duration,
        mut closing: watch::Receiver<()>,
    ) {
        // Whatever ends this task, nobody may wait for it.
        let _forgotten = Forget(&self);
        let mut failures = 0;
        loop {
            let connecting = connector.connect(&self.target);
            let Some(connected) = unless_closing(&mut closing, connecting).await else {
                return;
            };
            let reason = match connected {
                Ok(opened) => {
                    let since = Instant::now();
                    match self.serve(opened, &mut closing).await {
                        End::Idle => return,
                        End::Retired => continue,
                        // One that ends what it has just begun is not asked again and again.
                        End::Lost { served, .. } if served || since.elapsed() >= trial_interval => {
                            self.stand(Phase::Connecting);
                            continue;
                        }
                        End::Lost { reason, .. } | End::Silent(reason) => reason,
                    }
                }
                Err(reason) => reason,
            };
            if self.is_up() != Some(false) {
                let node = crate::log_text::printed(&self.target.origin);
                tracing::warn!(
                    node,
                    reason = crate::log_text::cut(&reason),
                    "a node is down"
                );
            }
            self.stand(Phase::Dead(reason.into()));
            failures += 1;
            let pause = self.pause(pause(trial_interval, failures));
            if unless_closing(&mut closing, pause).await != Some(true) {
                return;
            }
        }
    }

    /// Offers a connection to calls until it has ended or is not needed any more.
    async fn serve(&self, opened: Opened, closing: &mut watch::Receiver<()>) -> End {
        let Opened {
            sender,
            silent,
            mut work,
        } = opened;
        let link = Arc::new(Link {
            sender,
            silent,
            served: AtomicBool::new(false),
            retired: Notify::new(),
        });
        tracing::info!(
            node = crate::log_text::printed(&self.target.origin),
            "a node is up"
        );
        self.stand(Phase::Up(Arc::clone(&link)));
        let end = {
            let left = pin!(self.left(&link, closing));
            match select(&mut work, left).await {
                Either::Right((end, _)) => end,
                Either::Left((Ended::Closed(reason), _)) => {
                    let served = link.served.load(Ordering::Relaxed);
                    return End::Lost { reason, served };
                }
                Either::Left((Ended::Silent(reason), _)) => return End::Silent(reason),
            }
        };
        if matches!(end, End::Idle) {
            self.stand(Phase::Gone);
        }
        // The calls on it go on; it closes itself after the last one.
        drop(link);
        tokio::spawn(work);
        end
    }

    /// Is done when a working connection is to be left.
    async fn left(&self, link: &Arc<Link>, closing: &mut watch::Receiver<()>) -> End {
        let idle = async {
            loop {
                let quiet = self.since_asked();
                // Held here, in the peer twice, and by each call.
                if quiet >= IDLE && Arc::strong_count(link) <= 3 {
                    return;
                }
                sleep(IDLE.saturating_sub(quiet).max(IDLE / 10)).await;
            }
        };
        let (retired, closed) = (link.retired.notified(), closing.changed());
        let unneeded = select(Box::pin(idle), Box::pin(closed));
        match select(pin!(retired), unneeded).await {
            Either::Left(_) => End::Retired,
            Either::Right(_) => End::Idle,
        }
    }

    /// Waits before the next trial. Whether there is to be one: somebody asks for the node.
    async fn pause(&self, pause: Duration) -> bool {
        sleep(pause).await;
        self.since_asked() < STILL_WANTED || timeout(IDLE, self.wanted.notified()).await.is_ok()
    }

    fn stand(&self, phase: Phase) {
        self.phase.send_modify(|current| {
            let link = match &phase {
                Phase::Up(link) => Some(Arc::clone(link)),
                _ => None,
            };
            self.link.store(link);
            *current = phase;
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since_asked(&self) -> Duration {
        let asked = self.asked.load(Ordering::Relaxed);
        Duration::from_millis(self.now().saturating_sub(asked))
    }
}

struct Forget<'p>(&'p Peer);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.stand(Phase::Gone);
    }
}

/// The pause before the next trial, after so many failures in a row: doubling, and never the same for two gateways.
fn pause(trial_interval: Duration, failures: u32) -> Duration {
    let longest = LONGEST_PAUSE.max(trial_interval);
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1).min(16));
    let pause = trial_interval.saturating_mul(doubled.unwrap_or(u32::MAX));
    pause
        .min(longest)
        .mul_f64(rand::rng().random_range(0.75..1.25))
}

/// The output of the future; `None` where the client has gone before.
async fn unless_closing<F: Future>(
    closing: &mut watch::Receiver<()>,
    future: F,
) -> Option<F::Output> {
    let closed = pin!(closing.changed());
    match select(pin!(future), closed).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_some_seconds_with_jitter() {
        let interval = Duration::from_millis(500);
        let near = |failures, millis: u64| {
            for _ in 0..50 {
                let pause = pause(interval, failures).as_secs_f64() * 1_000.0;
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
}
