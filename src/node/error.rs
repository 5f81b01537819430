//! Why there is no node to ask.

/// Why no node could be chosen (specification, section 8).
///
/// Clients see a general text; these texts are for logs and for whoever turned `detail_error` on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The list of nodes is empty, or held no valid address.
    #[error("no nodes available for service {service:?}")]
    NoNodesAvailable {
        /// The service whose nodes were wanted.
        service: String,
    },
    /// The resolver failed, was too slow, or answered something that is no list.
    #[error("resolver {resolver} gave no node list: {reason}")]
    ResolutionFailed {
        /// The resolver as `module.function`.
        resolver: String,
        /// What went wrong.
        reason: String,
    },
    /// The config names a selector that nobody registered, or the selector panicked or chose no node of the list.
    #[error("selector {selector:?} chose no node: {reason}")]
    SelectionFailed {
        /// The name of the selector.
        selector: String,
        /// What went wrong.
        reason: String,
    },
}

impl NodeError {
    /// The stable name of the failure: `no_nodes_available`, `dynamic_node_resolution_failed` or
    /// `node_selection_failed`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoNodesAvailable { .. } => "no_nodes_available",
            Self::ResolutionFailed { .. } => "dynamic_node_resolution_failed",
            Self::SelectionFailed { .. } => "node_selection_failed",
        }
    }
}
