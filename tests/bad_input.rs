//! Bad input of every kind, through the doors that clients and services have: random bytes, random JSON, requests, configs
//! and arguments that are almost right. The answer is one response or one typed error: no panic, nothing internal.

use std::{cell::Cell, convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, stream};
use gen_api::{
    GenApi, Reply, Settings,
    arguments::ArgType,
    clock::ManualClock,
    config::AddError,
    function::{Functions, StreamHandle},
    model::{DEFAULT_MAX_PAYLOAD_BYTES, FunConfig, FunConfigBuilder, Request, Response},
};
use proptest::{
    collection::vec, prelude::*, sample::Index, sample::select, test_runner::TestRunner,
};
use serde_json::{Map, Number, Value, json};

/// What no client may ever read: the text of every failure and panic, and the module of every function.
const MARKER: &str = "hunter2";

const ALL_TYPES: [ArgType; 13] = [
    ArgType::String,
    ArgType::Num,
    ArgType::Boolean,
    ArgType::Uuid,
    ArgType::Datetime,
    ArgType::NaiveDatetime,
    ArgType::List,
    ArgType::ListString,
    ArgType::ListNum,
    ArgType::ListUuid,
    ArgType::ListMap,
    ArgType::Map,
    ArgType::Any,
];

const FUNCTIONS: [&str; 7] = [
    "echo", "fails", "panics", "picky", "counts", "breaks", "missing",
];

fn functions() -> Functions {
    async fn echo(value: Value) -> Result<Value, Infallible> {
        Ok(value)
    }
    async fn fails(value: Value) -> Result<(), String> {
        Err(format!("{MARKER}: {value}"))
    }
    async fn panics(value: Value) -> Result<(), Infallible> {
        std::panic::resume_unwind(Box::new(format!("{MARKER}: {value}")));
    }
    async fn picky(value: u8) -> Result<u8, Infallible> {
        Ok(value)
    }
    async fn counts(value: Value, stream: StreamHandle) -> Result<Value, String> {
        stream.complete().await.map_err(|_| MARKER.to_owned())?;
        Ok(value)
    }
    async fn breaks(
        value: Value,
    ) -> Result<impl stream::Stream<Item = Result<Value, String>>, Infallible> {
        Ok(stream::iter([Ok(value), Err(MARKER.to_owned())]))
    }
    Functions::new()
        .register(MARKER, "echo", echo)
        .register(MARKER, "fails", fails)
        .register(MARKER, "panics", panics)
        .register(MARKER, "picky", picky)
        .register(MARKER, "counts", counts)
        .register_stream(MARKER, "breaks", breaks)
}

/// A config of one argument named `value`.
fn config(request_type: &str, function: &str, arg: ArgType) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call(MARKER, function)
        .arg("value", arg)
        .local()
}

/// An engine with a request type for every pair of function and response mode that answers, and one for every argument type.
fn start(clock: Option<ManualClock>) -> GenApi {
    let modes = FUNCTIONS.into_iter().flat_map(|function| {
        let of = move |mode| config(&format!("{function}_{mode}"), function, ArgType::Any);
        [
            of("sync"),
            of("async").asynchronous(),
            of("stream").stream(),
        ]
    });
    let types = ALL_TYPES
        .into_iter()
        .map(|arg| config(&type_name(arg), "echo", arg));
    let configs = modes
        .chain(types)
        .map(|config| config.build().expect("a valid config"));
    let mut builder = GenApi::builder()
        .functions(functions())
        .configs(configs)
        .settings(Settings::default().with_threads(1));
    if let Some(clock) = clock {
        builder = builder.clock(Arc::new(clock));
    }
    builder.start_blocking().expect("the engine starts")
}

fn type_name(arg: ArgType) -> String {
    match serde_json::to_value(arg) {
        Ok(Value::String(name)) => name,
        other => panic!("{arg:?} has no name: {other:?}"),
    }
}

