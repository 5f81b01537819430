//! Sending a message to a group: one turn, in which it is pushed to every member who receives.

use std::io;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::RelayTable;
use crate::{
    model::{Response, connection::Connection},
    relay::{Sent, error::SendError, group::Recipient},
    telemetry::RelayEvent,
};

impl RelayTable {
    pub(in crate::relay) async fn send(
        &self,
        group_id: &str,
        user_id: &str,
        message: Value,
        request_id: &str,
    ) -> Result<Sent, SendError> {
        let not_found = |_| SendError::GroupNotFound;
        let group = self.find(group_id).map_err(not_found)?;
        let max_bytes = self.settings.max_message_bytes;
        let fits = fits(&message, max_bytes);
        let _turn = group.turn.lock().await;
        let recipients = {
            let state = self.open(&group).map_err(not_found)?;
            state.members.recipients(user_id)?
        };
        if !fits {
            return Err(SendError::TooLarge { max_bytes });
        }
        let message = json!({
            "group_id": group_id,
            "from_user_id": user_id,
            "message": message,
            "timestamp": format!("{:.3}", Timestamp::now()),
        });
        let response = Response::sync(request_id, message);
        // A connection that is gone ends with the push, and leaves all its groups by that.
        let reaches = |connection: &Connection, is_sender: bool| {
            let response = response.clone();
            let pushed = if is_sender {
                connection.push_after_reply(response)
            } else {
                connection.push(response)
            };
            pushed.is_ok()
        };
        let misses = |recipient: &&Recipient| {
            let connections = recipient.connections.iter();
            let reached = connections.filter(|connection| reaches(connection, recipient.is_sender));
            reached.count() == 0
        };
        let sent = Sent {
            missed: recipients.iter().filter(misses).count(),
            recipients: recipients.len(),
        };
        self.emit(|| RelayEvent::Sent {
            group_id,
            user_id,
            recipients: sent.recipients,
            missed: sent.missed,
        });
        Ok(sent)
    }
}

/// Whether the JSON form has at most `max` bytes; no more of it than that is made.
fn fits(message: &Value, max: usize) -> bool {
    /// How many bytes may still be written.
    struct Room(usize);

    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.0.checked_sub(bytes.len());
            self.0 = left.ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    serde_json::to_writer(Room(max), message).is_ok()
}
