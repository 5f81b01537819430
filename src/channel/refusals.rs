//! Clients that are turned away leave a line in the log, where an operator looks first when nobody gets in.
//!
//! Strangers cause these lines, so they are bounded in time, and what strangers write is cut; as debug values it is
//! escaped.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use actix_web::http::StatusCode;
use parking_lot::Mutex;

use crate::{
    admission::{Full, neighbourhood},
    clock::Clock,
};

/// For how long nothing more is told of an address and a reason.
const PAUSE: Duration = Duration::from_secs(60);

/// How many lines there may be in that time, of all addresses.
const MOST: usize = 1_000;

/// Which refusals were told, and when.
pub(crate) struct Refusals {
    clock: Arc<dyn Clock>,
    told: Mutex<HashMap<(IpAddr, Refusal), Told>>,
}

struct Told {
    until: Duration,
    /// Refusals since then.
    more: u64,
}

/// Why a client was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// The parameter `vsn`.
    Version,
    Origin,
    /// Too many of its address.
    Address,
    /// Too many in all.
    Full,
    CallbackPanicked,
    CallbackTimedOut,
}

impl Refusal {
    /// What the client gets.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Version | Self::Origin => StatusCode::FORBIDDEN,
            Self::Address => StatusCode::TOO_MANY_REQUESTS,
            Self::CallbackPanicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Full | Self::CallbackTimedOut => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::ByAddress => Self::Address,
            Full::InAll => Self::Full,
        }
    }
}

impl Refusals {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            told: Mutex::default(),
        }
    }

    /// Whether a refusal is to be told: how many of its kind were not, since the last one that was.
    pub(crate) fn untold(&self, address: IpAddr, why: Refusal) -> Option<u64> {
        let (now, key) = (self.clock.now(), (neighbourhood(address), why));
        let mut told = self.told.lock();
        if let Some(last) = told.get_mut(&key)
            && now < last.until
        {
            last.more += 1;
            return None;
        }
        if told.len() >= MOST {
            told.retain(|_, last| now < last.until);
            if told.len() >= MOST {
                return None;
            }
        }
        let (until, more) = (now + PAUSE, 0);
        let last = told.insert(key, Told { until, more });
        Some(last.map_or(0, |last| last.more))
    }
}

/// The address that a client counts under; those that come through a Unix socket have none and count together.
pub(super) fn address_of(peer: Option<std::net::SocketAddr>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn address(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    #[test]
    fn an_address_is_told_of_once_a_minute_with_the_number_of_the_others() {
        let clock = ManualClock::new();
        let refusals = Refusals::new(Arc::new(clock.clone()));
        assert_eq!(refusals.untold(address(1), Refusal::Origin), Some(0));
        assert_eq!(refusals.untold(address(1), Refusal::Origin), None);
        assert_eq!(refusals.untold(address(1), Refusal::Origin), None);
        assert_eq!(refusals.untold(address(1), Refusal::Version), Some(0));
        assert_eq!(refusals.untold(address(2), Refusal::Origin), Some(0));
        clock.advance(PAUSE);
        assert_eq!(refusals.untold(address(1), Refusal::Origin), Some(2));
    }

    #[test]
    fn many_addresses_make_no_more_lines_and_take_no_more_memory_than_may_be() {
        let clock = ManualClock::new();
        let refusals = Refusals::new(Arc::new(clock.clone()));
        let told = |from: u32| {
            let addresses = (from..from + 3_000).map(address);
            let told = addresses.filter_map(|address| refusals.untold(address, Refusal::Full));
            told.count()
        };
        assert_eq!(told(0), MOST);
        clock.advance(PAUSE);
        assert_eq!(told(10_000), MOST);
        assert_eq!(refusals.told.lock().len(), MOST);
    }
}