/// Any JSON, with the odd texts and numbers that break readers.
fn any_json() -> impl Strategy<Value = Value> + Clone {
    let text = prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        select(vec![
            "",
            "\0",
            "a\0b",
            "svc",
            "local",
            "map",
            "infinity",
            "0.0.0",
            "latest",
            "1.2.3",
            "\u{202e}",
            "999999999999999999999999999999999999999999999999999999999999999999999999999999",
            "9f1c3d52-3a51-4b0c-9b0e-0d6b1f0a7a11",
            "2024-01-15T10:30:00+07:00",
            "-009999-01-01T00:00:00+25:59",
            "2024-01-15 10:30:00",
            "99999999999-13-99T99:99:99Z",
        ])
        .prop_map(str::to_owned),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("a number of JSON", Number::from_f64),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((".{0,6}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// An object that is right but for up to three of its entries, which are replaced, removed or added.
fn spoiled(valid: Value) -> impl Strategy<Value = Value> {
    let Value::Object(valid) = valid else {
        panic!("an object is expected, not {valid}");
    };
    let names: Vec<String> = valid.keys().cloned().chain(["unknown".into()]).collect();
    let change = (select(names), proptest::option::weighted(0.8, any_json()));
    vec(change, 0..4).prop_map(move |changes| {
        let mut object = valid.clone();
        for (name, value) in changes {
            match value {
                Some(value) => object.insert(name, value),
                None => object.remove(&name),
            };
        }
        Value::Object(object)
    })
}

fn near_request() -> impl Strategy<Value = Value> {
    let mode = select(vec!["sync", "async", "stream"]);
    (select(FUNCTIONS.to_vec()), mode, any_json()).prop_flat_map(|(function, mode, value)| {
        spoiled(json!({
            "request_id": "r",
            "service": "svc",
            "request_type": format!("{function}_{mode}"),
            "user_id": "u",
            "user_roles": ["admin"],
            "args": {"value": value},
        }))
    })
}

fn near_config() -> impl Strategy<Value = Value> {
    let function = select(FUNCTIONS.to_vec());
    let mode = select(vec!["sync", "async", "stream", "none"]);
    (function, mode, 0..ALL_TYPES.len()).prop_flat_map(|(function, mode, arg)| {
        spoiled(json!({
            "service": "svc",
            "request_type": "fuzzed",
            "version": null,
            "nodes": "local",
            "choose_node_mode": "random",
            "timeout": 5_000,
            "mfa": [MARKER, function, []],
            "arg_types": {"value": {"type": ALL_TYPES[arg], "allow_nil": true, "default_value": null}},
            "arg_orders": ["value"],
            "response_type": mode,
            "check_permission": false,
            "permission_callback": null,
            "request_info": false,
            "disabled": false,
            "retry": null,
            "before_execute": null,
            "after_execute": null,
            "hook_timeout": 5_000,
        }))
    })
}

/// Runs a property on many inputs while one engine serves them all.
fn check<S: Strategy>(cases: u32, input: S, property: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&input, |input| {
        property(input);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

/// Every request that is answered ends in exactly one terminal response, and no text in it tells of the inside.
fn judge(responses: &[Response], request_id: &str, payload_len: usize) {
    let is_terminal = |(index, response): &(usize, &Response)| {
        let acknowledgement = *index == 0 && response.is_async && responses.len() > 1;
        !response.has_more && !acknowledgement
    };
    let terminal: Vec<_> = responses.iter().enumerate().filter(is_terminal).collect();
    assert_eq!(terminal.len(), 1, "{responses:?}");
    assert_eq!(terminal[0].0, responses.len() - 1, "{responses:?}");
    for response in responses {
        assert_eq!(response.request_id.as_deref(), Some(request_id));
        assert_eq!(response.success, response.error.is_none(), "{response:?}");
        let error = response.error.as_deref().unwrap_or_default();
        assert!(!error.contains(MARKER), "{error} tells of the inside");
        assert!(!error.contains(".rs"), "{error} tells of the inside");
        assert!(error.len() <= payload_len + 1_000, "{error} is overlong");
        assert!(
            response.success || response.result.is_null(),
            "{response:?}"
        );
    }
}

/// The id that the response to a payload must carry: that of the request, also where the request cannot be read as a whole.
fn request_id_of(payload: &[u8]) -> String {
    // Fields that nobody knows are skipped unread, so a request can be fine although a full reader would refuse it.
    if let Ok(request) = Request::decode(payload, DEFAULT_MAX_PAYLOAD_BYTES) {
        return request.request_id;
    }
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    match payload.get("request_id").and_then(Value::as_str) {
        None | Some("") => "unknown".to_owned(),
        Some(id) => id.to_owned(),
    }
}

fn ask(api: &GenApi, payload: &[u8]) -> Vec<Response> {
    let responses = api.block_on(async { api.execute_json(payload).await.collect().await });
    judge(&responses, &request_id_of(payload), payload.len());
    responses
}

/// Asks, and takes the one response for an error whose text begins like this.
#[track_caller]
fn refused(api: &GenApi, payload: &[u8], beginning: &str) {
    let responses = ask(api, payload);
    let error = responses[0].error.as_deref().unwrap_or("no error");
    assert!(error.starts_with(beginning), "{error}");
}

fn stop(api: &GenApi) {
    assert_eq!(api.open_streams(), 0);
    api.block_on(api.stop());
}

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
            judge(&responses, &id, kind.len() + version.len());
        },
    );
    stop(&api);
}

/// Whether a value may reach a function whose argument has this type, by the words of SPEC section 4.
fn allows(arg: ArgType, value: &Value) -> bool {
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let uuid = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| uuid::Uuid::try_parse(text).is_ok())
    };
    let list = |each: &dyn Fn(&Value) -> bool| {
        value
            .as_array()
            .is_some_and(|items| items.len() <= 1_000 && items.iter().all(each))
    };
    match arg {
        ArgType::String => value.as_str().is_some_and(|text| text.len() <= 3_000),
        ArgType::Num => value.is_number(),
        ArgType::Boolean => value.is_boolean(),
        ArgType::Uuid => uuid(value),
        ArgType::Datetime => value.as_str().is_some_and(|text| text.ends_with('Z')),
        ArgType::NaiveDatetime => value.as_str().is_some_and(|text| !text.ends_with('Z')),
        ArgType::List => list(&scalar),
        ArgType::ListString => list(&Value::is_string),
        ArgType::ListNum => list(&Value::is_number),
        ArgType::ListUuid => list(&uuid),
        ArgType::ListMap => list(&Value::is_object),
        ArgType::Map => value.as_object().is_some_and(|entries| {
            let scalars = |value: &Value| {
                value
                    .as_array()
                    .is_some_and(|items| items.iter().all(scalar))
            };
            entries.len() <= 1_000
                && entries
                    .values()
                    .all(|value| scalar(value) || scalars(value))
        }),
        _ => !value.is_null(),
    }
}

