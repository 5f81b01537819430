//! Streams from their acknowledgement to their end.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorContext, Context, Message};
use futures_util::{FutureExt, StreamExt, stream};
use gen_api::{
    GenApi,
    clock::ManualClock,
    function::{FunctionError, Functions, StreamHandle},
    model::Response,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::fixture::{config, request, start, start_streams};

#[tokio::test]
async fn a_stream_is_acknowledged_then_chunks_come_in_order_then_one_end() {
    let api = start_streams().await;
    let responses = api
        .execute(request("r", "count_to").with_arg("n", 100))
        .await
        .collect()
        .await;
    assert_eq!(responses[0], Response::stream_chunk("r", "init"));
    let chunks = &responses[1..=100];
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(*chunk, Response::stream_chunk("r", index + 1));
    }
    assert_eq!(responses[101..], [Response::stream_end("r")]);
    assert_eq!(api.open_streams(), 0);
    api.stop().await;
}

#[tokio::test]
async fn the_functions_answer_is_the_first_chunk_and_a_late_one_follows_what_was_sent_before() {
    async fn early(stream: StreamHandle) -> Result<&'static str, FunctionError> {
        tokio::spawn(async move {
            stream.send_result("from the task").await?;
            stream.complete().await
        });
        Ok("answer")
    }
    async fn late(stream: StreamHandle) -> Result<&'static str, FunctionError> {
        stream.send_result("one").await?;
        tokio::task::yield_now().await;
        stream.send_result("two").await?;
        Ok("answer")
    }
    let functions = Functions::new()
        .register("T", "early", early)
        .register("T", "late", late);
    let configs = ["early", "late"].map(|name| config(name, name).stream());
    let api = start(functions, configs).await;
    let results = async |name| {
        let responses = api.execute(request("r", name)).await.collect().await;
        responses
            .into_iter()
            .map(|response| response.result)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        results("early").await,
        [
            json!("init"),
            json!("answer"),
            json!("from the task"),
            json!(null)
        ]
    );
    assert_eq!(
        results("late").await,
        [json!("init"), json!("one"), json!("two"), json!("answer")]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_rust_stream_is_a_stream_of_chunks() {
    let api = start_streams().await;
    let responses = api
        .execute(request("r", "countdown").with_arg("n", 2))
        .await
        .collect()
        .await;
    assert_eq!(
        responses,
        [
            Response::stream_chunk("r", "init"),
            Response::stream_chunk("r", 2),
            Response::stream_chunk("r", 1),
            Response::stream_end("r"),
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn later_responses_are_a_stream() {
    let api = start_streams().await;
    let reply = api
        .execute(request("r", "countdown").with_arg("n", 2))
        .await;
    let chunks: Vec<_> = reply
        .later
        .expect("chunks")
        .map(|chunk| chunk.result)
        .collect()
        .await;
    assert_eq!(chunks, [json!(2), json!(1), Value::Null]);
    api.stop().await;
}

#[tokio::test]
async fn large_chunks_that_nobody_reads_make_their_producer_wait_before_they_fill_the_memory() {
    let large = || Value::String("x".repeat(1_000_000));
    let (sent, waits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let functions = {
        let (sent, produced, waits) = (Arc::clone(&sent), Arc::clone(&sent), Arc::clone(&waits));
        let push = move |stream: StreamHandle| {
            let (sent, waits) = (Arc::clone(&sent), Arc::clone(&waits));
            async move {
                loop {
                    let mut send = pin!(stream.send_value(large()));
                    if let Some(result) = send.as_mut().now_or_never() {
                        result?;
                    } else {
                        waits.notify_one();
                        send.await?;
                    }
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                #[expect(unreachable_code, reason = "it names the type")]
                Ok::<(), FunctionError>(())
            }
        };
        let pull = move || {
            let produced = Arc::clone(&produced);
            let chunks = stream::repeat_with(move || {
                produced.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(large())
            });
            async move { Ok::<_, Infallible>(chunks) }
        };
        Functions::new()
            .register("T", "push", push)
            .register_stream("T", "pull", pull)
    };
    let configs = ["push", "pull"].map(|name| config(name, name).stream());
    let api = start(functions, configs).await;

    let mut pushed = api.execute(request("r", "push")).await;
    waits.notified().await;
    assert!(sent.load(Ordering::SeqCst) <= 3);
    pushed.later.take();

    while api.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    sent.store(0, Ordering::SeqCst);
    let pulled = api.execute(request("r", "pull")).await;
    let mut chunks = pulled.later.expect("chunks");
    for read in 1..=3 {
        assert_eq!(chunks.next().await.map(|chunk| chunk.result), Some(large()));
        assert!(sent.load(Ordering::SeqCst) <= read + 2);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_producer_that_vanishes_ends_its_stream_with_an_error() {
    let api = start_streams().await;
    let responses = api.execute(request("r", "vanish")).await.collect().await;
    assert_eq!(
        responses[1..],
        [
            Response::stream_chunk("r", "answer"),
            Response::error("r", "Internal Server Error")
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_returns_without_completing_its_stream_completes_it() {
    let api = start_streams().await;
    let reply = api.execute(request("r", "just_return")).await;
    assert_eq!(
        reply.collect().await[1..],
        [Response::stream_chunk("r", 1), Response::stream_end("r")]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_ends_the_stream() {
    let ended = Arc::new(Notify::new());
    let functions = {
        let ended = Arc::clone(&ended);
        Functions::new().register("T", "idle", move |stream: StreamHandle| {
            let ended = Arc::clone(&ended);
            async move {
                stream.closed().await;
                ended.notify_one();
                std::future::pending::<()>().await;
                Ok::<(), Infallible>(())
            }
        })
    };
    let api = start(functions, [config("idle", "idle").stream()]).await;
    let reply = api.execute(request("r", "idle")).await;
    drop(reply);
    while api.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    api.stop().await;
}

#[actix::test]
async fn a_quiet_stream_ends_with_the_actor_that_receives_it() {
    struct Receiver;
    impl Actor for Receiver {
        type Context = Context<Self>;
    }
    impl actix::Handler<Response> for Receiver {
        type Result = ();

        fn handle(&mut self, _: Response, _: &mut Context<Self>) {}
    }
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Leave;
    impl actix::Handler<Leave> for Receiver {
        type Result = ();

        fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
            ctx.stop();
        }
    }
    let clock = ManualClock::new();
    let idle = config("idle", "idle").stream().no_timeout();
    let functions = Functions::new().register("T", "idle", |stream: StreamHandle| async move {
        stream.closed().await;
        Ok::<_, Infallible>(())
    });
    let builder = GenApi::builder()
        .functions(functions)
        .config(idle.build().expect("a valid config"))
        .clock(Arc::new(clock.clone()));
    let api = builder.start().await.expect("the engine starts");
    let receiver = Receiver.start();
    let recipient = receiver.clone().recipient();
    api.execute_to(request("r", "idle"), recipient).await;
    assert_eq!(api.open_streams(), 1);
    receiver.send(Leave).await.expect("it lives");
    while api.open_streams() > 0 {
        clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    api.stop().await;
}
