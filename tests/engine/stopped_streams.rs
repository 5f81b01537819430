//! Streams that are stopped from outside.

use gen_api::{
    function::{FunctionError, Functions, StreamHandle},
    model::Response,
    stream::StopStreamError,
};
use tokio::sync::mpsc;

use crate::fixture::{config, request, start, start_streams};

#[tokio::test]
async fn a_stream_stopped_from_outside_is_completed_and_forgotten() {
    let api = start_streams().await;
    let reply = api.execute(request("r", "idle")).await;
    assert_eq!(api.open_streams(), 1);
    api.stop_stream("r").expect("it is open");
    assert_eq!(reply.collect().await[1..], [Response::stream_end("r")]);
    assert_eq!(
        api.stop_stream("r").map_err(|error| error.to_string()),
        Err("no open stream has the request id `r`".to_owned())
    );
    api.stop().await;
}

#[tokio::test]
async fn open_streams_with_one_request_id_are_counted_each_and_stop_by_user() {
    let api = start_streams().await;
    let open = async |user: Option<&str>| {
        let mut request = request("r", "idle");
        request.user_id = user.map(str::to_owned);
        api.execute(request).await
    };
    let (ada, again, bob) = (
        open(Some("ada")).await,
        open(Some("ada")).await,
        open(Some("bob")).await,
    );
    let (nobody, nobody_else) = (open(None).await, open(None).await);
    assert_eq!(api.open_streams(), 5);
    let unknown = Err(StopStreamError::Unknown("r".to_owned()));
    let ambiguous = Err(StopStreamError::Ambiguous("r".to_owned()));
    let end = [Response::stream_end("r")];

    assert_eq!(api.stop_stream_of(Some("eve"), "r"), unknown);
    assert_eq!(api.stop_stream_of(None, "r"), ambiguous);
    assert_eq!(api.stop_stream("r"), ambiguous);
    assert_eq!(api.open_streams(), 5);

    api.stop_stream_of(Some("ada"), "r")
        .expect("both are ada's");
    assert_eq!(api.stop_stream_of(Some("ada"), "r"), unknown);
    assert_eq!(ada.collect().await[1..], end);
    assert_eq!(again.collect().await[1..], end);
    assert_eq!(api.open_streams(), 3);

    drop(nobody);
    while api.open_streams() > 2 {
        tokio::task::yield_now().await;
    }
    api.stop_stream_of(None, "r").expect("only one is left");
    assert_eq!(nobody_else.collect().await[1..], end);
    api.stop_stream("r").expect("only bob's is left");
    assert_eq!(api.stop_stream("r"), unknown);
    assert_eq!(bob.collect().await[1..], end);
    assert_eq!(api.open_streams(), 0);
    api.stop().await;
}

#[tokio::test]
async fn what_was_sent_before_a_stop_arrives_before_the_end_and_nothing_after() {
    let (sender, mut handles) = mpsc::unbounded_channel();
    let hand_out = move |stream: StreamHandle| {
        let sent = sender.send(stream);
        async move { sent.map_err(|_| "nobody takes the handle") }
    };
    let functions = Functions::new().register("T", "hand_out", hand_out);
    let api = start(functions, [config("hand_out", "hand_out").stream()]).await;
    for _ in 0..100 {
        let reply = api.execute(request("r", "hand_out")).await;
        let stream = handles.recv().await.expect("the handle");
        for number in 0..3 {
            stream.send_result(number).await.expect("it is open");
        }
        api.stop_stream("r").expect("it is open");
        assert!(stream.send_result(3).await.is_err());
        let mut expected: Vec<_> = (0..3).map(|n| Response::stream_chunk("r", n)).collect();
        expected.push(Response::stream_end("r"));
        assert_eq!(reply.collect().await[1..], expected);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_because_its_stream_was_stopped_leaves_the_completion() {
    async fn until_refused(stream: StreamHandle) -> Result<(), FunctionError> {
        loop {
            stream.send_result(1).await?;
        }
    }
    let functions = Functions::new().register("T", "endless", until_refused);
    let api = start(functions, [config("endless", "endless").stream()]).await;
    for _ in 0..100 {
        let reply = api.execute(request("r", "endless")).await;
        api.stop_stream("r").expect("it is open");
        let responses = reply.collect().await;
        assert_eq!(responses.last(), Some(&Response::stream_end("r")));
    }
    api.stop().await;
}