/// A value of about the right shape for each type, so that many get through.
fn near_argument() -> impl Strategy<Value = Value> {
    let long = (2_990..3_010_usize, select(vec!["x", "é", "\0"]))
        .prop_map(|(bytes, text)| Value::from(text.repeat(bytes / text.len())));
    let many =
        (995..1_005_usize, any_json()).prop_map(|(items, value)| Value::from(vec![value; items]));
    let date = "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-9]{2})?";
    let uuid = "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}";
    prop_oneof![
        6 => any_json(),
        2 => date.prop_map(Value::from),
        2 => uuid.prop_map(Value::from),
        1 => vec(uuid.prop_map(Value::from), 0..4).prop_map(Value::from),
        1 => vec(any::<i64>(), 0..4).prop_map(Value::from),
        1 => long,
        1 => many,
    ]
}

#[test]
fn an_argument_reaches_its_function_as_its_type_allows_or_is_refused_by_its_name() {
    let api = start(None);
    let (taken, turned_away) = (Cell::new(0), Cell::new(0));
    check(
        2_600,
        (select(ALL_TYPES.to_vec()), near_argument()),
        |(arg, value)| {
            let payload = json!({
                "request_id": "r", "service": "svc", "request_type": type_name(arg), "args": {"value": value},
            });
            let responses = ask(&api, payload.to_string().as_bytes());
            match &responses[0].error {
                None => {
                    assert!(allows(arg, &responses[0].result), "{arg:?}: {value}");
                    taken.set(taken.get() + 1);
                }
                Some(error) => {
                    assert!(error.starts_with("invalid argument \"value\": "), "{error}");
                    assert!(error.chars().count() < 400, "{error}");
                    turned_away.set(turned_away.get() + 1);
                    let converted = matches!(arg, ArgType::Datetime | ArgType::NaiveDatetime);
                    assert!(
                        converted || !allows(arg, &value),
                        "{arg:?} refuses {value}: {error}"
                    );
                }
            }
        },
    );
    let (taken, turned_away) = (taken.get(), turned_away.get());
    assert!(
        taken > 200 && turned_away > 200,
        "{taken} taken, {turned_away} refused"
    );
    stop(&api);
}

