//! What `#[gen_api::function]` makes of a function: its config, and calls that reach it.
#![cfg_attr(test, allow(clippy::expect_used))]

use std::collections::{BTreeMap, HashMap};

use futures_util::{Stream, StreamExt, stream};
use gen_api::{
    GenApiBuilder,
    arguments::{ArgType, ArgumentType, Limits, ListItem},
    function::{Arguments, Parameter, StreamHandle},
    model::CheckPermission,
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const SERVICE: &str = "svc";

fn config_of(function: gen_api::function::ApiFunction) -> Value {
    let (functions, config) = function
        .register(Functions::new(), &Limits::default())
        .expect("a valid config");
    let mfa = &config.mfa;
    assert!(functions.get(&mfa.module, &mfa.function).is_some());
    serde_json::to_value(config).expect("JSON")
}

/// What of `config` differs from the least config of `name`.
fn differences(config: &Value, name: &str) -> Value {
    let least = FunConfig::builder(SERVICE, name)
        .call(SERVICE, name)
        .local()
        .build()
        .expect("valid");
    let least = serde_json::to_value(least).expect("JSON");
    let fields = config.as_object().expect("an object").iter();
    let different = fields.filter(|(field, value)| least[field.as_str()] != **value);
    different
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

#[gen_api::function(service = SERVICE)]
async fn plain() -> Result<(), FunctionError> {
    Ok(())
}

#[test]
fn a_function_without_options_has_the_least_config() {
    assert_eq!(differences(&config_of(plain::api()), "plain"), json!({}));
}

#[gen_api::function(
    service = SERVICE,
    request_type = "get_user",
    version = "1.2.0",
    module = "Users",
    timeout_ms = 2_000,
    async,
    permission(roles = ["admin", "editor"]),
    retry(same_node = 2),
    before_execute = ("Hooks", "before"),
    after_execute = ("Hooks", "after"),
    hook_timeout_ms = 100,
    disabled,
    crate = ::gen_api
)]
async fn with_options() -> Result<(), FunctionError> {
    Ok(())
}

#[test]
fn each_option_reaches_the_config() {
    assert_eq!(
        differences(&config_of(with_options::api()), "with_options"),
        json!({
            "request_type": "get_user",
            "version": "1.2.0",
            "mfa": ["Users", "with_options", []],
            "timeout": 2_000,
            "response_type": "async",
            "check_permission": {"role": ["admin", "editor"]},
            "retry": {"same_node": 2},
            "before_execute": ["Hooks", "before", []],
            "after_execute": ["Hooks", "after", []],
            "hook_timeout": 100,
            "disabled": true,
        })
    );
}

#[gen_api::function(service = SERVICE, permission(arg = "id"), retry = 3, no_timeout, no_response)]
async fn by_arg(id: String) -> Result<String, FunctionError> {
    Ok(id)
}

#[gen_api::function(service = SERVICE, permission(any_authenticated), retry(all_nodes = 1))]
async fn authenticated() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = SERVICE, permission(callback = ("Auth", "may")))]
async fn by_callback() -> Result<(), FunctionError> {
    Ok(())
}

#[test]
fn each_form_of_an_option_reaches_the_config() {
    let found = config_of(by_arg::api());
    assert_eq!(found["check_permission"], json!({"arg": "id"}));
    assert_eq!(found["retry"], json!(3));
    assert_eq!(found["timeout"], json!("infinity"));
    assert_eq!(found["response_type"], json!("none"));
    let found = config_of(authenticated::api());
    assert_eq!(found["check_permission"], json!("any_authenticated"));
    assert_eq!(found["retry"], json!({"all_nodes": 1}));
    let found = config_of(by_callback::api());
    assert_eq!(found["permission_callback"], json!(["Auth", "may", []]));
}

/// A type of the embedder's own that stands for an argument type.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
    Green,
}

impl ArgumentType for Colour {
    const TYPE: ArgType = ArgType::String;
}

impl ListItem for Colour {
    const LIST_TYPE: ArgType = ArgType::ListString;
}

#[derive(Deserialize)]
struct Filter {
    text: String,
}

#[gen_api::function(service = SERVICE)]
#[allow(clippy::too_many_arguments)]
async fn scalars(
    text: String,
    whole: i64,
    float: f32,
    flag: bool,
    id: uuid::Uuid,
    any: Value,
    maybe: Option<u8>,
    colour: Colour,
) -> Result<String, FunctionError> {
    let _ = (whole, float, flag, id, any, maybe);
    Ok(match colour {
        Colour::Red => text,
        Colour::Green => String::new(),
    })
}

#[gen_api::function(service = SERVICE)]
async fn collections(
    texts: Vec<String>,
    numbers: Vec<f64>,
    ids: Option<Vec<uuid::Uuid>>,
    colours: Vec<Colour>,
    scores: BTreeMap<String, u32>,
    tags: HashMap<String, Vec<String>>,
    rows: Vec<Map<String, Value>>,
) -> Result<usize, FunctionError> {
    let _ = (numbers, ids, colours, scores, tags, rows);
    Ok(texts.len())
}

