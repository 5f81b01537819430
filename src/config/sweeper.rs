//! Keeping house: what is over, or belongs to no config any more, is forgotten on a timer.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, fut::wrap_future};

use super::{ConfigTable, FailedConfigs};
use crate::{clock::Clock, node::NodeSelector};

/// The pause between two sweeps. What is over counts for nothing before it is swept, so this only bounds memory.
const PAUSE: Duration = Duration::from_secs(60);

/// Forgets, once a minute, the notes about failed configs whose day is over, the sticky nodes whose hour is over, and the
/// turns and node lists of configs that are gone; a supervised child of the engine.
///
/// It keeps nothing of its own, so its death loses nothing.
pub struct Sweeper {
    table: Arc<ConfigTable>,
    failed: FailedConfigs,
    selector: NodeSelector,
    clock: Arc<dyn Clock>,
}

impl Sweeper {
    pub(crate) fn new(
        table: Arc<ConfigTable>,
        failed: FailedConfigs,
        selector: NodeSelector,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            table,
            failed,
            selector,
            clock,
        }
    }

    fn sweep(&self) {
        self.failed.sweep();
        self.selector.sweep();
        // One that is switched off is still there, and goes on where it was when it is switched on.
        self.selector.retain(|service, request_type, version| {
            self.table.contains(service, request_type, version)
        });
        tracing::debug!("swept failed configs and node choices");
    }

    fn sweep_after_pause(&self, ctx: &mut Context<Self>) {
        let pause = wrap_future::<_, Self>(self.clock.sleep(PAUSE));
        ctx.spawn(pause.map(|(), sweeper, ctx| {
            sweeper.sweep();
            sweeper.sweep_after_pause(ctx);
        }));
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep_after_pause(ctx);
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}

/// Sweeps now; the timer goes on as before.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Sweep;

impl Handler<Sweep> for Sweeper {
    type Result = ();

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) {
        self.sweep();
    }
}

#[cfg(test)]
mod tests {
    use actix::Addr;

    use super::*;
    use crate::{
        config::{FailedSource, failed::Refused, tests::World},
        model::{ChooseNodeMode, FunConfig, Request},
    };

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// Waits for the actor; far more turns than it ever needs.
    async fn until(done: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if done() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never happened");
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Crash;

    impl Handler<Crash> for Sweeper {
        type Result = ();

        fn handle(&mut self, Crash: Crash, _: &mut Self::Context) {
            panic!("crashed on purpose");
        }
    }

    fn started(world: &World) -> Addr<Sweeper> {
        let (table, failed) = (Arc::clone(&world.table), world.failed.clone());
        let clock = Arc::new(world.clock.clone());
        Sweeper::new(table, failed, world.selector.clone(), clock).start()
    }

    fn far(request_type: &str, mode: ChooseNodeMode) -> FunConfig {
        FunConfig::builder("svc", request_type)
            .call("T", request_type)
            .nodes(["http://a:1", "http://b:2"])
            .choose_node_mode(mode)
            .build()
            .unwrap()
    }

    async fn pick(world: &World, config: &FunConfig) -> String {
        let request = Request::new("r", "svc", &config.request_type).with_user_id("ann");
        let node = world.selector.pick(&request, config).await;
        node.unwrap().to_string()
    }

    fn note(world: &World) {
        world.failed.note(Refused {
            service: Some("svc"),
            request_type: None,
            version: None,
            source: FailedSource::Local,
            node: None,
            reasons: Vec::new(),
        });
    }

    /// How many notes are held, those that count for nothing included.
    fn notes_held(world: &World) -> String {
        format!("{:?}", world.failed)
    }

    #[actix::test]
    async fn what_is_over_is_forgotten_at_the_next_sweep_and_nothing_else() {
        let world = World::default();
        let _sweeper = started(&world);
        let advance = async |by: Duration| {
            until(|| world.clock.sleepers() == 1).await;
            world.clock.advance(by);
            until(|| world.clock.sleepers() == 1).await;
        };
        let sticky = far("sticky", ChooseNodeMode::Sticky("user_id".to_owned()));
        pick(&world, &sticky).await;
        note(&world);
        advance(HOUR - PAUSE).await;
        assert_eq!(world.selector.sticky_entries(), 1);
        advance(PAUSE).await;
        assert_eq!(world.selector.sticky_entries(), 0);
        note(&world);
        advance(23 * HOUR).await;
        assert_eq!(notes_held(&world), "FailedConfigs { notes: 1, .. }");
    }

    #[actix::test]
    async fn the_turns_of_a_config_go_with_it_and_those_of_the_others_stay() {
        let world = World::default();
        let sweeper = started(&world);
        let [kept, gone] = ["kept", "gone"].map(|name| far(name, ChooseNodeMode::RoundRobin));
        let mut off = far("off", ChooseNodeMode::RoundRobin);
        off.disabled = true;
        let all = [&kept, &gone, &off];
        for config in all {
            world.table.store(config.clone());
            assert_eq!(pick(&world, config).await, "http://a:1");
        }
        world.table.delete("svc", "gone", None);
        sweeper.send(Sweep).await.unwrap();
        let mut next = Vec::new();
        for config in all {
            next.push(pick(&world, config).await);
        }
        assert_eq!(next, ["http://b:2", "http://a:1", "http://b:2"]);
    }

    #[actix::test]
    async fn a_sweeper_that_is_started_again_goes_on() {
        let world = World::default();
        let sweeper = started(&world);
        until(|| world.clock.sleepers() == 1).await;
        assert!(sweeper.send(Crash).await.is_err());
        until(|| world.clock.sleepers() == 0).await;
        note(&world);
        let _sweeper = started(&world);
        until(|| world.clock.sleepers() == 1).await;
        world.clock.advance(24 * HOUR);
        until(|| notes_held(&world) == "FailedConfigs { notes: 0, .. }").await;
    }
}
