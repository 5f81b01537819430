//! What a dynamic supervisor can be asked through its mailbox.

use std::{collections::HashMap, sync::Arc};

use actix::{AtomicResponse, Context, Handler, Message, MessageResult};

use super::{
    DynamicSupervisor,
    error::{StartDynamicError, TerminateDynamicError},
    nursery::Resident,
};
use crate::{
    child_spec::{Blueprint, ChildKind, ChildSpecInfo},
    launch::ChildExited,
    lending::{Lender, TryAgain},
    supervisor::{Child, ChildInfo, ChildState, CountChildren, WhichChildren},
    view::View,
};

/// Starts a child from its spec.
#[derive(Message)]
#[rtype(result = "Result<(), StartDynamicError>")]
pub(super) struct StartSpec(pub(super) Blueprint);

/// Ends a child with a spec, by its identity.
#[derive(Message)]
#[rtype(result = "Result<(), TerminateDynamicError>")]
pub(super) struct TerminateSpec(pub(super) usize);

/// Asks for the spec of a child, by its identity.
#[derive(Message)]
#[rtype(result = "Option<ChildSpecInfo>")]
pub(super) struct SpecInfo(pub(super) usize);

impl Handler<StartSpec> for DynamicSupervisor {
    type Result = AtomicResponse<Self, Result<(), StartDynamicError>>;

    fn handle(&mut self, StartSpec(blueprint): StartSpec, _: &mut Context<Self>) -> Self::Result {
        self.answer(Err(StartDynamicError::NoSupervisor), async |core| {
            core.start(blueprint).await
        })
    }
}

impl Handler<TerminateSpec> for DynamicSupervisor {
    type Result = AtomicResponse<Self, Result<(), TerminateDynamicError>>;

    fn handle(
        &mut self,
        TerminateSpec(identity): TerminateSpec,
        _: &mut Context<Self>,
    ) -> Self::Result {
        self.answer(
            Err(TerminateDynamicError::NoSupervisor),
            async move |core| core.terminate(identity).await,
        )
    }
}

impl Handler<ChildExited> for DynamicSupervisor {
    type Result = ();

    fn handle(&mut self, exit: ChildExited, ctx: &mut Context<Self>) {
        self.operate(async |core| core.child_exited(exit).await, Self::go_on, ctx);
    }
}

impl Handler<TryAgain> for DynamicSupervisor {
    type Result = ();

    fn handle(&mut self, TryAgain(key): TryAgain, ctx: &mut Context<Self>) {
        self.operate(
            async move |core| core.try_again(key).await,
            Self::go_on,
            ctx,
        );
    }
}

impl Handler<SpecInfo> for DynamicSupervisor {
    type Result = Option<ChildSpecInfo>;

    fn handle(&mut self, SpecInfo(identity): SpecInfo, _: &mut Context<Self>) -> Self::Result {
        self.shared.named.spec_info(identity)
    }
}

/// Lists the children with a spec in start order, then the others under the type name of their actor.
impl Handler<WhichChildren> for DynamicSupervisor {
    type Result = MessageResult<WhichChildren>;

    fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Self::Result {
        let named = self.shared.named.snapshot();
        let mut infos: Vec<_> = named.iter().map(Child::info).collect();
        let mut names = HashMap::new();
        let unnamed = |Resident { actor, .. }| ChildInfo {
            id: Arc::clone(names.entry(actor).or_insert_with(|| actor.into())),
            state: ChildState::Running { incarnation: 1 },
            kind: ChildKind::Worker,
            actor,
        };
        infos.extend(self.shared.nursery.residents().into_iter().map(unnamed));
        MessageResult(infos)
    }
}

impl Handler<CountChildren> for DynamicSupervisor {
    type Result = MessageResult<CountChildren>;

    fn handle(&mut self, _: CountChildren, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.shared.counts())
    }
}