#[gen_api::function(service = SERVICE)]
#[allow(clippy::too_many_arguments)]
async fn with_arg_options(
    #[arg(max_bytes = 40, default = "Ann")] name: String,
    #[arg(max_items = 2, max_item_bytes = 9)] texts: Vec<String>,
    #[arg(required = ["a"], accept = ["a", "b"], max_items = 2)] map: Map<String, Value>,
    #[arg(type = map, required = ["text"])] filter: Filter,
    #[arg(type = datetime, name = "since-when")] since: Option<String>,
    #[arg(default = json!({"deep": [1]}))] any: Value,
    #[arg] r#type: u8,
    mut count: u8,
) -> Result<String, FunctionError> {
    count += r#type;
    let _ = (texts, map, since, any, count);
    Ok(name + &filter.text)
}

#[gen_api::function(service = SERVICE)]
async fn bounded(
    #[arg(min = 1, max = 10)] quantity: u32,
    #[arg(min = 0.5)] factor: f64,
    #[arg(min_bytes = 1, pattern = "^[a-z]+$")] code: String,
    #[arg(one_of = ["eu", "us"])] region: String,
    #[arg(type = string)] colour: Option<Colour>,
) -> Result<u32, FunctionError> {
    let _ = (factor, code, region, colour);
    Ok(quantity)
}

fn integer(min: impl Into<Value>, max: impl Into<Value>) -> Value {
    json!({"type": "integer", "min": min.into(), "max": max.into()})
}

#[test]
fn bounds_choices_and_patterns_come_from_the_options_and_from_enums() {
    assert_eq!(
        config_of(bounded::api())["arg_types"],
        json!({
            "quantity": integer(1, 10),
            "factor": {"type": "num", "min": 0.5},
            "code": {"type": "string", "min_bytes": 1, "pattern": "^[a-z]+$"},
            "region": {"type": "string", "one_of": ["eu", "us"]},
            "colour": {"type": "string", "one_of": ["green", "red"], "allow_nil": true},
        })
    );
}

#[test]
fn argument_types_come_from_the_signature() {
    let config = config_of(scalars::api());
    assert_eq!(
        config["arg_types"],
        json!({
            "text": "string", "whole": integer(i64::MIN, i64::MAX), "float": "num", "flag": "boolean", "id": "uuid", "any": "any",
            "maybe": {"type": "integer", "min": 0, "max": 255, "allow_nil": true}, "colour": "string",
        })
    );
    assert_eq!(
        config["arg_orders"],
        json!([
            "text", "whole", "float", "flag", "id", "any", "maybe", "colour"
        ])
    );
    assert_eq!(
        config_of(collections::api())["arg_types"],
        json!({
            "texts": "list_string", "numbers": "list_num", "ids": {"type": "list_uuid", "allow_nil": true},
            "colours": "list_string", "scores": "map", "tags": "map", "rows": "list_map",
        })
    );
}

#[test]
fn the_options_of_an_argument_reach_its_declaration() {
    let config = config_of(with_arg_options::api());
    assert_eq!(
        config["arg_types"],
        json!({
            "name": {"type": "string", "max_bytes": 40, "default_value": "Ann"},
            "texts": {"type": "list_string", "max_items": 2, "max_item_bytes": 9},
            "map": {"type": "map", "required": ["a"], "accept": ["a", "b"], "max_items": 2},
            "filter": {"type": "map", "required": ["text"]},
            "since-when": {"type": "datetime", "allow_nil": true},
            "any": {"type": "any", "default_value": {"deep": [1]}},
            "type": integer(0, 255),
            "count": integer(0, 255),
        })
    );
    let order = json!([
        "name",
        "texts",
        "map",
        "filter",
        "since-when",
        "any",
        "type",
        "count"
    ]);
    assert_eq!(config["arg_orders"], order);
}

/// A parameter of the embedder's own that takes no argument.
struct CurrentUser(String);

impl Parameter for CurrentUser {
    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
        let user = arguments.info().user_id.clone();
        user.map(Self)
            .ok_or_else(|| FunctionError::public("please log in"))
    }
}

#[gen_api::function(service = SERVICE)]
async fn greet(
    State(greeting): State<&'static str>,
    name: String,
    #[arg(skip)] CurrentUser(user): CurrentUser,
    #[arg(default = 2)] times: usize,
    info: RequestInfo,
) -> Result<String, FunctionError> {
    let line = format!("{greeting} {name} from {user} ({})", info.request_id);
    Ok(vec![line; times].join(", "))
}

#[gen_api::function(service = SERVICE, blocking)]
fn length(text: String) -> Result<usize, FunctionError> {
    Ok(text.len())
}

#[gen_api::function(service = SERVICE, stream)]
async fn count(to: u32) -> Result<impl Stream<Item = Result<u32, FunctionError>>, FunctionError> {
    Ok(stream::iter((1..=to).map(Ok)))
}

#[gen_api::function(service = SERVICE, stream)]
async fn push(handle: StreamHandle, text: String) -> Result<(), FunctionError> {
    handle.send_result(text).await?;
    handle.send_last_result("end").await?;
    Ok(())
}

