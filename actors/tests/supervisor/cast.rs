//! The cast of the tests: children that fail, refuse, linger or wait for a verdict, and short ways to ask about them.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    ChildRef, ChildSpec, ChildState, ExitContext, ExitReason, Init, Intensity, StartAck,
    StartError, Strategy, SupervisorRef, SupervisorSpec,
};
use tokio::sync::mpsc;

use crate::support::{ExitWith, Journal, Panic, Worker, settle};

/// Starts a tree that is expected to start.
pub(crate) async fn start(spec: SupervisorSpec) -> SupervisorRef {
    spec.start("root").await.expect("the tree starts")
}

/// A spec with room for so many restarts within the hour.
pub(crate) fn supervisor(strategy: Strategy, restarts: usize) -> SupervisorSpec {
    SupervisorSpec::new(strategy).intensity(Intensity::new(restarts, Duration::from_secs(3600)))
}

/// One worker for each name, in this order, and the handles on them.
pub(crate) fn workers<const N: usize>(
    spec: SupervisorSpec,
    journal: &Journal,
    names: [&'static str; N],
) -> (SupervisorSpec, [ChildRef<Worker>; N]) {
    let specs = names.map(|name| Worker::spec(name, journal));
    let handles = specs.each_ref().map(ChildSpec::child_ref);
    (specs.into_iter().fold(spec, SupervisorSpec::child), handles)
}

/// Ends a child with a panic and waits until all that follows from it has happened.
pub(crate) async fn panic_and_settle(child: &ChildRef<Worker>) {
    let _ = child.call(Panic).await;
    settle().await;
}

/// Ends a child with a reason of its own and waits until all that follows from it has happened.
pub(crate) async fn exit_and_settle(child: &ChildRef<Worker>, reason: ExitReason) {
    let _ = child.call(ExitWith(reason)).await;
    settle().await;
}

/// `[specs, active, supervisors, workers]`.
pub(crate) async fn counts(supervisor: &SupervisorRef) -> [usize; 4] {
    let counts = supervisor.count_children().await;
    [
        counts.specs,
        counts.active,
        counts.supervisors,
        counts.workers,
    ]
}

/// All children in start order: `"a:1"` runs as incarnation 1, `"a:stopped"` and `"a:restarting"` do not.
pub(crate) async fn which(supervisor: &SupervisorRef) -> Vec<String> {
    let describe = |child: &actix_otp::ChildInfo| match child.state {
        ChildState::Running { incarnation } => format!("{}:{incarnation}", child.id),
        other => format!("{}:{other}", child.id),
    };
    supervisor
        .which_children()
        .await
        .iter()
        .map(describe)
        .collect()
}

/// What one start of a scripted child does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Act {
    Run,
    Ignore,
    Fail,
}

/// A worker whose starts follow a script; after its end they succeed.
pub(crate) fn scripted(name: &'static str, journal: &Journal, script: &[Act]) -> ChildSpec<Worker> {
    let script = std::sync::Mutex::new(script.iter().copied().collect::<VecDeque<_>>());
    let journal = journal.clone();
    ChildSpec::try_new(name, move || {
        let act = script.lock().expect("script").pop_front();
        match act.unwrap_or(Act::Run) {
            Act::Run => Ok(Init::Run(Worker::new(name, &journal))),
            Act::Ignore => Ok(Init::Ignore),
            Act::Fail => Err("scripted to fail"),
        }
    })
}

/// Decides whether the starts of a child fail, and counts them all.
#[derive(Clone, Default)]
pub(crate) struct Switch(Arc<(AtomicBool, AtomicUsize)>);

impl Switch {
    pub(crate) fn fail(&self, fail: bool) {
        self.0.0.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn starts(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    /// A worker that starts at once while the switch is off, and fails at once while it is on.
    pub(crate) fn spec(&self, name: &'static str, journal: &Journal) -> ChildSpec<Worker> {
        let (switch, journal) = (self.clone(), journal.clone());
        ChildSpec::try_new(name, move || {
            switch.0.1.fetch_add(1, Ordering::SeqCst);
            if switch.0.0.load(Ordering::SeqCst) {
                return Err("switched to fail");
            }
            Ok(Init::Run(Worker::new(name, &journal)))
        })
    }

    /// The same, but a start that fails takes two seconds first, as one that waits for a peer does.
    pub(crate) fn slow_spec(&self, name: &'static str, journal: &Journal) -> ChildSpec<Slowly> {
        let (switch, journal) = (self.clone(), journal.clone());
        ChildSpec::new(name, move || {
            switch.0.1.fetch_add(1, Ordering::SeqCst);
            Slowly {
                fails: switch.0.0.load(Ordering::SeqCst),
                worker: Worker::new(name, &journal),
            }
        })
    }
}

/// Takes two seconds to fail its start.
pub(crate) struct Slowly {
    fails: bool,
    worker: Worker,
}

impl Actor for Slowly {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.fails {
            let ack = ctx.defer_start();
            ctx.run_later(Duration::from_secs(2), move |_, ctx| {
                ctx.exit(ExitReason::error("no peer"));
                drop(ack);
            });
        }
    }
}

impl Handler<Panic> for Slowly {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("{} told to panic", self.worker.name);
    }
}

