//! A whole sync request: permission by argument, one rate limit, one string argument, an echo; beside a tower stack that is
//! composed by hand for the same promise, and jsonrpsee's in-process call, which promises less.
//!
//! `cargo bench -p gen_api-benches --bench request`

use gen_api::model::Request;
use gen_api_benches::{
    Comparison,
    engines::{guarded_engine, owned_request},
    is_wanted, one_thread,
    requests::{rpc_module, tower_stack},
    timed, timed_with,
};
use tower::{Service as _, ServiceExt as _};

fn main() {
    if !is_wanted() {
        return;
    }
    let runtime = one_thread();
    let api = runtime.block_on(guarded_engine());
    let mut tower = runtime.block_on(async { tower_stack() });
    let module = rpc_module();
    let (mut of_tower, mut of_api, mut of_making) = (users(), users(), users());
    Comparison::default()
        .with("tower stack composed by hand", |times| {
            runtime.block_on(timed_with(times, &mut of_tower, async |request| {
                let service = tower.ready().await.expect("it has no limit to wait for");
                let response = service.call(request).await;
                assert!(response.is_ok_and(|response| response.success));
            }))
        })
        .with("`GenApi::execute`", |times| {
            runtime.block_on(timed_with(times, &mut of_api, async |request| {
                let reply = api.execute(request).await;
                assert!(reply.response.is_some_and(|response| response.success));
            }))
        })
        .with("jsonrpsee `RpcModule::call`, nothing checked", |times| {
            runtime.block_on(timed(times, async || {
                let text = module.call::<_, String>("echo", ["user-1"]).await;
                assert!(text.is_ok_and(|text| text == "user-1"));
            }))
        })
        .with(
            "making and dropping the request, on top of the first two",
            |times| {
                runtime.block_on(timed(times, async || {
                    std::hint::black_box(of_making());
                }))
            },
        )
        .print("A sync request on the caller's thread");
    runtime.block_on(api.stop());
}

/// Requests of all users in turn.
fn users() -> impl FnMut() -> Request {
    let mut requests = (0..).map(owned_request);
    move || requests.next().expect("there is no end")
}
