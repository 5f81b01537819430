//! How the pushing goes.

use std::fmt;

use serde::Serialize;

use crate::{node::Address, text_table::TextTable};

/// What is pushed to which gateway; prints as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PusherStatus {
    /// A line for each gateway and service, in this order.
    pub targets: Vec<PushTarget>,
}

/// One service on its way to one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PushTarget {
    /// The gateway.
    pub gateway: Address,
    /// The service.
    pub service: String,
    /// The version that is pushed.
    pub config_version: String,
    /// How far it has come.
    pub state: PushState,
    /// How often it was pushed to this gateway.
    pub pushes: u64,
    /// How the last call of the gateway failed; none where it did not.
    pub last_error: Option<String>,
}

/// How far a push has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushState {
    /// The gateway has not accepted it, or has lost it: it is tried again and again.
    Trying,
    /// The gateway holds it.
    Accepted,
    /// The gateway held it, and has been pushed this other version since.
    Superseded(String),
}

impl fmt::Display for PushState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trying => f.write_str("trying"),
            Self::Accepted => f.write_str("accepted"),
            Self::Superseded(version) => write!(f, "superseded by {version}"),
        }
    }
}

impl fmt::Display for PusherStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("gateway")
            .text("service")
            .text("version")
            .text("state")
            .number("pushes")
            .text("last error");
        for target in &self.targets {
            table.row([
                target.gateway.as_str(),
                &target.service,
                &target.config_version,
                &target.state.to_string(),
                &target.pushes.to_string(),
                target.last_error.as_deref().unwrap_or("-"),
            ]);
        }
        table.fmt(f)
    }
}
