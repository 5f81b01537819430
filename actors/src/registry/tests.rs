//! What only the inside shows: that nothing is left behind.

use actix::prelude::*;

use super::*;

struct Holder;

impl Actor for Holder {
    type Context = Context<Self>;
}

type Names = Registry<&'static str, Addr<Holder>>;

#[derive(Message)]
#[rtype(result = "bool")]
struct Claim(Names, &'static str);

impl Handler<Claim> for Holder {
    type Result = bool;

    fn handle(&mut self, Claim(names, key): Claim, ctx: &mut Context<Self>) -> bool {
        names.register(ctx, key, ()).is_ok()
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct LeaveAndReturn(Names, &'static str);

impl Handler<LeaveAndReturn> for Holder {
    type Result = ();

    fn handle(&mut self, LeaveAndReturn(names, key): LeaveAndReturn, ctx: &mut Context<Self>) {
        assert_eq!(names.unregister(ctx, key), 1);
        assert!(names.register(ctx, key, ()).is_ok());
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Holder {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

fn traces(names: &Names) -> (usize, usize) {
    (names.count(), names.table.owners())
}

#[test]
fn a_refused_registration_leaves_no_trace() {
    System::new().block_on(async {
        let names = Names::new();
        let (first, second) = (Holder.start(), Holder.start());
        assert_eq!(first.send(Claim(names.clone(), "a")).await, Ok(true));
        assert_eq!(traces(&names), (1, 1));
        assert_eq!(first.send(Claim(names.clone(), "a")).await, Ok(false));
        assert_eq!(second.send(Claim(names.clone(), "a")).await, Ok(false));
        assert_eq!(traces(&names), (1, 1));
        assert_eq!(names.table.keys(&first), ["a"]);
        assert_eq!(first.send(Claim(names.clone(), "b")).await, Ok(true));
        assert_eq!(traces(&names), (2, 1));
    });
}

#[test]
fn an_actor_that_ends_leaves_no_trace() {
    System::new().block_on(async {
        let names = Names::new();
        for _ in 0..3 {
            let holder = Holder.start();
            for key in ["a", "b"] {
                assert_eq!(holder.send(Claim(names.clone(), key)).await, Ok(true));
            }
            holder.do_send(Stop);
            while holder.connected() {
                tokio::task::yield_now().await;
            }
            tokio::task::yield_now().await;
            assert_eq!(traces(&names), (0, 0));
        }
    });
}

#[test]
fn a_guard_on_its_way_out_spares_what_was_registered_since() {
    System::new().block_on(async {
        let names = Names::new();
        let holder = Holder.start();
        assert_eq!(holder.send(Claim(names.clone(), "a")).await, Ok(true));
        for _ in 0..3 {
            assert!(
                holder
                    .send(LeaveAndReturn(names.clone(), "a"))
                    .await
                    .is_ok()
            );
            tokio::task::yield_now().await;
            assert_eq!(traces(&names), (1, 1));
        }
        assert_eq!(names.get("a"), Some(holder));
    });
}
