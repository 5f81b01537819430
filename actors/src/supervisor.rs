//! The supervisor: an actor that starts, watches, restarts and stops other actors by OTP's rules.
//!
//! It works on one thing at a time and never blocks its thread: while it starts or stops a child it takes no message, as
//! in OTP. A restart that fails is tried again through its own mailbox, so it can be asked and stopped in between.

mod child;
mod children;
mod core;
mod error;
mod messages;
mod spec;
mod strategy;

use std::{fmt, sync::Arc};

use actix::{Actor, AtomicResponse, Context, Handler, MessageResult, Running};

use self::core::Core;
pub(crate) use self::{
    child::{Child, Life, trees},
    children::Children,
};
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
    inbox::Inbox,
    launch::{ChildExited, Origin},
    lending::{Lender, Lending, TryAgain},
    view::View,
};

/// The handle on a supervisor; its verbs are methods on it.
pub type SupervisorRef = ChildRef<Supervisor>;

/// An actor that supervises others. It is made from a [`SupervisorSpec`] and reached through a [`SupervisorRef`].
///
/// Stopped by whoever is above it, it stops its children in reverse order first. Over its [`Intensity`](crate::Intensity)
/// it does the same and exits with [`ExitReason::Shutdown`]; the supervisor above decides what that means. Killed, it takes
/// its children with it.
pub struct Supervisor {
    /// Taken at the start.
    origin: Option<Box<(SupervisorSpec, Origin)>>,
    children: Children,
    inbox: Arc<Inbox<Self>>,
    lending: Lending<Core>,
}

impl Supervisor {
    pub(crate) fn new(
        spec: SupervisorSpec,
        origin: Origin,
        children: Children,
        inbox: Arc<Inbox<Self>>,
    ) -> Self {
        Self {
            origin: Some(Box::new((spec, origin))),
            children,
            inbox,
            lending: Lending::default(),
        }
    }

    fn start_children(&mut self, ack: StartAck, ctx: &mut Context<Self>) {
        self.operate(
            async |core| core.start_all().await,
            |this, started, ctx| match started {
                Ok(()) => ack.ready(),
                Err(reason) => {
                    this.lending.close();
                    ctx.exit(reason);
                    // Dropped only after the reason is noted: the drop alone would read as a kill.
                    drop(ack);
                }
            },
            ctx,
        );
    }
}

impl Lender for Supervisor {
    type Core = Core;

    fn lending(&mut self) -> &mut Lending<Core> {
        &mut self.lending
    }

    fn inbox(&self) -> &Inbox<Self> {
        &self.inbox
    }

    fn stop_children_and_exit(&mut self, ctx: &mut Context<Self>) {
        self.operate(
            async |core| core.stop_all().await,
            |this, (), ctx| {
                this.lending.close();
                ctx.exit(ExitReason::Shutdown);
            },
            ctx,
        );
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field(
                "lineage",
                &self.lending.core().map(|core| &core.origin.lineage),
            )
            .finish_non_exhaustive()
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(origin) = self.origin.take() {
            let (spec, origin) = *origin;
            let exits = Arc::clone(&self.inbox) as _;
            let stop = self.lending.stop_request();
            let children = self.children.clone();
            self.lending
                .open(Core::new(spec, origin, children, exits, stop));
            let ack = ctx.defer_start();
            self.start_children(ack, ctx);
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_after_children(ctx)
    }
}

impl Handler<TryAgain> for Supervisor {
    type Result = ();

    fn handle(&mut self, TryAgain(key): TryAgain, ctx: &mut Context<Self>) {
        self.operate(
            async move |core| core.try_again(key).await,
            Self::go_on,
            ctx,
        );
    }
}

impl Handler<ChildExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exit: ChildExited, ctx: &mut Context<Self>) {
        self.operate(async |core| core.child_exited(exit).await, Self::go_on, ctx);
    }
}

impl<A: Actor<Context = Context<A>>> Handler<StartChild<A>> for Supervisor {
    type Result = AtomicResponse<Self, Result<ChildRef<A>, StartChildError>>;

    fn handle(&mut self, StartChild(spec): StartChild<A>, _: &mut Context<Self>) -> Self::Result {
        let child = spec.child_ref();
        let blueprint = spec.into_blueprint();
        self.answer(Err(StartChildError::NoSupervisor), async |core| {
            core.start_child(blueprint).await.map(|()| child)
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
        self.answer(Err(TerminateChildError::NoSupervisor), async |core| {
            core.terminate_child(id).await
        })
    }
}

impl Handler<RestartChild> for Supervisor {
    type Result = AtomicResponse<Self, Result<(), RestartChildError>>;

    fn handle(&mut self, RestartChild(id): RestartChild, _: &mut Context<Self>) -> Self::Result {
        self.answer(Err(RestartChildError::NoSupervisor), async |core| {
            core.restart_child(id).await
        })
    }
}

impl Handler<DeleteChild> for Supervisor {
    type Result = Result<(), DeleteChildError>;

    fn handle(&mut self, DeleteChild(id): DeleteChild, _: &mut Context<Self>) -> Self::Result {
        match self.lending.core_mut() {
            Some(core) => core.delete_child(id),
            None => Err(DeleteChildError::NoSupervisor),
        }
    }
}

impl Handler<WhichChildren> for Supervisor {
    type Result = MessageResult<WhichChildren>;

    fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Self::Result {
        let children = self.children.snapshot();
        MessageResult(children.iter().map(Child::info).collect())
    }
}

impl Handler<CountChildren> for Supervisor {
    type Result = MessageResult<CountChildren>;

    fn handle(&mut self, _: CountChildren, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.children.counts())
    }
}

impl Handler<GetChildSpec> for Supervisor {
    type Result = Option<ChildSpecInfo>;

    fn handle(&mut self, GetChildSpec(id): GetChildSpec, _: &mut Context<Self>) -> Self::Result {
        let (_, child) = self.children.find(&id)?;
        Some(ChildSpecInfo::clone(&child.blueprint.info))
    }
}

impl Handler<GetTree> for Supervisor {
    type Result = MessageResult<GetTree>;

    fn handle(&mut self, _: GetTree, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.children.below().1)
    }
}
