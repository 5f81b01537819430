use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::arguments::CallArgs;

fn minimal() -> FunConfigBuilder {
    FunConfig::builder("svc", "op").call("T", "echo").local()
}

fn with(field: &str, value: Value) -> Value {
    let mut json = serde_json::to_value(minimal().build().unwrap()).unwrap();
    json.as_object_mut()
        .unwrap()
        .insert(field.to_owned(), value);
    json
}

/// The fields at fault, whether the config could be read or not.
fn faulty(json: Value) -> Vec<String> {
    let result = FunConfig::from_value(json).and_then(|config| config.validate(&Limits::default()));
    let error = result.err();
    error
        .iter()
        .flat_map(InvalidConfig::fields)
        .map(str::to_owned)
        .collect()
}

#[test]
fn absent_fields_take_their_defaults() {
    let json =
        json!({"service": "svc", "request_type": "op", "nodes": "local", "mfa": ["T", "echo", []]});
    let config = FunConfig::from_value(json).unwrap();
    assert_eq!(config, minimal().build().unwrap());
    assert_eq!(config.timeout, Timeout::Millis(5_000));
    assert_eq!(config.hook_timeout(), Duration::from_secs(5));
    assert_eq!(config.validate(&Limits::default()), Ok(()));
}

#[test]
fn what_is_required_is_named_when_it_is_absent() {
    assert_eq!(
        faulty(json!({})),
        ["service", "request_type", "nodes", "mfa"]
    );
    assert_eq!(faulty(json!("config")), ["config"]);
}

#[test]
fn an_unknown_field_is_a_fault_of_its_own_name() {
    assert_eq!(faulty(with("colour", json!("red"))), ["colour"]);
}

