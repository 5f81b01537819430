//! The supervisor: an actor that starts, watches, restarts and stops other actors by OTP's rules.
//!
//! It works on one thing at a time and never blocks its thread: while it starts or stops a child it takes no message, as
//! in OTP. A restart that fails is tried again through its own mailbox, so it can be asked and stopped in between.

mod children;
mod core;
mod error;
mod messages;
mod spec;
mod strategy;

use std::{fmt, future::Future, pin::Pin, rc::Rc};

use actix::{
    Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message, MessageResult,
    ResponseActFuture, ResponseFuture, Running, WrapFuture,
};

use self::core::{Core, Next};
pub use self::{
    error::{DeleteChildError, RestartChildError, StartChildError, TerminateChildError},
    messages::{
        ChildCounts, ChildInfo, ChildState, CountChildren, DeleteChild, GetChildSpec, GetTree,
        RestartChild, StartChild, SupervisionTree, TerminateChild, WhichChildren,
    },
    spec::{AutoShutdown, Strategy, SupervisorSpec},
};
use crate::{
    child_ref::ChildRef,
    child_spec::ChildSpecInfo,
    driver::{ExitContext, StartAck},
    exit::ExitReason,
    launch::ChildExited,
    observer::Lineage,
    shutdown::StopRequest,
};

/// The handle on a supervisor; its verbs are methods on it.
pub type SupervisorRef = ChildRef<Supervisor>;

/// An actor that supervises others. It is made from a [`SupervisorSpec`] and reached through a [`SupervisorRef`].
///
/// Stopped by whoever is above it, it stops its children in reverse order first. Over its [`Intensity`](crate::Intensity)
/// it does the same and exits with [`ExitReason::Shutdown`]; the supervisor above decides what that means. Killed, it takes
/// its children with it.
pub struct Supervisor {
    state: State,
    /// Made when a stop is asked for; the stop follows the operation under way.
    stop: Rc<StopRequest>,
}

enum State {
    /// Not started yet.
    Spec(Box<SupervisorSpec>, Lineage),
    /// At rest, ready for the next operation.
    Idle(Box<Core>),
    /// Lent to the operation under way.
    Lent,
    /// The children are stopped.
    Done,
}

impl Supervisor {
    pub(crate) fn new(spec: SupervisorSpec, lineage: Lineage) -> Self {
        Self {
            state: State::Spec(Box::new(spec), lineage),
            stop: Rc::default(),
        }
    }

    fn core(&self) -> Option<&Core> {
        match &self.state {
            State::Idle(core) => Some(core),
            _ => None,
        }
    }

    /// Lends the core to an operation, which must be waited for: no message is handled meanwhile.
    ///
    /// `None` where there is nothing to lend, before the start and after the stop.
    fn lend<R: 'static>(
        &mut self,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
    ) -> ResponseActFuture<Self, Option<R>> {
        let lent = std::mem::replace(&mut self.state, State::Lent);
        let work = async move {
            match lent {
                State::Idle(mut core) => {
                    let result = operation(&mut core).await;
                    (State::Idle(core), Some(result))
                }
                other => (other, None),
            }
        };
        Box::pin(work.into_actor(self).map(|(state, result), this, _| {
            this.state = state;
            result
        }))
    }

    fn operate<R: 'static>(
        &mut self,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
        then: impl FnOnce(R, &mut Self, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.wait(self.lend(operation).map(|result, this, ctx| {
            if let Some(result) = result {
                then(result, this, ctx);
            }
            this.obey_stop(ctx);
        }));
    }

    /// The same for a message with an answer; `unavailable` is the answer when there is nothing to lend.
    fn answer<R: 'static>(
        &mut self,
        unavailable: R,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
    ) -> AtomicResponse<Self, R> {
        AtomicResponse::new(Box::pin(self.lend(operation).map(|result, this, ctx| {
            this.obey_stop(ctx);
            result.unwrap_or(unavailable)
        })))
    }

    fn obey_stop(&mut self, ctx: &mut Context<Self>) {
        if self.stop.is_made() && matches!(self.state, State::Idle(_)) {
            self.stop_children_and_exit(ctx);
        }
    }

    fn go_on(&mut self, next: &Next, ctx: &mut Context<Self>) {
        match *next {
            Next::GoOn => {}
            Next::TryAgain(key) => ctx.address().do_send(TryAgain { key }),
            Next::Exit => self.stop_children_and_exit(ctx),
        }
    }

    fn stop_children_and_exit(&mut self, ctx: &mut Context<Self>) {
        self.operate(
            |core| Box::pin(core.stop_all()),
            |(), this, ctx| {
                this.state = State::Done;
                ctx.exit(ExitReason::Shutdown);
            },
            ctx,
        );
    }

    fn start_children(&mut self, ack: StartAck, ctx: &mut Context<Self>) {
        self.operate(
            |core| Box::pin(core.start_all()),
            |started, this, ctx| match started {
                Ok(()) => ack.ready(),
                Err(reason) => {
                    this.state = State::Done;
                    ctx.exit(reason);
                    // Dropped only after the reason is noted: the drop alone would read as a kill.
                    drop(ack);
                }
            },
            ctx,
        );
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("lineage", &self.core().map(|core| &core.lineage))
            .finish()
    }
}

