//! OTP's supervision for actix actors.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod child_ref;
mod child_spec;
mod control;
mod driver;
mod dynamic_supervisor;
mod exit;
mod intensity;
mod launch;
mod monitor;
mod observer;
mod partition_supervisor;
mod placement;
mod registry;
mod slot;
mod start_error;
mod supervisor;
mod task_supervisor;

pub use self::{
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
    monitor::{Down, Monitor},
    observer::{Observer, SupervisionEvent},
    partition_supervisor::{PartitionSupervisorRef, PartitionSupervisorSpec},
    placement::{ArbiterPool, Placement},
    registry::{Address, AlreadyRegistered, Duplicate, DuplicateRegistry, Registry, Unique},
    start_error::{BadSpec, StartError},
    supervisor::{
        AutoShutdown, ChildCounts, ChildInfo, ChildState, CountChildren, DeleteChild,
        DeleteChildError, GetChildSpec, GetTree, RestartChild, RestartChildError, StartChild,
        StartChildError, Strategy, SupervisionTree, Supervisor, SupervisorRef, SupervisorSpec,
        TerminateChild, TerminateChildError, WhichChildren,
    },
    task_supervisor::{Task, TaskActor, TaskError, TaskHandle, TaskSupervisor},
};
