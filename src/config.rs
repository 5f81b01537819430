//! Which function answers which request: the configs the engine serves, and who may change them.
//!
//! The [`ConfigDb`] actor owns all changes; lookups go to a table that never blocks, so a request does not wait for a
//! writer (specification, section 11). [`ConfigDbRef`] is the door to both.
//!
//! ```
//! use gen_api::{GenApi, model::FunConfig};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let api = GenApi::builder().start().await?;
//!     let config = FunConfig::builder("Users", "get").call("Users", "get").local().build()?;
//!     api.config_db().add(config).await?;
//!     assert!(api.config_db().get_fast("Users", "get").is_ok());
//!     api.stop().await;
//!     Ok(())
//! }
//! ```

mod adopt;
mod allowlist;
mod db;
mod failed;
mod node_network;
mod puller;
mod pusher;
mod receiver;
mod route;
#[cfg(test)]
mod scripted;
mod sweeper;
mod table;
mod versions;

pub(crate) use self::{
    adopt::ForeignRules,
    puller::Pulls,
    receiver::{Pushes, SavedPushes},
    route::Route,
    table::ConfigTable,
};
pub use self::{
    allowlist::{AllowedFunction, Allowlist},
    db::{
        Add, BatchAdd, BatchReport, Clear, ConfigDb, ConfigDbRef, Delete, Disable, Enable,
        RejectedConfig, Update,
    },
    failed::{FailedConfig, FailedConfigs, FailedFilter, FailedOrder, FailedSource},
    node_network::{InvalidNodeNetwork, NodeNetwork},
    puller::{
        AddServices, DeleteServices, ForcePull, GetPullerStatus, Pull, PullReport, PullResult,
        Puller, PullerRef, PullerSettings, PullerStatus, ServiceStatus,
    },
    pusher::{
        GetPusherStatus, PushOnStartup, PushState, PushTarget, PushTo, Pusher, PusherRef,
        PusherSettings, PusherStatus, StopPushing, VerifyAt,
    },
    receiver::{
        DeletePushed, Push, PushError, PushJson, PushedService, Receiver, ReceiverRef, Verify,
    },
    sweeper::{Sweep, Sweeper},
    table::{AddError, FunctionList, LookupError, SwitchError},
};

#[cfg(test)]
mod tests;
