//! Which events a handler hears.

use std::sync::Arc;

use super::event::{Event, Family};

/// Which events a handler hears: all, those of some families, or those below a name.
///
/// ```
/// use gen_api::telemetry::{Family, Filter};
///
/// let everything_of_pools_and_streams = Filter::families([Family::WorkerPool, Family::Stream]);
/// let circuits_alone = Filter::named("gen_api.worker_pool.circuit");
/// # let _ = (everything_of_pools_and_streams, circuits_alone);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Families(FamilySet),
    Named(Arc<str>),
}

impl Filter {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self::families(Family::ALL)
    }

    /// The events of one family.
    #[must_use]
    pub fn family(family: Family) -> Self {
        Self::families([family])
    }

    /// The events of several families.
    #[must_use]
    pub fn families(families: impl IntoIterator<Item = Family>) -> Self {
        let rule = Rule::Families(families.into_iter().collect());
        Self { rule }
    }

    /// The events whose name begins with these whole parts: `gen_api.request` hears `gen_api.request.stop`, and
    /// `gen_api.request.retry` hears `gen_api.request.retry` alone, not `gen_api.request.retry_exhausted`.
    ///
    /// A name that no event has hears nothing.
    #[must_use]
    pub fn named(prefix: impl Into<Arc<str>>) -> Self {
        let rule = Rule::Named(prefix.into());
        Self { rule }
    }

    /// Whether it lets this event through.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        match &self.rule {
            Rule::Families(families) => families.contains(event.family()),
            Rule::Named(prefix) => is_below(event.name(), prefix),
        }
    }

    /// The families that it may let an event of through.
    pub(super) fn interest(&self) -> FamilySet {
        match &self.rule {
            Rule::Families(families) => *families,
            Rule::Named(prefix) => {
                let has_some =
                    |family: &Family| family.event_names().iter().any(|n| is_below(n, prefix));
                Family::ALL.into_iter().filter(has_some).collect()
            }
        }
    }
}

impl Default for Filter {
    /// Every event.
    fn default() -> Self {
        Self::all()
    }
}

impl From<Family> for Filter {
    fn from(family: Family) -> Self {
        Self::family(family)
    }
}

fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A set of families, one bit each, so that it fits an atomic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FamilySet(u32);

impl FamilySet {
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn contains(self, family: Family) -> bool {
        self.0 & (1 << family as u32) != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let bits = families
            .into_iter()
            .fold(0, |bits, family| bits | 1 << family as u32);
        Self(bits)
    }
}
