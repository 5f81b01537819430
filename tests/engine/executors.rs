//! Requests as messages to executors.

use actix::prelude::*;
use gen_api::{Execute, model::Response};
use tokio::sync::mpsc;

use crate::fixture::{Collector, request, start_streams};

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
