//! Streams that are started by the message `StartStream`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::prelude::*;
use actix_otp::ExitReason;
use gen_api::{
    StartStream, StartStreamError,
    function::Functions,
    model::{Response, ResponseType},
    stream::StopStream,
    telemetry::{Event, ExecutorEvent, Family, Outcome},
};
use tokio::sync::mpsc;

use crate::fixture::{Collector, config, request, start, start_streams};

fn collector() -> (Recipient<Response>, mpsc::UnboundedReceiver<Response>) {
    let (sender, responses) = mpsc::unbounded_channel();
    (Collector(sender).start().recipient(), responses)
}

#[tokio::test]
async fn a_started_stream_runs_under_the_id_of_its_request_and_its_reply_holds_the_chunks() {
    let api = start_streams().await;
    let message = StartStream::new(request("r", "count_to").with_arg("n", 2));
    let started = api.executor(0).call(message).await.expect("it lives");
    let started = started.expect("a stream");
    assert_eq!(started.request_id(), "r");
    assert_eq!(
        started.reply.collect().await,
        [
            Response::stream_chunk("r", "init"),
            Response::stream_chunk("r", 1),
            Response::stream_chunk("r", 2),
            Response::stream_end("r"),
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_started_stream_is_stopped_by_its_id_or_through_its_actor() {
    let api = start_streams().await;
    for by_id in [true, false] {
        let message = StartStream::new(request("r", "idle"));
        let started = api.executor(0).call(message).await.expect("it lives");
        let started = started.expect("a stream");
        let stream = started.stream().clone();
        assert_eq!(api.open_streams(), 1);
        if by_id {
            api.stop_stream(started.request_id()).expect("it is open");
        } else {
            stream.addr().send(StopStream).await.expect("it runs");
        }
        let responses = started.reply.collect().await;
        assert_eq!(responses[1..], [Response::stream_end("r")]);
        assert_eq!(stream.exited().await, ExitReason::Normal);
        assert!(stream.addr().send(StopStream).await.is_err());
    }
    api.stop().await;
}

#[actix::test]
async fn a_recipient_gets_every_response_of_a_started_stream() {
    let api = start_streams().await;
    let (recipient, mut responses) = collector();
    let message = StartStream::new(request("r", "count_to").with_arg("n", 1)).deliver_to(recipient);
    let started = api.executor(0).call(message).await.expect("it lives");
    let started = started.expect("a stream");
    assert!(started.reply.response.is_none() && started.reply.later.is_none());
    for expected in [
        Response::stream_chunk("r", "init"),
        Response::stream_chunk("r", 1),
        Response::stream_end("r"),
    ] {
        assert_eq!(responses.recv().await, Some(expected));
    }
    api.stop().await;
}

#[actix::test]
async fn a_request_of_another_mode_is_not_called_and_the_error_names_the_mode() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(1) }
        }
    };
    let functions = Functions::new().register("T", "count", count);
    let configs = [
        config("sync", "count"),
        config("async", "count").asynchronous(),
        config("none", "count").no_response(),
    ];
    let api = start(functions, configs).await;
    let (recipient, mut told) = collector();
    for (name, mode) in [
        ("sync", ResponseType::Sync),
        ("async", ResponseType::Async),
        ("none", ResponseType::None),
    ] {
        let message = StartStream::new(request("r", name)).deliver_to(recipient.clone());
        let error = api.executor(0).call(message).await.expect("it lives");
        let error = error.expect_err("it is no stream");
        assert_eq!(
            error.to_string(),
            format!("the config of the request is of the response mode {mode}, not stream")
        );
        let StartStreamError::NotAStream {
            response_type,
            response,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(response_type, mode);
        assert_eq!(response, Response::error("r", "Internal Server Error"));
        assert_eq!(told.recv().await, Some(response));
    }
    assert!(told.try_recv().is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    api.stop().await;
}

#[actix::test]
async fn a_refused_start_holds_the_response_that_the_client_is_told() {
    let api = start_streams().await;
    let (recipient, mut told) = collector();
    for (name, text) in [
        ("nope", "unsupported function: nope version latest"),
        ("count_to", "invalid argument \"n\": "),
    ] {
        let message = StartStream::new(request("r", name)).deliver_to(recipient.clone());
        let error = api.executor(0).call(message).await.expect("it lives");
        let error = error.expect_err("it is refused");
        assert!(matches!(error, StartStreamError::Refused(_)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(told.recv().await.as_ref(), Some(error.response()));
    }
    assert!(told.try_recv().is_err());
    api.stop().await;
}

/// Where the actor of a stream cannot be started, it counts as a failure, and its recipient hears of it once.
#[actix::test]
async fn a_stream_without_a_supervisor_is_a_failure_that_can_be_retried() {
    let api = start_streams().await;
    let terminated = api.root().terminate_child("streams").await;
    assert!(terminated.is_ok());
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let note = move |event: &Event<'_>| {
        if let Event::Executor(ExecutorEvent::RequestStop { outcome, .. }) = event {
            let _ = sender.send(*outcome);
        }
    };
    let attached = api.telemetry().attach("test", Family::Executor, note);
    attached.expect("a free id");
    let unavailable = Response::retryable_error("r", "Service temporarily unavailable");

    let (recipient, mut told) = collector();
    for recipient in [None, Some(recipient.clone())] {
        let is_told = recipient.is_some();
        let mut message = StartStream::new(request("r", "idle"));
        if let Some(recipient) = recipient {
            message = message.deliver_to(recipient);
        }
        let error = api.executor(0).call(message).await.expect("it lives");
        let refused = StartStreamError::Refused(unavailable.clone());
        assert_eq!(error.expect_err("it is refused"), refused);
        assert_eq!(outcomes.try_recv(), Ok(Outcome::Unavailable));
        if is_told {
            assert_eq!(told.recv().await, Some(unavailable.clone()));
        }
    }
    api.execute_to(request("r", "idle"), recipient).await;
    assert_eq!(outcomes.try_recv(), Ok(Outcome::Unavailable));
    assert_eq!(told.recv().await, Some(unavailable));
    assert!(told.try_recv().is_err());
    assert_eq!(api.open_streams(), 0);
    assert_eq!(api.statistics().requests(Outcome::Success), 0);
    api.stop().await;
}

#[actix::test]
async fn a_start_that_dies_in_a_mailbox_tells_its_recipient() {
    let (recipient, mut told) = collector();
    drop(StartStream::new(request("r", "idle")).deliver_to(recipient));
    let unavailable = Response::retryable_error("r", "Service temporarily unavailable");
    assert_eq!(told.recv().await, Some(unavailable));
}
