//! One request of a client, from its frame to its last response.

use std::sync::Arc;

use super::{
    endpoint::Door,
    frame::{Kind, Ref, Status, write_json_push, write_json_reply},
    membership::Seat,
    outbox::{Gone, Packet},
    outlet::AwaitedReply,
    request::{RequestAnswer, Sent},
    socket::Permit,
};
use crate::{connection::Connection, model::Response};

/// A request that was taken.
pub(super) struct RequestTask {
    pub(super) door: Arc<Door>,
    pub(super) seat: Arc<Seat>,
    pub(super) connection: Connection,
    pub(super) reference: Ref,
    pub(super) payload: Sent,
    pub(super) permit: Permit,
}

/// Answers the request: the push, the reply, and what follows. Dropped with its channel, and then its stream ends.
pub(super) async fn run(task: RequestTask) {
    let RequestTask {
        door,
        seat,
        connection,
        reference,
        payload,
        // Held until the last response, also of async calls and streams.
        permit: _permit,
    } = task;
    let requests = &door.requests;
    let request = match &payload {
        Sent::Binary(_) => Err(Box::new(requests.binary())),
        Sent::Json(payload) => requests.request(payload, &seat.session),
    };
    // The frame's memory is not held for as long as the function runs.
    drop(payload);
    let mut awaited = None;
    let answer = match request {
        Ok(request) => {
            let reply = AwaitedReply::of_request(&request.request_id);
            seat.pushes.expect(reply);
            awaited = Some(reply);
            requests.execute(request, Some(&connection)).await
        }
        Err(answer) => *answer,
    };
    let event = door.settings.request_event.as_str();
    let write = |packet: &mut Packet| add_first(packet, &seat, event, &reference, &answer);
    if seat.outbox.send(write).await == Err(Gone) {
        return;
    }
    if let Some(reply) = awaited {
        seat.pushes.replied(reply, &seat.outbox);
    }
    let Some(mut later) = answer.later else {
        return;
    };
    while let Some(response) = later.next().await {
        let push = |packet: &mut Packet| add_push(packet, &seat, event, &response);
        if seat.outbox.send(push).await.is_err() {
            return;
        }
    }
}

/// Answers a request that there is no room for.
pub(super) fn refuse(door: &Door, seat: &Seat, reference: &Ref, payload: &Sent) {
    let requests = &door.requests;
    let answer = match payload {
        Sent::Binary(_) => requests.binary(),
        Sent::Json(payload) => requests.busy(payload, &seat.session),
    };
    let event = door.settings.request_event.as_str();
    let write = |packet: &mut Packet| add_first(packet, seat, event, reference, &answer);
    seat.outbox.answer(write);
}

/// Adds push and reply, in this order and together.
fn add_first(
    packet: &mut Packet,
    seat: &Seat,
    event: &str,
    reference: &Ref,
    answer: &RequestAnswer,
) {
    if let Some(push) = &answer.push {
        add_push(packet, seat, event, push);
    }
    let (status, response) = match &answer.reply {
        Ok(request_type) => (Status::Ok, request_type),
        Err(reason) => (Status::Error, reason),
    };
    let to = seat.reply_to(reference);
    packet.add(|out| write_json_reply(out, to, status, response).map(|()| Kind::Text));
}

pub(super) fn add_push(packet: &mut Packet, seat: &Seat, event: &str, response: &Response) {
    let (version, join_ref) = (seat.outbox.version(), Some(&seat.join_ref));
    packet.add(|out| {
        write_json_push(out, version, join_ref, &seat.topic, event, response).map(|()| Kind::Text)
    });
}
