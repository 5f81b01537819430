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
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use rand::RngExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    cancel::Cancels,
    connection::{DENIED, Ended, Opened, Sender},
    target::NodeTarget,
};

/// For `urge_from`.
const NEVER: u64 = u64::MAX;
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
    trial_interval: Duration,
    /// Wakes the trials of a dead node that nobody had asked for.
    wanted: Notify,
    /// Has a dead node tried at once.
    urged: Notify,
    /// From when on it may be urged, in milliseconds since `origin`.
    urge_from: AtomicU64,
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
    pub(super) cancels: Arc<Cancels>,
    number: u64,
    silent: Arc<OnceLock<String>>,
    /// Whether a call on it was ever answered.
    served: AtomicBool,
    /// Whether the node refused the secret.
    denied: AtomicBool,
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

/// Makes a connection to a node; where it is asked to, one on which the node has taken the secret.
pub(super) trait Connect: Send + 'static {
    fn connect<'t>(
        &'t self,
        target: &'t NodeTarget,
        proven: bool,
    ) -> BoxFuture<'t, Result<Opened, String>>;
}

/// How the work on a connection ended.
enum End {
    Lost(String),
    Silent(String),
    /// It takes no more calls.
    Retired,
    Denied,
    Idle,
}

impl Peer {
    pub(super) fn new(target: NodeTarget, trial_interval: Duration) -> Self {
        Self {
            target,
            link: ArcSwapOption::empty(),
            phase: watch::Sender::new(Phase::Connecting),
            trial_interval,
            wanted: Notify::new(),
            urged: Notify::new(),
            urge_from: AtomicU64::new(NEVER),
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
        self.leave(link, Phase::Connecting);
    }

    /// Tells that the node refused the secret: it counts as dead until it takes it.
    pub(super) fn deny(&self, link: &Arc<Link>) {
        link.denied.store(true, Ordering::Relaxed);
        self.leave(link, Phase::Dead(DENIED.into()));
    }

    fn leave(&self, link: &Arc<Link>, phase: Phase) {
        let is_current =
            |current: &Phase| matches!(current, Phase::Up(current) if Arc::ptr_eq(current, link));
        self.stand_if(is_current, phase);
        link.retired.notify_one();
    }

    /// Has the node tried at once where it is known dead and was not tried within the trial interval. Answers whether it
    /// is up then.
    pub(super) fn urge(&self) -> Option<impl Future<Output = bool> + Send + use<>> {
        let mut phase = self.phase.subscribe();
        let from = self.urge_from.load(Ordering::Relaxed);
        let may = self.now() >= from
            && self
                .urge_from
                .compare_exchange(from, NEVER, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !may {
            return None;
        }
        self.urged.notify_one();
        Some(async move {
            let tried = phase.changed().await;
            tried.is_ok() && matches!(&*phase.borrow(), Phase::Up(_))
        })
    }

    /// Waits for a connection with a number above this one. The node is tried for as long as somebody waits.
    pub(super) async fn connected(&self, above: u64) -> Option<u64> {
        let mut phase = self.phase.subscribe();
        self.wanted.notify_one();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Up(link) if link.number > above => return Some(link.number),
                Phase::Gone => return None,
                _ => {}
            }
            phase.changed().await.ok()?;
        }
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
        connector: impl Connect,
        mut closing: watch::Receiver<()>,
    ) {
        // Whatever ends this task, nobody may wait for it.
        let _forgotten = Forget(&self);
        let (mut failures, mut denied) = (0, false);
        loop {
            let connecting = connector.connect(&self.target, denied);
            let Some(connected) = unless_closing(&mut closing, connecting).await else {
                return;
            };
            let reason = match connected {
                Ok(opened) => {
                    let since = Instant::now();
                    let (end, served) = self.serve(opened, &mut closing).await;
                    // One that ends what it has just begun is not asked again and again.
                    let stood = served || since.elapsed() >= self.trial_interval;
                    if stood {
                        failures = 0;
                    }
                    denied = matches!(end, End::Denied);
                    match end {
                        End::Idle => return,
                        End::Retired | End::Lost(_) if stood => {
                            self.stand(Phase::Connecting);
                            continue;
                        }
                        End::Retired => "it takes no calls on its connections".to_owned(),
                        End::Denied => DENIED.to_owned(),
                        End::Lost(reason) | End::Silent(reason) => reason,
                    }
                }
                Err(reason) => reason,
            };
            failures += 1;
            // What was urged before was this trial.
            let _ = self.urged.notified().now_or_never();
            self.stand(Phase::Dead(reason.into()));
            let pause = self.pause(pause(self.trial_interval, failures));
            if unless_closing(&mut closing, pause).await != Some(true) {
                return;
            }
        }
    }

