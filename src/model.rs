//! The data that everything else passes around: requests, responses and configs.
//!
//! Plain serde types and their validity, nothing that acts. Their JSON form is the wire form (specification, section 2).
//!
//! ```
//! use gen_api::model::{Request, Response};
//!
//! let request = Request::new("r-1", "UserService", "get_user").with_arg("name", "Ann");
//! let response = Response::sync(&request.request_id, "hello Ann");
//! assert!(!response.is_error());
//! ```

pub mod connection;
pub mod fun_config;
pub mod identity;
pub mod invalid_config;
pub mod push_config;
pub mod push_outcome;
pub mod request;
pub mod response;
pub mod service_config;
pub mod version;

mod chunk;
mod fields;
mod wire;

pub(crate) use chunk::{Chunk, DEFAULT_BUFFER_BYTES, StreamBuffer};
pub use fun_config::{
    CheckPermission, ChooseNodeMode, FunConfig, FunConfigBuilder, Mfa, Nodes, ResponseType, Retry,
    Timeout,
};
pub use identity::Identity;
pub use invalid_config::{Fault, InvalidConfig};
pub(crate) use push_config::UnreadablePush;
pub use push_config::{PushConfig, PushToken};
pub use push_outcome::{PushOptions, PushOutcome, SkipReason, Verification};
pub use request::{DEFAULT_MAX_PAYLOAD_BYTES, DecodeError, Request};
pub use response::Response;
pub use service_config::ServiceConfig;
pub use version::{RESERVED_VERSION, VersionRank};
