//! Ten thousand random things happen to nested trees; after each of them the invariants of the tree hold.
//!
//! The trees live side by side, each on one thread with a paused clock and a seed of its own, so every life is
//! reproducible. `ACTIX_OTP_SEED` chooses other ones.

mod check;
mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    thread::{self, Builder},
    time::Duration,
};

use actix_otp::{
    ChildInfo, ChildKind, ChildRef, ChildSpec, ExitReason, Intensity, Restart, Shutdown, Strategy,
    SupervisionEvent, SupervisorRef, SupervisorSpec,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use self::world::{Soul, World};
use crate::support::{ExitWith, Panic, paused};

const LIVES: usize = 4;

const STEPS: usize = 2_500;

const MOST_CHILDREN: usize = 40;

/// Longer than anything in the tree may take to come to rest.
const REST: Duration = Duration::from_millis(200);

/// How many children a supervisor has: all, those that run, workers, supervisors.
type Counts = [usize; 4];

/// The tree under test and every handle ever made on it.
struct Trial {
    rng: StdRng,
    world: Arc<World>,
    supervisors: Vec<SupervisorRef>,
    souls: BTreeMap<Arc<str>, ChildRef<Soul>>,
    /// The last incarnation seen of each child, the highest so far, and its own children then.
    seen: BTreeMap<Arc<str>, (u64, Counts)>,
    made: usize,
}

impl Trial {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            world: Arc::default(),
            supervisors: Vec::new(),
            souls: BTreeMap::new(),
            seen: BTreeMap::new(),
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
}

/// What happens to one tree from its start to its end.
fn live(seed: u64) {
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

#[test]
fn a_tree_keeps_its_invariants_through_ten_thousand_random_steps() {
    let seed = match std::env::var("ACTIX_OTP_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 20_261_121,
    };
    thread::scope(|threads| {
        for seed in (seed..).take(LIVES) {
            // The name stands in the message of a panic.
            let thread = Builder::new().name(format!("seed {seed}"));
            let life = thread.spawn_scoped(threads, move || live(seed));
            drop(life.expect("a thread"));
        }
    });
}
