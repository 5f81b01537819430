//! What a dynamic supervisor can be asked through its mailbox.

use std::{collections::HashMap, sync::Arc};

use actix::{AtomicResponse, Context, Handler, Message, MessageResult, ResponseFuture};

use super::{
    DynamicSupervisor,
    core::Core,
    error::{StartDynamicError, TerminateDynamicError},
    nursery::Resident,
};
use crate::{
    child_ref::ChildRef,
    child_spec::{Blueprint, ChildKind, ChildSpecInfo},
    launch::ChildExited,
    lending::{Lender, TryAgain},
    supervisor::{
        Child, ChildCounts, ChildInfo, ChildState, CountChildren, SupervisionTree, WhichChildren,
        trees,
    },
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

/// Asks for the number of all children, and the trees of those with a spec.
#[derive(Message)]
#[rtype(result = "(usize, Vec<SupervisionTree>)")]
struct GetSubtrees;

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
        self.core()?.spec_info(identity)
    }
}

/// Lists the children with a spec in start order, then the others under the type name of their actor.
impl Handler<WhichChildren> for DynamicSupervisor {
    type Result = MessageResult<WhichChildren>;

    fn handle(&mut self, _: WhichChildren, _: &mut Context<Self>) -> Self::Result {
        let mut infos: Vec<_> = self.children().map(Child::info).collect();
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
        MessageResult(self.counts())
    }
}

impl Handler<GetSubtrees> for DynamicSupervisor {
    type Result = ResponseFuture<(usize, Vec<SupervisionTree>)>;

    fn handle(&mut self, _: GetSubtrees, _: &mut Context<Self>) -> Self::Result {
        let (count, trees) = (self.counts().specs, trees(self.children()));
        Box::pin(async move { (count, trees.await) })
    }
}

impl DynamicSupervisor {
    /// Those with a spec.
    fn children(&self) -> impl Iterator<Item = &Child> {
        self.core().into_iter().flat_map(Core::children)
    }

    /// Both kinds of children; those without a spec are workers and always active.
    fn counts(&self) -> ChildCounts {
        let mut counts = ChildCounts::of(self.children());
        let unnamed = self.shared.nursery.len();
        counts.specs += unnamed;
        counts.active += unnamed;
        counts.workers += unnamed;
        counts
    }
}

/// A dynamic supervisor with everything below it.
pub(super) async fn tree(supervisor: ChildRef<DynamicSupervisor>) -> SupervisionTree {
    let (state, (child_count, children)) =
        match (supervisor.incarnation(), supervisor.call(GetSubtrees).await) {
            (Some(incarnation), Ok(below)) => (ChildState::Running { incarnation }, below),
            _ => (ChildState::Stopped, Default::default()),
        };
    SupervisionTree {
        id: supervisor.id().into(),
        state,
        actor: std::any::type_name::<DynamicSupervisor>(),
        child_count,
        children,
    }
}
