//! Requests as messages to executors.

use std::convert::Infallible;

use actix::prelude::*;
use gen_api::{Execute, function::Functions, model::Response};
use tokio::sync::{mpsc, oneshot};

use crate::fixture::{Collector, config, request, start, start_streams};

#[actix::test]
async fn a_recipient_gets_every_response_in_order() {
    let api = start_streams().await;
    let (sender, mut responses) = mpsc::unbounded_channel();
    let collector = Collector(sender).start();
    let message = Execute::new(request("r", "count_to").with_arg("n", 3))
        .deliver_to(collector.clone().recipient());
    let reply = api
        .executor(0)
        .call(message)
        .await
        .expect("the executor takes it");
    assert!(reply.response.is_none() && reply.later.is_none());
    let mut got = Vec::new();
    while got
        .last()
        .is_none_or(|response: &Response| response.has_more)
    {
        got.push(responses.recv().await.expect("it comes"));
    }
    assert_eq!(
        got,
        [
            Response::stream_chunk("r", "init"),
            Response::stream_chunk("r", 1),
            Response::stream_chunk("r", 2),
            Response::stream_chunk("r", 3),
            Response::stream_end("r"),
        ]
    );
    api.execute_to(request("r", "nope"), collector.recipient())
        .await;
    assert!(responses.recv().await.expect("it comes").is_error());
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_is_ready_at_once_needs_no_task() {
    async fn at_once() -> Result<String, Infallible> {
        Ok(tokio::task::id().to_string())
    }
    async fn waits() -> Result<String, Infallible> {
        tokio::task::yield_now().await;
        Ok(tokio::task::id().to_string())
    }
    let functions = Functions::new()
        .register("T", "at_once", at_once)
        .register("T", "waits", waits);
    let configs = ["at_once", "waits"].map(|name| config(name, name));
    let api = start(functions, configs).await;
    let task_of = async |name| {
        let message = Execute::new(request("r", name));
        let reply = api.executor(0).call(message).await.expect("it lives");
        reply.response.expect("it is sync").result
    };
    let executors = task_of("at_once").await;
    assert_eq!(task_of("at_once").await, executors);
    let own = task_of("waits").await;
    assert_ne!(own, executors);
    assert_ne!(task_of("waits").await, own);
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_outlives_the_executor_that_took_it() {
    let (called, mut calls) = mpsc::unbounded_channel();
    let wait = move || {
        let (release, released) = oneshot::channel();
        let sent = called.send(release);
        async move {
            sent.map_err(|_| "nobody listens")?;
            released.await.map_err(|_| "nobody releases it")
        }
    };
    let functions = Functions::new().register("T", "wait", wait);
    let api = start(functions, [config("wait", "wait").no_timeout()]).await;
    let waiting = api.executor(0).call(Execute::new(request("r", "wait")));
    let (reply, ()) = tokio::join!(waiting, async {
        let release: oneshot::Sender<&str> = calls.recv().await.expect("it is called");
        api.executor(0).kill().await;
        release.send("done").expect("it still waits");
    });
    let reply = reply.expect("the executor's death costs nothing");
    assert_eq!(reply.response, Some(Response::sync("r", "done")));
    api.stop().await;
}
