//! The same small actor in actix, ractor and kameo: it adds numbers, and panics when told to.
//!
//! Each counts itself in when it has started and out when it is dropped, so a benchmark can wait for many.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// How many actors have started.
pub static STARTED: Tally = Tally::new();

/// How many actors are gone.
pub static ENDED: Tally = Tally::new();

/// Counts to a goal and wakes the one who waits for it.
#[derive(Debug)]
pub struct Tally {
    missing: AtomicI64,
    reached: Notify,
}

impl Tally {
    /// A tally that expects nothing.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self {
            missing: AtomicI64::new(0),
            reached: Notify::const_new(),
        }
    }

    /// Begins to count to `goal`, from zero.
    pub fn expect(&self, goal: u64) {
        self.missing.store(goal as i64, Ordering::SeqCst);
    }

    /// Waits for the goal.
    pub async fn reached(&self) {
        while self.missing() > 0 {
            self.reached.notified().await;
        }
    }

    /// How many are missing; below zero where more came than were expected.
    #[must_use]
    pub fn missing(&self) -> i64 {
        self.missing.load(Ordering::SeqCst)
    }

    /// Counts one.
    pub fn count(&self) {
        if self.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.notify_one();
        }
    }
}

/// Counts an actor out when it is dropped.
#[derive(Debug)]
pub struct Life(());

impl Life {
    fn begin() -> Self {
        Self(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        ENDED.count();
    }
}

/// The actor in actix, bare or supervised.
pub mod actix {
    use actix::prelude::*;

    use super::{Life, STARTED};

    /// Adds.
    #[derive(Debug)]
    pub struct Adder(#[allow(dead_code, reason = "its drop counts")] Life);

    impl Adder {
        /// An actor that has not started.
        #[must_use]
        #[allow(clippy::new_without_default, reason = "it is counted")]
        pub fn new() -> Self {
            Self(Life::begin())
        }
    }

    impl Actor for Adder {
        type Context = Context<Self>;

        fn started(&mut self, _: &mut Context<Self>) {
            STARTED.count();
        }
    }

    /// Answers with the next number.
    #[derive(Clone, Copy, Debug, Message)]
    #[rtype(result = "u64")]
    pub struct Add(pub u64);

    impl Handler<Add> for Adder {
        type Result = u64;

        fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> u64 {
            number + 1
        }
    }

    /// Panics.
    #[derive(Clone, Copy, Debug, Message)]
    #[rtype(result = "()")]
    pub struct Crash;

    impl Handler<Crash> for Adder {
        type Result = ();

        fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
            panic!("told to");
        }
    }
}

/// The actor in ractor, and a supervisor, which ractor leaves to its users to write.
pub mod ractor {
    use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
    use tokio::sync::mpsc::UnboundedSender;

    use super::{Life, STARTED};

    /// Adds.
    #[derive(Debug)]
    pub struct Adder;

    /// What an [`Adder`] takes.
    #[derive(Debug)]
    pub enum Message {
        /// Answers with the next number.
        Add(u64, RpcReplyPort<u64>),
        /// Panics.
        Crash(RpcReplyPort<()>),
    }

    impl Actor for Adder {
        type Msg = Message;
        type State = Life;
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ActorRef<Message>,
            (): (),
        ) -> Result<Life, ActorProcessingErr> {
            STARTED.count();
            Ok(Life::begin())
        }

        async fn handle(
            &self,
            _: ActorRef<Message>,
            message: Message,
            _: &mut Life,
        ) -> Result<(), ActorProcessingErr> {
            match message {
                Message::Add(number, reply) => Ok(reply.send(number + 1)?),
                Message::Crash(_) => panic!("told to"),
            }
        }
    }

    /// Starts an [`Adder`], and another one whenever one fails; each goes to the channel it is made with.
    #[derive(Debug)]
    pub struct Supervisor;

    impl Supervisor {
        async fn start_child(
            myself: &ActorRef<()>,
            started: &UnboundedSender<ActorRef<Message>>,
        ) -> Result<(), ActorProcessingErr> {
            let (child, _) = Adder::spawn_linked(None, Adder, (), myself.get_cell()).await?;
            Ok(started.send(child)?)
        }
    }

    impl Actor for Supervisor {
        type Msg = ();
        type State = UnboundedSender<ActorRef<Message>>;
        type Arguments = UnboundedSender<ActorRef<Message>>;

        async fn pre_start(
            &self,
            myself: ActorRef<()>,
            started: Self::Arguments,
        ) -> Result<Self::State, ActorProcessingErr> {
            Self::start_child(&myself, &started).await?;
            Ok(started)
        }

        async fn handle_supervisor_evt(
            &self,
            myself: ActorRef<()>,
            event: SupervisionEvent,
            started: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            match event {
                SupervisionEvent::ActorFailed(..) => Self::start_child(&myself, started).await,
                _ => Ok(()),
            }
        }
    }

    /// A supervisor for children that are linked to it by hand.
    #[derive(Debug)]
    pub struct Parent;

    impl Actor for Parent {
        type Msg = ();
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle_supervisor_evt(
            &self,
            _: ActorRef<()>,
            _: SupervisionEvent,
            (): &mut (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }
}

/// The actor in kameo, and an actor to supervise it.
pub mod kameo {
    use std::convert::Infallible;

    use kameo::{
        Actor,
        actor::ActorRef,
        message::{Context, Message},
    };

    use super::{Life, STARTED};

    /// Adds.
    #[derive(Debug)]
    pub struct Adder(#[allow(dead_code, reason = "its drop counts")] Life);

    impl Actor for Adder {
        type Args = ();
        type Error = Infallible;

        async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
            STARTED.count();
            Ok(Self(Life::begin()))
        }
    }

    /// Answers with the next number.
    #[derive(Clone, Copy, Debug)]
    pub struct Add(pub u64);

    impl Message<Add> for Adder {
        type Reply = u64;

        async fn handle(&mut self, Add(number): Add, _: &mut Context<Self, u64>) -> u64 {
            number + 1
        }
    }

    /// Panics.
    #[derive(Clone, Copy, Debug)]
    pub struct Crash;

    impl Message<Crash> for Adder {
        type Reply = ();

        async fn handle(&mut self, _: Crash, _: &mut Context<Self, ()>) {
            panic!("told to");
        }
    }

    /// Supervises with kameo's own restarts.
    #[derive(Debug)]
    pub struct Supervisor;

    impl Actor for Supervisor {
        type Args = ();
        type Error = Infallible;

        async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
            Ok(Self)
        }
    }
}
