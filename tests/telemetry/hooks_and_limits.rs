//! What is told of hooks and rate limits.

use std::{convert::Infallible, sync::Arc};

use gen_api::{
    clock::ManualClock,
    function::{FunctionError, Functions},
    model::{FunConfig, Request, Response},
    rate_limiter::{LimitKey, RateLimit, Scope},
    telemetry::{Event, Family, HookEvent, RateLimiterEvent},
};

use crate::fixture::{all, config, engine, hear, request, start};

#[tokio::test]
async fn the_runs_of_hooks_are_told_with_how_they_ended() {
    async fn ok() -> Result<u32, Infallible> {
        Ok(1)
    }
    async fn pass(request: Request, _: FunConfig) -> Result<Request, Infallible> {
        Ok(request)
    }
    async fn refuse(_: Request, _: FunConfig) -> Result<(), FunctionError> {
        Err(FunctionError::failed("no quota"))
    }
    async fn panics(_: Request, _: FunConfig, _: Response) -> Result<(), Infallible> {
        panic!("kaboom")
    }
    let functions = Functions::new()
        .register("T", "a", ok)
        .register("T", "b", ok)
        .register("H", "pass", pass)
        .register("H", "refuse", refuse)
        .register("H", "panics", panics);
    let configs = [
        config("a")
            .before_execute(("H", "pass"))
            .after_execute(("H", "panics")),
        config("b")
            .before_execute(("H", "refuse"))
            .after_execute(("H", "missing")),
    ];
    let api = start(engine(functions, configs)).await;
    let mut heard = hear(api.telemetry(), Family::Hook, |event| {
        let Event::Hook(hook) = event else {
            return format!("unexpected: {event:?}");
        };
        let words = format!("{} {}", event.name(), hook.hook().function);
        match hook {
            HookEvent::Stop { rejected, .. } => format!("{words} rejected {rejected}"),
            HookEvent::Exception { kind, .. } => format!("{words} {}", kind.as_str()),
            _ => words,
        }
    });
    let _ = api.execute(request("a")).await;
    let _ = api.execute(request("b")).await;
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.hook.before.start pass",
            "gen_api.hook.before.stop pass rejected false",
            "gen_api.hook.after.start panics",
            "gen_api.hook.after.exception panics panic",
            "gen_api.hook.before.start refuse",
            "gen_api.hook.before.stop refuse rejected true",
            "gen_api.hook.after.start missing",
            "gen_api.hook.after.exception missing internal",
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn checks_of_rate_limits_are_told_and_what_they_refuse() {
    let functions = Functions::new().register("T", "a", || async { Ok::<_, Infallible>(1) });
    let clock = ManualClock::new();
    let api = start(engine(functions, [config("a")]).clock(Arc::new(clock))).await;
    let limiter = api.rate_limiter();
    limiter
        .add_global_limit(RateLimit::new(LimitKey::UserId, 1, 2_000))
        .expect("a valid limit");
    let mut heard = hear(api.telemetry(), Family::RateLimiter, |event| match event {
        Event::RateLimiter(RateLimiterEvent::Check {
            service, passed, ..
        }) => format!("check {service:?} {passed}"),
        Event::RateLimiter(RateLimiterEvent::Exceeded {
            key,
            service,
            max_requests,
            window,
            retry_after,
            ..
        }) => format!("exceeded {key} {service:?} {max_requests} {window:?} {retry_after:?}"),
        Event::RateLimiter(RateLimiterEvent::Reset { key, value, .. }) => {
            format!("reset {key} {value}")
        }
        Event::RateLimiter(RateLimiterEvent::Cleanup {
            removed, remaining, ..
        }) => format!("cleanup {removed} {remaining}"),
        other => format!("unexpected: {other:?}"),
    });
    for _ in 0..2 {
        let _ = api.execute(request("a").with_user_id("ann")).await;
    }
    assert!(limiter.reset("ann", &Scope::Global, &LimitKey::UserId));
    assert!(!limiter.reset("bob", &Scope::Global, &LimitKey::UserId));
    let direct = limiter.check_key("ann", &Scope::Global, &LimitKey::UserId);
    assert!(direct.is_ok());
    limiter.sweep();
    assert_eq!(
        all(&mut heard),
        [
            "check Some(\"svc\") true",
            "check Some(\"svc\") false",
            "exceeded user_id None 1 2s 2s",
            "reset user_id ann",
            "check None true",
            "cleanup 0 1"
        ]
    );
    api.stop().await;
}
