//! The contract of a stream, polled by hand: no runtime, no pauses.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
    thread,
};

use futures_util::{FutureExt, future::join_all, task::noop_waker_ref};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn poll(events: &mut StreamEvents) -> Poll<StreamEvent> {
    events.poll_next(&mut Context::from_waker(noop_waker_ref()))
}

/// Polls a send once; `None` while it waits.
fn now<T>(send: impl Future<Output = T>) -> Option<T> {
    send.now_or_never()
}

#[test]
fn unread_results_are_bounded_by_their_bytes_as_well_and_a_send_that_waits_is_sent_when_there_is_room()
 {
    let (handle, mut events) = stream_within(StreamBuffer::new(100, 10_000));
    let large = || handle.send_result("x".repeat(4_000));
    assert_eq!(now(large()), Some(Ok(())));
    assert_eq!(now(large()), Some(Ok(())));
    let mut waiting = Box::pin(large());
    assert_eq!(waiting.as_mut().now_or_never(), None);
    assert!(poll(&mut events).is_ready());
    assert_eq!(waiting.now_or_never(), Some(Ok(())));

    // One that is larger than all the room goes alone.
    let mut larger = Box::pin(handle.send_result("x".repeat(50_000)));
    assert_eq!(larger.as_mut().now_or_never(), None);
    assert!(poll(&mut events).is_ready());
    assert_eq!(larger.as_mut().now_or_never(), None);
    assert!(poll(&mut events).is_ready());
    assert_eq!(larger.now_or_never(), Some(Ok(())));
    assert_eq!(now(handle.send_result(1)), None);
}

#[test]
fn results_come_in_the_order_of_their_sending_and_then_the_end() {
    let (handle, mut events) = stream_channel(8);
    assert_eq!(poll(&mut events), Poll::Pending);
    for n in 0..3 {
        assert_eq!(now(handle.send_result(n)), Some(Ok(())));
    }
    assert_eq!(now(handle.complete()), Some(Ok(())));
    for n in 0..3 {
        assert_eq!(
            poll(&mut events),
            Poll::Ready(StreamEvent::Result(json!(n)))
        );
    }
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Complete));
}

#[test]
fn a_send_waits_while_the_receiver_is_slow() {
    let (handle, mut events) = stream_channel(2);
    assert_eq!(now(handle.send_result(1)), Some(Ok(())));
    assert_eq!(now(handle.send_result(2)), Some(Ok(())));
    let mut third = pin!(handle.send_result(3));
    assert_eq!(now(third.as_mut()), None);
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(1)))
    );
    assert_eq!(now(third), Some(Ok(())));
    assert_eq!(
        now(handle.send_result(4)),
        None,
        "each result taken out makes room for one"
    );
}

#[test]
fn a_send_that_is_given_up_while_it_waits_sends_nothing_and_keeps_no_place() {
    let (handle, mut events) = stream_channel(1);
    assert_eq!(now(handle.send_result(1)), Some(Ok(())));
    assert_eq!(now(handle.send_result("given up")), None);
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(1)))
    );
    assert_eq!(now(handle.send_result(2)), Some(Ok(())));
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(2)))
    );
}

#[test]
fn a_terminal_event_waits_for_no_room() {
    type End = fn(&StreamHandle) -> Option<Result<(), StreamClosed>>;
    let ends: [(End, StreamEvent); 3] = [
        (|handle| now(handle.complete()), StreamEvent::Complete),
        (
            |handle| now(handle.send_last_result("z")),
            StreamEvent::Last(json!("z")),
        ),
        (
            |handle| now(handle.fail("boom")),
            StreamEvent::Failed(FunctionError::failed("boom")),
        ),
    ];
    for (end, event) in ends {
        let (handle, mut events) = stream_channel(1);
        assert_eq!(now(handle.send_result(1)), Some(Ok(())));
        assert_eq!(end(&handle), Some(Ok(())));
        assert_eq!(
            poll(&mut events),
            Poll::Ready(StreamEvent::Result(json!(1)))
        );
        assert_eq!(poll(&mut events), Poll::Ready(event));
    }
}

#[test]
fn after_a_terminal_event_of_any_clone_every_send_fails_and_nothing_follows() {
    let (handle, mut events) = stream_channel(4);
    let other = handle.clone();
    assert_eq!(now(other.complete()), Some(Ok(())));
    assert!(handle.is_closed());
    assert_eq!(now(handle.send_result(1)), Some(Err(StreamClosed)));
    assert_eq!(now(handle.send_value(json!(1))), Some(Err(StreamClosed)));
    assert_eq!(now(handle.send_last_result(1)), Some(Err(StreamClosed)));
    assert_eq!(now(handle.complete()), Some(Err(StreamClosed)));
    assert_eq!(now(other.fail("late")), Some(Err(StreamClosed)));
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Complete));
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Vanished));
}

