//! Children that start, live and stop as a test wants, for the tests of dynamic supervisors.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    ChildCounts, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, ExitContext, ExitReason,
    Init, Strategy, SupervisorRef, SupervisorSpec,
};

use crate::support::{ExitWith, Panic, Ping};

/// How a [`Subject`] answers a stop.
#[derive(Clone, Debug)]
pub enum OnStop {
    Obey,
    /// Goes on for ever.
    Ignore,
    /// Takes this long.
    After(Duration),
    /// Ends with a reason of its own.
    With(ExitReason),
}

/// An actor whose stop is up to the test.
pub struct Subject {
    on_stop: OnStop,
    stopping: bool,
}

impl Subject {
    pub fn new(on_stop: OnStop) -> Self {
        Self {
            on_stop,
            stopping: false,
        }
    }

    pub fn spec(on_stop: OnStop) -> ChildSpec<Self> {
        ChildSpec::new("subject", move || Self::new(on_stop.clone()))
    }

    pub fn plain() -> ChildSpec<Self> {
        Self::spec(OnStop::Obey)
    }

    /// A child whose starts follow a script; the last line is repeated.
    pub fn scripted(script: &'static [Start]) -> (ChildSpec<Self>, Attempts) {
        let attempts = Attempts::default();
        let counted = attempts.clone();
        let factory = move || {
            let attempt = counted.0.fetch_add(1, Ordering::SeqCst);
            match script[attempt.min(script.len() - 1)] {
                Start::Run => Ok(Init::Run(Self::new(OnStop::Obey))),
                Start::Ignore => Ok(Init::Ignore),
                Start::Fail => Err("no subject today"),
            }
        };
        (ChildSpec::try_new("scripted", factory), attempts)
    }
}

/// How one start goes.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    Run,
    Ignore,
    Fail,
}

/// How often a factory ran.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicUsize>);

impl Attempts {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Actor for Subject {
    type Context = Context<Self>;

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        match (&self.on_stop, self.stopping) {
            (OnStop::Obey, _) | (OnStop::After(_), true) => Running::Stop,
            (OnStop::Ignore, _) => Running::Continue,
            (OnStop::With(reason), _) => {
                ctx.exit(reason.clone());
                Running::Stop
            }
            (OnStop::After(delay), false) => {
                ctx.run_later(*delay, |subject, ctx| {
                    subject.stopping = true;
                    ctx.stop();
                });
                Running::Continue
            }
        }
    }
}

impl Handler<Ping> for Subject {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Self::Result {
        MessageResult("subject")
    }
}

impl Handler<Panic> for Subject {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("told to panic");
    }
}

impl Handler<ExitWith> for Subject {
    type Result = ();

    fn handle(&mut self, ExitWith(reason): ExitWith, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}

/// An actor whose start is complete after a second.
pub struct SlowStarter;

impl Actor for SlowStarter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let ack = ctx.defer_start();
        ctx.run_later(Duration::from_secs(1), |_, _| ack.ready());
    }
}

/// A dynamic supervisor under a root.
pub async fn start(spec: DynamicSupervisorSpec) -> (SupervisorRef, DynamicSupervisorRef) {
    let (child, handle) = spec.build("dynamic");
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(child)
        .start("root")
        .await;
    (root.expect("the tree starts"), handle)
}

/// The counts as OTP prints them: specs, active, supervisors, workers.
pub fn numbers(counts: ChildCounts) -> [usize; 4] {
    [
        counts.specs,
        counts.active,
        counts.supervisors,
        counts.workers,
    ]
}

/// The counts of a dynamic supervisor's children.
pub async fn counts(children: &DynamicSupervisorRef) -> [usize; 4] {
    numbers(children.count_children().await)
}
