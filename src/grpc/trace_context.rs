//! One trace across gateways and service nodes (W3C Trace Context; specification, section 19).
//!
//! By default the trace id is made, carried and put on the `tracing` spans of both sides, which is enough to find the lines of
//! one request in all logs. A program with a tracing system of its own implements [`TraceContext`] by that system's
//! propagator.
//!
//! ```
//! use gen_api::grpc::TraceParent;
//!
//! let caller: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
//! let child = caller.child();
//! assert_eq!(child.trace_id(), caller.trace_id());
//! assert_ne!(child.span_id(), caller.span_id());
//! # Ok::<(), gen_api::grpc::InvalidTraceParent>(())
//! ```

use std::{fmt, future::Future, str::FromStr};

use tracing::Span;

/// Carries the trace of a request from one process to the next.
pub trait TraceContext: Send + Sync + 'static {
    /// Sets the headers of a call that is about to be sent. The current span is that of the request it belongs to.
    fn inject(&self, set: &mut dyn FnMut(&str, &str));

    /// Reads the headers of a call that came in, and relates the span of its work to the trace of its caller. What is
    /// returned is what [`W3cTraceContext`] goes on with in calls made during that work; whoever has a propagator of their own
    /// returns `None`.
    fn extract<'h>(
        &self,
        get: &dyn Fn(&str) -> Option<&'h str>,
        span: &Span,
    ) -> Option<TraceParent>;
}

/// The default [`TraceContext`]: continues the trace of the call that is being answered, else begins one, and records its id
/// as the field `trace_id` of the span.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct W3cTraceContext;

impl TraceContext for W3cTraceContext {
    fn inject(&self, set: &mut dyn FnMut(&str, &str)) {
        let current = CURRENT.try_with(TraceParent::child);
        let call = current.unwrap_or_else(|_| TraceParent::begin());
        call.record_on(&Span::current());
        set(TRACEPARENT, call.text().as_str());
    }

    fn extract<'h>(
        &self,
        get: &dyn Fn(&str) -> Option<&'h str>,
        span: &Span,
    ) -> Option<TraceParent> {
        let caller: TraceParent = get(TRACEPARENT)?.parse().ok()?;
        caller.record_on(span);
        Some(caller)
    }
}

/// The header of W3C Trace Context.
pub(crate) const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    /// The call on whose behalf this task works.
    static CURRENT: TraceParent;
}

/// Does the work of a call that came in: calls made meanwhile belong to its trace.
pub(crate) async fn continued<F: Future>(caller: Option<TraceParent>, work: F) -> F::Output {
    match caller {
        Some(caller) => CURRENT.scope(caller, work).await,
        None => work.await,
    }
}

/// A place in a trace: the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// The first span of a new trace.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            trace_id: some(rand::random),
            span_id: some(rand::random),
            flags: SAMPLED,
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: some(rand::random),
            ..*self
        }
    }

    /// The id that all spans of the trace have in common; never 0.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of this span; never 0.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    fn record_on(&self, span: &Span) {
        if !span.is_disabled() {
            span.record("trace_id", format_args!("{:032x}", self.trace_id));
        }
    }

    fn text(&self) -> Text {
        let mut text = Text(*b"00-00000000000000000000000000000000-0000000000000000-00");
        let Text(bytes) = &mut text;
        hex(&mut bytes[TRACE_ID], self.trace_id);
        hex(&mut bytes[SPAN_ID], self.span_id.into());
        hex(&mut bytes[FLAGS], self.flags.into());
        text
    }
}

/// What tells the next one that this trace is kept.
const SAMPLED: u8 = 1;

const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;
const LENGTH: usize = 55;

/// The written form, without an allocation.
struct Text([u8; LENGTH]);

impl Text {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hex(places: &mut [u8], mut value: u128) {
    for place in places.iter_mut().rev() {
        *place = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

/// An id that is not 0, which stands for none.
fn some<T: Default + PartialEq>(random: impl Fn() -> T) -> T {
    loop {
        let id = random();
        if id != T::default() {
            return id;
        }
    }
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent as W3C Trace Context describes it")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Reads version 00; a later version is read as far as version 00 goes.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let part = |range: std::ops::Range<usize>| -> Result<u128, InvalidTraceParent> {
            let digits = text.get(range).ok_or(InvalidTraceParent)?;
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if !digits.bytes().all(is_digit) {
                return Err(InvalidTraceParent);
            }
            u128::from_str_radix(digits, 16).map_err(|_| InvalidTraceParent)
        };
        let bytes = text.as_bytes();
        let dashes = [2, 35, 52].iter().all(|&at| bytes.get(at) == Some(&b'-'));
        let version = part(0..2)?;
        let ends = match bytes.get(LENGTH) {
            None => true,
            Some(next) => version > 0 && *next == b'-',
        };
        let (trace_id, span_id, flags) = (part(TRACE_ID)?, part(SPAN_ID)?, part(FLAGS)?);
        if !dashes || !ends || version == 0xff || trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(Self {
            trace_id,
            span_id: u64::try_from(span_id).map_err(|_| InvalidTraceParent)?,
            flags: u8::try_from(flags).map_err(|_| InvalidTraceParent)?,
        })
    }
}

impl fmt::Display for TraceParent {
    /// As the header holds it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn injected() -> TraceParent {
        let mut header = None;
        W3cTraceContext.inject(&mut |name, value| {
            assert_eq!(name, TRACEPARENT);
            header = Some(value.to_owned());
        });
        header.unwrap().parse().unwrap()
    }

    #[test]
    fn a_call_outside_of_a_trace_begins_one() {
        let (one, other) = (injected(), injected());
        assert_ne!(one.trace_id(), other.trace_id());
    }

    #[test]
    fn a_call_during_the_work_of_another_belongs_to_its_trace() {
        let caller = TraceParent::begin();
        let header = caller.to_string();
        let get = |name: &str| (name == TRACEPARENT).then_some(header.as_str());
        let found = W3cTraceContext.extract(&get, &Span::none());
        assert_eq!(found, Some(caller));
        let during = continued(found, async { injected() });
        let during = during.now_or_never().unwrap();
        assert_eq!(during.trace_id(), caller.trace_id());
        assert_ne!(during.span_id(), caller.span_id());
        assert_ne!(injected().trace_id(), caller.trace_id());
    }

    #[test]
    fn what_is_no_traceparent_is_no_trace() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473ö-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(
                text.parse::<TraceParent>(),
                Err(InvalidTraceParent),
                "{text}"
            );
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(
            parent.to_string(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
        );
    }

    proptest! {
        #[test]
        fn the_written_form_reads_as_itself(trace_id in 1_u128.., span_id in 1_u64.., flags: u8) {
            let parent = TraceParent { trace_id, span_id, flags };
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn no_header_makes_reading_panic(text in ".{0,70}") {
            let _ = text.parse::<TraceParent>();
        }
    }
}
