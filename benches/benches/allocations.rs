//! Memory, counted and not guessed: how often a request allocates, and what an actor, a rate limited key, a stream and a
//! config keep.
//!
//! `cargo bench -p gen_api-benches --bench allocations`

use std::{alloc::System as SystemAllocator, sync::Arc};

use actix::Actor as _;
use actix_otp::{ChildSpec, DynamicSupervisorSpec, StartChild, Strategy, SupervisorSpec};
use actix_rt::System;
use gen_api::{
    clock::SystemClock,
    rate_limiter::{LimitKey, RateLimit, RateLimiter},
    settings::StreamSettings,
    telemetry::Filter,
};
use gen_api_benches::{
    Table,
    actors::{STARTED, actix as in_actix, kameo as in_kameo, ractor as in_ractor},
    engines::{
        engine_with_configs, guarded_engine, named_request, owned_request, stream_request,
        streaming_engine,
    },
    grouped, is_wanted,
    memory::{INSTRUMENTED_SYSTEM, StatsAlloc, kept, spent},
    one_thread,
    requests::{keyed_governor, rpc_module, tower_stack},
};
use kameo::actor::Spawn as _;
use ractor::Actor as _;
use tower::{Service as _, ServiceExt as _};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<SystemAllocator> = &INSTRUMENTED_SYSTEM;

fn main() {
    if !is_wanted() {
        return;
    }
    let tokio = one_thread();
    tokio.block_on(requests());
    actors();
    let mut table = Table::new("Bytes of one, of so many", ["10 000", "100 000"]);
    let mut row = |name, bytes: [String; 2]| table.row(name, bytes);
    row(
        "key of `RateLimiter` with one stamp",
        [10_000, 100_000].map(rate_keys),
    );
    row(
        "key of governor, a `String`",
        [10_000, 100_000].map(governor_keys),
    );
    row(
        "idle stream, the receiver's side included",
        [10_000, 100_000].map(|streams| tokio.block_on(idle_streams(streams))),
    );
    row(
        "stored config with one argument",
        [10_000, 100_000].map(|configs| tokio.block_on(configs_of(configs))),
    );
    table.print();
}

/// The bytes that each of `count` things takes.
fn each(bytes: i64, count: u64) -> String {
    grouped(bytes as f64 / count as f64)
}

async fn requests() {
    const TIMES: u64 = 1_000;
    let api = guarded_engine().await;
    let mut tower = tower_stack();
    let module = rpc_module();
    let mut table = Table::new(
        "A sync request: permission by argument, one rate limit, an echo",
        ["allocations", "bytes"],
    );
    let mut row = |name: &str, (allocations, bytes): (usize, usize)| {
        let each = |all: usize| format!("{:.1}", all as f64 / TIMES as f64);
        table.row(name, [each(allocations), each(bytes)]);
    };
    // The second time the keys are known and the buffers have their size.
    let counted = guarded_engine().await;
    counted
        .telemetry()
        .attach("counter", Filter::all(), |_| ())
        .expect("a free id");
    for warm in [false, true] {
        let users = || (0..TIMES).map(owned_request).collect::<Vec<_>>();
        let requests = users();
        let execute = spent(async || {
            for request in requests {
                let reply = api.execute(request).await;
                assert!(reply.response.is_some_and(|response| response.success));
            }
        });
        let execute = execute.await;
        let requests = users();
        let with_handler = spent(async || {
            for request in requests {
                let reply = counted.execute(request).await;
                assert!(reply.response.is_some_and(|response| response.success));
            }
        });
        let with_handler = with_handler.await;
        let requests = users();
        let by_tower = spent(async || {
            for request in requests {
                let service = tower.ready().await.expect("it has no limit to wait for");
                let response = service.call(request).await;
                assert!(response.is_ok_and(|response| response.success));
            }
        });
        let by_tower = by_tower.await;
        let by_module = spent(async || {
            for _ in 0..TIMES {
                let text = module.call::<_, String>("echo", ["user-1"]).await;
                assert!(text.is_ok_and(|text| text == "user-1"));
            }
        });
        let by_module = by_module.await;
        let making = spent(async || (0..TIMES).map(owned_request).for_each(drop)).await;
        if warm {
            row("`GenApi::execute`", execute);
            row("`GenApi::execute` with a telemetry handler", with_handler);
            row("tower stack composed by hand", by_tower);
            row("jsonrpsee `RpcModule::call`, nothing checked", by_module);
            row("making the request, on top of the first two", making);
        }
    }
    table.print();
    api.stop().await;
    counted.stop().await;
}

