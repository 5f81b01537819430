use proptest::prelude::*;
use serde_json::json;

use super::*;

fn function(service: &str) -> FunConfig {
    let config = FunConfig::builder(service, "get").call("T", "echo").local();
    config.build().unwrap()
}

fn push() -> PushConfig {
    PushConfig::new("users", Nodes::list(["n1@h"]), "1.0.0", [function("users")])
}

fn fields(error: &InvalidConfig) -> Vec<&str> {
    error.fields().collect()
}

#[test]
fn a_push_survives_its_json_form_with_its_token() {
    let push = push().with_token("s3cret");
    let json = serde_json::to_value(&push).unwrap();
    assert_eq!(json["push_token"], "s3cret");
    assert_eq!(PushConfig::from_value(json), Ok(push));
}

#[test]
fn the_token_shows_neither_in_debug_output_nor_in_errors() {
    let shown = format!(
        "{:?} {:#?}",
        push().with_token("s3cret"),
        PushToken::from("s3cret")
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    for token in [json!(7_351), json!(["7351"])] {
        let mut json = serde_json::to_value(push()).unwrap();
        json["push_token"] = token;
        let error = PushConfig::from_value(json).unwrap_err();
        assert_eq!(fields(&error), ["push_token"]);
        assert!(!error.to_string().contains("7351"), "{error}");
    }
}

#[test]
fn all_faults_of_a_push_come_together() {
    let error = PushConfig::new("", Nodes::list::<&str>([]), "", [])
        .validate(&Limits::default())
        .unwrap_err();
    assert_eq!(
        fields(&error),
        ["service", "config_version", "nodes", "fun_configs"]
    );

    let error = PushConfig::from_value(json!({
        "service": "users", "nodes": "n1@h", "config_version": "", "colour": "red",
        "fun_configs": [{"service": "users"}, serde_json::to_value(function("users")).unwrap()],
    }))
    .unwrap_err();
    for field in ["nodes", "config_version", "colour", "fun_configs"] {
        assert!(fields(&error).contains(&field), "{field}: {error}");
    }
}

#[test]
fn an_unreadable_function_does_not_hide_the_faults_of_the_others() {
    let json = |config: &FunConfig| serde_json::to_value(config).unwrap();
    let mut slow = json(&function("users"));
    slow["timeout"] = json!(1);
    let mut push = serde_json::to_value(push()).unwrap();
    push["fun_configs"] = json!([
        "odd",
        json(&function("users")),
        slow,
        json(&function("shop"))
    ]);
    let error = PushConfig::from_value(push).unwrap_err();
    let reasons: Vec<_> = error
        .faults
        .iter()
        .map(|fault| fault.reason.as_str())
        .collect();
    assert_eq!(reasons.len(), 3, "{error}");
    assert_eq!(reasons[0], "[0] config: must be an object");
    assert!(reasons[1].starts_with("[2] \"get\": timeout"), "{error}");
    assert!(reasons[2].starts_with("[3] \"get\": service"), "{error}");
}

#[test]
fn an_unreadable_service_is_the_only_fault_about_services() {
    let mut json = serde_json::to_value(push()).unwrap();
    json["service"] = json!(5);
    let error = PushConfig::from_value(json).unwrap_err();
    assert_eq!(fields(&error), ["service"]);
}

#[test]
fn a_function_of_another_service_is_a_fault_of_the_push() {
    let mut push = push();
    push.fun_configs.push(function("shop"));
    let error = push.validate(&Limits::default()).unwrap_err();
    assert_eq!(fields(&error), ["fun_configs"]);
    let text = error.to_string();
    assert!(text.contains("[1] \"get\": service: \"shop\""), "{text}");
}

#[test]
fn a_pushed_function_may_say_unversioned_by_the_reserved_version_but_not_by_an_empty_one() {
    let mut push = push();
    push.fun_configs[0].version = Some(RESERVED_VERSION.to_owned());
    assert_eq!(push.validate(&Limits::default()), Ok(()));
    push.fun_configs[0].version = Some(String::new());
    let error = push.validate(&Limits::default()).unwrap_err();
    assert_eq!(fields(&error), ["fun_configs"]);
}

#[test]
fn a_push_is_pulled_too_only_where_module_and_function_are_given() {
    let mut push = push();
    assert_eq!(push.service_config(), None);
    push.module = Some("Sup".to_owned());
    assert_eq!(push.service_config(), None);
    push.function = Some("get_config".to_owned());
    push.prune = true;
    let service = push.service_config().unwrap();
    assert_eq!(service.configs(), Mfa::new("Sup", "get_config"));
    assert_eq!(service.version_check(), None);
    assert_eq!(service.validate(), Ok(()));
    let again = PushConfig::from_service_config(service, "1.0.0", [function("users")]);
    assert_eq!(again, push);
}

#[test]
fn a_service_config_needs_names_and_nodes() {
    let error = ServiceConfig::from_value(json!({"service": "", "nodes": "local", "prune": null}))
        .unwrap_err();
    let mut fields = fields(&error);
    fields.sort_unstable();
    assert_eq!(fields, ["function", "module", "nodes", "prune", "service"]);
    let json = json!({
        "service": "users", "nodes": [], "module": "Sup", "function": "get", "args": [1],
        "version_module": "Sup", "version_function": null, "version_args": null, "prune": true,
    });
    let config = ServiceConfig::from_value(json).unwrap();
    assert_eq!(config.version_check(), None);
    assert_eq!(
        config.validate().unwrap_err().fields().collect::<Vec<_>>(),
        ["nodes"]
    );
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(ServiceConfig::from_value(json), Ok(config));
}

proptest! {
    #[test]
    fn no_json_makes_reading_a_push_or_a_service_panic(json in crate::any_json::near(&[
        "service", "nodes", "config_version", "fun_configs", "module", "function", "args", "version_module",
        "version_function", "version_args", "prune", "push_token",
    ])) {
        if let Ok(push) = PushConfig::from_value(json.clone()) {
            let _ = (push.validate(&Limits::default()), push.service_config());
        }
        if let Ok(service) = ServiceConfig::from_value(json) {
            let _ = (service.validate(), service.version_check());
        }
    }
}
