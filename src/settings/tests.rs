use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::{
    clock::ManualClock,
    rate_limiter::{ApiLimit, LimitKey, RateLimit, RateLimiter},
};

const ANNOTATED: &str = include_str!("../../gen_api.toml");

/// The annotated file with its examples switched on.
fn with_examples() -> String {
    let lines = ANNOTATED.lines().map(|line| {
        let example = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        example.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The faults as they print, one a line.
fn faults(loaded: Result<Settings, SettingsError>) -> Vec<String> {
    match loaded {
        Err(SettingsError::Invalid(invalid)) => {
            invalid.faults.iter().map(ToString::to_string).collect()
        }
        other => panic!("expected faults, got {other:?}"),
    }
}

fn keys(loaded: Result<Settings, SettingsError>) -> Vec<String> {
    match loaded {
        Err(SettingsError::Invalid(invalid)) => invalid.keys().map(str::to_owned).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

fn of_variables(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::loader()
        .variables(variables.iter().copied())
        .load()
}

/// The paths of all fields, those of the first item of a list included.
fn paths(json: &Json, prefix: &str, found: &mut BTreeSet<String>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{prefix}.{name}");
                paths(value, &path, found);
                found.insert(path);
            }
        }
        Json::Array(items) => {
            if let Some(item) = items.first() {
                paths(item, prefix, found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_annotated_file_holds_the_defaults() {
    assert_eq!(Settings::from_toml(ANNOTATED).unwrap(), Settings::default());
    assert_eq!(Settings::from_toml("").unwrap(), Settings::default());
}

#[test]
fn the_annotated_file_has_every_key_and_its_examples_are_valid() {
    let text = with_examples();
    let settings = Settings::from_toml(&text).unwrap();
    let (mut fields, mut written) = (BTreeSet::new(), BTreeSet::new());
    paths(&serde_json::to_value(&settings).unwrap(), "", &mut fields);
    let table: Table = text.parse().unwrap();
    paths(&serde_json::to_value(&table).unwrap(), "", &mut written);
    assert_eq!(fields, written);
    // Lists without an item would hide the keys of their items.
    assert!(fields.contains(".rate_limiter.global_limits.window_ms"));
    assert!(fields.contains(".rate_limiter.api_limits.window_ms"));
    assert!(fields.contains(".puller.services.prune"));
}

#[test]
fn the_annotated_file_lists_every_admin_action() {
    let actions = [
        AdminAction::SwitchFunctions,
        AdminAction::ChangeConfigs,
        AdminAction::ChangeServices,
        AdminAction::Pull,
        AdminAction::ChangeRateLimits,
        AdminAction::ResetRateLimits,
        AdminAction::StopStreams,
    ];
    for action in actions {
        let name = serde_json::to_string(&action).unwrap();
        assert!(ANNOTATED.contains(&name), "{name}");
        let settings = Settings::from_toml(format!("[security]\nadmin_actions = [{name}]"));
        assert!(settings.unwrap().security.allows(action));
        assert!(!Settings::default().security.allows(action));
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_its_full_path() {
    for (toml, key) in [
        ("colour = 'red'", "colour"),
        ("[engines]\nthreads = 1", "engines"),
        ("[engine]\ntreads = 1", "engine.treads"),
        ("[async_pool]\nfailure = 1", "async_pool.failure"),
        ("[stream_pool]\nsizes = 1", "stream_pool.sizes"),
        ("[arguments]\nmax = 1", "arguments.max"),
        (
            "[[rate_limiter.global_limits]]\nkey = 'a'\nmax_requests = 1\nwindow_ms = 1\nwindow = 1",
            "rate_limiter.global_limits[0].window",
        ),
    ] {
        let error = Settings::from_toml(toml);
        assert_eq!(keys(error), [key], "{toml}");
        let name = key.rsplit('.').next().unwrap();
        let text = faults(Settings::from_toml(toml)).remove(0);
        assert!(
            text.starts_with(&format!("{key}: unknown field `{name}`, expected")),
            "{text}"
        );
    }
}

#[test]
fn a_bad_value_is_an_error_that_names_its_full_path() {
    for (toml, key) in [
        ("[engine]\nthreads = 'many'", "engine.threads"),
        ("[engine]\nthreads = -1", "engine.threads"),
        ("[engine]\nthreads = 1.5", "engine.threads"),
        ("engine = 5", "engine"),
        ("[security]\ndetail_error = 'no'", "security.detail_error"),
        ("[security]\npush_token = 5", "security.push_token"),
        (
            "[security]\nfunction_allowlist = ['A', 5]",
            "security.function_allowlist[1]",
        ),
        (
            "[security]\nadmin_actions = ['everything']",
            "security.admin_actions[0]",
        ),
        ("[stream_pool]\nqueue = true", "stream_pool.queue"),
        (
            "[stream_pool]\ncooldown_ms = '3s'",
            "stream_pool.cooldown_ms",
        ),
        (
            "[[rate_limiter.global_limits]]\nkey = 'a'\nmax_requests = 1\nwindow_ms = '1s'",
            "rate_limiter.global_limits[0].window_ms",
        ),
        (
            "[[rate_limiter.api_limits]]\nkey = 'a'\nmax_requests = 1\nwindow_ms = 1\nservice = 's'",
            "rate_limiter.api_limits[0]",
        ),
        (
            "[[puller.services]]\nservice = 'users'",
            "puller.services[0]",
        ),
    ] {
        assert_eq!(keys(Settings::from_toml(toml)), [key], "{toml}");
    }
}

#[test]
fn a_value_without_sense_is_an_error_that_names_its_full_path() {
    for (toml, key) in [
        ("[engine]\nthreads = 1025", "engine.threads"),
        ("[engine]\nmax_in_flight = 0", "engine.max_in_flight"),
        (
            "[requests]\nmax_payload_bytes = 0",
            "requests.max_payload_bytes",
        ),
        (
            "[arguments]\nstring_max_bytes = 0",
            "arguments.string_max_bytes",
        ),
        (
            "[arguments]\nlist_max_items = 0",
            "arguments.list_max_items",
        ),
        ("[arguments]\nmap_max_items = 0", "arguments.map_max_items"),
        ("[streams]\nbuffer = 0", "streams.buffer"),
        ("[streams]\nbuffer_bytes = 0", "streams.buffer_bytes"),
        ("[streams]\nbuffer = 9223372036854775807", "streams.buffer"),
        ("[async_pool]\nplaces = 0", "async_pool.places"),
        ("[async_pool]\nqueue = 4294967296", "async_pool.queue"),
        ("[stream_pool]\nplaces = 0", "stream_pool.places"),
        ("[stream_pool]\ncooldown_ms = 0", "stream_pool.cooldown_ms"),
        (
            "[rate_limiter]\nsweep_interval_ms = 0",
            "rate_limiter.sweep_interval_ms",
        ),
        (
            "[[rate_limiter.global_limits]]\nkey = ''\nmax_requests = 1\nwindow_ms = 1",
            "rate_limiter.global_limits[0].key",
        ),
        (
            "[[rate_limiter.global_limits]]\nkey = 'a'\nmax_requests = 1\nwindow_ms = 0",
            "rate_limiter.global_limits[0].window_ms",
        ),
        (
            "[[rate_limiter.api_limits]]\nservice = ''\nrequest_type = 'r'\nkey = 'a'\nmax_requests = 1\nwindow_ms = 1",
            "rate_limiter.api_limits[0].service",
        ),
        ("[puller]\npull_interval_ms = 0", "puller.pull_interval_ms"),
        (
            "[puller]\npull_timeout_ms = 9223372036854775807",
            "puller.pull_timeout_ms",
        ),
        (
            "puller.services = [{service = 's', nodes = ['n'], module = 'm', function = ''}]",
            "puller.services[0].function",
        ),
        (
            "[nodes]\nresolver_timeout_ms = 0",
            "nodes.resolver_timeout_ms",
        ),
        (
            "[nodes]\nresolver_cache_ms = 9223372036854775807",
            "nodes.resolver_cache_ms",
        ),
        (
            "[nodes]\nresolver_timeout_ms = 0",
            "nodes.resolver_timeout_ms",
        ),
        (
            "[relay]\nempty_group_ttl_ms = 0",
            "relay.empty_group_ttl_ms",
        ),
        (
            "[relay]\nsweep_interval_ms = 9223372036854775807",
            "relay.sweep_interval_ms",
        ),
        ("[relay]\nmax_groups = 0", "relay.max_groups"),
        ("[relay]\nmax_members = 0", "relay.max_members"),
        ("[relay]\nmax_connections = 0", "relay.max_connections"),
        ("[relay]\nmax_memberships = 0", "relay.max_memberships"),
        ("[relay]\nmax_message_bytes = 0", "relay.max_message_bytes"),
        ("[relay]\nmax_id_bytes = 4294967296", "relay.max_id_bytes"),
        ("[security]\npush_token = ''", "security.push_token"),
        (
            "[security]\nfunction_allowlist = ['']",
            "security.function_allowlist[0]",
        ),
        (
            "[security]\nfunction_allowlist = [['A', '']]",
            "security.function_allowlist[0][1]",
        ),
    ] {
        assert_eq!(keys(Settings::from_toml(toml)), [key], "{toml}");
    }
}

#[test]
fn a_service_may_be_pulled_once_only() {
    let service = "{service = 's', nodes = ['n'], module = 'm', function = 'f'}";
    let toml = format!("puller.services = [{service}, {service}]");
    assert_eq!(
        faults(Settings::from_toml(toml)),
        ["puller.services[1].service: is named twice"]
    );
}

#[test]
fn rate_limits_that_were_taken_load_again_and_no_others_do() {
    const YEAR: u64 = 365 * 24 * 3_600 * 1_000;
    for (max, window) in [(1, 1), (u32::MAX, YEAR), (0, 1), (1, 0), (1, YEAR + 1)] {
        let limit = RateLimit::new(LimitKey::UserId, max, window);
        let limiter = RateLimiter::new(Arc::new(ManualClock::new()));
        let taken = limiter.set_global_limits(vec![limit.clone()]).is_ok();
        let mut settings = Settings::default();
        settings.rate_limiter.global_limits = vec![limit.clone()];
        assert_eq!(settings.validate().is_ok(), taken, "{max} in {window} ms");

        let mut config = limiter.config();
        config.api_limits = vec![ApiLimit::new("svc", "op", limit)];
        settings.rate_limiter = config.clone();
        let taken = limiter.update_config(config).is_ok();
        assert_eq!(settings.validate().is_ok(), taken, "{max} in {window} ms");
        settings.rate_limiter = limiter.config();
        assert!(settings.validate().is_ok());
    }
}

#[test]
fn all_faults_of_all_sources_come_at_once() {
    let loaded = Settings::loader()
        .toml(
            "
            colour = 'red'
            [engine]
            threads = 'many'
            max_in_flight = 0
            [rate_limiter]
            global_limits = [
                { key = 'a', max_requests = 1, window_ms = 1 },
                { key = 'b', max_requests = 1 },
                { key = 'c', max_requests = 'x', window_ms = true },
                { key = 'd', max_requests = 1, window_ms = 1, colour = 'red' },
            ]
            [streams]
            buffer = 0
            ",
        )
        .variables([("GEN_API__NODES__STICKY", "5")])
        .load();
    let mut found = keys(loaded);
    found.sort_unstable();
    let expected = [
        "colour",
        "engine.max_in_flight",
        "engine.threads",
        "nodes.sticky",
        "rate_limiter.global_limits[1]",
        "rate_limiter.global_limits[2].max_requests",
        "rate_limiter.global_limits[2].window_ms",
        "rate_limiter.global_limits[3].colour",
        "streams.buffer",
    ];
    assert_eq!(found, expected);
}

#[test]
fn each_pool_keeps_its_own_defaults_where_only_a_part_is_given() {
    let settings =
        Settings::from_toml("[stream_pool]\nplaces = 5\n[async_pool]\nplaces = 6").unwrap();
    assert_eq!(
        (settings.stream_pool.places, settings.stream_pool.queue),
        (5, 0)
    );
    assert_eq!(
        (settings.async_pool.places, settings.async_pool.queue),
        (6, 10_000)
    );
    let settings = Settings::from_toml("[stream_pool]\nfailures_to_open = 3").unwrap();
    assert_eq!(settings.stream_pool.places, 10_000);
    assert_eq!(settings.stream_pool.circuit.failures_to_open, 3);
    assert_eq!(settings.stream_pool.circuit.cooldown_ms, 5_000);
}

#[test]
fn a_variable_overrides_its_key_and_no_other() {
    let settings = Settings::loader()
        .toml("[engine]\nthreads = 2\nmax_in_flight = 7\n[async_pool]\nfailures_to_open = 2")
        .variables([
            ("GEN_API__ENGINE__THREADS", "3"),
            ("GEN_API__ASYNC_POOL__COOLDOWN_MS", "90"),
            ("GEN_API__SECURITY__DETAIL_ERROR", "true"),
            ("PATH", "/bin"),
            ("GEN_API_HOME", "/"),
        ])
        .load()
        .unwrap();
    assert_eq!(
        (settings.engine.threads, settings.engine.max_in_flight),
        (3, Some(7))
    );
    let circuit = &settings.async_pool.circuit;
    assert_eq!((circuit.failures_to_open, circuit.cooldown_ms), (2, 90));
    assert!(settings.security.detail_error);
}

#[test]
fn a_variable_of_a_text_is_the_text_whatever_it_looks_like() {
    for token in ["12345", "true", "\"quoted\"", "[x]", "a = 1", "1979-05-27"] {
        let settings = of_variables(&[("GEN_API__SECURITY__PUSH_TOKEN", token)]).unwrap();
        let found = settings.security.push_token.unwrap();
        assert_eq!(found.expose(), token);
    }
}

#[test]
fn a_variable_may_hold_a_list_of_tables() {
    let settings = of_variables(&[
        (
            "GEN_API__SECURITY__FUNCTION_ALLOWLIST",
            r#"["Users", ["Orders", "list"]]"#,
        ),
        (
            "GEN_API__RATE_LIMITER__GLOBAL_LIMITS",
            r#"[{key = "user_id", max_requests = 5, window_ms = 1000}]"#,
        ),
    ])
    .unwrap();
    assert_eq!(settings.security.function_allowlist.entries().len(), 2);
    let limit = crate::rate_limiter::RateLimit::new("user_id".into(), 5, 1_000);
    assert_eq!(settings.rate_limiter.global_limits, [limit]);
}

#[test]
fn a_list_replaces_a_list() {
    let settings = Settings::loader()
        .toml("security.admin_actions = ['pull', 'stop_streams']")
        .variables([("GEN_API__SECURITY__ADMIN_ACTIONS", "['change_configs']")])
        .load()
        .unwrap();
    assert_eq!(
        settings.security.admin_actions,
        [AdminAction::ChangeConfigs]
    );
}

#[test]
fn a_faulty_variable_is_an_error_that_names_key_and_variable() {
    for (name, value, start) in [
        (
            "GEN_API__ENGINE__TREADS",
            "4",
            "engine.treads (from GEN_API__ENGINE__TREADS): unknown field",
        ),
        (
            "GEN_API__ENGINES__THREADS",
            "4",
            "engines (from GEN_API__ENGINES__THREADS): unknown field",
        ),
        (
            "GEN_API__ENGINE__THREADS",
            "four",
            "engine.threads (from GEN_API__ENGINE__THREADS): invalid type",
        ),
        (
            "GEN_API__ENGINE__THREADS",
            "",
            "engine.threads (from GEN_API__ENGINE__THREADS): invalid type",
        ),
        (
            "GEN_API__ENGINE__THREADS",
            "1\nmax_in_flight = 2",
            "engine.threads (from",
        ),
        (
            "GEN_API__ENGINE",
            "4",
            "engine (from GEN_API__ENGINE): a variable is named",
        ),
        ("GEN_API__", "4", " (from GEN_API__): a variable is named"),
        (
            "GEN_API__ENGINE__",
            "4",
            "engine. (from GEN_API__ENGINE__): a variable is named",
        ),
        (
            "GEN_API__RATE_LIMITER__GLOBAL_LIMITS",
            "[{key = 'a', max_requests = 1, window_ms = 'x'}]",
            "rate_limiter.global_limits[0].window_ms (from GEN_API__RATE_LIMITER__GLOBAL_LIMITS): invalid type",
        ),
    ] {
        let found = faults(of_variables(&[(name, value)]));
        assert!(found[0].starts_with(start), "{found:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let value = OsString::from_vec(vec![0xff]);
    let loaded = Settings::loader()
        .variables([("GEN_API__ENGINE__THREADS", value)])
        .load();
    assert_eq!(keys(loaded), ["engine.threads"]);
}

#[test]
fn what_is_no_toml_is_an_error_with_its_place_and_without_its_text() {
    let error = Settings::from_toml("[security]\n  push_token = s3cret").unwrap_err();
    let SettingsError::Syntax { line, column, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*line, *column), (2, 16));
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    let twice = Settings::from_toml("[engine]\nthreads = 1\nthreads = 2").unwrap_err();
    assert!(twice.to_string().contains("line 3"), "{twice}");
}

#[test]
fn no_error_and_no_debug_form_shows_the_push_token() {
    let settings = Settings::from_toml("security.push_token = 's3cret'").unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let loader = Settings::loader().toml("security.push_token = 's3cret'");
    assert!(!format!("{loader:?}").contains("s3cret"));
    for toml in [
        "security.push_token = ['s3cret']",
        "security.push_token = {t = 's3cret'}",
    ] {
        let error = Settings::from_toml(toml).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("s3cret"));
    }
}

#[test]
fn a_file_is_read_and_a_missing_one_is_an_error_that_names_it() {
    let annotated = concat!(env!("CARGO_MANIFEST_DIR"), "/gen_api.toml");
    let settings = Settings::loader().file(annotated).load().unwrap();
    assert_eq!(settings, Settings::default());
    let error = Settings::load("/nowhere/gen_api.toml").unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/gen_api.toml"),
        "{error}"
    );
}

#[test]
fn an_overlong_value_is_not_repeated_in_full() {
    let toml = format!("engine.threads = '{}'", "x".repeat(9_000));
    assert!(Settings::from_toml(toml).unwrap_err().to_string().len() < 1_000);
}

#[test]
fn an_origin_that_is_none_is_an_error_that_names_its_place() {
    for entry in [
        "example.com",
        "https://",
        "https://a b",
        "https://a.b/path",
        "://a",
        "https://a:x",
    ] {
        let toml = format!("channel.origins = ['*', 'https://*.a.b:8443', '{entry}']");
        assert_eq!(keys(Settings::from_toml(toml)), ["channel.origins[2]"]);
    }
    let toml = "channel.max_channels = 0\nchannel.request_event = ''";
    let mut found = keys(Settings::from_toml(toml));
    found.sort_unstable();
    assert_eq!(found, ["channel.max_channels", "channel.request_event"]);
}

#[test]
fn settings_survive_their_json_form() {
    let settings = Settings::from_toml(with_examples()).unwrap();
    let json = serde_json::to_value(&settings).unwrap();
    assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
}

#[test]
fn the_default_of_threads_stands_for_the_processors_and_at_most_four() {
    let settings = Settings::default();
    assert!((1..=4).contains(&settings.engine.thread_count()));
    assert_eq!(settings.with_threads(9).engine.thread_count(), 9);
}

proptest! {
    #[test]
    fn no_variable_makes_loading_panic(
        section in "[A-Z_]{0,12}|ENGINE|SECURITY|PULLER|RATE_LIMITER",
        key in "[A-Z_]{0,12}|THREADS|PUSH_TOKEN|SERVICES|GLOBAL_LIMITS",
        value in ".{0,40}|[\\[\\]{}=,\"'a-z0-9 ]{0,40}",
    ) {
        let _ = of_variables(&[(&format!("GEN_API__{section}__{key}"), &value)]);
    }

    #[test]
    fn no_text_makes_loading_panic(
        text in ".{0,80}|(\\[?\\[?(engine|rate_limiter|global_limits|puller)\\]?\\]?[.=\n]?[{\\[ 'a0-9}\\]]{0,5}){0,8}",
    ) {
        let _ = Settings::from_toml(text);
    }
}
