//! Phoenix Channels over WebSocket.

mod callbacks;
mod endpoint;
mod frame;
mod http;
mod joined;
mod long_poll;
mod members;
mod membership;
mod origin;
mod outbox;
mod params;
mod reasons;
mod request;
mod respond;
mod session;
mod socket;
mod sockets;
mod token;
mod topic;
mod websocket;

pub use self::{
    callbacks::{Answer, Channel, Event, Join, Leave, LeaveReason},
    endpoint::{ChannelCounts, ChannelEndpoint, ChannelEndpointRef, StartEndpointError},
    frame::Payload,
    membership::{InvalidPush, Membership},
    params::Params,
    request::{RequestAnswer, RequestEvent},
    session::{Connect, Denied, Session},
    topic::InvalidTopic,
};
pub use crate::settings::ChannelSettings;
