//! Registries under random lives and competing threads.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use actix::prelude::*;
use actix_otp::ArbiterPool;
use proptest::prelude::*;

use crate::{
    holder::{Do, Groups, Holder, Names, claim, join, leave, sorted, within},
    support::{paused, settle},
};

#[test]
fn a_unique_key_never_has_two_holders_whoever_competes_for_it() {
    let pool = ArbiterPool::new(2).expect("threads");
    let names = Names::new();
    let holders = Arc::new(AtomicUsize::new(0));
    let (report, reports) = mpsc::channel();
    for thread in 0..2 {
        let (names, holders, report) = (names.clone(), Arc::clone(&holders), report.clone());
        pool.get(thread).spawn_fn(move || {
            let holder = Holder.start();
            for _ in 0..2_000 {
                let (names, holders, report) =
                    (names.clone(), Arc::clone(&holders), report.clone());
                holder.do_send(Do(Box::new(move |ctx| {
                    let won = names.register(ctx, "a".into(), 0).is_ok();
                    if won {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        assert!(names.get("a").is_some());
                        holders.fetch_sub(1, Ordering::SeqCst);
                        assert_eq!(names.unregister(ctx, "a"), 1);
                    }
                    let _ = report.send(won);
                })));
            }
        });
    }
    drop(report);
    let won = reports.iter().filter(|won| *won).count();
    assert!(won > 0);
    assert_eq!(names.count(), 0);
    pool.stop();
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Register(usize, u8),
    Unregister(usize, u8),
    Replace(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let actor = 0..3_usize;
    prop_oneof![
        4 => (actor.clone(), 0..3_u8).prop_map(|(actor, key)| Step::Register(actor, key)),
        2 => (actor.clone(), 0..3_u8).prop_map(|(actor, key)| Step::Unregister(actor, key)),
        1 => actor.prop_map(Step::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_kinds_of_registry_agree_with_a_list_of_pairs(steps in prop::collection::vec(step(), 1..40)) {
        paused(async {
            let (names, groups) = (Names::new(), Groups::new());
            let mut actors: Vec<_> = (0..3).map(|_| Holder.start()).collect();
            // (actor, key) in order of registration.
            let (mut unique, mut all) = (Vec::<(usize, u8)>::new(), Vec::<(usize, u8)>::new());
            for step in steps {
                match step {
                    Step::Register(actor, key) => {
                        let free = unique.iter().all(|(_, held)| *held != key);
                        let claimed = claim(&names, &actors[actor], &key.to_string(), 0).await;
                        prop_assert_eq!(claimed, free);
                        join(&groups, &actors[actor], &key.to_string(), 0).await;
                        unique.extend(free.then_some((actor, key)));
                        all.push((actor, key));
                    }
                    Step::Unregister(actor, key) => {
                        let asked = names.clone();
                        let deed = move |ctx: &mut Context<Holder>| asked.unregister(ctx, &key.to_string());
                        let gone = within(&actors[actor], deed).await;
                        prop_assert_eq!(gone, unique.iter().filter(|pair| **pair == (actor, key)).count());
                        unique.retain(|pair| *pair != (actor, key));
                        let gone = leave(&groups, &actors[actor], &key.to_string()).await;
                        prop_assert_eq!(gone, all.iter().filter(|pair| **pair == (actor, key)).count());
                        all.retain(|pair| *pair != (actor, key));
                    }
                    Step::Replace(actor) => {
                        actors[actor].do_send(Do(Box::new(ActorContext::terminate)));
                        settle().await;
                        actors[actor] = Holder.start();
                        unique.retain(|(owner, _)| *owner != actor);
                        all.retain(|(owner, _)| *owner != actor);
                    }
                }
                prop_assert_eq!(names.count(), unique.len());
                prop_assert_eq!(groups.count(), all.len());
                for key in 0..3_u8 {
                    let under = |pairs: &[(usize, u8)]| -> Vec<_> {
                        let pairs = pairs.iter().filter(|(_, of)| *of == key);
                        pairs.map(|(actor, _)| (actors[*actor].clone(), 0)).collect()
                    };
                    prop_assert_eq!(names.lookup(&key.to_string()), under(&unique));
                    prop_assert_eq!(groups.lookup(&key.to_string()), under(&all));
                }
                for (index, actor) in actors.iter().enumerate() {
                    let of = |pairs: &[(usize, u8)]| -> Vec<_> {
                        let own = pairs.iter().filter(|(owner, _)| *owner == index);
                        sorted(own.map(|(_, key)| key.to_string()).collect())
                    };
                    prop_assert_eq!(sorted(names.keys(actor)), of(&unique));
                    prop_assert_eq!(sorted(groups.keys(actor)), of(&all));
                }
            }
            Ok(())
        })?;
    }
}