fn actors() {
    const COUNT: u64 = 10_000;
    let (system, tokio) = (System::new(), one_thread());
    let mut table = Table::new("An idle actor, of 10 000", ["bytes"]);
    let (dynamic, children) = DynamicSupervisorSpec::new().build("dynamic");
    let root = SupervisorSpec::new(Strategy::OneForOne).child(dynamic);
    let root = system.block_on(root.start("root")).expect("it starts");

    // All of them live to the end, so that none is released while others are counted.
    let (_bare, bytes) =
        system.block_on(population(COUNT, async |_| in_actix::Adder::new().start()));
    table.row("bare actix", [bytes]);
    let (_temporary, bytes) = system.block_on(population(COUNT, async |_| {
        children.spawn_local(in_actix::Adder::new()).expect("room")
    }));
    table.row("actix-otp, temporary, by `spawn_local`", [bytes]);
    let (_permanent, bytes) = system.block_on(population(COUNT, async |id| {
        let child = ChildSpec::new(format!("child-{id}"), in_actix::Adder::new);
        let started = root.call(StartChild(child)).await;
        started.expect("it runs").expect("a new child")
    }));
    table.row("actix-otp, permanent, by `StartChild`", [bytes]);
    let (_ractor, bytes) = tokio.block_on(population(COUNT, async |_| {
        let started = in_ractor::Adder::spawn(None, in_ractor::Adder, ()).await;
        started.expect("it starts").0
    }));
    table.row("ractor", [bytes]);
    let (_kameo, bytes) = tokio.block_on(population(COUNT, async |_| in_kameo::Adder::spawn(())));
    table.row("kameo", [bytes]);
    table.print();
}

/// `count` actors, and what each takes from the outside: the actor, its task and its mailbox.
async fn population<A>(count: u64, start: impl AsyncFn(u64) -> A) -> (Vec<A>, String) {
    let mut all = Vec::with_capacity(count as usize);
    STARTED.expect(count);
    let ((), bytes) = kept(async || {
        for id in 0..count {
            all.push(start(id).await);
        }
        STARTED.reached().await;
    })
    .await;
    (all, each(bytes, count))
}

fn rate_keys(count: u64) -> String {
    let runtime = one_thread();
    let clock = Arc::new(SystemClock::new(runtime.handle().clone()));
    let limiter = RateLimiter::new(clock);
    limiter
        .add_global_limit(RateLimit::new(LimitKey::UserId, 100, 60_000))
        .expect("a valid limit");
    let requests: Vec<_> = (0..count).map(named_request).collect();
    let ((), bytes) = runtime.block_on(kept(async || {
        for request in &requests {
            assert!(limiter.check(request).is_ok());
        }
    }));
    assert_eq!(limiter.tracked_keys() as u64, count);
    each(bytes, count)
}

fn governor_keys(count: u64) -> String {
    let limiter = keyed_governor();
    let names: Vec<_> = (0..count)
        .filter_map(|user| named_request(user).user_id)
        .collect();
    let ((), bytes) = one_thread().block_on(kept(async || {
        for name in &names {
            assert!(limiter.check_key(name).is_ok());
        }
    }));
    assert_eq!(limiter.len() as u64, count);
    each(bytes, count)
}

async fn idle_streams(count: u64) -> String {
    let api = streaming_engine(StreamSettings::default().buffer).await;
    let mut replies = Vec::with_capacity(count as usize);
    STARTED.expect(count);
    let ((), bytes) = kept(async || {
        for id in 0..count {
            replies.push(api.execute(stream_request(id, "idle", 1)).await);
        }
        STARTED.reached().await;
    })
    .await;
    assert_eq!(api.open_streams() as u64, count);
    drop(replies);
    api.stop().await;
    each(bytes, count)
}

async fn configs_of(count: u64) -> String {
    let (api, bytes) = kept(async || engine_with_configs(count).await).await;
    api.stop().await;
    each(bytes, count)
}
