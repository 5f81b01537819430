//! The contract of partitions: one on every arbiter, reached by key, each restarted where it was.

#[path = "support/children.rs"]
mod children;
mod support;

use std::{collections::HashSet, thread::ThreadId};

use actix::prelude::*;
use actix_otp::{
    ArbiterPool, CallError, ChildKind, DynamicSupervisorRef, DynamicSupervisorSpec, ExitReason,
    PartitionSupervisorRef, PartitionSupervisorSpec, Restart, StartError, Strategy, SupervisorRef,
    SupervisorSpec,
};
use children::{OnStop, Subject, numbers};
use support::paused;

/// Knows its number.
struct Partition(usize);

impl Actor for Partition {
    type Context = Context<Self>;
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "(usize, ThreadId)")]
struct WhoAndWhere;

impl Handler<WhoAndWhere> for Partition {
    type Result = MessageResult<WhoAndWhere>;

    fn handle(&mut self, _: WhoAndWhere, _: &mut Context<Self>) -> Self::Result {
        MessageResult((self.0, std::thread::current().id()))
    }
}

/// Starts partitions under a root and runs a test with them.
fn with_partitions<A, H, F>(
    size: usize,
    spec: impl FnOnce(&ArbiterPool) -> PartitionSupervisorSpec<A, H>,
    test: impl FnOnce(SupervisorRef, PartitionSupervisorRef<H>, ArbiterPool) -> F,
) where
    A: Actor<Context = Context<A>>,
    F: Future<Output = ()>,
{
    let pool = ArbiterPool::new(size).expect("threads");
    // A paused clock would jump over the stop of a partition, which takes real time on another thread.
    System::new().block_on(async {
        let (spec, partitions) = spec(&pool).build("partitions");
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
        let root = root.start("root").await.expect("starts");
        test(root.clone(), partitions, pool.clone()).await;
        root.shutdown().await;
    });
    pool.stop();
}

fn numbered(pool: &ArbiterPool) -> PartitionSupervisorSpec<Partition> {
    PartitionSupervisorSpec::new(pool, Partition)
}

#[test]
fn every_partition_knows_its_number_and_runs_on_an_arbiter_of_its_own() {
    with_partitions(3, numbered, async |_, partitions, _| {
        assert_eq!((partitions.len(), partitions.is_empty()), (3, false));
        let mut threads = HashSet::new();
        for (number, partition) in partitions.iter().enumerate() {
            assert_eq!(partition.id(), number.to_string());
            let (who, thread) = partition.call(WhoAndWhere).await.expect("serves");
            assert_eq!(who, number);
            assert!(threads.insert(thread));
        }
        let second = partitions.get(1).expect("there are three");
        assert_eq!(second.call(WhoAndWhere).await.map(|(who, _)| who), Ok(1));
        assert!(partitions.get(3).is_none());
    });
}

#[test]
fn equal_keys_reach_the_same_partition_and_different_ones_all_of_them() {
    with_partitions(4, numbered, async |_, partitions, _| {
        let clone = partitions.clone();
        let mut reached = HashSet::new();
        for key in 0..200_u32 {
            let partition = partitions.for_key(&key);
            assert_eq!(partition.id(), clone.for_key(&key).id());
            reached.insert(partition.id().to_owned());
        }
        assert_eq!(reached.len(), 4);
        let text = String::from("key");
        assert_eq!(
            partitions.for_key("key").id(),
            partitions.for_key(&text).id()
        );
    });
}

#[test]
fn a_partition_that_ends_is_restarted_alone_and_its_keys_still_lead_to_it() {
    with_partitions(2, numbered, async |_, partitions, _| {
        let partition = partitions.for_key("key").clone();
        let before = partition.call(WhoAndWhere).await.expect("serves");
        partition.kill().await;
        assert_eq!(partition.wait_until_running(1).await, 2);
        let after = partitions.for_key("key").call(WhoAndWhere).await;
        assert_eq!(after, Ok(before), "the same number on the same thread");
        let others = partitions
            .iter()
            .filter(|other| other.id() != partition.id());
        for other in others {
            assert_eq!(other.incarnation(), Some(1));
        }
    });
}

