//! What a dynamic supervisor is made from.

use std::{fmt, sync::Arc, time::Duration};

use super::{DynamicSupervisor, DynamicSupervisorRef, Shared};
use crate::{
    child_spec::{ChildSpec, Shutdown},
    intensity::Intensity,
    launch::{Init, Making, Origin},
    observer::Observer,
    placement::ArbiterPool,
};

/// A recipe for a [`DynamicSupervisor`].
#[derive(Clone)]
#[must_use = "a spec does nothing until it is built and supervised"]
pub struct DynamicSupervisorSpec {
    pub(super) max_children: usize,
    pub(super) intensity: Intensity,
    pub(super) shutdown: Shutdown,
    pub(super) kill_timeout: Duration,
    pub(super) pool: Option<ArbiterPool>,
    observer: Option<Arc<dyn Observer>>,
}

impl DynamicSupervisorSpec {
    /// Any number of children on the supervisor's own arbiter, with 5 seconds to stop; restarts at most 3 in 5 seconds.
    pub fn new() -> Self {
        Self {
            max_children: usize::MAX,
            intensity: Intensity::default(),
            shutdown: Shutdown::Timeout(Duration::from_secs(5)),
            kill_timeout: Duration::from_secs(5),
            pool: None,
            observer: None,
        }
    }

    /// How many children there may be at a time, those that wait for a restart included; one more is refused with
    /// [`StartDynamicError::MaxChildren`](crate::StartDynamicError::MaxChildren).
    pub fn max_children(mut self, max_children: usize) -> Self {
        self.max_children = max_children;
        self
    }

    /// How many restarts of all children together are too many; the default is 3 in 5 seconds.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// How children without a spec are ended; a child with a spec brings its own [`Shutdown`].
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// How long killed children may go on blocking their threads before they are given up; the default is 5 seconds.
    pub fn kill_timeout(mut self, kill_timeout: Duration) -> Self {
        self.kill_timeout = kill_timeout;
        self
    }

    /// Spreads the children without a spec over a pool, in turn; a child with a spec brings its own
    /// [`Placement`](crate::Placement).
    pub fn pool(mut self, pool: ArbiterPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Who is told what happens here and in the supervisors below; the default is the observer of the one above.
    ///
    /// Of children without a spec it is told on their own threads, under the type name of the actor.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The child spec for the supervisor above, and the handle that starts children here.
    pub fn build(
        self,
        id: impl Into<Arc<str>>,
    ) -> (ChildSpec<DynamicSupervisor>, DynamicSupervisorRef) {
        let id = id.into();
        let shared = Arc::new(Shared::new(&self));
        let (name, of_actor) = (Arc::clone(&id), Arc::clone(&shared));
        let factory = move |making: &Making<'_, _>| {
            let above = making.origin;
            let origin = Origin {
                lineage: above.lineage.supervisor(&name, self.observer.clone()),
                presence: above.presence.clone(),
            };
            let (shared, inbox) = (Arc::clone(&of_actor), Arc::clone(making.inbox));
            let supervisor = DynamicSupervisor::new(&self, shared, origin, inbox);
            Ok(Init::Run(supervisor))
        };
        let spec = ChildSpec::of_supervisor(id, Arc::clone(&shared) as _, Box::new(factory));
        let handle = DynamicSupervisorRef::new(spec.child_ref(), shared);
        (spec, handle)
    }
}

impl Default for DynamicSupervisorSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DynamicSupervisorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisorSpec")
            .field("max_children", &self.max_children)
            .field("intensity", &self.intensity)
            .field("shutdown", &self.shutdown)
            .field("kill_timeout", &self.kill_timeout)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
