//! Ten thousand random things happen to a nested tree; after each of them its invariants hold.
//!
//! The run is reproducible: one thread, a paused clock, a seed. `ACTIX_OTP_SEED` chooses another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    CallError, ChildInfo, ChildKind, ChildRef, ChildSpec, ChildState, ExitReason, Init, Intensity,
    Restart, Shutdown, Strategy, SupervisionEvent, SupervisionTree, SupervisorRef, SupervisorSpec,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::support::{ExitWith, Panic, paused};

const STEPS: usize = 10_000;

const MOST_CHILDREN: usize = 40;

/// Longer than anything in the tree may take to come to rest.
const REST: Duration = Duration::from_millis(200);

/// What all children of the test share.
#[derive(Default)]
struct World {
    /// The children that exist, by id; one of them twice would be an orphan.
    living: Mutex<Vec<Arc<str>>>,
    /// How many starts of a child are still going to fail.
    failures: Mutex<BTreeMap<Arc<str>, usize>>,
    /// How often a child was restarted, and how often a supervisor gave up.
    restarts: AtomicUsize,
    give_ups: AtomicUsize,
}

impl World {
    /// Uses up one failure of this child, if there is one left.
    fn fails(&self, id: &str) -> bool {
        let mut failures = self.failures.lock().expect("world");
        let left = failures.get_mut(id).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    fn observe(&self, event: &SupervisionEvent) {
        match event {
            SupervisionEvent::ChildRestarted { .. } => &self.restarts,
            SupervisionEvent::GaveUp { .. } => &self.give_ups,
            _ => return,
        }
        .fetch_add(1, Ordering::SeqCst);
    }
}

/// A worker that exists in the world from its making to its drop.
struct Soul {
    id: Arc<str>,
    world: Arc<World>,
    stubborn: bool,
}

impl Soul {
    fn spec(id: impl Into<Arc<str>>, world: &Arc<World>, stubborn: bool) -> ChildSpec<Self> {
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
struct WhoAreYou;

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
        actix_otp::ExitContext::exit(ctx, reason);
    }
}

/// The tree under test and every handle ever made on it.
struct Trial {
    rng: StdRng,
    world: Arc<World>,
    supervisors: Vec<SupervisorRef>,
    souls: BTreeMap<Arc<str>, ChildRef<Soul>>,
    /// The highest incarnation seen of each child.
    incarnations: BTreeMap<Arc<str>, u64>,
    made: usize,
}

impl Trial {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            world: Arc::default(),
            supervisors: Vec::new(),
            souls: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            made: 0,
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())]
    }

    fn soul(&mut self, id: String) -> ChildSpec<Soul> {
        let stubborn = self.rng.random_ratio(1, 5);
        let restart = self.pick(&[Restart::Permanent, Restart::Transient, Restart::Temporary]);
        let limit = Shutdown::Timeout(Duration::from_millis(1));
        let shutdown = self.pick(&[Shutdown::Kill, limit]);
        let spec = Soul::spec(id, &self.world, stubborn)
            .restart(restart)
            .shutdown(shutdown);
        let handle = spec.child_ref();
        self.souls.insert(handle.id().into(), handle);
        spec
    }

    /// A supervisor over workers, and over another supervisor while `depth` lasts.
    fn nested(
        &mut self,
        id: String,
        strategy: Strategy,
        depth: usize,
    ) -> ChildSpec<actix_otp::Supervisor> {
        let mut spec =
            SupervisorSpec::new(strategy).intensity(Intensity::new(3, Duration::from_secs(5)));
        for n in 0..3 {
            spec = spec.child(self.soul(format!("{id}.{n}")));
        }
        if depth > 0 {
            let strategies = [
                Strategy::OneForOne,
                Strategy::OneForAll,
                Strategy::RestForOne,
            ];
            let strategy = self.pick(&strategies);
            spec = spec.child(self.nested(format!("{id}.s"), strategy, depth - 1));
        }
        let spec = ChildSpec::supervisor(id, spec);
        self.supervisors.push(spec.child_ref());
        spec
    }

    async fn start(&mut self) -> SupervisorRef {
        let world = Arc::clone(&self.world);
        let mut root = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(Intensity::new(usize::MAX, Duration::from_secs(1)))
            .observer(move |event: &SupervisionEvent| world.observe(event));
        for (id, strategy) in [
            ("one", Strategy::OneForOne),
            ("all", Strategy::OneForAll),
            ("rest", Strategy::RestForOne),
        ] {
            root = root.child(self.nested(id.into(), strategy, 2));
        }
        let root = root.start("root").await.expect("it starts");
        self.supervisors.push(root.clone());
        root
    }

    fn any_soul(&mut self) -> ChildRef<Soul> {
        let at = self.rng.random_range(0..self.souls.len());
        self.souls.values().nth(at).expect("in range").clone()
    }

    /// The root is left alone by kills, since nobody would restart it.
    fn any_supervisor(&mut self, with_root: bool) -> SupervisorRef {
        let last = self.supervisors.len() - usize::from(!with_root);
        self.supervisors[self.rng.random_range(0..last)].clone()
    }

    /// One random thing; it may still be going on when this returns.
    fn disturb(&mut self) {
        let soul = self.any_soul();
        match self.rng.random_range(0..15) {
            0..3 => drop(soul.cast(Panic)),
            3 => drop(soul.cast(ExitWith(ExitReason::Normal))),
            4 => drop(soul.cast(ExitWith(ExitReason::error("x")))),
            5 => drop(actix::spawn(async move { soul.kill().await })),
            6 => {
                let supervisor = self.any_supervisor(false);
                actix::spawn(async move { supervisor.kill().await });
            }
            7 => {
                let supervisor = self.any_supervisor(false);
                actix::spawn(async move { supervisor.shutdown().await });
            }
            8..10 => self.add_child(),
            10 => self.on_random_child(|supervisor, child| async move {
                let _ = supervisor.terminate_child(child.id).await;
            }),
            // From the top down, or the tree would wither.
            11..13 => {
                let supervisors = self.supervisors.clone();
                actix::spawn(async move {
                    for supervisor in supervisors.into_iter().rev() {
                        for child in supervisor.which_children().await {
                            let _ = supervisor.restart_child(child.id).await;
                        }
                    }
                });
            }
            13 => self.on_random_child(|supervisor, child| async move {
                if child.kind == ChildKind::Worker {
                    let _ = supervisor.terminate_child(Arc::clone(&child.id)).await;
                    let _ = supervisor.delete_child(child.id).await;
                }
            }),
            _ => {
                // Enough to use up the budget of its supervisor, and of the one above.
                let failures = self.rng.random_range(1..6);
                let mut left = self.world.failures.lock().expect("world");
                left.insert(soul.id().into(), failures);
            }
        }
    }

    fn add_child(&mut self) {
        if self.souls.len() > MOST_CHILDREN {
            return;
        }
        self.made += 1;
        let id = format!("added-{}", self.made);
        let spec = self.soul(id);
        let supervisor = self.any_supervisor(true);
        actix::spawn(async move { drop(supervisor.start_child(spec).await) });
    }

    /// Nested supervisors and workers alike.
    fn on_random_child<F: Future<Output = ()> + 'static>(
        &mut self,
        verb: impl FnOnce(SupervisorRef, ChildInfo) -> F + 'static,
    ) {
        let supervisor = self.any_supervisor(true);
        let dice = self.rng.next_u64() as usize;
        actix::spawn(async move {
            let children = supervisor.which_children().await;
            if !children.is_empty() {
                let child = children[dice % children.len()].clone();
                verb(supervisor, child).await;
            }
        });
    }

    /// What has to hold whenever the tree is at rest.
    async fn check(&mut self, root: &SupervisorRef, step: usize) {
        let answer = tokio::time::timeout(REST, root.tree()).await;
        let tree = answer.unwrap_or_else(|_| panic!("the tree answers after step {step}"));
        let mut listed = Vec::new();
        let mut known = BTreeSet::new();
        self.check_node(&tree, &mut listed, &mut known).await;
        listed.sort();
        let mut living = self.world.living.lock().expect("world").clone();
        living.sort();
        assert_eq!(living, listed, "who lives is who is listed as running");
        // Handles on children that were deleted, or vanished with their supervisor, lead nowhere.
        let running: BTreeSet<Arc<str>> = listed.into_iter().collect();
        for (id, soul) in &self.souls {
            assert_eq!(soul.is_running(), running.contains(id), "{id}");
            if !soul.is_running() {
                let answer = soul.call(WhoAreYou).await;
                assert_eq!(answer, Err(CallError::NotRunning(WhoAreYou)), "{id}");
            }
        }
        self.souls
            .retain(|id, _| known.contains(id) || !id.starts_with("added"));
    }

    async fn check_node(
        &mut self,
        node: &SupervisionTree,
        listed: &mut Vec<Arc<str>>,
        known: &mut BTreeSet<Arc<str>>,
    ) {
        known.insert(Arc::clone(&node.id));
        if let ChildState::Running { incarnation } = node.state {
            let seen = self.incarnations.entry(Arc::clone(&node.id)).or_default();
            assert!(*seen <= incarnation, "{} only grows", node.id);
            *seen = incarnation;
        }
        assert_ne!(node.state, ChildState::Restarting, "{} is at rest", node.id);
        let running = matches!(node.state, ChildState::Running { .. });
        if let Some(soul) = self.souls.get(&node.id) {
            if running {
                assert_eq!(soul.call(WhoAreYou).await.as_ref(), Ok(&node.id));
                listed.push(Arc::clone(&node.id));
            }
            return;
        }
        let by_id = |supervisor: &&SupervisorRef| *supervisor.id() == *node.id;
        let supervisor = self.supervisors.iter().find(by_id).expect("known").clone();
        assert_eq!(supervisor.is_running(), running, "{}", node.id);
        let counts = supervisor.count_children().await;
        let is_active = |child: &&SupervisionTree| child.state != ChildState::Stopped;
        let is_worker = |child: &&SupervisionTree| self.souls.contains_key(&child.id);
        let workers = node.children.iter().filter(is_worker).count();
        assert_eq!(counts.specs, node.children.len(), "{}", node.id);
        assert_eq!(
            counts.active,
            node.children.iter().filter(is_active).count()
        );
        assert_eq!(counts.workers, workers);
        assert_eq!(counts.supervisors, node.children.len() - workers);
        for child in &node.children {
            Box::pin(self.check_node(child, listed, known)).await;
        }
    }
}

#[test]
fn a_tree_keeps_its_invariants_through_ten_thousand_random_steps() {
    let seed = match std::env::var("ACTIX_OTP_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 20_261_121,
    };
    paused(async {
        let mut trial = Trial::new(seed);
        let root = trial.start().await;
        for step in 0..STEPS {
            // Mostly one thing at a time, now and then several at once.
            let at_once = if trial.rng.random_ratio(1, 4) { 5 } else { 1 };
            for _ in 0..at_once {
                trial.disturb();
            }
            tokio::time::sleep(REST).await;
            trial.check(&root, step).await;
        }
        root.shutdown().await;
        // A tree to which little happened would prove little.
        assert!(trial.world.restarts.load(Ordering::SeqCst) > STEPS / 2);
        assert!(trial.world.give_ups.load(Ordering::SeqCst) > STEPS / 100);
        assert!(trial.world.living.lock().expect("world").is_empty());
    });
}