#[test]
fn a_config_that_is_almost_right_is_refused_with_its_faults_or_serves() {
    let clock = ManualClock::new();
    let api = start(Some(clock.clone()));
    let service = Service {
        clock,
        api: &api,
        served: Cell::new(0),
        refused: Cell::new(0),
    };
    check(600, (near_config(), any_json()), |(config, value)| {
        service.offers(config, value);
    });
    // Both ways were gone often enough to mean something.
    let (served, refused) = (service.served.get(), service.refused.get());
    assert!(
        served > 50 && refused > 50,
        "{served} served, {refused} refused"
    );
    check(200, any_json(), |config| {
        let error = FunConfig::from_value(config).expect_err("random JSON is no config");
        assert!(error.fields().count() > 0);
    });
    stop(&api);
}

/// Offers configs to an engine and calls what it takes, in a time that passes by hand.
struct Service<'a> {
    clock: ManualClock,
    api: &'a GenApi,
    served: Cell<u32>,
    refused: Cell<u32>,
}

impl Service<'_> {
    fn offers(&self, config: Value, value: Value) {
        let config = match FunConfig::from_value(config) {
            Ok(config) => config,
            Err(invalid) => {
                assert!(
                    invalid.fields().all(|field| !field.is_empty()),
                    "{invalid:?}"
                );
                for fault in &invalid.faults {
                    assert!(fault.reason.chars().count() <= 400, "{fault}");
                }
                self.refused.set(self.refused.get() + 1);
                return;
            }
        };
        let (service, request_type) = (config.service.clone(), config.request_type.clone());
        let version = config.version.clone();
        let api = self.api;
        match api.block_on(api.config_db().add(config)) {
            Ok(()) => {}
            Err(AddError::Invalid(invalid)) => {
                assert!(!invalid.faults.is_empty());
                return;
            }
            Err(error) => panic!("{error}"),
        }
        let mut request = Request::new("r", &service, &request_type).with_arg("value", value);
        if let Some(version) = &version {
            request = request.with_version(version);
        }
        let responses = self.answer(api.execute(request));
        self.served.set(self.served.get() + 1);
        if !responses.is_empty() {
            judge(&responses, "r", service.len() + request_type.len());
        }
        let deleted = api
            .config_db()
            .delete(&service, &request_type, version.as_deref());
        api.block_on(deleted).expect("it was stored");
    }

    /// All responses, while time passes for the pauses between retries.
    fn answer(&self, reply: impl Future<Output = Reply>) -> Vec<Response> {
        self.api.block_on(async {
            let mut all = pin!(reply.then(Reply::collect));
            loop {
                if let Some(responses) = all.as_mut().now_or_never() {
                    return responses;
                }
                self.clock.advance(Duration::from_millis(50));
                tokio::task::yield_now().await;
            }
        })
    }
}

#[test]
fn nesting_deeper_than_any_stack_is_refused_or_ignored_but_never_recursed_into() {
    let api = start(None);
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 127, 128, 129, 10_000, 100_000] {
            let deep = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            refused(&api, deep.as_bytes(), "Invalid request: ");
            let in_args = format!(
                r#"{{"request_id":"r","service":"svc","request_type":"any","args":{{"value":{deep}}}}}"#
            );
            let responses = ask(&api, in_args.as_bytes());
            let readable = serde_json::from_str::<Value>(&in_args).is_ok();
            assert_eq!(responses[0].success, readable, "{depth}");
            let unclosed = open.repeat(depth);
            refused(&api, unclosed.as_bytes(), "Invalid request: ");
        }
    }
    let mut config = json!(0);
    for _ in 0..1_000 {
        config = json!([config]);
    }
    let fields = ["mfa", "nodes", "arg_types", "retry", "check_permission"];
    for field in fields {
        let mut object = Map::new();
        object.insert(field.to_owned(), config.clone());
        let error = FunConfig::from_value(Value::Object(object)).expect_err("no config");
        assert!(error.fields().any(|at_fault| at_fault == field), "{error}");
    }
    stop(&api);
}

