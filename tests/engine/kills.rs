//! Requests while the engine's actors are being killed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use gen_api::{
    Execute, GenApi,
    arguments::ArgType,
    function::{FunctionError, Functions, StreamHandle},
    model::Response,
};

use crate::fixture::{config, count_to, echo, request, start};

/// Every request of every mode ends in exactly one terminal response while executors, streams and the config database are
/// killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_terminal_response_a_request_while_actors_are_being_killed() {
    const ROUNDS: usize = 40;
    const BATCH: usize = 25;
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "count_to", count_to);
    let api = start(
        functions,
        [
            config("sync", "echo").arg("value", ArgType::String),
            config("async", "echo")
                .arg("value", ArgType::String)
                .asynchronous(),
            config("stream", "count_to").arg("n", ArgType::Num).stream(),
        ],
    )
    .await;
    let serving = Arc::new(AtomicBool::new(true));
    let killer = tokio::spawn({
        let (api, serving) = (api.clone(), Arc::clone(&serving));
        async move {
            let mut kills = 0;
            while serving.load(Ordering::SeqCst) {
                let executor = api.executor(kills);
                let old = executor.wait_until_running(0).await;
                executor.kill().await;
                executor.wait_until_running(old).await;
                if kills % 3 == 0 {
                    api.config_db().actor().kill().await;
                }
                kills += 1;
                tokio::task::yield_now().await;
            }
            kills
        }
    });
    let one = |number: usize| {
        let api = api.clone();
        async move {
            let id = format!("r-{number}");
            let request = match number % 3 {
                0 => request(&id, "sync").with_arg("value", "x"),
                1 => request(&id, "async").with_arg("value", "x"),
                _ => request(&id, "stream").with_arg("n", 3),
            };
            let responses = if number.is_multiple_of(2) {
                api.execute(request).await.collect().await
            } else {
                match api.executor(number).call(Execute::new(request)).await {
                    Ok(reply) => reply.collect().await,
                    // The executor died with the message in its mailbox: the caller knows that nothing follows.
                    Err(_) => return,
                }
            };
            let terminal = responses.iter().filter(|response| {
                let acknowledgement = response.is_async && response.result.is_null();
                !response.has_more && (!acknowledgement || number % 3 == 2)
            });
            assert_eq!(terminal.count(), 1, "{responses:?}");
            assert!(
                responses
                    .iter()
                    .all(|response| response.request_id.as_deref() == Some(&*id))
            );
        }
    };
    for round in 0..ROUNDS {
        join_all((0..BATCH).map(|number| one(round * BATCH + number))).await;
    }
    serving.store(false, Ordering::SeqCst);
    let kills = killer.await.expect("the killer lives");
    assert!(kills > 0);
    serves_sync(&api).await;
    api.stop().await;
}

async fn serves_sync(api: &GenApi) {
    let reply = api
        .execute(request("r", "sync").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
}

#[tokio::test]
async fn a_stream_whose_actor_is_killed_ends_with_an_error() {
    async fn one_and_idle(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await?;
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new().register("T", "idle", one_and_idle);
    let api = start(functions, [config("idle", "idle").stream()]).await;
    let mut later = api
        .execute(request("r", "idle"))
        .await
        .later
        .expect("chunks");
    assert_eq!(later.next().await, Some(Response::stream_chunk("r", 1)));
    api.streams_supervisor().kill().await;
    assert_eq!(
        later.next().await,
        Some(Response::error("r", "Internal Server Error"))
    );
    assert_eq!(later.next().await, None);
    api.streams_supervisor().wait_until_running(1).await;
    let mut later = api
        .execute(request("r", "idle"))
        .await
        .later
        .expect("chunks");
    assert_eq!(later.next().await, Some(Response::stream_chunk("r", 1)));
    drop(later);
    api.stop().await;
}
