//! What the engine has done so far.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{Count, Counters};
use crate::{telemetry::Outcome, text_table::TextTable};

/// What the engine has done since it started; prints as a table.
///
/// The sums are read one after another, so under load they may differ by the requests of that moment. What became of
/// async and none calls after they were accepted is told by
/// [`pool_status`](crate::GenApi::pool_status).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// How long the engine has been running, in milliseconds.
    pub uptime_ms: u64,
    /// How many requests were answered, by outcome; every outcome is listed.
    pub requests: BTreeMap<Outcome, u64>,
    /// How many requests are being worked on; what goes on after an acknowledgement does not count.
    pub in_flight: usize,
    /// How many payloads were no requests.
    pub undecodable: u64,
    /// How many calls were made once more.
    pub retries: u64,
    /// How many requests had their last retry fail.
    pub retries_exhausted: u64,
    /// How many streams were opened.
    pub streams_opened: u64,
    /// How many streams are open.
    pub open_streams: usize,
}

/// What is no sum.
pub(crate) struct Now {
    pub(crate) uptime: Duration,
    pub(crate) in_flight: usize,
    pub(crate) open_streams: usize,
}

impl Statistics {
    pub(crate) fn new(counters: &Counters, now: &Now) -> Self {
        let requests = Outcome::ALL.map(|outcome| (outcome, counters.requests(outcome)));
        Self {
            uptime_ms: u64::try_from(now.uptime.as_millis()).unwrap_or(u64::MAX),
            requests: requests.into(),
            in_flight: now.in_flight,
            undecodable: counters.total(Count::Undecodable),
            retries: counters.total(Count::Retry),
            retries_exhausted: counters.total(Count::RetriesExhausted),
            streams_opened: counters.total(Count::StreamOpened),
            open_streams: now.open_streams,
        }
    }

    /// How many requests were answered with this outcome.
    #[must_use]
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests.get(&outcome).copied().unwrap_or(0)
    }

    /// How many requests were answered.
    #[must_use]
    pub fn total_requests(&self) -> u64 {
        self.requests.values().sum()
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new().text("since the start").number("count");
        table.row(["uptime in s", &(self.uptime_ms / 1_000).to_string()]);
        table.row(["requests", &self.total_requests().to_string()]);
        for (outcome, count) in &self.requests {
            table.row([format!("  {}", outcome.as_str()), count.to_string()]);
        }
        let others = [
            ("requests in flight", self.in_flight as u64),
            ("undecodable payloads", self.undecodable),
            ("retries", self.retries),
            ("retries exhausted", self.retries_exhausted),
            ("streams opened", self.streams_opened),
            ("streams open", self.open_streams as u64),
        ];
        for (name, count) in others {
            table.row([name.to_owned(), count.to_string()]);
        }
        table.fmt(f)
    }
}