/// An operation on the core, boxed so that actor and message handlers can name it.
type Operation<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let State::Spec(spec, lineage) = std::mem::replace(&mut self.state, State::Done) {
            let exits = ctx.address().recipient();
            let stop = Rc::clone(&self.stop);
            self.state = State::Idle(Box::new(Core::new(*spec, lineage, exits, stop)));
            let ack = ctx.defer_start();
            self.start_children(ack, ctx);
        }
    }

    /// The children come first: the stop is put off until they have ended.
    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        match self.state {
            State::Done | State::Spec(..) => Running::Stop,
            State::Lent => {
                self.stop.make();
                Running::Continue
            }
            State::Idle(_) => {
                self.stop_children_and_exit(ctx);
                Running::Continue
            }
        }
    }
}

/// A restart that failed is to be tried again.
#[derive(Message)]
#[rtype(result = "()")]
struct TryAgain {
    key: u64,
}

impl Handler<TryAgain> for Supervisor {
    type Result = ();

    fn handle(&mut self, TryAgain { key }: TryAgain, ctx: &mut Context<Self>) {
        self.operate(
            move |core| Box::pin(core.try_again(key)),
            |next, this, ctx| this.go_on(&next, ctx),
            ctx,
        );
    }
}

impl Handler<ChildExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exit: ChildExited, ctx: &mut Context<Self>) {
        self.operate(
            |core| Box::pin(core.child_exited(exit)),
            |next, this, ctx| this.go_on(&next, ctx),
            ctx,
        );
    }
}

impl<A: Actor<Context = Context<A>>> Handler<StartChild<A>> for Supervisor {
    type Result = AtomicResponse<Self, Result<ChildRef<A>, StartChildError>>;

    fn handle(&mut self, StartChild(spec): StartChild<A>, _: &mut Context<Self>) -> Self::Result {
        let child = spec.child_ref();
        let blueprint = spec.into_blueprint();
        self.answer(Err(StartChildError::NoSupervisor), |core| {
            Box::pin(async move { core.start_child(blueprint).await.map(|()| child) })
        })
    }
}

impl Handler<TerminateChild> for Supervisor {
    type Result = AtomicResponse<Self, Result<(), TerminateChildError>>;

    fn handle(
        &mut self,
        TerminateChild(id): TerminateChild,
        _: &mut Context<Self>,
    ) -> Self::Result {
        self.answer(Err(TerminateChildError::NoSupervisor), |core| {
            Box::pin(core.terminate_child(id))
        })
    }
}

impl Handler<RestartChild> for Supervisor {
    type Result = AtomicResponse<Self, Result<(), RestartChildError>>;

    fn handle(&mut self, RestartChild(id): RestartChild, _: &mut Context<Self>) -> Self::Result {
        self.answer(Err(RestartChildError::NoSupervisor), |core| {
            Box::pin(core.restart_child(id))
        })
    }
}

impl Handler<DeleteChild> for Supervisor {
    type Result = Result<(), DeleteChildError>;

    fn handle(&mut self, DeleteChild(id): DeleteChild, _: &mut Context<Self>) -> Self::Result {
        match &mut self.state {
            State::Idle(core) => core.delete_child(id),
            _ => Err(DeleteChildError::NoSupervisor),
        }
    }
}

impl Handler<WhichChildren> for Supervisor {
    type Result = MessageResult<WhichChildren>;

    fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Self::Result {
        MessageResult(
            self.core()
                .map(|core| core.children.infos())
                .unwrap_or_default(),
        )
    }
}

impl Handler<CountChildren> for Supervisor {
    type Result = MessageResult<CountChildren>;

    fn handle(&mut self, _: CountChildren, _: &mut Context<Self>) -> Self::Result {
        MessageResult(
            self.core()
                .map(|core| core.children.counts())
                .unwrap_or_default(),
        )
    }
}

impl Handler<GetChildSpec> for Supervisor {
    type Result = Option<ChildSpecInfo>;

    fn handle(&mut self, GetChildSpec(id): GetChildSpec, _: &mut Context<Self>) -> Self::Result {
        let (_, child) = self.core()?.children.find(&id)?;
        Some(ChildSpecInfo::clone(&child.blueprint.info))
    }
}

/// The answer is put together in a task of its own, so a nested supervisor that is busy delays nobody but the asker.
impl Handler<GetTree> for Supervisor {
    type Result = ResponseFuture<Vec<SupervisionTree>>;

    fn handle(&mut self, _: GetTree, _: &mut Context<Self>) -> Self::Result {
        let children: Vec<_> = self.core().map_or_else(Vec::new, |core| {
            core.children
                .iter()
                .map(|child| (child.blueprint.clone(), child.state()))
                .collect()
        });
        Box::pin(async move {
            let mut trees = Vec::with_capacity(children.len());
            for (blueprint, state) in children {
                trees.push(blueprint.tree(state).await);
            }
            trees
        })
    }
}
