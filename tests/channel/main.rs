//! The channel endpoint over real connections on port 0: every line of the protocol page, limits and faults.

mod client;
mod connecting;
mod events;
mod faults;
mod frames;
mod gateway;
mod limits;
mod long_poll;
mod overload;
mod refused;
mod relay;
mod requests;
mod versions;
