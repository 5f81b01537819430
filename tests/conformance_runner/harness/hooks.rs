//! The hooks `H.*`.

use gen_api::{
    function::{Functions, State},
    model::{FunConfig, Request, Response},
};
use serde_json::{Value, json};

use super::{Answer, Harness, PANICS, pause, raise_with};

/// Adds the hooks to functions that have the harness as a state.
pub(super) fn register(functions: Functions) -> Functions {
    functions
        .register("H", "before_ok", before_ok)
        .register("H", "before_reject", before_reject)
        .register("H", "before_set_name", before_set_name)
        .register("H", "before_set_name_to", before_set_name_to)
        .register("H", "before_set_user", before_set_user)
        .register("H", "before_raise", before_raise)
        .register("H", "before_other", before_other)
        .register("H", "before_sleep", before_sleep)
        .register("H", "after_ok", after_ok)
        .register("H", "after_wrap", after_wrap)
        .register("H", "after_wrap_as", after_wrap_as)
        .register("H", "after_raise", after_raise)
        .register("H", "after_other", after_other)
        .register("H", "after_sleep", after_sleep)
}

async fn before_ok(
    request: Request,
    _: FunConfig,
    State(harness): State<Harness>,
) -> Answer<Request> {
    harness.hooked("before_ok");
    Ok(request)
}

async fn before_reject(_: Request, _: FunConfig, State(harness): State<Harness>) -> Answer<()> {
    harness.hooked("before_reject");
    Err("no quota".into())
}

async fn before_set_name(
    request: Request,
    _: FunConfig,
    State(harness): State<Harness>,
) -> Answer<Request> {
    harness.hooked("before_set_name");
    Ok(request.with_arg("name", "hooked"))
}

async fn before_set_name_to(
    request: Request,
    _: FunConfig,
    name: Value,
    State(harness): State<Harness>,
) -> Answer<Request> {
    harness.hooked("before_set_name_to");
    Ok(request.with_arg("name", name))
}

async fn before_set_user(
    mut request: Request,
    _: FunConfig,
    user_id: Option<String>,
    State(harness): State<Harness>,
) -> Answer<Request> {
    harness.hooked("before_set_user");
    request.user_id = user_id;
    Ok(request)
}

async fn before_raise(_: Request, _: FunConfig, State(harness): State<Harness>) -> Answer<Value> {
    harness.hooked("before_raise");
    raise_with(PANICS[1]).await
}

async fn before_other(_: Request, _: FunConfig, State(harness): State<Harness>) -> Answer<Value> {
    harness.hooked("before_other");
    Ok("neither yes nor no".into())
}

async fn before_sleep(
    request: Request,
    _: FunConfig,
    ms: u64,
    State(harness): State<Harness>,
) -> Answer<Request> {
    harness.hooked("before_sleep");
    pause(ms).await;
    Ok(request)
}

async fn after_ok(
    _: Request,
    _: FunConfig,
    response: Response,
    State(harness): State<Harness>,
) -> Answer<Response> {
    harness.hooked("after_ok");
    Ok(response)
}

async fn after_wrap(
    _: Request,
    _: FunConfig,
    response: Response,
    State(harness): State<Harness>,
) -> Answer<Response> {
    harness.hooked("after_wrap");
    Ok(wrap(response, "wrapped"))
}

async fn after_wrap_as(
    _: Request,
    _: FunConfig,
    response: Response,
    key: String,
    State(harness): State<Harness>,
) -> Answer<Response> {
    harness.hooked("after_wrap_as");
    Ok(wrap(response, &key))
}

fn wrap(mut response: Response, key: &str) -> Response {
    response.result = json!({ key: response.result });
    response
}

async fn after_raise(
    _: Request,
    _: FunConfig,
    _: Response,
    State(harness): State<Harness>,
) -> Answer<Value> {
    harness.hooked("after_raise");
    raise_with(PANICS[1]).await
}

async fn after_other(
    _: Request,
    _: FunConfig,
    _: Response,
    State(harness): State<Harness>,
) -> Answer<Value> {
    harness.hooked("after_other");
    Ok("no response".into())
}

async fn after_sleep(
    _: Request,
    _: FunConfig,
    response: Response,
    ms: u64,
    State(harness): State<Harness>,
) -> Answer<Response> {
    harness.hooked("after_sleep");
    pause(ms).await;
    Ok(response)
}
