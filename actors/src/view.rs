//! What a supervisor shows of its children without being asked through its mailbox: [`View`].

use crate::supervisor::{ChildCounts, SupervisionTree};

/// The children of one supervisor, seen from any thread at any time, also while it starts or stops one of them.
pub(crate) trait View: Send + Sync {
    fn counts(&self) -> ChildCounts;

    /// How many children there are, and the trees of those that are listed.
    fn below(&self) -> (usize, Vec<SupervisionTree>);
}
