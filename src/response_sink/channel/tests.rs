//! The contract of the channel, polled by hand: no runtime, no pauses.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
    thread,
};

use futures_util::task::noop_waker_ref;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A channel whose two ends ring when they are woken.
struct Ends {
    writer: Writer,
    reader: Reader,
    for_writer: Arc<Bell>,
    for_reader: Arc<Bell>,
}

impl Ends {
    fn new(capacity: usize) -> Self {
        let (writer, reader) = channel(capacity, "r".into());
        Self {
            writer,
            reader,
            for_writer: Arc::default(),
            for_reader: Arc::default(),
        }
    }

    fn room(&mut self) -> Poll<Result<usize, ReceiverGone>> {
        let waker = self.for_writer.waker();
        self.writer.poll_room(&mut Context::from_waker(&waker))
    }

    fn is_gone(&mut self) -> bool {
        let waker = self.for_writer.waker();
        let gone = self.writer.poll_gone(&mut Context::from_waker(&waker));
        gone.is_ready()
    }

    fn send(&mut self, numbers: impl IntoIterator<Item = usize>) {
        let mut chunks = numbers.into_iter().map(small).collect();
        self.writer.send_chunks(&mut chunks);
    }

    fn read(&mut self) -> Poll<Option<Response>> {
        let waker = self.for_reader.waker();
        self.reader.poll(&mut Context::from_waker(&waker))
    }
}

fn chunk(number: usize) -> Poll<Option<Response>> {
    Poll::Ready(Some(Response::stream_chunk("r", number)))
}

#[test]
fn chunks_come_as_responses_in_the_order_of_their_sending_and_then_the_end() {
    let mut ends = Ends::new(4);
    ends.send([0, 1]);
    ends.send([2]);
    ends.writer.finish(Response::stream_end("r"));
    drop(ends.writer);
    let mut read = || ends.reader.poll(&mut Context::from_waker(noop_waker_ref()));
    for number in 0..3 {
        assert_eq!(read(), chunk(number));
    }
    assert_eq!(read(), Poll::Ready(Some(Response::stream_end("r"))));
    assert_eq!(read(), Poll::Ready(None));
    assert_eq!(read(), Poll::Ready(None));
}

#[test]
fn what_was_taken_out_but_not_handed_out_takes_up_room() {
    let mut ends = Ends::new(4);
    ends.send(0..4);
    assert_eq!(ends.room(), Poll::Pending);
    assert_eq!(ends.read(), chunk(0));
    assert_eq!(
        ends.room(),
        Poll::Pending,
        "half of the room is given back at once"
    );
    assert_eq!(ends.read(), chunk(1));
    assert_eq!(ends.room(), Poll::Ready(Ok(2)));
}

#[test]
fn a_reader_that_has_read_everything_gives_all_room_back() {
    let mut ends = Ends::new(8);
    ends.send(0..3);
    for number in 0..3 {
        assert_eq!(ends.read(), chunk(number));
    }
    assert_eq!(ends.read(), Poll::Pending);
    assert_eq!(ends.room(), Poll::Ready(Ok(8)));
}

#[test]
fn the_reader_is_woken_only_where_it_waits() {
    let mut ends = Ends::new(8);
    assert_eq!(ends.read(), Poll::Pending);
    ends.send([0]);
    ends.send([1]);
    assert_eq!(ends.for_reader.rings(), 1);
    assert_eq!(ends.read(), chunk(0));
    ends.send([2]);
    assert_eq!(ends.for_reader.rings(), 1);
    assert_eq!((ends.read(), ends.read()), (chunk(1), chunk(2)));
    assert_eq!(ends.read(), Poll::Pending);
    ends.writer.finish(Response::stream_end("r"));
    assert_eq!(ends.for_reader.rings(), 2);
}

#[test]
fn the_writer_is_woken_once_half_of_the_room_is_free_and_only_where_it_waits() {
    let mut ends = Ends::new(8);
    ends.send(0..8);
    assert!(!ends.is_gone());
    for number in 0..4 {
        assert_eq!(ends.read(), chunk(number));
    }
    assert_eq!(
        ends.for_writer.rings(),
        0,
        "it wants to hear of the end alone"
    );
    assert_eq!(ends.room(), Poll::Ready(Ok(4)));
    ends.send(8..12);
    assert_eq!(ends.room(), Poll::Pending);
    for number in 4..7 {
        assert_eq!(ends.read(), chunk(number));
        assert_eq!(ends.for_writer.rings(), 0);
    }
    assert_eq!(ends.read(), chunk(7));
    assert_eq!(ends.for_writer.rings(), 1);
}