#[test]
fn a_partition_whose_arbiter_died_goes_on_on_the_one_that_took_its_place() {
    with_partitions(2, numbered, async |_, partitions, pool| {
        let [first, second] = [0, 1].map(|number| partitions.get(number).expect("two"));
        let (_, old_thread) = first.call(WhoAndWhere).await.expect("serves");
        let (_, other_thread) = second.call(WhoAndWhere).await.expect("serves");
        let end = first.monitor();
        pool.get(0).stop();
        assert_eq!(end.await.reason, ExitReason::ArbiterStopped);
        first.wait_until_running(1).await;
        let (who, thread) = first.call(WhoAndWhere).await.expect("serves");
        assert_eq!(who, 0);
        assert!(thread != old_thread && thread != other_thread);
        assert_eq!(second.incarnation(), Some(1));
    });
}

#[test]
fn the_strategy_and_the_specs_can_be_chosen() {
    let spec = |pool: &ArbiterPool| {
        let spec = numbered(pool).strategy(Strategy::OneForAll);
        spec.each(|partition| partition.restart(Restart::Transient))
    };
    with_partitions(2, spec, async |_, partitions, _| {
        let supervisor = partitions.supervisor();
        let info = supervisor.get_child_spec("1").await.expect("known");
        assert_eq!(info.restart, Restart::Transient);
        partitions.get(0).expect("two").kill().await;
        for partition in &partitions {
            assert_eq!(partition.wait_until_running(1).await, 2);
        }
    });
}

#[test]
fn the_supervisor_lists_one_child_for_each_partition() {
    with_partitions(3, numbered, async |root, partitions, _| {
        let supervisor = partitions.supervisor();
        assert_eq!(numbers(supervisor.count_children().await), [3, 3, 0, 3]);
        let list = supervisor.which_children().await;
        let ids: Vec<_> = list.iter().map(|child| &*child.id).collect();
        assert_eq!(ids, ["0", "1", "2"]);
        let tree = root.tree().await;
        assert_eq!(tree.children[0].child_count, 3);
    });
}

#[test]
fn children_of_partitioned_dynamic_supervisors_are_all_found_each_once() {
    let spec = |pool: &ArbiterPool| {
        PartitionSupervisorSpec::from_specs(pool, |partition| {
            DynamicSupervisorSpec::new().build(partition.to_string())
        })
    };
    with_partitions(4, spec, async |_, partitions, _| {
        let supervisor = partitions.supervisor();
        assert_eq!(numbers(supervisor.count_children().await), [4, 4, 4, 0]);
        let kinds = supervisor.which_children().await.into_iter();
        assert!(
            kinds
                .into_iter()
                .all(|child| child.kind == ChildKind::Supervisor)
        );
        let mut started = Vec::new();
        for key in 0..100 {
            let sessions = partitions.for_key(&key);
            let child = sessions.start_child(|| Subject::new(OnStop::Obey)).await;
            started.push(child.expect("starts"));
        }
        let counts: Vec<_> = partitions.iter().map(DynamicSupervisorRef::count).collect();
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        for (key, child) in started.iter().enumerate() {
            assert_eq!(
                partitions
                    .for_key(&(key as i32))
                    .terminate_child(child)
                    .await,
                Ok(())
            );
        }
        assert!(partitions.iter().all(|sessions| sessions.count() == 0));
    });
}

#[test]
fn partitions_end_with_their_supervisor_and_their_handles_say_so() {
    with_partitions(2, numbered, async |root, partitions, _| {
        let ends = [0, 1].map(|number| partitions.get(number).expect("two").monitor());
        root.terminate_child("partitions").await.expect("known");
        for end in ends {
            assert_eq!(end.await.reason, ExitReason::Shutdown);
        }
        let refused = partitions.for_key("key").call(WhoAndWhere).await;
        assert_eq!(refused, Err(CallError::NotRunning(WhoAndWhere)));
        assert_eq!(
            numbers(partitions.supervisor().count_children().await),
            [0; 4]
        );
    });
}

#[test]
fn two_partitions_with_one_id_are_refused_at_the_start() {
    let pool = ArbiterPool::new(2).expect("threads");
    paused(async {
        let same = |_| DynamicSupervisorSpec::new().build("same");
        let (spec, _) = PartitionSupervisorSpec::from_specs(&pool, same).build("partitions");
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
        let refused = root.start("root").await.map(drop);
        assert!(
            matches!(&refused, Err(StartError::Exited(reason)) if reason.to_string().contains("`same`")),
            "{refused:?}"
        );
    });
    pool.stop();
}