#[test]
fn numbers_beyond_every_type_are_errors_or_arrive_as_numbers() {
    let api = start(None);
    let long = "9".repeat(5_000);
    let cases = [
        ("1e308", true),
        ("-1e308", true),
        ("18446744073709551615", true),
        ("18446744073709551616", true),
        ("1e-5000", true),
        ("1e309", false),
        ("1e99999999999999999999", false),
        (long.as_str(), false),
        ("NaN", false),
        ("Infinity", false),
        ("0x10", false),
        ("01", false),
        ("+1", false),
        ("1.", false),
    ];
    for (number, is_number) in cases {
        let payload = format!(
            r#"{{"request_id":"r","service":"svc","request_type":"num","args":{{"value":{number}}}}}"#
        );
        let responses = ask(&api, payload.as_bytes());
        assert_eq!(responses[0].success, is_number, "{number}: {responses:?}");
    }
    for number in ["-1", "256", "1.5", "1e300"] {
        let payload = format!(
            r#"{{"request_id":"r","service":"svc","request_type":"picky_sync","args":{{"value":{number}}}}}"#
        );
        refused(&api, payload.as_bytes(), "Internal Server Error");
    }
    stop(&api);
}

#[test]
fn bytes_that_are_no_text_and_fields_given_twice_are_named_as_unreadable() {
    let api = start(None);
    let unreadable = "Invalid request: payload cannot be read";
    let broken: [&[u8]; 6] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xe2\x82",
        b"\x01",
    ];
    for bytes in broken {
        let payload = [br#"{"request_id":"r"#, bytes, br#"","service":"svc"}"#].concat();
        refused(&api, &payload, unreadable);
        let payload = [
            br#"{"request_id":"r","args":{""#.as_slice(),
            bytes,
            br#"":1}}"#,
        ]
        .concat();
        refused(&api, &payload, unreadable);
        refused(&api, bytes, unreadable);
    }
    for field in [
        "request_id",
        "service",
        "request_type",
        "user_id",
        "version",
        "args",
    ] {
        let payload = format!(
            r#"{{"request_id":"r","service":"svc","request_type":"any","{field}":null,"{field}":null}}"#
        );
        refused(&api, payload.as_bytes(), unreadable);
    }
    for lone_surrogate in [r"\ud800", r"\udc00x", r"\ud800\ud800"] {
        let payload = format!(r#"{{"request_id":"{lone_surrogate}"}}"#);
        refused(&api, payload.as_bytes(), unreadable);
    }
    stop(&api);
}

#[test]
fn nul_characters_and_very_long_names_are_texts_like_any_other() {
    let api = start(None);
    let long = "n".repeat(200_000);
    for name in ["\0", "a\0b", "\u{feff}", "\u{1b}[2J", long.as_str()] {
        let request = |field: &str| {
            let mut request = json!({"request_id": "r", "service": "svc", "request_type": "any", "args": {"value": 1}});
            request[field] = json!(name);
            request.to_string()
        };
        assert!(ask(&api, request("request_id").as_bytes())[0].success);
        assert!(ask(&api, request("user_id").as_bytes())[0].success);
        refused(
            &api,
            request("service").as_bytes(),
            "unsupported function: any",
        );
        refused(
            &api,
            request("request_type").as_bytes(),
            "unsupported function: ",
        );
        refused(
            &api,
            request("version").as_bytes(),
            "unsupported function: any",
        );
        let undeclared = json!({"request_id": "r", "service": "svc", "request_type": "any", "args": {"value": 1, name: 1}});
        let responses = ask(&api, undeclared.to_string().as_bytes());
        let error = responses[0].error.as_deref().expect("it is not declared");
        assert!(
            error.starts_with("invalid argument \"") && error.len() < 400,
            "{error}"
        );
    }
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
