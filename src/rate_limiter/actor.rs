//! The actor around the table: typed messages for every verb, and the timer of the sweep.

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, fut::wrap_future,
};

use super::{
    InvalidLimit, LimitKey, LimitStatus, RateLimit, RateLimitConfig, RateLimitError,
    RateLimitUpdate, RateLimiter, Scope, Swept,
};
use crate::model::Request;

/// Sweeps idle keys every [`sweep_interval_ms`](RateLimitConfig::sweep_interval_ms), and answers the verbs of
/// [`RateLimiter`] as messages.
///
/// It keeps nothing of its own: whoever starts it again with a clone of the same handle finds all limits and counts.
#[derive(Debug)]
pub struct RateLimiterActor {
    limiter: RateLimiter,
}

impl RateLimiterActor {
    /// The actor for this limiter.
    #[must_use]
    pub fn new(limiter: RateLimiter) -> Self {
        Self { limiter }
    }

    fn sweep_after_pause(&self, ctx: &mut Context<Self>) {
        let pause = Duration::from_millis(self.limiter.config().sweep_interval_ms);
        let pause = wrap_future::<_, Self>(self.limiter.clock().sleep(pause));
        ctx.spawn(pause.map(|(), actor, ctx| {
            let swept = actor.limiter.sweep();
            tracing::debug!(?swept, "swept the rate limiter");
            actor.sweep_after_pause(ctx);
        }));
    }
}

impl Actor for RateLimiterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep_after_pause(ctx);
    }
}

/// [`RateLimiter::check`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RateLimitError>")]
pub struct Check(pub Request);

/// [`RateLimiter::check_key`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RateLimitError>")]
pub struct CheckKey {
    /// The value of the key.
    pub value: String,
    /// Whose limits are asked.
    pub scope: Scope,
    /// The kind of key.
    pub kind: LimitKey,
}

/// [`RateLimiter::global_limits`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<RateLimit>")]
pub struct GetGlobalLimits;

/// [`RateLimiter::set_global_limits`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), InvalidLimit>")]
pub struct SetGlobalLimits(pub Vec<RateLimit>);

/// [`RateLimiter::add_global_limit`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), InvalidLimit>")]
pub struct AddGlobalLimit(pub RateLimit);

/// [`RateLimiter::remove_global_limit`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub struct RemoveGlobalLimit(pub LimitKey);

/// [`RateLimiter::config`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "RateLimitConfig")]
pub struct GetConfig;

/// [`RateLimiter::update_config`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), InvalidLimit>")]
pub struct UpdateConfig(pub RateLimitUpdate);

/// [`RateLimiter::status`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<LimitStatus>")]
pub struct GetStatus {
    /// The value of the key.
    pub value: String,
    /// Whose limits are asked.
    pub scope: Scope,
    /// The kind of key.
    pub kind: LimitKey,
}

/// [`RateLimiter::reset`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub struct Reset {
    /// The value of the key.
    pub value: String,
    /// Where its requests are forgotten.
    pub scope: Scope,
    /// The kind of key.
    pub kind: LimitKey,
}

/// [`RateLimiter::clear`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "usize")]
pub struct Clear;

/// [`RateLimiter::sweep`] as a message; the timer goes on as before.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Swept")]
pub struct Sweep;

/// Each message is answered by the verb of the handle.
macro_rules! answer {
    ($($message:ty: |$limiter:ident, $parts:pat_param| $answer:expr;)+) => {$(
        impl Handler<$message> for RateLimiterActor {
            type Result = MessageResult<$message>;

            fn handle(&mut self, $parts: $message, _: &mut Self::Context) -> Self::Result {
                let $limiter = &self.limiter;
                MessageResult($answer)
            }
        }
    )+};
}