/// Ends with a reason of its own, whoever asks it to end, perhaps after some time in its stop hook.
pub(crate) struct Leaver {
    id: Arc<str>,
    reason: Option<ExitReason>,
    delay: Option<Duration>,
    journal: Journal,
}

impl Leaver {
    pub(crate) fn spec(
        id: impl Into<Arc<str>>,
        reason: Option<ExitReason>,
        delay: Option<Duration>,
        journal: &Journal,
    ) -> ChildSpec<Self> {
        let (id, journal) = (id.into(), journal.clone());
        ChildSpec::new(Arc::clone(&id), move || Self {
            id: Arc::clone(&id),
            reason: reason.clone(),
            delay,
            journal: journal.clone(),
        })
    }
}

impl Actor for Leaver {
    type Context = Context<Self>;

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        if let Some(delay) = self.delay.take() {
            self.journal.note(format!("{} stopping", self.id));
            ctx.run_later(delay, |_, ctx| ctx.stop());
            return Running::Continue;
        }
        if let Some(reason) = &self.reason {
            ctx.exit(reason.clone());
        }
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.journal.note(format!("{} stopped", self.id));
    }
}

impl Handler<ExitWith> for Leaver {
    type Result = ();

    fn handle(&mut self, ExitWith(reason): ExitWith, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}

/// Every start of a gated child waits for the test's verdict.
pub(crate) struct Gate {
    requests: mpsc::UnboundedReceiver<Request>,
    sender: mpsc::UnboundedSender<Request>,
    journal: Journal,
}

/// A start that waits for its verdict; dropped, it fails.
pub(crate) struct Request {
    pub(crate) name: &'static str,
    ack: StartAck,
}

impl Request {
    pub(crate) fn admit(self) {
        self.ack.ready();
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Gate {
    pub(crate) fn new(journal: &Journal) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        Self {
            requests,
            sender,
            journal: journal.clone(),
        }
    }

    pub(crate) fn spec(&self, name: &'static str) -> ChildSpec<Gated> {
        let (sender, journal) = (self.sender.clone(), self.journal.clone());
        ChildSpec::new(name, move || Gated {
            requests: sender.clone(),
            worker: Worker::new(name, &journal),
        })
    }

    /// The next start, which must be that of `name`.
    pub(crate) async fn next(&mut self, name: &str) -> Request {
        let request = self.requests.recv().await.expect("the gate holds a sender");
        assert_eq!(request.name, name);
        request
    }

    /// Whether a start waits for its verdict now.
    pub(crate) fn is_asked(&mut self) -> bool {
        !self.requests.is_empty()
    }
}

pub(crate) struct Gated {
    requests: mpsc::UnboundedSender<Request>,
    worker: Worker,
}

impl Actor for Gated {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let name = self.worker.name;
        self.worker.journal.note(format!("{name} started"));
        let ack = ctx.defer_start();
        let _ = self.requests.send(Request { name, ack });
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.worker
            .journal
            .note(format!("{} stopped", self.worker.name));
    }
}

impl Handler<Panic> for Gated {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("told to panic");
    }
}

/// Who has started and was not dropped since, by the journal so far.
pub(crate) fn live(journal: &Journal) -> Vec<String> {
    let mut live = Vec::new();
    for entry in journal.look() {
        if let Some(name) = entry.strip_suffix(" started") {
            live.push(name.to_owned());
        } else if let Some(name) = entry.strip_suffix(" dropped") {
            live.retain(|live| live != name);
        }
    }
    live.sort();
    live
}

/// The start error of a child whose factory answered with this error.
pub(crate) fn failed(cause: &str) -> StartError {
    StartError::Exited(ExitReason::error(cause))
}
