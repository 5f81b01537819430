//! The verbs of a supervisor as typed messages, and as methods on its handle.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};

use super::{
    Supervisor, SupervisorRef,
    error::{DeleteChildError, RestartChildError, StartChildError, TerminateChildError},
};
use crate::{
    child_ref::{CallError, ChildRef},
    child_spec::{ChildKind, ChildSpec, ChildSpecInfo},
    stats::ChildStats,
    view::View,
};

/// Adds a child and starts it after all others (OTP: `start_child/2`).
#[derive(Debug)]
pub struct StartChild<A: Actor>(pub ChildSpec<A>);

impl<A: Actor> Message for StartChild<A> {
    type Result = Result<ChildRef<A>, StartChildError>;
}

/// Ends a child as its [`Shutdown`](crate::Shutdown) says and keeps its spec, unless it is temporary
/// (OTP: `terminate_child/2`).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), TerminateChildError>")]
pub struct TerminateChild(pub Arc<str>);

/// Starts a known child that does not run (OTP: `restart_child/2`).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RestartChildError>")]
pub struct RestartChild(pub Arc<str>);

/// Forgets a child that does not run (OTP: `delete_child/2`).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), DeleteChildError>")]
pub struct DeleteChild(pub Arc<str>);

/// Lists all children in start order (OTP: `which_children/1`).
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<ChildInfo>")]
pub struct WhichChildren;

/// Counts the children (OTP: `count_children/1`).
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "ChildCounts")]
pub struct CountChildren;

/// What the supervisor knows of one child's spec (OTP: `get_childspec/2`).
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<ChildSpecInfo>")]
pub struct GetChildSpec(pub Arc<str>);

/// Asks for the trees of all children, in start order.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<SupervisionTree>")]
pub struct GetTree;

/// One child, as [`WhichChildren`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Whether it runs.
    pub state: ChildState,
    /// Worker or supervisor.
    pub kind: ChildKind,
    /// The Rust type of the actor.
    pub actor: &'static str,
}

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// Its start is under way, as the incarnation of this number.
    Starting {
        /// Counted from 1.
        incarnation: u64,
    },
    /// It runs, as the incarnation of this number.
    Running {
        /// Counted from 1.
        incarnation: u64,
    },
    /// It ended and could not be started yet; its supervisor keeps trying.
    Restarting,
    /// It ended, and is started again after a pause; see [`Backoff`](crate::Backoff).
    Waiting {
        /// What is left of the pause.
        left: Duration,
    },
    /// It does not run: terminated, ended without a restart, or its factory declined.
    Stopped,
}

impl fmt::Display for ChildState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { incarnation } => write!(f, "starting, incarnation {incarnation}"),
            Self::Running { incarnation } => write!(f, "running, incarnation {incarnation}"),
            Self::Restarting => f.write_str("restarting"),
            Self::Waiting { left } => write!(f, "restarting in {left:?}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// The numbers of a supervisor's children, by kind and state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All children, running or not.
    pub specs: usize,
    /// Those that run.
    pub active: usize,
    /// Those that are supervisors, running or not.
    pub supervisors: usize,
    /// Those that are workers, running or not.
    pub workers: usize,
}

/// A supervisor with everything below it; prints as an indented tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisionTree {
    /// The id of this child.
    pub id: Arc<str>,
    /// Where it stands.
    pub state: ChildState,
    /// The Rust type of the actor.
    pub actor: &'static str,
    /// How it is doing.
    pub stats: ChildStats,
    /// How many children it has; a dynamic supervisor counts those too that it does not list.
    pub child_count: usize,
    /// Its children in start order; none for a worker, and only those with a spec for a dynamic supervisor.
    pub children: Vec<SupervisionTree>,
}