answer! {
    Check: |limiter, Check(request)| limiter.check(&request);
    CheckKey: |limiter, CheckKey { value, scope, kind }| limiter.check_key(&value, &scope, &kind);
    GetGlobalLimits: |limiter, _| limiter.global_limits();
    SetGlobalLimits: |limiter, SetGlobalLimits(limits)| limiter.set_global_limits(limits);
    AddGlobalLimit: |limiter, AddGlobalLimit(limit)| limiter.add_global_limit(limit);
    RemoveGlobalLimit: |limiter, RemoveGlobalLimit(kind)| limiter.remove_global_limit(&kind);
    GetConfig: |limiter, _| limiter.config();
    UpdateConfig: |limiter, UpdateConfig(update)| limiter.update_config(update);
    GetStatus: |limiter, GetStatus { value, scope, kind }| limiter.status(&value, &scope, &kind);
    Reset: |limiter, Reset { value, scope, kind }| limiter.reset(&value, &scope, &kind);
    Clear: |limiter, _| limiter.clear();
    Sweep: |limiter, _| limiter.sweep();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix::Addr;

    use super::*;
    use crate::{clock::ManualClock, rate_limiter::ApiLimit};

    const USER: LimitKey = LimitKey::UserId;

    fn limit(max_requests: u32, window_ms: u64) -> RateLimit {
        RateLimit::new(USER, max_requests, window_ms)
    }

    fn started() -> (RateLimiter, ManualClock, Addr<RateLimiterActor>) {
        let clock = ManualClock::new();
        let limiter = RateLimiter::new(Arc::new(clock.clone()));
        let actor = RateLimiterActor::new(limiter.clone()).start();
        (limiter, clock, actor)
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Crash;

    impl Handler<Crash> for RateLimiterActor {
        type Result = ();

        fn handle(&mut self, Crash: Crash, _: &mut Self::Context) {
            panic!("crashed on purpose");
        }
    }

    /// Lets the actor work until `done`; far more turns than it ever needs.
    async fn until(done: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if done() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never happened");
    }

    #[actix::test]
    async fn every_verb_is_a_message_on_the_same_table() {
        let (limiter, _clock, actor) = started();
        let key = || (String::from("ann"), Scope::Global, USER);
        let request = Request::new("r", "svc", "op").with_user_id("ann");

        let global = vec![limit(9, 1_000)];
        actor.send(SetGlobalLimits(global)).await.unwrap().unwrap();
        actor
            .send(AddGlobalLimit(limit(2, 500)))
            .await
            .unwrap()
            .unwrap();
        let zero = actor.send(AddGlobalLimit(limit(0, 500))).await.unwrap();
        assert!(zero.is_err());
        let limits = actor.send(GetGlobalLimits).await.unwrap();
        assert_eq!(limits, [limit(2, 500)]);

        assert_eq!(actor.send(Check(request.clone())).await.unwrap(), Ok(()));
        assert_eq!(limiter.check(&request), Ok(()));
        let (value, scope, kind) = key();
        let check = CheckKey { value, scope, kind };
        assert!(matches!(
            actor.send(check).await.unwrap(),
            Err(RateLimitError::Limited(_))
        ));
        let (value, scope, kind) = key();
        let status = actor.send(GetStatus { value, scope, kind }).await.unwrap();
        assert_eq!((status[0].current_requests, status[0].remaining), (2, 0));

        let (value, scope, kind) = key();
        assert!(actor.send(Reset { value, scope, kind }).await.unwrap());
        assert_eq!(limiter.check(&request), Ok(()));
        assert_eq!(actor.send(Clear).await.unwrap(), 1);
        assert_eq!(limiter.tracked_keys(), 0);

        let mut update = RateLimitUpdate::new();
        update.api_limits = Some(vec![ApiLimit::new("svc", "op", limit(1, 1))]);
        actor.send(UpdateConfig(update)).await.unwrap().unwrap();
        assert!(actor.send(RemoveGlobalLimit(USER)).await.unwrap());
        let config = actor.send(GetConfig).await.unwrap();
        assert_eq!(config, limiter.config());
        assert!(config.global_limits.is_empty());
        assert_eq!(config.api_limits.len(), 1);
    }

    #[actix::test]
    async fn idle_keys_vanish_by_themselves_at_every_interval() {
        let (limiter, clock, _actor) = started();
        limiter.add_global_limit(limit(1, 71_000)).unwrap();
        let check = |value: &str| limiter.check_key(value, &Scope::Global, &USER);
        until(|| clock.sleepers() == 1).await;
        assert_eq!(check("early"), Ok(()));
        clock.advance(Duration::from_secs(50));
        assert_eq!(check("late"), Ok(()));
        clock.advance(Duration::from_secs(10));
        until(|| clock.sleepers() == 1).await;
        assert_eq!(limiter.tracked_keys(), 2);
        clock.advance(Duration::from_secs(59));
        assert_eq!(limiter.tracked_keys(), 2);
        clock.advance(Duration::from_secs(1));
        until(|| limiter.tracked_keys() == 1).await;
        until(|| clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(60));
        until(|| limiter.tracked_keys() == 0).await;
    }

    #[actix::test]
    async fn a_new_interval_holds_from_the_next_pause() {
        let (limiter, clock, _actor) = started();
        limiter.add_global_limit(limit(1, 1)).unwrap();
        until(|| clock.sleepers() == 1).await;
        let mut update = RateLimitUpdate::new();
        update.sweep_interval_ms = Some(100);
        limiter.update_config(update).unwrap();
        clock.advance(Duration::from_secs(60));
        until(|| clock.sleepers() == 1).await;
        limiter.check_key("ann", &Scope::Global, &USER).unwrap();
        clock.advance(Duration::from_millis(100));
        until(|| limiter.tracked_keys() == 0).await;
    }

    #[actix::test]
    async fn the_death_of_the_actor_loses_neither_limits_nor_counts() {
        let (limiter, clock, actor) = started();
        limiter.add_global_limit(limit(1, 90_000)).unwrap();
        let request = Request::new("r", "svc", "op").with_user_id("ann");
        assert_eq!(actor.send(Check(request.clone())).await.unwrap(), Ok(()));
        until(|| clock.sleepers() == 1).await;
        assert!(actor.send(Crash).await.is_err());
        until(|| clock.sleepers() == 0).await;

        assert!(limiter.check(&request).is_err());
        let actor = RateLimiterActor::new(limiter.clone()).start();
        assert!(actor.send(Check(request)).await.unwrap().is_err());
        until(|| clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(90));
        until(|| limiter.tracked_keys() == 0).await;
    }
}