#[test]
fn a_send_that_waits_fails_when_another_clone_ends_the_stream() {
    let (handle, mut events) = stream_channel(1);
    assert_eq!(now(handle.send_result(1)), Some(Ok(())));
    let mut waiting = pin!(handle.send_result(2));
    assert_eq!(now(waiting.as_mut()), None);
    assert_eq!(now(handle.clone().complete()), Some(Ok(())));
    assert_eq!(now(waiting), Some(Err(StreamClosed)));
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(1)))
    );
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Complete));
}

#[test]
fn closing_fails_every_send_also_those_that_wait_and_leaves_what_is_queued() {
    let (handle, mut events) = stream_channel(1);
    assert_eq!(now(handle.send_result(1)), Some(Ok(())));
    let mut waiting = pin!(handle.send_result(2));
    let mut closed = pin!(handle.closed());
    assert_eq!(now(waiting.as_mut()), None);
    assert_eq!(now(closed.as_mut()), None);
    events.close();
    assert!(handle.is_closed());
    assert_eq!(now(waiting), Some(Err(StreamClosed)));
    assert_eq!(now(closed), Some(()));
    assert_eq!(now(handle.closed()), Some(()));
    assert_eq!(now(handle.complete()), Some(Err(StreamClosed)));
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(1)))
    );
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Vanished));
}

#[test]
fn a_receiver_that_is_gone_closes_the_stream_and_frees_what_is_unread() {
    let (handle, events) = stream_channel(4);
    assert_eq!(now(handle.send_result("unread")), Some(Ok(())));
    drop(events);
    assert!(handle.is_closed());
    assert_eq!(handle.shared.state.lock().queue.capacity(), 0);
    assert_eq!(now(handle.send_result(1)), Some(Err(StreamClosed)));
}

#[test]
fn a_producer_that_vanishes_is_seen_once_its_results_are_read() {
    let (handle, mut events) = stream_channel(4);
    let clone = handle.clone();
    assert_eq!(now(clone.send_result(1)), Some(Ok(())));
    drop(handle);
    assert_eq!(
        poll(&mut events),
        Poll::Ready(StreamEvent::Result(json!(1)))
    );
    assert_eq!(poll(&mut events), Poll::Pending, "a clone is left");
    drop(clone);
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Vanished));
}

#[test]
fn a_function_that_returns_ends_its_stream_unless_a_clone_of_the_handle_is_left() {
    let (handle, mut events) = stream_channel(4);
    assert!(matches!(handle.returned(Outcome::Unit), Outcome::Unit));
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Complete));

    let (handle, mut events) = stream_channel(4);
    let answered = handle.returned(Outcome::Value(json!(7)));
    assert!(matches!(answered, Outcome::Unit));
    let last = StreamEvent::Last(json!(7));
    assert_eq!(poll(&mut events), Poll::Ready(last));

    let (handle, mut events) = stream_channel(4);
    let left = handle.clone();
    let answered = handle.returned(Outcome::Value(json!(7)));
    assert!(matches!(answered, Outcome::Value(_)));
    assert_eq!(poll(&mut events), Poll::Pending);
    drop(left);
    assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Vanished));
}