#[test]
fn a_reader_that_goes_tells_the_writer_and_frees_what_is_unread() {
    let mut ends = Ends::new(2);
    ends.send(0..2);
    assert!(!ends.is_gone());
    drop(ends.reader);
    assert_eq!(ends.for_writer.rings(), 1);
    assert_eq!(ends.writer.channel.state.lock().queue.capacity(), 0);
    let mut cx = Context::from_waker(noop_waker_ref());
    assert_eq!(ends.writer.poll_gone(&mut cx), Poll::Ready(()));
    assert_eq!(
        ends.writer.poll_room(&mut cx),
        Poll::Ready(Err(ReceiverGone))
    );
    ends.writer.finish(Response::stream_end("r"));
    assert_eq!(ends.writer.channel.state.lock().queue.capacity(), 0);
}

#[test]
fn an_idle_channel_takes_few_bytes() {
    let ends = Ends::new(1_000);
    assert_eq!(ends.writer.channel.state.lock().queue.capacity(), 0);
    assert!(size_of::<Channel>() <= 112, "{}", size_of::<Channel>());
    assert!(size_of::<Reader>() <= 64, "{}", size_of::<Reader>());
}

#[test]
fn nothing_is_lost_or_left_asleep_between_two_threads() {
    const CHUNKS: usize = 20_000;
    for capacity in [1, 2, 3, 7, 64] {
        let (mut writer, mut reader) = channel(capacity, "r".into());
        let writing = thread::spawn(move || {
            let mut next = 0;
            while next < CHUNKS {
                let room = block_on(|cx| writer.poll_room(cx)).expect("it is read");
                let last = (next + room.min(5)).min(CHUNKS);
                writer.send_chunks(&mut (next..last).map(small).collect());
                next = last;
            }
            writer.finish(Response::stream_end("r"));
        });
        for number in 0..CHUNKS {
            let response = block_on(|cx| reader.poll(cx)).expect("there is more");
            assert_eq!(response.result, json!(number));
        }
        let end = block_on(|cx| reader.poll(cx));
        assert_eq!(end, Some(Response::stream_end("r")));
        assert_eq!(block_on(|cx| reader.poll(cx)), None);
        writing.join().expect("it does not panic");
    }
}

#[test]
fn a_large_chunk_takes_several_places_and_gives_them_back_when_it_is_read() {
    let mut ends = Ends::new(4);
    ends.send([1]);
    assert_eq!(ends.room(), Poll::Ready(Ok(3)));
    let large = Chunk {
        value: json!("large"),
        places: 4,
    };
    // There is room, so it may be sent, though it takes more.
    ends.writer.send_chunks(&mut VecDeque::from([large]));
    assert_eq!(ends.room(), Poll::Pending);
    assert!(ends.read().is_ready());
    assert_eq!(ends.room(), Poll::Pending);
    assert!(ends.read().is_ready());
    assert_eq!(ends.room(), Poll::Ready(Ok(4)));
}

fn small(number: usize) -> Chunk {
    Chunk {
        value: json!(number),
        places: 1,
    }
}

/// Polls until it is done, parked in between.
fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    Read,
}

proptest! {
    /// Against a plain model: never more unread than the capacity, nothing lost, nobody asleep for good.
    #[test]
    fn the_bound_holds_and_whoever_waits_is_woken(
        capacity in 1_usize..9,
        steps in prop::collection::vec(
            prop_oneof![(1_usize..5).prop_map(Step::Send), Just(Step::Read), Just(Step::Read)],
            0..200,
        ),
    ) {
        let mut ends = Ends::new(capacity);
        let (mut sent, mut read) = (0, 0);
        let (mut writer_sleeps, mut reader_sleeps) = (None, None);
        for step in steps {
            match step {
                Step::Send(most) => match ends.room() {
                    Poll::Pending => writer_sleeps = Some(ends.for_writer.rings()),
                    Poll::Ready(room) => {
                        let room = room.expect("the reader is there");
                        prop_assert!((1..=capacity - (sent - read)).contains(&room));
                        let last = sent + room.min(most);
                        ends.send(sent..last);
                        sent = last;
                        writer_sleeps = None;
                    }
                },
                Step::Read => match ends.read() {
                    Poll::Pending => {
                        prop_assert_eq!(read, sent);
                        reader_sleeps = Some(ends.for_reader.rings());
                    }
                    response => {
                        prop_assert_eq!(response, chunk(read));
                        read += 1;
                        reader_sleeps = None;
                    }
                },
            }
            if let Some(rings) = reader_sleeps {
                prop_assert!(read == sent || ends.for_reader.rings() > rings);
            }
            if let Some(rings) = writer_sleeps {
                let half = (capacity / 2).max(1);
                prop_assert!(sent - read > capacity - half || ends.for_writer.rings() > rings);
            }
        }
    }
}
