//! Why an actor ended: [`ExitReason`], and which reasons are abnormal.
//!
//! OTP's rule decides what a reason means: `Normal`, `Shutdown` and `ShutdownWith` are wanted exits, all others are
//! abnormal, and a [`Restart::Transient`](crate::Restart::Transient) child is restarted after abnormal ones only.
//!
//! ```
//! use actix_otp::ExitReason;
//!
//! assert!(!ExitReason::Normal.is_abnormal());
//! assert!(ExitReason::error("disk full").is_abnormal());
//! assert_eq!(ExitReason::error("disk full").to_string(), "error: disk full");
//! ```

use std::{fmt, sync::Arc};

/// Why an actor ended.
///
/// The reasons and their meaning are those of Erlang/OTP (`supervisor`, section "Restart types"); what OTP leaves to
/// any term is a text here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitReason {
    /// It stopped by itself, its work done (`normal`).
    Normal,
    /// Its supervisor stopped it, or it is a supervisor that gave up (`shutdown`).
    Shutdown,
    /// A wanted stop with an explanation (`{shutdown, Term}`).
    ShutdownWith(Arc<str>),
    /// It was ended without a chance to clean up (`killed`).
    Killed,
    /// A panic, with its message.
    Panicked(Arc<str>),
    /// It stopped itself because something went wrong.
    Error(Arc<str>),
    /// The arbiter it ran on stopped under it.
    ArbiterStopped,
    /// There was nothing to end: what a [`Monitor`](crate::Monitor) of an actor that does not run reports (`noproc`).
    NotRunning,
}

impl ExitReason {
    /// An [`Error`](Self::Error) with the text of `cause`.
    pub fn error(cause: impl fmt::Display) -> Self {
        Self::Error(cause.to_string().into())
    }

    /// A [`ShutdownWith`](Self::ShutdownWith) the text of `cause`.
    pub fn shutdown_with(cause: impl fmt::Display) -> Self {
        Self::ShutdownWith(cause.to_string().into())
    }

    /// Whether a [`Restart::Transient`](crate::Restart::Transient) child is restarted after this exit.
    #[must_use]
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown | Self::ShutdownWith(_))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::ShutdownWith(why) => write!(f, "shutdown: {why}"),
            Self::Killed => f.write_str("killed"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Error(cause) => write!(f, "error: {cause}"),
            Self::ArbiterStopped => f.write_str("its arbiter stopped"),
            Self::NotRunning => f.write_str("not running"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_exits_are_not_abnormal() {
        let wanted = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("upgrade"),
        ];
        let abnormal = [
            ExitReason::Killed,
            ExitReason::Panicked("boom".into()),
            ExitReason::error("disk full"),
            ExitReason::ArbiterStopped,
            ExitReason::NotRunning,
        ];
        assert!(wanted.iter().all(|reason| !reason.is_abnormal()));
        assert!(abnormal.iter().all(ExitReason::is_abnormal));
    }
}
