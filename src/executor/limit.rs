//! How long a call on nodes may take (specification, section 9): the config's timeout, all nodes that are asked included, and as much again for each
//! retry; pauses apart.

use std::{future::Future, time::Duration};

use crate::{
    call::local::CallError,
    clock::{Clock, within},
    config::Route,
    request_error::RequestError,
};

/// When a call has to be over.
pub(super) struct Limit<'c> {
    clock: &'c dyn Clock,
    /// None for a call that may take as long as it likes.
    bound: Option<Bound>,
}

struct Bound {
    timeout: Duration,
    end: Duration,
}

impl<'c> Limit<'c> {
    /// The limit of a call that begins now, with its retries.
    pub(super) fn of(route: &Route, clock: &'c dyn Clock) -> Self {
        let calls = route.retries.saturating_add(1);
        let end = |timeout: Duration| clock.now().saturating_add(timeout.saturating_mul(calls));
        Self {
            clock,
            bound: route.timeout.map(|timeout| Bound {
                timeout,
                end: end(timeout),
            }),
        }
    }

    /// The limit of one question that begins now.
    pub(super) fn once(timeout: Duration, clock: &'c dyn Clock) -> Self {
        let end = clock.now().saturating_add(timeout);
        let bound = Some(Bound { timeout, end });
        Self { clock, bound }
    }

    /// How long the next node may take: what is left, and no more than one call may.
    pub(super) fn left(&self) -> Option<Duration> {
        let bound = self.bound.as_ref()?;
        let left = bound.end.saturating_sub(self.clock.now());
        Some(left.min(bound.timeout))
    }

    pub(super) fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Waits, which does not count.
    pub(super) async fn pause(&mut self, pause: Duration) {
        let before = self.clock.now();
        self.clock.sleep(pause).await;
        let paused = self.clock.now().saturating_sub(before);
        if let Some(bound) = &mut self.bound {
            bound.end = bound.end.saturating_add(paused);
        }
    }

    /// Holds the future to what is left, whatever it does.
    pub(super) async fn hold<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RequestError>
    where
        RequestError: From<E>,
    {
        let answer = match (self.left(), &self.bound) {
            (Some(left), Some(bound)) => match within(self.clock, left, future).await {
                Some(answer) => answer,
                None => return Err(CallError::TimedOut(bound.timeout).into()),
            },
            _ => future.await,
        };
        match (answer.map_err(RequestError::from), &self.bound) {
            // What a node was given of the time is nobody's business.
            (Err(RequestError::Call(CallError::TimedOut(_))), Some(bound)) => {
                Err(CallError::TimedOut(bound.timeout).into())
            }
            (answer, _) => answer,
        }
    }
}
