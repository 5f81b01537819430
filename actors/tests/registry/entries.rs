//! Entering, finding, changing and leaving.

use actix::prelude::*;

use crate::{
    holder::{Groups, Holder, Names, claim, join, leave, sorted, within},
    support::paused,
};

#[test]
fn an_empty_registry_counts_and_finds_nothing() {
    let (names, groups) = (Names::new(), Groups::new());
    assert_eq!((names.count(), groups.count()), (0, 0));
    assert!(names.get("a").is_none() && names.lookup("a").is_empty());
    assert!(names.select(|_, _, _| Some(())).is_empty());
    assert!(groups.select(|_, _, _| Some(())).is_empty());
    assert_eq!(names.dispatch("a", |_, _| panic!("nobody is there")), 0);
    assert_eq!(groups.dispatch("a", |_, _| panic!("nobody is there")), 0);
}

#[test]
fn a_registered_actor_is_found_with_its_value_from_everywhere() {
    paused(async {
        let names = Names::new();
        let holder = Holder.start();
        assert!(claim(&names, &holder, "a", 1).await);
        assert_eq!(names.get("a"), Some(holder.clone()));
        assert_eq!(names.lookup("a"), [(holder.clone(), 1)]);
        assert_eq!(names.with("a", |_, value| *value), Some(1));
        let elsewhere = names.clone();
        let found = std::thread::spawn(move || elsewhere.lookup("a"));
        assert_eq!(found.join().ok(), Some(vec![(holder, 1)]));
        assert!(names.get("b").is_none());
    });
}

#[test]
fn a_key_belongs_to_one_actor_at_a_time_and_a_refusal_changes_nothing() {
    paused(async {
        let names = Names::new();
        let (holder, other) = (Holder.start(), Holder.start());
        assert!(claim(&names, &holder, "a", 1).await);
        for rival in [&holder, &other] {
            let asked = names.clone();
            let refused = within(rival, move |ctx| asked.register(ctx, "a".into(), 2)).await;
            assert_eq!(refused.expect_err("taken").holder, holder);
        }
        assert_eq!(names.lookup("a"), [(holder.clone(), 1)]);
        assert_eq!(names.keys(&holder), ["a"]);
        assert_eq!(names.values(&holder, "a"), [1]);
        assert!(names.keys(&other).is_empty());
        assert!(names.values(&other, "a").is_empty());
        assert!(claim(&names, &holder, "b", 2).await);
        assert_eq!(sorted(names.keys(&holder)), ["a", "b"]);
        assert_eq!(names.count(), 2);
    });
}

#[test]
fn a_duplicate_key_takes_many_actors_and_one_actor_many_times() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        join(&groups, &a, "hello", 1).await;
        join(&groups, &b, "hello", 2).await;
        join(&groups, &a, "hello", 3).await;
        join(&groups, &a, "world", 4).await;
        let found = [(a.clone(), 1), (b.clone(), 2), (a.clone(), 3)];
        assert_eq!(groups.lookup("hello"), found, "in order of registration");
        assert_eq!(groups.count(), 4, "entries, not keys");
        assert_eq!(sorted(groups.keys(&a)), ["hello", "hello", "world"]);
        assert_eq!(groups.keys(&b), ["hello"]);
        assert_eq!(groups.values(&a, "hello"), [1, 3]);
        assert_eq!(groups.values(&b, "hello"), [2]);
        assert!(groups.values(&b, "world").is_empty());
    });
}

#[test]
fn an_actor_unregisters_its_own_entries_and_no_others() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        assert_eq!(leave(&groups, &a, "hello").await, 0);
        for value in 1..=2 {
            join(&groups, &a, "hello", value).await;
        }
        join(&groups, &a, "world", 3).await;
        join(&groups, &b, "hello", 4).await;
        assert_eq!(leave(&groups, &a, "hello").await, 2);
        assert_eq!(groups.keys(&a), ["world"]);
        assert_eq!(groups.lookup("hello"), [(b.clone(), 4)]);
        assert_eq!(leave(&groups, &a, "world").await, 1);
        assert!(groups.keys(&a).is_empty());
        assert_eq!(leave(&groups, &a, "world").await, 0);
        assert_eq!(groups.count(), 1);

        let names = Names::new();
        assert!(claim(&names, &a, "a", 1).await);
        let asked = names.clone();
        assert_eq!(within(&b, move |ctx| asked.unregister(ctx, "a")).await, 0);
        assert_eq!(names.get("a"), Some(a.clone()));
        let asked = names.clone();
        assert_eq!(within(&a, move |ctx| asked.unregister(ctx, "a")).await, 1);
        assert!(names.get("a").is_none());
        assert!(claim(&names, &b, "a", 2).await);
    });
}

#[test]
fn entries_are_unregistered_by_their_value() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        for value in [1, 2, 3] {
            join(&groups, &a, "hello", value).await;
        }
        join(&groups, &b, "hello", 2).await;
        for (range, removed) in [(2..3, 1), (9..99, 0), (1..9, 2)] {
            let asked = groups.clone();
            let deed = move |ctx: &mut Context<Holder>| {
                asked.unregister_if(ctx, "hello", |value| range.contains(value))
            };
            assert_eq!(within(&a, deed).await, removed);
        }
        assert_eq!(groups.lookup("hello"), [(b, 2)]);
    });
}

#[test]
fn a_value_is_updated_by_its_owner_alone() {
    paused(async {
        let names = Names::new();
        let (holder, other) = (Holder.start(), Holder.start());
        assert!(claim(&names, &holder, "a", 1).await);
        let update = |key: &'static str| {
            let asked = names.clone();
            move |ctx: &mut Context<Holder>| {
                asked.update_value(ctx, &key.to_owned(), |value| value + 1)
            }
        };
        assert_eq!(within(&holder, update("a")).await, Some((2, 1)));
        assert_eq!(names.lookup("a"), [(holder.clone(), 2)]);
        let never = |key: &'static str| {
            let asked = names.clone();
            move |ctx: &mut Context<Holder>| {
                asked.update_value(ctx, &key.to_owned(), |_| panic!("not its own"))
            }
        };
        assert_eq!(within(&holder, never("unknown")).await, None);
        assert_eq!(within(&other, never("a")).await, None);
        assert_eq!(names.keys(&holder), ["a"]);
    });
}
