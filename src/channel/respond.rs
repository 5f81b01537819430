//! One request of a client, from its frame to its last response.

use std::sync::Arc;

use super::{
    endpoint::Door,
    frame::{Kind, Ref, Status, write_json_push, write_json_reply},
    joined::Permit,
    membership::Seat,
    outbox::{Gone, Packet},
    outlet::AwaitedReply,
    request::{RequestAnswer, Sent},
};
use crate::{connection::Connection, model::Response};

/// A request that was taken.
pub(super) struct RequestTask {
    pub(super) door: Arc<Door>,
    pub(super) seat: Arc<Seat>,
    pub(super) connection: Connection,
    pub(super) reference: Ref,
    pub(super) payload: Sent,
    /// `None` where the connection has too many under way.
    pub(super) permit: Option<Permit>,
}

/// Answers the request: the push, the reply, and what follows. Dropped with its channel, and then its stream ends.
pub(super) async fn run(task: RequestTask) {
    let RequestTask {
        door,
        seat,
        connection,
        reference,
        payload,
        permit,
    } = task;
    let requests = &door.requests;
    let mut awaited = None;
    let answer = match (&payload, &permit) {
        (Sent::Binary(_), _) => requests.binary(),
        (Sent::Json(payload), Some(_)) => match requests.request(payload, &seat.session) {
            Ok(request) => {
                let reply = AwaitedReply::of_request(&request.request_id);
                seat.pushes.expect(reply);
                awaited = Some(reply);
                requests.execute(request, Some(&connection)).await
            }
            Err(answer) => *answer,
        },
        (Sent::Json(payload), None) => requests.busy(payload, &seat.session),
    };
    // The frame's memory is not held for as long as a stream lasts.
    drop(payload);
    let event = door.settings.request_event.as_str();
    let later = match first(&seat, event, &reference, answer).await {
        Ok(later) => later,
        Err(Gone) => return,
    };
    if let Some(reply) = awaited {
        seat.pushes.replied(reply, &seat.outbox);
    }
    // What is accepted counts as an open stream, no longer as a request under way.
    drop(permit);
    let Some(mut later) = later else {
        return;
    };
    while let Some(response) = later.next().await {
        let push = |packet: &mut Packet| add_push(packet, &seat, event, &response);
        if seat.outbox.send(push).await.is_err() {
            return;
        }
    }
}

/// Sends push and reply, in this order and together; what follows.
async fn first(
    seat: &Seat,
    event: &str,
    reference: &Ref,
    answer: RequestAnswer,
) -> Result<Option<crate::Responses>, Gone> {
    let RequestAnswer { push, reply, later } = answer;
    let write = |packet: &mut Packet| {
        if let Some(push) = &push {
            add_push(packet, seat, event, push);
        }
        let (status, response) = match &reply {
            Ok(request_type) => (Status::Ok, request_type),
            Err(reason) => (Status::Error, reason),
        };
        let to = seat.reply_to(reference);
        packet.add(|out| write_json_reply(out, to, status, response).map(|()| Kind::Text));
    };
    seat.outbox.send(write).await?;
    Ok(later)
}

pub(super) fn add_push(packet: &mut Packet, seat: &Seat, event: &str, response: &Response) {
    let (version, join_ref) = (seat.outbox.version(), Some(&seat.join_ref));
    packet.add(|out| {
        write_json_push(out, version, join_ref, &seat.topic, event, response).map(|()| Kind::Text)
    });
}
