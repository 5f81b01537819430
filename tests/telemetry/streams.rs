//! What is told of streams.

use gen_api::telemetry::{Event, Family, StreamEvent};

use crate::fixture::{all, hear, request, stream_engine};

fn stream_words(event: &Event<'_>) -> String {
    match event {
        Event::Stream(StreamEvent::Start {
            service,
            request_type,
            open,
            ..
        }) => format!("start {service}/{request_type} open {open}"),
        Event::Stream(StreamEvent::Stop {
            chunks, end, open, ..
        }) => format!("stop {} chunks {chunks} open {open}", end.as_str()),
        other => format!("unexpected: {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_is_told_from_start_to_stop_before_its_reader_sees_the_end() {
    let api = stream_engine().await;
    let mut heard = hear(api.telemetry(), Family::Stream, stream_words);
    let responses = api.execute(request("numbers")).await.collect().await;
    assert_eq!(responses.len(), 5);
    assert_eq!(
        all(&mut heard),
        ["start svc/numbers open 1", "stop complete chunks 3 open 0"]
    );
    let _ = api.execute(request("vanishes")).await.collect().await;
    assert_eq!(
        all(&mut heard),
        ["start svc/vanishes open 1", "stop failed chunks 1 open 0"]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_stopped_left_or_killed_says_so() {
    let api = stream_engine().await;
    let mut heard = hear(api.telemetry(), Family::Stream, stream_words);
    for expected in ["stopped", "receiver_gone", "lost"] {
        let mut later = api.execute(request("waits")).await.later.expect("a stream");
        assert!(later.next().await.is_some());
        assert_eq!(
            heard.recv().await.as_deref(),
            Some("start svc/waits open 1")
        );
        match expected {
            "stopped" => api.stop_stream("r").expect("it is open"),
            "receiver_gone" => drop(later),
            _ => {
                api.streams_supervisor().kill().await;
            }
        }
        let stop = heard.recv().await.unwrap_or_default();
        assert!(stop.starts_with(&format!("stop {expected} ")), "{stop}");
        assert!(stop.ends_with(" open 0"), "{stop}");
    }
    api.stop().await;
}
