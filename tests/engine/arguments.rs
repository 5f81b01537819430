//! What a function cannot take of the arguments is told as the caller's mistake, in every response mode.

use std::convert::Infallible;

use gen_api::{
    arguments::{ArgDeclaration, ArgType},
    function::{Functions, StreamHandle},
    model::{FunConfigBuilder, Mfa, Response, Retry},
    telemetry::Outcome,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fixture::{config, request, start};

#[derive(Deserialize)]
struct Line {
    #[expect(dead_code, reason = "it is only read")]
    sku: String,
}

#[derive(Deserialize)]
struct Order {
    #[expect(dead_code, reason = "it is only read")]
    qty: u64,
    #[expect(dead_code, reason = "it is only read")]
    note: String,
}

async fn order(_qty: u64) -> Result<(), Infallible> {
    Ok(())
}

fn functions() -> Functions {
    Functions::new()
        .register("T", "order", order)
        .register("T", "small", async |_: u8| Ok::<_, Infallible>(()))
        .register("T", "many", async |_: Vec<u32>| Ok::<_, Infallible>(()))
        .register("T", "lines", async |_: Vec<Line>| Ok::<_, Infallible>(()))
        .register("T", "map", async |_: Order| Ok::<_, Infallible>(()))
        .register_blocking("T", "blocking", |_: u8| Ok::<_, Infallible>(()))
        .register("T", "feed", async |_: u8, _: StreamHandle| {
            Ok::<_, Infallible>(())
        })
}

/// The same config in each mode in which a function that is no stream answers.
fn in_all_modes(make: impl Fn(&str) -> FunConfigBuilder) -> [FunConfigBuilder; 4] {
    [
        make("sync"),
        make("async").asynchronous(),
        make("none").no_response(),
        make("retried").retry(Retry::SameNode(3)),
    ]
}

const MODES: [&str; 4] = ["sync", "async", "none", "retried"];

/// Each value, sent as the argument `x`, is answered with this text at once, in every mode.
async fn refused(function: &str, arg_type: ArgType, cases: &[(Value, &str)]) {
    let configs = in_all_modes(|mode| config(mode, function).arg("x", arg_type));
    let api = start(functions(), configs).await;
    for (sent, what) in cases {
        let expected = Response::error("r", format!("invalid argument \"x\": {what}"));
        for mode in MODES {
            let sent = request("r", mode).with_arg("x", sent.clone());
            let responses = api.execute(sent).await.collect().await;
            assert_eq!(responses, std::slice::from_ref(&expected), "{mode}");
        }
    }
    let statistics = api.statistics();
    let refused = u64::try_from(cases.len() * MODES.len()).expect("few");
    assert_eq!(statistics.requests(Outcome::InvalidArguments), refused);
    assert_eq!(statistics.total_requests(), refused);
    assert_eq!(statistics.retries, 0);
    assert_eq!(api.pool_status().async_pool.executed, 0);
    api.stop().await;
}

#[tokio::test]
async fn a_number_that_the_functions_type_cannot_hold_is_an_argument_error_before_any_acknowledgement()
 {
    let beyond: Value = serde_json::from_str("18446744073709551616").expect("a number");
    let range = "expected an integer from 0 to 18446744073709551615, got";
    let texts = [
        format!("{range} -1"),
        format!("{range} 1.5"),
        format!("{range} 1.0"),
        format!("{range} -0.0"),
        format!("{range} {beyond}"),
    ];
    let sent = [json!(-1), json!(1.5), json!(1.0), json!(-0.0), beyond];
    let cases: Vec<_> = sent
        .into_iter()
        .zip(texts.iter().map(String::as_str))
        .collect();
    refused("order", ArgType::Num, &cases).await;
    let range = "expected an integer from 0 to 255, got";
    let texts = [
        format!("{range} -1"),
        format!("{range} 300"),
        format!("{range} 1.5"),
    ];
    let sent = [json!(-1), json!(300), json!(1.5)];
    let cases: Vec<_> = sent
        .into_iter()
        .zip(texts.iter().map(String::as_str))
        .collect();
    refused("small", ArgType::Num, &cases).await;
    refused("blocking", ArgType::Num, &cases).await;
}

#[tokio::test]
async fn an_item_of_a_list_that_the_function_cannot_take_is_named_by_its_place() {
    let what = "item 1: expected an integer from 0 to 4294967295, got -2";
    refused("many", ArgType::ListNum, &[(json!([1, -2]), what)]).await;
    let what = "item 0: the required key \"sku\" is missing";
    refused("lines", ArgType::ListMap, &[(json!([{}]), what)]).await;
}

#[tokio::test]
async fn where_all_arguments_arrive_as_one_map_the_one_at_fault_is_named() {
    let configs = in_all_modes(|mode| {
        config(mode, "map")
            .arg("note", ArgType::String)
            .arg("qty", ArgType::Num)
            .map_args()
    });
    let api = start(functions(), configs).await;
    for mode in MODES {
        let sent = request("r", mode).with_arg("note", "n").with_arg("qty", -1);
        let responses = api.execute(sent).await.collect().await;
        let text =
            "invalid argument \"qty\": expected an integer from 0 to 18446744073709551615, got -1";
        assert_eq!(responses, [Response::error("r", text)], "{mode}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_stream_is_not_acknowledged_where_its_function_cannot_take_an_argument() {
    let stream = config("stream", "feed").arg("x", ArgType::Num).stream();
    let api = start(functions(), [stream]).await;
    let sent = request("r", "stream").with_arg("x", 256);
    let responses = api.execute(sent).await.collect().await;
    let text = "invalid argument \"x\": expected an integer from 0 to 255, got 256";
    assert_eq!(responses, [Response::error("r", text)]);
    assert_eq!(api.open_streams(), 0);
    api.stop().await;
}

#[tokio::test]
async fn a_predefined_argument_that_does_not_fit_is_no_mistake_of_the_caller() {
    let predefined = Mfa::new("T", "order").with_args([json!("many")]);
    let api = start(functions(), [config("sync", "order").mfa(predefined)]).await;
    let reply = api.execute(request("r", "sync")).await;
    let general = Response::error("r", "Internal Server Error");
    assert_eq!(reply.response, Some(general));
    assert_eq!(api.statistics().requests(Outcome::InvalidArguments), 0);
    api.stop().await;
}

#[tokio::test]
async fn what_a_declaration_says_of_numbers_and_texts_is_checked() {
    let region = ArgDeclaration::new(ArgType::String).one_of(["eu", "us"]);
    let code = ArgDeclaration::new(ArgType::String)
        .min_bytes(2)
        .pattern("^[A-Z]+$");
    let qty = ArgDeclaration::new(ArgType::Integer).min(1).max(10);
    let function = async |_: Value, _: Value, _: Value| Ok::<_, Infallible>("taken");
    let config = config("buy", "buy")
        .arg("region", region)
        .arg("code", code)
        .arg("qty", qty);
    let api = start(Functions::new().register("T", "buy", function), [config]).await;
    let ask = async |region: &str, code: &str, qty: Value| {
        let sent = request("r", "buy")
            .with_arg("region", region)
            .with_arg("code", code)
            .with_arg("qty", qty);
        let response = api.execute(sent).await.response.expect("a response");
        response.error.unwrap_or_default()
    };
    assert_eq!(ask("eu", "AB", json!(10)).await, "");
    assert_eq!(
        ask("mars", "AB", json!(10)).await,
        r#"invalid argument "region": expected "eu" or "us", got "mars""#
    );
    assert_eq!(
        ask("eu", "A", json!(10)).await,
        r#"invalid argument "code": expected at least 2 bytes, got 1"#
    );
    assert_eq!(
        ask("eu", "ab", json!(10)).await,
        r#"invalid argument "code": expected a match of ^[A-Z]+$, got "ab""#
    );
    assert_eq!(
        ask("eu", "AB", json!(11)).await,
        r#"invalid argument "qty": expected an integer from 1 to 10, got 11"#
    );
    api.stop().await;
}
