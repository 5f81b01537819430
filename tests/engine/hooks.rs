//! What hooks may change, and what not.

use gen_api::{
    arguments::ArgType,
    function::{FunctionError, Functions},
    model::{FunConfig, Request, Response},
};
use serde_json::{Value, json};

use crate::fixture::{config, count_to, echo, request, start};

#[tokio::test]
async fn an_after_hook_cannot_make_a_client_wait_for_what_never_comes() {
    async fn meddle(
        _: Request,
        _: FunConfig,
        mut response: Response,
    ) -> Result<Response, FunctionError> {
        response.result = json!({ "changed": response.result });
        response.request_id = Some("another".to_owned());
        response.is_async = !response.is_async;
        response.has_more = !response.has_more;
        response.can_retry = true;
        Ok(response)
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "count_to", count_to)
        .register("T", "meddle", meddle);
    let hooked = |name: &str, function: &str| config(name, function).after_execute(("T", "meddle"));
    let api = start(
        functions,
        [
            hooked("sync", "echo").arg("value", ArgType::String),
            hooked("async", "echo")
                .arg("value", ArgType::String)
                .asynchronous(),
            hooked("stream", "count_to").arg("n", ArgType::Num).stream(),
        ],
    )
    .await;
    let ask = async |mode: &str, arg: &str, value: Value| {
        let request = request("r", mode).with_arg(arg, value);
        api.execute(request).await.collect().await
    };
    let mut changed = Response::sync("r", json!({"changed": "x"}));
    changed.can_retry = true;

    assert_eq!(ask("sync", "value", json!("x")).await, [changed.clone()]);
    assert_eq!(
        ask("async", "value", json!("x")).await,
        [Response::async_ack("r"), changed]
    );
    assert_eq!(
        ask("stream", "n", json!(1)).await,
        [
            Response::stream_chunk("r", json!({"changed": "init"})),
            Response::stream_chunk("r", 1),
            Response::stream_end("r"),
        ]
    );
    api.stop().await;
}
