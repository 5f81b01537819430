//! Requests of random bytes, of random JSON, and such as are almost right.

use gen_api::model::{Request, Response};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::json;

use crate::engine::{ask, check, judge, start, stop};
use crate::generators::{any_json, near_request};

#[test]
fn any_bytes_are_answered_with_exactly_one_error() {
    let api = start(None);
    check(400, vec(any::<u8>(), 0..300), |payload| {
        assert!(ask(&api, &payload)[0].is_error());
    });
    stop(&api);
}

#[test]
fn any_json_is_answered_with_exactly_one_error() {
    let api = start(None);
    check(400, any_json(), |payload| {
        assert!(ask(&api, payload.to_string().as_bytes())[0].is_error());
    });
    stop(&api);
}

#[test]
fn a_request_that_is_almost_right_ends_in_exactly_one_terminal_response() {
    let api = start(None);
    check(600, near_request(), |payload| {
        ask(&api, payload.to_string().as_bytes());
    });
    stop(&api);
}

#[test]
fn a_request_with_damaged_bytes_ends_in_exactly_one_terminal_response() {
    let api = start(None);
    let damage = vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..6);
    check(600, (near_request(), damage), |(payload, damage)| {
        let mut payload = payload.to_string().into_bytes();
        for (at, byte, kind) in damage {
            let at = at.index(payload.len());
            match kind {
                0 => payload[at] = byte,
                1 => payload.insert(at, byte),
                _ => payload.truncate(at.max(1)),
            }
        }
        ask(&api, &payload);
    });
    stop(&api);
}

#[test]
fn a_request_built_in_code_from_any_texts_is_answered_like_one_from_json() {
    let api = start(None);
    let texts = (
        any::<String>(),
        any::<String>(),
        any::<String>(),
        any::<String>(),
    );
    check(
        300,
        (texts, any_json()),
        |((id, service, kind, version), value)| {
            let request = Request::new(&id, &service, &kind)
                .with_version(&version)
                .with_ip_address(&version)
                .with_user_id(&id)
                .with_arg(&kind, value);
            let responses = api.block_on(async { api.execute(request).await.collect().await });
            judge(&responses, &id);
        },
    );
    stop(&api);
}

/// What a function says when it fails, and what it is called, stays inside in every mode.
#[test]
fn failures_and_panics_are_answered_with_nothing_but_internal_server_error() {
    let api = start(None);
    for function in ["fails", "panics", "breaks", "missing"] {
        for mode in ["sync", "async", "stream"] {
            let payload = json!({
                "request_id": "r", "service": "svc", "request_type": format!("{function}_{mode}"), "args": {"value": "x"},
            });
            let responses = ask(&api, payload.to_string().as_bytes());
            let last = responses.last().expect("a response");
            assert_eq!(
                *last,
                Response::error("r", "Internal Server Error"),
                "{function} {mode}"
            );
        }
    }
    stop(&api);
}
