//! Hooks.

use std::time::Duration;

use super::{ExceptionKind, Reason, RequestTags};

/// On which side of a request a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookPhase {
    /// Before the permission check: `before_execute`.
    Before,
    /// After the response was made: `after_execute`.
    After,
}

impl HookPhase {
    /// Its name in lower case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// One run of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookCall<'a> {
    /// Before or after the request.
    pub phase: HookPhase,
    /// The request.
    pub request: RequestTags<'a>,
    /// The module of the hook's function.
    pub module: &'a str,
    /// The hook's function.
    pub function: &'a str,
}

/// What happened around a hook (specification, section 10). Each `Start` is followed by one `Stop`,
/// `Exception` or `Cancelled`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum HookEvent<'a> {
    /// A hook begins.
    #[non_exhaustive]
    Start {
        /// Which run.
        hook: HookCall<'a>,
    },
    /// A hook has answered.
    #[non_exhaustive]
    Stop {
        /// Which run.
        hook: HookCall<'a>,
        /// How long it took.
        duration: Duration,
        /// Whether it answered with an error; a before hook so ends the request.
        rejected: bool,
    },
    /// A hook panicked, took too long, or is not registered.
    #[non_exhaustive]
    Exception {
        /// Which run.
        hook: HookCall<'a>,
        /// How long it took.
        duration: Duration,
        /// In which way it broke.
        kind: ExceptionKind,
        /// Why; for logs, not for clients.
        reason: Reason<'a>,
    },
    /// A hook was given up, together with its request.
    #[non_exhaustive]
    Cancelled {
        /// Which run.
        hook: HookCall<'a>,
        /// How long it took.
        duration: Duration,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.hook.before.start",
    "gen_api.hook.before.stop",
    "gen_api.hook.before.exception",
    "gen_api.hook.before.cancelled",
    "gen_api.hook.after.start",
    "gen_api.hook.after.stop",
    "gen_api.hook.after.exception",
    "gen_api.hook.after.cancelled",
];

impl HookEvent<'_> {
    /// The run it is about.
    #[must_use]
    pub fn hook(&self) -> &HookCall<'_> {
        match self {
            Self::Start { hook }
            | Self::Stop { hook, .. }
            | Self::Exception { hook, .. }
            | Self::Cancelled { hook, .. } => hook,
        }
    }

    /// Its name, such as `gen_api.hook.before.stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        use HookPhase::{After, Before};
        match (self.hook().phase, self) {
            (Before, Self::Start { .. }) => "gen_api.hook.before.start",
            (Before, Self::Stop { .. }) => "gen_api.hook.before.stop",
            (Before, Self::Exception { .. }) => "gen_api.hook.before.exception",
            (Before, Self::Cancelled { .. }) => "gen_api.hook.before.cancelled",
            (After, Self::Start { .. }) => "gen_api.hook.after.start",
            (After, Self::Stop { .. }) => "gen_api.hook.after.stop",
            (After, Self::Exception { .. }) => "gen_api.hook.after.exception",
            (After, Self::Cancelled { .. }) => "gen_api.hook.after.cancelled",
        }
    }
}