#[test]
fn an_unreadable_field_hides_neither_unreadable_nor_invalid_ones() {
    let json = json!({
        "service": "", "request_type": 5, "nodes": ["a", 7], "mfa": "T.echo", "timeout": 99,
        "version": "0.0.0", "retry": 0, "hook_timeout": 0, "check_permission": true,
    });
    let mut fields = faulty(json);
    fields.sort_unstable();
    let expected = [
        "check_permission",
        "hook_timeout",
        "mfa",
        "nodes",
        "request_type",
        "retry",
        "service",
        "timeout",
        "version",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn an_invalid_config_can_be_read_and_held() {
    let config = FunConfig::from_value(with("timeout", json!(300_001))).unwrap();
    assert_eq!(config.timeout, Timeout::Millis(300_001));
    let error = config.validate(&Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid config: timeout: must be 100 to 300000 milliseconds or \"infinity\""
    );
}

#[test]
fn each_field_refuses_what_its_form_does_not_know() {
    for (field, value) in [
        ("nodes", json!([])),
        ("nodes", json!([""])),
        ("nodes", json!({"resolver": ["R", "f"]})),
        ("nodes", json!({"resolver": ["", "f", []]})),
        ("choose_node_mode", json!("sticky")),
        ("choose_node_mode", json!({"hash": ""})),
        ("choose_node_mode", json!({"hash": "a", "sticky": "b"})),
        ("timeout", json!(99)),
        ("timeout", json!(5000.5)),
        ("mfa", json!(["T", "echo"])),
        ("mfa", json!(["T", "", []])),
        ("mfa", json!(["T", "echo", [], 1])),
        ("arg_orders", json!("list")),
        ("arg_orders", json!([5])),
        ("arg_orders", json!("map")),
        ("arg_types", json!(["a"])),
        ("response_type", json!(null)),
        ("check_permission", json!(true)),
        ("check_permission", json!({"arg": ""})),
        ("check_permission", json!({"role": [5]})),
        ("permission_callback", json!(["P"])),
        ("request_info", json!(null)),
        ("disabled", json!("no")),
        ("retry", json!(-1)),
        ("retry", json!(1.5)),
        ("retry", json!({"same_node": 1, "all_nodes": 1})),
        ("before_execute", json!(["", "f"])),
        ("after_execute", json!({})),
        ("hook_timeout", json!("infinity")),
        ("version", json!(1)),
    ] {
        assert_eq!(faulty(with(field, value.clone())), [field], "{value}");
    }
}

#[test]
fn the_order_must_name_exactly_the_declared_arguments() {
    for (types, orders, valid) in [
        (json!({"a": "num", "b": "num"}), json!(["b", "a"]), true),
        (json!({"a": "num", "b": "num"}), json!([]), true),
        (json!({"a": "num", "b": "num"}), json!("map"), true),
        (json!({"a": "num", "b": "num"}), json!(["a"]), false),
        (json!({"a": "num"}), json!(["a", "a"]), false),
        (json!({"a": "num"}), json!(null), false),
        (json!({}), json!(null), true),
        (json!({}), json!("map"), false),
        (json!(null), json!(["a"]), false),
    ] {
        let mut json = with("arg_types", types);
        json["arg_orders"] = orders;
        let expected: &[&str] = if valid { &[] } else { &["arg_orders"] };
        assert_eq!(faulty(json.clone()), expected, "{json}");
    }
}

#[test]
fn an_argument_has_a_name_and_a_declaration_that_agrees_with_itself() {
    let map = json!({"type": "map", "required": ["a"], "accept": ["b"]});
    for types in [
        json!({"": "num"}),
        json!({"a": map}),
        json!({"a": {"type": "integer", "min": 2, "max": 1}}),
        json!({"a": {"type": "string", "pattern": "("}}),
    ] {
        assert_eq!(
            faulty(with("arg_types", types.clone())),
            ["arg_types"],
            "{types}"
        );
    }
}

#[test]
fn a_broken_declaration_still_declares_its_name() {
    let mut json = with("arg_types", json!({"a": "decimal", "b": null}));
    json["arg_orders"] = json!(["a", "b"]);
    assert_eq!(faulty(json.clone()), ["arg_types", "arg_types"]);
    json["arg_orders"] = json!(["a"]);
    assert_eq!(faulty(json), ["arg_types", "arg_types", "arg_orders"]);
}

#[test]
fn a_broken_declaration_does_not_hide_a_bad_default_of_another() {
    let types = json!({"a": "decimal", "b": {"type": "num", "default_value": "many"}});
    let error = FunConfig::from_value(with("arg_types", types)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"a\": unknown variant") && text.contains("\"b\": its default"),
        "{text}"
    );
}

#[test]
fn a_default_is_held_to_the_limits_given() {
    let config = minimal().arg(
        "s",
        ArgDeclaration::new(ArgType::String).default_value("abc"),
    );
    assert!(config.clone().build().is_ok());
    let error = config
        .build_within(&Limits::default().with_string_max_bytes(2))
        .unwrap_err();
    assert_eq!(error.fields().collect::<Vec<_>>(), ["arg_types"]);
}

#[test]
fn a_long_value_is_not_repeated_in_full() {
    let error =
        FunConfig::from_value(with("request_type", json!({"x".repeat(9_000): 1}))).unwrap_err();
    assert!(error.to_string().len() < 1_000);
    let error = FunConfig::from_value(with("timeout", json!("x".repeat(9_000)))).unwrap_err();
    assert!(error.to_string().len() < 1_000);
}

#[test]
fn the_builder_orders_arguments_as_they_were_declared() {
    let config = minimal()
        .arg("z", ArgType::Num)
        .arg("a", ArgType::String)
        .arg("z", ArgType::Boolean)
        .build()
        .unwrap();
    assert_eq!(config.arg_orders, ArgOrders::names(["z", "a"]));
    let args = serde_json::from_value(json!({"a": "x", "z": true})).unwrap();
    let args = config.argument_plan(&Limits::default()).convert(args);
    assert_eq!(args, Ok(CallArgs::List(vec![json!(true), json!("x")])));
}

#[test]
fn the_builder_says_what_it_still_needs() {
    let error = FunConfig::builder("svc", "")
        .map_args()
        .build()
        .unwrap_err();
    let fields: Vec<_> = error.fields().collect();
    assert_eq!(fields, ["nodes", "request_type", "mfa", "arg_orders"]);
}

#[test]
fn callbacks_may_leave_out_their_arguments() {
    let config = FunConfig::from_value(with("before_execute", json!(["H", "ok"]))).unwrap();
    assert_eq!(config.before_execute, Some(Mfa::new("H", "ok")));
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(json["before_execute"], json!(["H", "ok", []]));
}

/// Every field with every form it has.
fn any_config() -> impl Strategy<Value = Value> {
    let field = |forms: Vec<Value>| select(forms);
    let callbacks = vec![
        json!(null),
        json!(["H", "f", []]),
        json!(["H", "f", [1, "x"]]),
    ];
    (
        field(vec![json!("local"), json!(["a", "b"]), json!({"resolver": ["R", "f", [[1]]]})]),
        field(vec![
            json!("random"), json!("hash"), json!({"hash": "k"}), json!("round_robin"), json!({"sticky": "k"}),
            json!({"custom": "c"}),
        ]),
        field(vec![json!(100), json!(7), json!("infinity")]),
        field(vec![
            json!([null, []]), json!([null, null]), json!([{"a": "num"}, ["a"]]),
            json!([{"a": {"type": "map", "required": ["k"]}}, "map"]), json!([{"a": "num"}, ["b", "c"]]),
        ]),
        field(vec![json!("sync"), json!("async"), json!("stream"), json!("none")]),
        field(vec![json!(false), json!("any_authenticated"), json!({"arg": "a"}), json!({"role": ["r"]})]),
        field(vec![json!(null), json!(2), json!({"same_node": 0}), json!({"all_nodes": 4})]),
        (field(callbacks.clone()), field(callbacks), any::<bool>(), any::<bool>()),
        field(vec![json!(null), json!(""), json!("0.0.0"), json!("1.0.0")]),
    )
        .prop_map(|(nodes, mode, timeout, args, response, permission, retry, more, version)| {
            json!({
                "service": "svc", "request_type": "op", "version": version, "nodes": nodes,
                "choose_node_mode": mode, "timeout": timeout, "mfa": ["T", "f", [null, {"k": 1}]],
                "arg_types": args[0], "arg_orders": args[1], "response_type": response,
                "check_permission": permission, "permission_callback": more.0, "request_info": more.2,
                "disabled": more.3, "retry": retry, "before_execute": more.1, "after_execute": null,
                "hook_timeout": 5000,
            })
        })
}

proptest! {
    #[test]
    fn the_json_form_survives_reading_and_writing(json in any_config()) {
        let config = FunConfig::from_value(json.clone()).unwrap();
        prop_assert_eq!(serde_json::to_value(&config).unwrap(), json.clone());
        let text = json.to_string();
        prop_assert_eq!(serde_json::from_str::<FunConfig>(&text).unwrap(), config);
    }

    #[test]
    fn no_json_makes_reading_a_config_panic(mut json in any_config(), odd in crate::any_json::near(&[
        "service", "request_type", "version", "nodes", "choose_node_mode", "timeout", "mfa", "arg_types",
        "arg_orders", "response_type", "check_permission", "permission_callback", "request_info", "disabled",
        "retry", "before_execute", "after_execute", "hook_timeout",
    ])) {
        let _ = FunConfig::from_value(odd.clone());
        let Value::Object(odd) = odd else { return Ok(()) };
        json.as_object_mut().unwrap().extend(odd.clone());
        match FunConfig::from_value(json) {
            Ok(config) => {
                let _ = config.validate(&Limits::default());
                let _ = config.argument_plan(&Limits::default());
            }
            Err(error) => prop_assert!(!error.faults.is_empty()),
        }
    }
}