#[test]
fn the_receiver_is_woken_by_a_result_by_the_end_and_by_the_last_handle() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let steps: [fn(StreamHandle); 3] = [
        |handle| {
            let _ = now(handle.send_result(1));
            mem::forget(handle);
        },
        |handle| {
            let _ = now(handle.complete());
            mem::forget(handle);
        },
        drop,
    ];
    for step in steps {
        let (handle, mut events) = stream_channel(1);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        assert!(
            events
                .poll_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        step(handle);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_result_without_a_json_form_fails_the_stream() {
    let (handle, mut events) = stream_channel(1);
    let keys_are_no_texts = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(
        now(handle.send_result(keys_are_no_texts)),
        Some(Err(StreamClosed))
    );
    let Poll::Ready(StreamEvent::Failed(error)) = poll(&mut events) else {
        panic!("an error")
    };
    assert!(error.message().starts_with("the result has no JSON form"));
}

#[test]
fn a_stream_without_capacity_has_room_for_one() {
    let (handle, _events) = stream_channel(0);
    assert_eq!(now(handle.send_result(1)), Some(Ok(())));
    assert_eq!(now(handle.send_result(2)), None);
}

#[test]
fn clones_share_an_id_that_no_other_stream_has() {
    let (handle, events) = stream_channel(1);
    assert_eq!(handle.clone().id(), events.id());
    assert_ne!(stream_channel(1).0.id(), events.id());
}

#[test]
fn an_idle_stream_takes_few_bytes() {
    let (handle, _events) = stream_channel(1_000);
    assert_eq!(handle.shared.state.lock().queue.capacity(), 0);
    assert!(size_of::<Shared>() <= 256, "{}", size_of::<Shared>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_producers_on_many_threads_lose_nothing_and_keep_their_order() {
    const PRODUCERS: usize = 4;
    const RESULTS: usize = 2_000;
    let (handle, mut events) = stream_channel(16);
    let producers = (0..PRODUCERS).map(|producer| {
        let handle = handle.clone();
        tokio::spawn(async move {
            for n in 0..RESULTS {
                handle.send_result((producer, n)).await.unwrap();
            }
        })
    });
    let producers = join_all(producers.collect::<Vec<_>>());
    drop(handle);
    let mut next = [0; PRODUCERS];
    let end = loop {
        match events.next().await {
            StreamEvent::Result(value) => {
                let (producer, n): (usize, usize) = serde_json::from_value(value).unwrap();
                assert_eq!(n, next[producer]);
                next[producer] += 1;
            }
            end => break end,
        }
    };
    assert_eq!(end, StreamEvent::Vanished);
    assert_eq!(next, [RESULTS; PRODUCERS]);
    producers
        .await
        .into_iter()
        .for_each(|producer| producer.unwrap());
}

#[test]
fn of_ends_that_race_exactly_one_is_accepted_and_what_was_accepted_is_read_before_it() {
    for _ in 0..200 {
        let (handle, mut events) = stream_channel(64);
        let racers: Vec<_> = (0..3)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || {
                    let mut accepted = 0;
                    while accepted < 5 && now(handle.send_result(0)) == Some(Ok(())) {
                        accepted += 1;
                    }
                    (accepted, now(handle.complete()) == Some(Ok(())))
                })
            })
            .collect();
        let (mut accepted, mut ends) = (0, 0);
        for racer in racers {
            let (results, ended) = racer.join().unwrap();
            accepted += results;
            ends += usize::from(ended);
        }
        assert_eq!(ends, 1);
        for _ in 0..accepted {
            assert_eq!(
                poll(&mut events),
                Poll::Ready(StreamEvent::Result(json!(0)))
            );
        }
        assert_eq!(poll(&mut events), Poll::Ready(StreamEvent::Complete));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    Complete,
    Clone,
    DropOne,
    Close,
    Read,
}

proptest! {
    /// The stream against a plain model of it: a list, a number of handles and whether it is open.
    #[test]
    fn every_order_of_steps_agrees_with_the_rules(
        capacity in 1usize..4,
        steps in prop::collection::vec(
            prop::sample::select(vec![
                Step::Send, Step::Send, Step::Send, Step::Complete, Step::Clone, Step::DropOne,
                Step::Close, Step::Read, Step::Read,
            ]),
            0..40,
        ),
    ) {
        let (handle, mut events) = stream_channel(capacity);
        let mut handles = vec![handle];
        let (mut queue, mut open, mut sent) = (VecDeque::new(), true, 0);
        for step in steps {
            match (step, handles.last()) {
                (Step::Send, Some(handle)) => {
                    let unread = queue.iter().filter(|event| matches!(event, StreamEvent::Result(_)));
                    let expected = match (open, unread.count() < capacity) {
                        (false, _) => Some(Err(StreamClosed)),
                        (true, false) => None,
                        (true, true) => {
                            queue.push_back(StreamEvent::Result(json!(sent)));
                            Some(Ok(()))
                        }
                    };
                    prop_assert_eq!(now(handle.send_result(sent)), expected);
                    sent += 1;
                }
                (Step::Complete, Some(handle)) => {
                    let expected = if open { Ok(()) } else { Err(StreamClosed) };
                    if open {
                        queue.push_back(StreamEvent::Complete);
                        open = false;
                    }
                    prop_assert_eq!(now(handle.complete()), Some(expected));
                }
                (Step::Clone, Some(handle)) => {
                    let clone = handle.clone();
                    handles.push(clone);
                }
                (Step::DropOne, Some(_)) => drop(handles.pop()),
                (Step::Close, _) => {
                    events.close();
                    open = false;
                }
                (Step::Read, _) => {
                    let expected = match queue.pop_front() {
                        Some(event) => Poll::Ready(event),
                        None if !open || handles.is_empty() => Poll::Ready(StreamEvent::Vanished),
                        None => Poll::Pending,
                    };
                    prop_assert_eq!(poll(&mut events), expected);
                }
                (_, None) => {}
            }
        }
    }
}
