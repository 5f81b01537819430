//! The limits of time: a silent client, a slow one, one that sends too fast, one that does not answer a close.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::ws::CloseCode;

use crate::{
    channel::{
        endpoint::Door,
        outbox::{Load, Outbox},
    },
    clock::{Clock, Sleep},
    settings::ChannelSettings,
};

/// How long a client may take to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Over how long frames are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Looks at the clock for one socket.
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    limits: Limits,
    now: Duration,
    heard_at: Duration,
    /// Where frames are counted, and how many there were.
    window: (Duration, u32),
    slow: Option<Slow>,
    farewell: Option<Duration>,
    /// The moment waited for.
    timer: Option<(Duration, Sleep)>,
}

struct Limits {
    idle: Duration,
    slow: Duration,
    frames: u32,
}

/// Since when too much waits for the client.
struct Slow {
    until: Duration,
    taken: u64,
}

impl Watch {
    pub(super) fn new(door: &Door) -> Self {
        Self::with(Arc::clone(&door.clock), &door.settings)
    }

    fn with(clock: Arc<dyn Clock>, settings: &ChannelSettings) -> Self {
        let now = clock.now();
        Self {
            clock,
            limits: Limits {
                idle: settings.idle_timeout(),
                slow: settings.slow_client_timeout(),
                frames: settings.max_frames_per_second,
            },
            now,
            heard_at: now,
            window: (now, 0),
            slow: None,
            farewell: None,
            timer: None,
        }
    }

    /// Closes a connection that has been silent or slow for too long.
    pub(super) fn look(&mut self, load: Load, outbox: &Outbox) {
        self.now = self.clock.now();
        if self.now >= self.window.0 + WINDOW {
            self.window = (self.now, 0);
        }
        if !load.is_open {
            self.slow = None;
            let until = self.now + FAREWELL;
            self.farewell.get_or_insert(until);
            return;
        }
        if self.now >= self.heard_at + self.limits.idle {
            outbox.close(CloseCode::Policy, "idle");
        }
        match &mut self.slow {
            slow if !load.crowded => *slow = None,
            Some(slow) if self.now >= slow.until => {
                // One that takes what is sent and is only slower than its streams is no trouble.
                if slow.taken == load.taken || !outbox.has_eased() {
                    outbox.close_slow();
                }
                self.slow = None;
            }
            Some(_) => {}
            slow @ None => {
                outbox.has_eased();
                *slow = Some(Slow {
                    until: self.now + self.limits.slow,
                    taken: load.taken,
                });
            }
        }
    }

    /// A frame has come, or another sign of life.
    pub(super) fn heard(&mut self) {
        self.heard_at = self.now.max(self.heard_at);
        self.window.1 = self.window.1.saturating_add(1);
    }

    /// Whether as many frames were read as may be for now.
    pub(super) fn must_slow_down(&self) -> bool {
        self.window.1 >= self.limits.frames
    }

    pub(super) fn farewell_is_over(&self) -> bool {
        self.farewell.is_some_and(|until| self.now >= until)
    }

    /// Ready when there is something to look at.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due();
        let sleep = match &mut self.timer {
            // It may be early: an idle time that was put off needs no new timer at every frame.
            Some((at, sleep)) if *at <= due => sleep,
            timer => {
                let pause = due.saturating_sub(self.clock.now());
                &mut timer.insert((due, self.clock.sleep(pause))).1
            }
        };
        let woken = sleep.as_mut().poll(cx);
        if woken.is_ready() {
            self.timer = None;
        }
        woken
    }

    fn due(&self) -> Duration {
        let idle = self.heard_at + self.limits.idle;
        let first = match self.farewell {
            Some(farewell) => farewell,
            None => idle.min(self.slow.as_ref().map_or(idle, |slow| slow.until)),
        };
        if self.window.1 >= self.limits.frames {
            first.min(self.window.0 + WINDOW)
        } else {
            first
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{
        channel::frame::{Kind, Version},
        clock::ManualClock,
    };

    const SECOND: Duration = Duration::from_secs(1);

    struct Fixture {
        clock: ManualClock,
        watch: Watch,
        outbox: Outbox,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = ManualClock::new();
            let settings = ChannelSettings {
                max_frames_per_second: 3,
                ..ChannelSettings::default()
            };
            Self {
                watch: Watch::with(Arc::new(clock.clone()), &settings),
                clock,
                outbox: Outbox::websocket(Version::V2, 100),
            }
        }

        fn load(&self) -> Load {
            self.outbox.poll_load(&Context::from_waker(Waker::noop()))
        }

        /// Looks as a socket does; whether the connection is open then.
        fn look(&mut self) -> bool {
            let mut cx = Context::from_waker(Waker::noop());
            self.watch.look(self.load(), &self.outbox);
            while self.watch.poll(&mut cx).is_ready() {
                self.watch.look(self.load(), &self.outbox);
            }
            self.load().is_open
        }

        fn after(&mut self, pause: Duration) -> bool {
            self.clock.advance(pause);
            self.look()
        }

        fn push(&self) {
            let _ = self.outbox.push(|packet| {
                packet.add(|out| {
                    out.extend_from_slice(&[b'x'; 60]);
                    Ok(Kind::Text)
                });
            });
        }

        fn take(&self) {
            let _ = self.outbox.poll_frames(&Context::from_waker(Waker::noop()));
        }
    }

    #[test]
    fn a_silent_connection_is_closed_after_a_minute_and_not_before() {
        let mut it = Fixture::new();
        assert!(it.look());
        assert!(it.after(SECOND * 59));
        it.watch.heard();
        assert!(it.after(SECOND * 59));
        assert!(!it.after(SECOND));
    }

    #[test]
    fn a_client_that_takes_nothing_is_closed_after_its_time() {
        let mut it = Fixture::new();
        it.push();
        it.push();
        assert!(it.look());
        assert!(it.after(SECOND * 9));
        assert!(!it.after(SECOND));
    }

    #[test]
    fn a_client_that_catches_up_is_not_closed() {
        let mut it = Fixture::new();
        it.push();
        it.push();
        assert!(it.look());
        it.take();
        assert!(it.after(SECOND * 10));
        it.push();
        it.push();
        assert!(it.look());
        assert!(it.after(SECOND * 9));
    }

    #[test]
    fn a_client_that_is_only_slower_than_its_streams_is_not_closed() {
        let mut it = Fixture::new();
        it.push();
        it.push();
        for _ in 0..5 {
            assert!(it.look());
            it.take();
            it.push();
            it.push();
            assert!(it.after(SECOND * 10));
        }
    }

    #[test]
    fn more_frames_than_allowed_wait_for_the_next_second() {
        let mut it = Fixture::new();
        for _ in 0..3 {
            assert!(!it.watch.must_slow_down());
            it.watch.heard();
        }
        assert!(it.watch.must_slow_down());
        it.look();
        assert!(it.watch.must_slow_down());
        it.after(SECOND);
        assert!(!it.watch.must_slow_down());
    }

    #[test]
    fn a_client_has_five_seconds_to_close() {
        let mut it = Fixture::new();
        it.outbox.close(CloseCode::Away, "");
        it.look();
        assert!(!it.watch.farewell_is_over());
        it.clock.advance(FAREWELL);
        it.watch.look(it.load(), &it.outbox);
        assert!(it.watch.farewell_is_over());
    }
}
