//! The decisions of a supervisor, apart from carrying them out: OTP's rules as pure functions.

use std::ops::Bound;

use super::spec::{AutoShutdown, Strategy};
use crate::{child_spec::Restart, exit::ExitReason};

/// What becomes of a child that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterExit {
    Restart,
    /// It stays known, not running.
    Keep,
    Forget,
}

pub(super) fn after_exit(restart: Restart, reason: &ExitReason) -> AfterExit {
    if restart.is_due_after(reason) {
        AfterExit::Restart
    } else if restart == Restart::Temporary {
        AfterExit::Forget
    } else {
        AfterExit::Keep
    }
}

/// The children that a restart concerns, as a range of keys in start order.
pub(super) fn affected(strategy: Strategy, failed: u64) -> (Bound<u64>, Bound<u64>) {
    match strategy {
        Strategy::OneForOne => (Bound::Included(failed), Bound::Included(failed)),
        Strategy::OneForAll => (Bound::Unbounded, Bound::Unbounded),
        Strategy::RestForOne => (Bound::Included(failed), Bound::Unbounded),
    }
}

/// Whether the exit of a significant child, not followed by a restart, ends the supervisor.
pub(super) fn ends_supervisor(auto: AutoShutdown, other_significant_alive: bool) -> bool {
    match auto {
        AutoShutdown::Never => false,
        AutoShutdown::AnySignificant => true,
        AutoShutdown::AllSignificant => !other_significant_alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_restart_type_and_the_reason_decide_what_becomes_of_a_child() {
        let wanted = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("upgrade"),
        ];
        let abnormal = [
            ExitReason::Killed,
            ExitReason::error("x"),
            ExitReason::Panicked("x".into()),
        ];
        for reason in &wanted {
            assert_eq!(after_exit(Restart::Permanent, reason), AfterExit::Restart);
            assert_eq!(after_exit(Restart::Transient, reason), AfterExit::Keep);
            assert_eq!(after_exit(Restart::Temporary, reason), AfterExit::Forget);
        }
        for reason in &abnormal {
            assert_eq!(after_exit(Restart::Permanent, reason), AfterExit::Restart);
            assert_eq!(after_exit(Restart::Transient, reason), AfterExit::Restart);
            assert_eq!(after_exit(Restart::Temporary, reason), AfterExit::Forget);
        }
    }

    #[test]
    fn auto_shutdown_and_the_other_significant_children_decide_about_the_supervisor() {
        assert!(!ends_supervisor(AutoShutdown::Never, false));
        assert!(ends_supervisor(AutoShutdown::AnySignificant, true));
        assert!(!ends_supervisor(AutoShutdown::AllSignificant, true));
        assert!(ends_supervisor(AutoShutdown::AllSignificant, false));
    }
}
