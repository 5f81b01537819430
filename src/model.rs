//! The data that everything else passes around: requests and responses.
//!
//! Plain serde types and their validity, nothing that acts. Their JSON form is the wire form (SPEC section 2).
//!
//! ```
//! use gen_api::model::{Request, Response};
//!
//! let request = Request::new("r-1", "UserService", "get_user").with_arg("name", "Ann");
//! let response = Response::sync(&request.request_id, "hello Ann");
//! assert!(!response.is_error());
//! ```

pub mod request;
pub mod response;

pub use request::{DEFAULT_MAX_PAYLOAD_BYTES, DecodeError, Request};
pub use response::Response;