impl SupervisionTree {
    /// One child; what is below it is shown for as long as it is alive.
    pub(crate) fn of(
        id: Arc<str>,
        state: ChildState,
        actor: &'static str,
        stats: ChildStats,
        view: Option<&Arc<dyn View>>,
    ) -> Self {
        let alive = matches!(
            state,
            ChildState::Starting { .. } | ChildState::Running { .. }
        );
        let (child_count, children) = view
            .filter(|_| alive)
            .map_or_else(Default::default, |view| view.below());
        Self {
            id,
            state,
            actor,
            stats,
            child_count,
            children,
        }
    }

    fn write_indented(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let short = self.actor.split('<').next().unwrap_or(self.actor);
        let short = short.rsplit("::").next().unwrap_or(short);
        write!(
            f,
            "{:indent$}{} ({short}): {}{}",
            "",
            self.id,
            self.state,
            self.stats,
            indent = depth * 2
        )?;
        if self.child_count > self.children.len() {
            write!(f, ", {} children", self.child_count)?;
        }
        writeln!(f)?;
        self.children
            .iter()
            .try_for_each(|child| child.write_indented(f, depth + 1))
    }
}

impl fmt::Display for SupervisionTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_indented(f, 0)
    }
}

/// The same verbs on the handle. Where the supervisor itself does not answer, lists are empty and verbs that change
/// something say so.
impl SupervisorRef {
    /// Adds a child and starts it after all others; see [`StartChild`].
    ///
    /// A child whose factory declined ([`Init::Ignore`](crate::Init::Ignore)) is returned, but not running.
    ///
    /// # Errors
    ///
    /// [`StartChildError`]; the spec is then not kept.
    pub async fn start_child<A: Actor<Context = Context<A>>>(
        &self,
        spec: ChildSpec<A>,
    ) -> Result<ChildRef<A>, StartChildError> {
        self.call(StartChild(spec))
            .await
            .unwrap_or(Err(StartChildError::NoSupervisor))
    }

    /// Ends a child; see [`TerminateChild`].
    ///
    /// # Errors
    ///
    /// [`TerminateChildError`].
    pub async fn terminate_child(
        &self,
        id: impl Into<Arc<str>>,
    ) -> Result<(), TerminateChildError> {
        let answer = self.call(TerminateChild(id.into())).await;
        answer.unwrap_or(Err(TerminateChildError::NoSupervisor))
    }

    /// Starts a child that does not run; see [`RestartChild`].
    ///
    /// # Errors
    ///
    /// [`RestartChildError`].
    pub async fn restart_child(&self, id: impl Into<Arc<str>>) -> Result<(), RestartChildError> {
        let answer = self.call(RestartChild(id.into())).await;
        answer.unwrap_or(Err(RestartChildError::NoSupervisor))
    }

    /// Forgets a child that does not run; see [`DeleteChild`].
    ///
    /// # Errors
    ///
    /// [`DeleteChildError`].
    pub async fn delete_child(&self, id: impl Into<Arc<str>>) -> Result<(), DeleteChildError> {
        let answer = self.call(DeleteChild(id.into())).await;
        answer.unwrap_or(Err(DeleteChildError::NoSupervisor))
    }

    /// All children in start order.
    pub async fn which_children(&self) -> Vec<ChildInfo> {
        self.ask(WhichChildren).await
    }

    /// The numbers of children as they are now; it does not wait for what the supervisor is busy with.
    pub async fn count_children(&self) -> ChildCounts {
        self.counts().unwrap_or_default()
    }

    /// One child's spec, without its factory.
    pub async fn get_child_spec(&self, id: impl Into<Arc<str>>) -> Option<ChildSpecInfo> {
        self.ask(GetChildSpec(id.into())).await
    }

    /// The tree from here down as it stands now; it answers at once, also while something in it starts or stops.
    ///
    /// A supervisor that does not run is shown as stopped, without children.
    pub async fn tree(&self) -> SupervisionTree {
        self.subtree()
    }

    async fn ask<M>(&self, message: M) -> M::Result
    where
        M: Message + Send + 'static,
        M::Result: Default + Send,
        Supervisor: Handler<M>,
    {
        self.call(message)
            .await
            .unwrap_or_else(|_: CallError<M>| M::Result::default())
    }
}