    /// Offers a connection to calls until it has ended or is not needed any more. Also answers whether it was of use.
    async fn serve(&self, opened: Opened, closing: &mut watch::Receiver<()>) -> (End, bool) {
        let Opened {
            sender,
            number,
            cancels,
            silent,
            mut work,
        } = opened;
        let link = Arc::new(Link {
            sender,
            cancels,
            number,
            silent,
            served: AtomicBool::new(false),
            denied: AtomicBool::new(false),
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
                Either::Right((end, _)) => Ok(end),
                Either::Left((Ended::Closed(reason), _)) => Err(End::Lost(reason)),
                Either::Left((Ended::Silent(reason), _)) => Err(End::Silent(reason)),
            }
        };
        let served = link.served.load(Ordering::Relaxed);
        match end {
            Err(end) => (end, served),
            Ok(end) => {
                if matches!(end, End::Idle) {
                    self.stand(Phase::Gone);
                }
                // The calls on it go on; it closes itself after the last one.
                drop(link);
                tokio::spawn(work);
                (end, served)
            }
        }
    }

    /// Is done when a working connection is to be left.
    async fn left(&self, link: &Arc<Link>, closing: &mut watch::Receiver<()>) -> End {
        let idle = async {
            loop {
                let quiet = self.since_asked();
                // Held here, in the peer twice, and by each call.
                if quiet >= IDLE && !self.is_watched() && Arc::strong_count(link) <= 3 {
                    return;
                }
                sleep(IDLE.saturating_sub(quiet).max(IDLE / 10)).await;
            }
        };
        let (retired, closed) = (link.retired.notified(), closing.changed());
        let unneeded = select(Box::pin(idle), Box::pin(closed));
        match select(pin!(retired), unneeded).await {
            Either::Left(_) if link.denied.load(Ordering::Relaxed) => End::Denied,
            Either::Left(_) => End::Retired,
            Either::Right(_) => End::Idle,
        }
    }

    /// Waits before the next trial. Whether there is to be one: somebody asks for the node, or waits for it.
    async fn pause(&self, pause: Duration) -> bool {
        let urged = pin!(self.urged.notified());
        let Either::Left(((), urged)) = select(pin!(sleep(pause)), urged).await else {
            return true;
        };
        if self.since_asked() < STILL_WANTED || self.is_watched() {
            return true;
        }
        let wanted = pin!(self.wanted.notified());
        timeout(IDLE, select(wanted, urged)).await.is_ok()
    }

    /// Whether somebody waits for a connection, not for the answer to a call.
    fn is_watched(&self) -> bool {
        self.phase.receiver_count() > 0
    }

    fn stand(&self, phase: Phase) {
        self.stand_if(|_| true, phase);
    }

    fn stand_if(&self, may: impl FnOnce(&Phase) -> bool, phase: Phase) {
        let reason = match &phase {
            Phase::Dead(reason) => Some(Arc::clone(reason)),
            _ => None,
        };
        let mut is_news = false;
        self.phase.send_if_modified(|current| {
            if !may(current) {
                return false;
            }
            is_news = reason.is_some() && !matches!(current, Phase::Dead(_));
            let link = match &phase {
                Phase::Up(link) => Some(Arc::clone(link)),
                _ => None,
            };
            self.link.store(link);
            let urge_from = match &phase {
                Phase::Dead(_) => self.after_the_trial_interval(),
                _ => NEVER,
            };
            self.urge_from.store(urge_from, Ordering::Relaxed);
            *current = phase;
            true
        });
        if let (true, Some(reason)) = (is_news, reason) {
            let node = crate::log_text::printed(&self.target.origin);
            tracing::warn!(
                node,
                reason = crate::log_text::cut(&reason),
                "a node is down"
            );
        }
    }

    fn after_the_trial_interval(&self) -> u64 {
        let interval = u64::try_from(self.trial_interval.as_millis()).unwrap_or(NEVER);
        self.now().saturating_add(interval)
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
mod tests;
