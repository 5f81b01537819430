//! A dynamic supervisor under random lives and racing threads: counts stay true, and nobody is left behind.

use std::{collections::HashMap, time::Duration};

use actix_otp::{
    ArbiterPool, ChildRef, DynamicChild, DynamicSupervisorSpec, ExitReason, Intensity, Placement,
    Restart, StartDynamicError, Strategy as Restarts, SupervisorSpec,
};
use proptest::prelude::*;

use crate::{
    children::{OnStop, Subject, numbers, start},
    support::{ExitWith, Panic, paused, settle},
};

#[derive(Clone, Debug)]
enum Step {
    StartUnnamed,
    StartSpec(Restart),
    Crash(usize),
    EndWell(usize),
    Terminate(usize),
    KillSupervisor,
}

fn step() -> impl Strategy<Value = Step> {
    let restart = prop_oneof![
        Just(Restart::Permanent),
        Just(Restart::Transient),
        Just(Restart::Temporary)
    ];
    let child = 0..100_usize;
    prop_oneof![
        6 => Just(Step::StartUnnamed),
        6 => restart.prop_map(Step::StartSpec),
        4 => child.clone().prop_map(Step::Crash),
        4 => child.clone().prop_map(Step::EndWell),
        4 => child.prop_map(Step::Terminate),
        1 => Just(Step::KillSupervisor),
    ]
}

/// A child that the model holds to be alive.
enum Alive {
    Unnamed(DynamicChild<Subject>),
    Spec(ChildRef<Subject>, Restart, u64),
}

impl Alive {
    fn runs(&self) -> bool {
        match self {
            Self::Unnamed(child) => child.addr().connected(),
            Self::Spec(child, _, incarnation) => child.incarnation() == Some(*incarnation),
        }
    }

    /// Ends the child; false when it is not to come back.
    fn end(&mut self, crash: bool) -> bool {
        match self {
            Self::Unnamed(child) if crash => child.addr().do_send(Panic),
            Self::Unnamed(child) => child.addr().do_send(ExitWith(ExitReason::Normal)),
            Self::Spec(child, restart, incarnation) => {
                *incarnation += 1;
                if crash {
                    child.cast(Panic).expect("running");
                } else {
                    child.cast(ExitWith(ExitReason::Normal)).expect("running");
                }
                return *restart == Restart::Permanent || *restart == Restart::Transient && crash;
            }
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_the_counts_are_those_of_the_children_that_live(steps in prop::collection::vec(step(), 1..60)) {
        const MAX: usize = 8;
        paused(async {
            let plenty = Intensity::new(usize::MAX, Duration::from_secs(5));
            let spec = DynamicSupervisorSpec::new().intensity(plenty).max_children(MAX);
            let (root, children) = start(spec).await;
            let mut alive: HashMap<usize, Alive> = HashMap::new();
            let mut dead: Vec<Alive> = Vec::new();
            let mut incarnation = 1;
            for (number, step) in steps.into_iter().enumerate() {
                // Any living child will do, if there is one.
                let pick = |wish: usize| {
                    let mut numbers: Vec<_> = alive.keys().copied().collect();
                    numbers.sort_unstable();
                    numbers.get(wish % numbers.len().max(1)).copied()
                };
                let full = alive.len() == MAX;
                match step {
                    Step::StartUnnamed => {
                        let started = children.start_child(|| Subject::new(OnStop::Obey)).await;
                        prop_assert_eq!(started.is_err(), full);
                        alive.extend(started.ok().map(|child| (number, Alive::Unnamed(child))));
                    }
                    Step::StartSpec(restart) => {
                        let started = children.start_spec(Subject::plain().restart(restart)).await;
                        prop_assert_eq!(started.is_err(), full);
                        alive.extend(started.ok().map(|child| (number, Alive::Spec(child, restart, 1))));
                    }
                    Step::Crash(wish) | Step::EndWell(wish) => {
                        let crash = matches!(step, Step::Crash(_));
                        if let Some(mut child) = pick(wish).and_then(|at| alive.remove_entry(&at)) {
                            if child.1.end(crash) {
                                alive.insert(child.0, child.1);
                            } else {
                                dead.push(child.1);
                            }
                        }
                    }
                    Step::Terminate(wish) => {
                        if let Some(child) = pick(wish).and_then(|at| alive.remove(&at)) {
                            let ended = match &child {
                                Alive::Unnamed(child) => children.terminate_child(child).await,
                                Alive::Spec(child, ..) => children.terminate_child(child).await,
                            };
                            prop_assert_eq!(ended, Ok(()));
                            dead.push(child);
                        }
                    }
                    Step::KillSupervisor => {
                        children.supervisor().kill().await;
                        incarnation = children.supervisor().wait_until_running(incarnation).await;
                        dead.extend(alive.drain().map(|(_, child)| child));
                    }
                }
                settle().await;
                let live = alive.len();
                prop_assert_eq!(children.count(), live);
                prop_assert_eq!(numbers(children.count_children().await), [live, live, 0, live]);
                prop_assert_eq!(children.which_children().await.len(), live);
                prop_assert!(alive.values().all(Alive::runs));
                prop_assert!(!dead.iter().any(Alive::runs));
                // The root allows three restarts in five seconds.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            root.shutdown().await;
            prop_assert_eq!(children.count(), 0);
            prop_assert!(!alive.values().chain(&dead).any(Alive::runs));
            Ok(())
        })?;
    }
}

#[test]
fn starts_that_race_with_the_stop_leave_no_orphan() {
    let pool = ArbiterPool::new(2).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for _ in 0..20 {
        let (spec, children) = DynamicSupervisorSpec::new()
            .max_children(1_000)
            .pool(pool.clone())
            .build("dynamic");
        let root = SupervisorSpec::new(Restarts::OneForOne).child(spec);
        let root = runtime
            .block_on(root.start_on("root", Placement::Pool(pool.clone())))
            .expect("starts");
        let starters: Vec<_> = (0..2)
            .map(|_| {
                let children = children.clone();
                std::thread::spawn(move || {
                    let mut started = Vec::new();
                    loop {
                        match children.spawn_child(|| Subject::new(OnStop::Obey)) {
                            Ok(child) => started.push(child),
                            Err(StartDynamicError::NoSupervisor) => return started,
                            Err(StartDynamicError::MaxChildren(_)) => std::thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        while children.count() < 100 {
            std::thread::yield_now();
        }
        runtime.block_on(async {
            root.shutdown().await;
            for starter in starters {
                for child in starter.join().expect("no panic") {
                    let end = tokio::time::timeout(Duration::from_secs(10), child.exited());
                    assert!(end.await.is_ok(), "an orphan");
                    assert!(!child.addr().connected());
                }
            }
        });
        assert_eq!(children.count(), 0);
    }
    pool.stop();
}
