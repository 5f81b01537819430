//! Reaching many entries at once: dispatch and select.

use std::{
    sync::{Arc, Mutex},
    thread::ThreadId,
};

use actix::prelude::*;
use actix_otp::DuplicateRegistry;

use crate::{
    holder::{Groups, Holder, Names, claim, join, sorted, within},
    support::{paused, settle},
};

#[test]
fn dispatch_reaches_each_entry_of_the_key_once_in_order_on_the_thread_of_the_caller() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        join(&groups, &a, "hello", 1).await;
        join(&groups, &b, "hello", 2).await;
        join(&groups, &b, "world", 3).await;
        let reached = |key: &str| {
            let mut reached: Vec<(ThreadId, u32)> = Vec::new();
            let count = groups.dispatch(key, |address, value| {
                assert!(address.connected());
                reached.push((std::thread::current().id(), *value));
            });
            assert_eq!(count, reached.len());
            reached
        };
        let here = std::thread::current().id();
        assert_eq!(reached("hello"), [(here, 1), (here, 2)]);
        assert_eq!(reached("world"), [(here, 3)]);
        assert!(reached("nobody").is_empty());

        let names = Names::new();
        assert!(claim(&names, &a, "a", 1).await);
        let mut values = Vec::new();
        assert_eq!(names.dispatch("a", |_, value| values.push(*value)), 1);
        assert_eq!(values, [1]);
    });
}

#[test]
fn a_function_that_dispatch_or_select_calls_may_use_the_registry() {
    paused(async {
        let groups = Groups::new();
        let holder = Holder.start();
        join(&groups, &holder, "hello", 1).await;
        let inner = groups.clone();
        let asked = groups.clone();
        let deed = move |ctx: &mut Context<Holder>| {
            asked.dispatch("hello", |_, _| {
                inner.register(ctx, "hello".into(), 2);
                inner.unregister_if(ctx, "hello", |value| {
                    assert!(inner.count() > 0);
                    *value == 1
                });
            })
        };
        assert_eq!(within(&holder, deed).await, 1, "what was there at first");
        let values = groups.select(|key, _, value| Some((groups.lookup(key).len(), *value)));
        assert_eq!(values, [(1, 2)]);
    });
}

#[test]
fn select_goes_through_all_entries_and_shapes_the_result() {
    paused(async {
        let groups = Groups::new();
        let (a, b) = (Holder.start(), Holder.start());
        for (holder, key, value) in [(&a, "x", 1), (&b, "x", 1), (&b, "y", 2)] {
            join(&groups, holder, key, value).await;
        }
        let all = groups.select(|key, address, value| Some((key.clone(), *address == a, *value)));
        let (x, y) = ("x".to_owned(), "y".to_owned());
        let expected = vec![(x.clone(), false, 1), (x, true, 1), (y, false, 2)];
        assert_eq!(sorted(all), expected);
        let of_b = groups.select(|key, address, _| (*address == b).then(|| key.clone()));
        assert_eq!(sorted(of_b), ["x", "y"]);
        let ones = groups.select(|_, _, value| (*value == 1).then_some(()));
        assert_eq!(ones.len(), 2);
    });
}

#[test]
fn actors_of_different_types_share_a_registry_of_recipients() {
    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct News(&'static str);

    struct Reader(Topics, Arc<Mutex<Vec<&'static str>>>);
    struct Archive(Topics, Arc<Mutex<Vec<&'static str>>>);
    type Topics = DuplicateRegistry<&'static str, Recipient<News>>;

    impl Actor for Reader {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            self.0.register(ctx, "sport", ());
        }
    }
    impl Actor for Archive {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            self.0.register(ctx, "sport", ());
            self.0.register(ctx, "weather", ());
        }
    }
    impl Handler<News> for Reader {
        type Result = ();
        fn handle(&mut self, News(news): News, _: &mut Context<Self>) {
            self.1.lock().expect("read").push(news);
        }
    }
    impl Handler<News> for Archive {
        type Result = ();
        fn handle(&mut self, News(news): News, _: &mut Context<Self>) {
            self.1.lock().expect("read").push(news);
        }
    }

    paused(async {
        let (topics, read) = (Topics::new(), Arc::new(Mutex::new(Vec::new())));
        Reader(topics.clone(), Arc::clone(&read)).start();
        Archive(topics.clone(), Arc::clone(&read)).start();
        settle().await;
        let publish = |topic: &str, news: &'static str| {
            topics.dispatch(topic, |recipient, ()| recipient.do_send(News(news)))
        };
        assert_eq!(publish("weather", "rain"), 1);
        assert_eq!(publish("sport", "goal"), 2);
        settle().await;
        assert_eq!(
            sorted(read.lock().expect("read").clone()),
            ["goal", "goal", "rain"]
        );
    });
}
