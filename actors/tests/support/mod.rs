//! Shared by the tests: a paused clock, an actor that records what happens to it, and messages that make it misbehave.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{ChildRef, ChildSpec, ExitContext, ExitReason};

/// Runs a test on one arbiter whose clock stands still while anything can run, and jumps when nothing can.
pub fn paused<F: Future>(test: F) -> F::Output {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(test)
}

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub fn note(&self, entry: impl Into<String>) {
        self.0.lock().expect("journal").push(entry.into());
    }

    pub fn look(&self) -> Vec<String> {
        self.0.lock().expect("journal").clone()
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("journal"))
    }
}

/// An actor that notes its life in a journal.
pub struct Worker {
    pub name: &'static str,
    pub journal: Journal,
    pub stubborn: bool,
}

impl Worker {
    pub fn new(name: &'static str, journal: &Journal) -> Self {
        Self {
            name,
            journal: journal.clone(),
            stubborn: false,
        }
    }

    pub fn spec(name: &'static str, journal: &Journal) -> ChildSpec<Self> {
        let journal = journal.clone();
        ChildSpec::new(name, move || Self::new(name, &journal))
    }

    /// Refuses to stop.
    pub fn stubborn(name: &'static str, journal: &Journal) -> ChildSpec<Self> {
        let journal = journal.clone();
        ChildSpec::new(name, move || {
            let mut worker = Self::new(name, &journal);
            worker.stubborn = true;
            worker
        })
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.journal.note(format!("{} started", self.name));
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.stubborn {
            Running::Continue
        } else {
            Running::Stop
        }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.journal.note(format!("{} stopped", self.name));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.journal.note(format!("{} dropped", self.name));
    }
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "&'static str")]
pub struct Ping;

impl Handler<Ping> for Worker {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.name)
    }
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct Panic;

impl Handler<Panic> for Worker {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("told to panic");
    }
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ExitWith(pub ExitReason);

impl Handler<ExitWith> for Worker {
    type Result = ();

    fn handle(&mut self, ExitWith(reason): ExitWith, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}

/// Replies after a while, in a task of its own that panics first when told to.
#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub struct LoseReply;

impl Handler<LoseReply> for Worker {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: LoseReply, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { panic!("the task of the reply panics") })
    }
}

/// Makes the child panic and waits until its next incarnation serves.
pub async fn crash(child: &ChildRef<Worker>) {
    let old = child.incarnation().expect("running");
    let _ = child.call(Panic).await;
    child.wait_until_running(old).await;
}

/// Long enough for everything that is due to happen.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
