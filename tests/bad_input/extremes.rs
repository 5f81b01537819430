//! Input at the edges: nesting, numbers, bytes that are no text, long names.

use gen_api::model::FunConfig;
use serde_json::{Map, Value, json};

use crate::engine::{ask, refused, start, stop};

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
        let named = r#"invalid argument "value": expected an integer from 0 to 255, got "#;
        refused(&api, payload.as_bytes(), named);
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
    let named = |request_type: &str, version: &str| {
        let request = json!({"request_id": "r", "service": "svc", "request_type": request_type, "version": version});
        let responses = ask(&api, request.to_string().as_bytes());
        responses[0].error.clone()
    };
    let cut = format!("{}…", "n".repeat(40));
    assert_eq!(
        named(&long, &long),
        Some(format!("unsupported function: {cut} version {cut}"))
    );
    assert_eq!(
        named("a\0b", "\u{1b}[2J"),
        Some(r"unsupported function: a\u{0}b version \u{1b}[2J".to_owned())
    );
    stop(&api);
}
