//! What the children of a random life share, and such a child.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::prelude::*;
use actix_otp::{ChildSpec, ExitContext, Init, SupervisionEvent};

use crate::support::{ExitWith, Panic};

/// What all children of the test share.
#[derive(Default)]
pub(super) struct World {
    /// The children that exist, by id; one of them twice would be an orphan.
    pub(super) living: Mutex<Vec<Arc<str>>>,
    /// How many starts of a child are still going to fail.
    pub(super) failures: Mutex<BTreeMap<Arc<str>, usize>>,
    /// How often a child was restarted, and how often a supervisor gave up.
    pub(super) restarts: AtomicUsize,
    pub(super) give_ups: AtomicUsize,
}

impl World {
    /// Uses up one failure of this child, if there is one left.
    fn fails(&self, id: &str) -> bool {
        let mut failures = self.failures.lock().expect("world");
        let left = failures.get_mut(id).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    pub(super) fn observe(&self, event: &SupervisionEvent) {
        match event {
            SupervisionEvent::ChildRestarted { .. } => &self.restarts,
            SupervisionEvent::GaveUp { .. } => &self.give_ups,
            _ => return,
        }
        .fetch_add(1, Ordering::SeqCst);
    }
}

/// A worker that exists in the world from its making to its drop.
pub(super) struct Soul {
    id: Arc<str>,
    world: Arc<World>,
    stubborn: bool,
}

impl Soul {
    pub(super) fn spec(
        id: impl Into<Arc<str>>,
        world: &Arc<World>,
        stubborn: bool,
    ) -> ChildSpec<Self> {
        let (id, world) = (id.into(), Arc::clone(world));
        ChildSpec::try_new(Arc::clone(&id), move || {
            if world.fails(&id) {
                return Err("one failure less");
            }
            world.living.lock().expect("world").push(Arc::clone(&id));
            let (id, world) = (Arc::clone(&id), Arc::clone(&world));
            Ok(Init::Run(Self {
                id,
                world,
                stubborn,
            }))
        })
    }
}

impl Actor for Soul {
    type Context = Context<Self>;

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.stubborn {
            Running::Continue
        } else {
            Running::Stop
        }
    }
}

impl Drop for Soul {
    fn drop(&mut self) {
        let mut living = self.world.living.lock().expect("world");
        let at = living.iter().position(|id| *id == self.id);
        living.swap_remove(at.expect("it was made"));
    }
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "Arc<str>")]
pub(super) struct WhoAreYou;

impl Handler<WhoAreYou> for Soul {
    type Result = MessageResult<WhoAreYou>;

    fn handle(&mut self, _: WhoAreYou, _: &mut Context<Self>) -> Self::Result {
        MessageResult(Arc::clone(&self.id))
    }
}

impl Handler<Panic> for Soul {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        // Past the panic hook, which would print thousands of backtraces.
        std::panic::resume_unwind(Box::new("told to panic"));
    }
}

impl Handler<ExitWith> for Soul {
    type Result = ();

    fn handle(&mut self, ExitWith(reason): ExitWith, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}
