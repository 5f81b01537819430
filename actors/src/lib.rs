//! OTP's supervision for actix actors: who fails is restarted by rule, and everybody else learns why.
//!
//! An actor that panics is gone, with all it held. A *supervisor* starts it anew, in a known state, and does so by rules
//! that were proven over decades in Erlang/OTP: which exits call for a restart, who else is restarted along, how many
//! restarts are too many. Supervisors are actors too, so they form a tree in which each failure goes up only as far as it
//! has to. A [`ChildRef`] stays valid through all of that.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{CallError, ChildSpec, Strategy, SupervisorSpec};
//!
//! struct Divider;
//! impl Actor for Divider {
//!     type Context = Context<Self>;
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "i32")]
//! struct Divide(i32, i32);
//! impl Handler<Divide> for Divider {
//!     type Result = i32;
//!     fn handle(&mut self, Divide(a, b): Divide, _: &mut Context<Self>) -> i32 {
//!         a / b
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let spec = ChildSpec::new("divider", || Divider);
//!     let divider = spec.child_ref();
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
//!
//!     let failed = divider.call(Divide(1, 0)).await;
//!     assert!(matches!(failed, Err(CallError::Died(reason)) if reason.to_string().contains("divide by zero")));
//!
//!     divider.wait_until_running(1).await; // newer than the first incarnation
//!     assert_eq!(divider.call(Divide(6, 2)).await?, 3);
//!     root.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # Who is restarted
//!
//! A child's [`Restart`] type and the [`ExitReason`] of its end decide:
//!
//! | | `Normal`, `Shutdown`, `ShutdownWith` | `Error`, `Panicked`, `Killed`, `ArbiterStopped` |
//! |---|---|---|
//! | [`Restart::Permanent`] | restarted | restarted |
//! | [`Restart::Transient`] | stays known, not running | restarted |
//! | [`Restart::Temporary`] | forgotten | forgotten |
//!
//! The supervisor's [`Strategy`] decides who is restarted along: nobody, all other children, or those started after it.
//! More restarts than its [`Intensity`] allows, and the supervisor stops its children and itself; the supervisor above
//! goes on from there, by the same rules.
//!
//! # What is there
//!
//! | | |
//! |---|---|
//! | [`SupervisorSpec`], [`Supervisor`], [`SupervisorRef`] | a fixed set of children, more at runtime; strategies, significant children, all of OTP's requests |
//! | [`DynamicSupervisorSpec`], [`DynamicSupervisorRef`] | any number of children that come and go, at little cost each |
//! | [`TaskSupervisor`] | a future as a supervised child, its result awaited or not |
//! | [`PartitionSupervisorSpec`] | the same child on every arbiter, reached by key |
//! | [`BlockingPoolSpec`], [`BlockingPool`] | threads for actors that block, with one queue |
//! | [`Registry`], [`DuplicateRegistry`], [`RegistryListener`] | names for actors that vanish with them, groups of actors, and who hears of changes |
//! | [`ChildSpec`], [`ChildRef`] | how to start and end a child; the handle that survives its restarts |
//! | [`Backoff`], [`Intensity`] | how soon and how often a child is restarted |
//! | [`MessageRef`] | the handle by message, for whoever need not know the actor |
//! | [`Monitor`], [`MonitorContext`], [`Down`], [`ExitReason`] | hearing of an end, and why; ending along |
//! | `Root`, with the feature `signal` | a tree as a program: signals, one limit for its stop, an exit code |
//! | [`ExitContext`] | what an actor itself can say: the reason of its exit, when its start is complete |
//! | [`ArbiterPool`], [`Placement`] | the threads, and who runs where |
//! | [`catch_panic`], [`CatchPanic`] | what keeps a panic of foreign code in, for whoever runs such code as well |
//! | [`Observer`], [`SupervisionTree`], [`ChildStats`] | events of a tree (as `tracing` events too), how it stands now, and how each child is doing |
//!
//! What callers see and when, the order of things, stop against kill, and the limits: [`guarantees`].
//!
//! Any actor whose context is actix's [`Context`](actix::Context) can be supervised as it is.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod backoff;
mod blocking_pool;
mod child_ref;
mod child_spec;
mod control;
mod driver;
mod dynamic_supervisor;
mod exit;
mod feed;
pub mod guarantees;
mod inbox;
mod intensity;
mod launch;
mod lending;
mod message_ref;
mod monitor;
mod monitor_context;
mod observer;
mod panics;
mod parcel;
mod partition_supervisor;
mod placement;
mod presence;
mod registry;
#[cfg(feature = "signal")]
mod root;
mod shared_inbox;
mod shutdown;
mod slot;
mod start_error;
mod stats;
mod supervisor;
mod task_supervisor;
mod view;
mod watch;

pub use self::{
    backoff::Backoff,
    blocking_pool::{BlockingPool, BlockingPoolSpec},
    child_ref::{CallError, CastError, ChildRef},
    child_spec::{ChildKind, ChildSpec, ChildSpecInfo, Restart, Shutdown},
    driver::{ExitContext, StartAck},
    dynamic_supervisor::{
        DynamicChild, DynamicHandle, DynamicSupervisor, DynamicSupervisorRef,
        DynamicSupervisorSpec, StartDynamicError, TerminateDynamicError,
    },
    exit::ExitReason,
    intensity::Intensity,
    launch::Init,
    message_ref::MessageRef,
    monitor::{Down, Monitor},
    monitor_context::MonitorContext,
    observer::{Observer, SupervisionEvent},
    panics::{CatchPanic, Panicked, catch_panic},
    partition_supervisor::{PartitionSupervisorRef, PartitionSupervisorSpec},
    placement::{ArbiterPool, Placement},
    registry::{
        Address, AlreadyRegistered, Duplicate, DuplicateRegistry, Registry, RegistryChange,
        RegistryListener, Takes, Unique,
    },
    start_error::{BadSpec, StartError},
    stats::{ChildStats, CurrentMessage},
    supervisor::{
        AutoShutdown, ChildCounts, ChildInfo, ChildState, CountChildren, DeleteChild,
        DeleteChildError, GetChildSpec, GetTree, RestartChild, RestartChildError, StartChild,
        StartChildError, Strategy, SupervisionTree, Supervisor, SupervisorRef, SupervisorSpec,
        TerminateChild, TerminateChildError, WhichChildren,
    },
    task_supervisor::{Task, TaskActor, TaskError, TaskHandle, TaskSupervisor},
};

#[cfg(feature = "signal")]
pub use self::root::{Root, RootError};

/// The code of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