fn start(functions: impl IntoIterator<Item = gen_api::function::ApiFunction>) -> GenApi {
    let builder = GenApi::builder().settings(Settings::default().with_threads(1));
    let builder = functions.into_iter().fold(builder, GenApiBuilder::function);
    // The registry comes after the functions on purpose: it does not replace them.
    builder
        .functions(Functions::new().state("Hello"))
        .start_blocking()
        .expect("the engine starts")
}

fn request(request_type: &str) -> Request {
    Request::new("r", SERVICE, request_type).with_user_id("Bob")
}

#[test]
fn annotated_functions_are_called_with_the_arguments_of_a_request() {
    let api = start([greet::api(), length::api(), scalars::api()]);
    let call = |request| {
        api.block_on(api.execute(request))
            .response
            .expect("a response")
    };

    let response = call(request("greet").with_arg("name", "Ann"));
    assert_eq!(
        response.result,
        json!("Hello Ann from Bob (r), Hello Ann from Bob (r)")
    );
    let response = call(request("greet").with_arg("name", 5));
    assert_eq!(
        response.error.as_deref(),
        Some("invalid argument \"name\": expected a string, got 5")
    );
    let response = call(request("length").with_arg("text", "four"));
    assert_eq!(response.result, json!(4));
    let args = json!({
        "text": "x", "whole": -3, "float": 0.5, "flag": true, "colour": "red", "any": [1],
        "id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
    });
    let response = call(request("scalars").with_args(args.as_object().expect("a map").clone()));
    assert_eq!(response.result, json!("x"), "{response:?}");
    api.block_on(api.stop());
}

#[test]
fn annotated_functions_stream_from_a_handle_or_a_rust_stream() {
    let api = start([count::api(), push::api()]);
    let chunks = |request| {
        let chunks = async {
            let later = api.execute(request).await.later.expect("chunks");
            later.map(|chunk| chunk.result).collect::<Vec<_>>().await
        };
        api.block_on(chunks)
    };
    let counted = chunks(request("count").with_arg("to", 2));
    assert_eq!(counted, [json!(1), json!(2), Value::Null]);
    let pushed = chunks(request("push").with_arg("text", "x"));
    assert_eq!(pushed, [json!("x"), json!("end")]);
    api.block_on(api.stop());
}

#[test]
fn an_annotated_function_stays_a_function() {
    assert_eq!(length("four".to_owned()).expect("a length"), 4);
}

#[test]
fn the_config_can_be_changed_when_the_program_runs() {
    let roles = vec!["from a file".to_owned()];
    let function =
        plain::api().configure(|config| config.check_permission(CheckPermission::Role(roles)));
    let found = &config_of(function)["check_permission"];
    assert_eq!(*found, json!({"role": ["from a file"]}));
}

#[test]
fn a_fault_of_a_derived_config_stops_the_start_and_names_the_function() {
    #[gen_api::function(service = SERVICE)]
    async fn greet(#[arg(default = 5)] name: String) -> Result<String, FunctionError> {
        Ok(name)
    }
    let error = GenApi::builder()
        .function(greet::api())
        .start_blocking()
        .expect_err("the default is no string");
    let text = error.to_string();
    assert!(
        text.contains("svc.greet") && text.contains("\"name\""),
        "{text}"
    );
}

mod elsewhere {
    use super::*;

    #[gen_api::function(service = "other")]
    #[cfg(not(test))]
    pub(super) async fn only_outside_of_tests() -> Result<(), FunctionError> {
        Ok(())
    }

    /// Two functions of one name live side by side under their versions.
    #[gen_api::function(
        service = "svc",
        request_type = "plain",
        version = "2.0.0",
        module = "two"
    )]
    pub(super) async fn plain() -> Result<u8, FunctionError> {
        Ok(2)
    }
}

#[test]
fn versions_of_a_function_live_side_by_side() {
    let api = start([plain::api(), elsewhere::plain::api()]);
    let latest = api.block_on(api.execute(request("plain"))).response;
    assert_eq!(latest.expect("a response").result, json!(2));
    api.block_on(api.stop());
}

#[gen_api::function(service = SERVICE, limit(user_id, 2, per_minute), limit("room", 1, per_second))]
async fn limited(room: u64) -> Result<(), FunctionError> {
    let _ = room;
    Ok(())
}

#[test]
fn a_limit_of_the_annotation_holds_from_the_start() {
    let api = GenApi::builder().function(limited::api());
    let api = api.start_blocking().expect("it starts");
    let limits = api.rate_limiter().config().api_limits;
    let limit = |key: &str, most, window_ms| {
        let limit = RateLimit::new(LimitKey::from(key), most, window_ms);
        gen_api::rate_limiter::ApiLimit::new(SERVICE, "limited", limit)
    };
    assert_eq!(
        limits,
        [limit("user_id", 2, 60_000), limit("room", 1, 1_000)]
    );
    let error = GenApi::builder()
        .function(limited::api().limit("rom", 1, std::time::Duration::from_secs(1)))
        .start_blocking()
        .expect_err("a slip");
    assert_eq!(
        error.to_string(),
        "a rate limit is not valid: api_limits[2].key must be an argument, but svc/limited declares no `rom`"
    );
}
