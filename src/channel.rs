//! Phoenix Channels over WebSocket.

mod frame;
