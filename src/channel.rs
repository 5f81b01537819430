//! Phoenix Channels over WebSocket.

mod frame;
mod origin;
mod params;
mod token;

pub use self::{frame::Payload, params::Params};
mod outbox;
mod websocket;
