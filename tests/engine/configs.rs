//! Configs that come and go while requests run.

use std::{sync::Arc, time::Duration};

use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    clock::ManualClock,
    config::{AddError, AllowedFunction, Allowlist, FailedFilter, FailedSource, LookupError},
    function::Functions,
    model::FunConfigBuilder,
};

use crate::fixture::{config, echo, request, start};

#[tokio::test]
async fn a_look_for_a_config_agrees_with_what_a_request_meets() {
    let echo_config = |request_type| config(request_type, "echo").arg("value", ArgType::String);
    let api = start(
        Functions::new().register("T", "echo", echo),
        [
            echo_config("echo").version("1.0.0"),
            echo_config("echo").version("2.0.0").disabled(),
            echo_config("off").disabled(),
        ],
    )
    .await;
    let asked = [
        ("echo", None, Ok(())),
        ("echo", Some("0.0.0"), Ok(())),
        ("echo", Some("1.0.0"), Ok(())),
        ("echo", Some("2.0.0"), Err(LookupError::Disabled)),
        ("echo", Some("3.0.0"), Err(LookupError::NotFound)),
        ("off", None, Err(LookupError::Disabled)),
        ("unknown", None, Err(LookupError::NotFound)),
    ];
    for (request_type, version, expected) in asked {
        let found = api.config_db().answers("svc", request_type, version);
        assert_eq!(found, expected, "{request_type} {version:?}");
        let mut request = request("r", request_type).with_arg("value", "hi");
        request.version = version.map(str::to_owned);
        let response = api.execute(request).await.response.expect("it is sync");
        assert_eq!(
            response.success,
            found.is_ok(),
            "{request_type} {version:?}"
        );
    }
    api.stop().await;
}

#[tokio::test]
async fn configs_change_while_requests_run() {
    let functions = Functions::new().register("T", "echo", echo);
    let api = start(functions, []).await;
    let call = || api.execute(request("r", "echo").with_arg("value", "hi"));
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.is_error())
    );
    let config = config("echo", "echo")
        .arg("value", ArgType::String)
        .version("1.0.0");
    api.config_db()
        .add(config.build().expect("valid"))
        .await
        .expect("stored");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.success)
    );
    api.config_db()
        .disable("svc", "echo", Some("1.0.0"))
        .await
        .expect("known");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.is_error())
    );
    api.config_db().actor().kill().await;
    api.config_db()
        .enable("svc", "echo", Some("1.0.0"))
        .await
        .expect("the kill lost nothing");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.success)
    );
    api.stop().await;
}

#[tokio::test]
async fn what_this_process_may_not_store_is_noted_for_a_day_with_its_reasons() {
    let clock = ManualClock::new();
    let allowed = Allowlist::new([AllowedFunction::Module("T".to_owned())]);
    let api = GenApi::builder()
        .settings(
            Settings::default()
                .with_threads(1)
                .with_function_allowlist(allowed),
        )
        .clock(Arc::new(clock.clone()))
        .start()
        .await
        .expect("it starts");
    let valid = |name: &str| config(name, "echo").build().expect("a valid config");
    let invalid = |name: &str| {
        let mut invalid = valid(name);
        invalid.hook_timeout = 0;
        invalid.version = Some(String::new());
        invalid
    };
    let forbidden = |name: &str| {
        let mut forbidden = valid(name);
        forbidden.mfa.module = "Elsewhere".to_owned();
        forbidden
    };
    let db = api.config_db();
    db.add(valid("fine")).await.expect("it is valid");
    assert!(db.add(invalid("added")).await.is_err());
    let refused = db.update(forbidden("updated")).await;
    assert!(
        matches!(refused, Err(AddError::NotAllowed(_))),
        "{refused:?}"
    );
    let batch = vec![invalid("first"), valid("second"), forbidden("third")];
    let report = db.batch_add(batch).await.expect("it lives");
    assert_eq!((report.stored, report.rejected.len()), (1, 2));

    let failed = api.failed_configs();
    let notes = failed.list(&FailedFilter::default().oldest_first());
    let names: Vec<_> = notes
        .iter()
        .map(|note| note.request_type.as_deref())
        .collect();
    assert_eq!(names, ["added", "updated", "first", "third"].map(Some));
    for note in &notes {
        assert_eq!(note.source, FailedSource::Local);
        assert_eq!((note.service.as_deref(), &note.node), (Some("svc"), &None));
    }
    let fields = |reasons: &[String]| {
        let fields = reasons.iter().filter_map(|reason| reason.split(':').next());
        fields.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fields(&notes[0].reasons), ["version", "hook_timeout"]);
    assert_eq!(
        notes[1].reasons,
        ["the function Elsewhere.echo is not on the allowlist"]
    );
    let table = failed.to_string();
    assert_eq!(table.lines().count(), 5, "{table}");

    clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(failed.count(), 0);
    api.stop().await;
}

#[tokio::test]
async fn two_configs_of_one_key_do_not_start() {
    let twice = [config("echo", "echo"), config("echo", "echo")]
        .map(gen_api::model::FunConfigBuilder::build);
    let builder = twice
        .into_iter()
        .fold(GenApi::builder(), |builder, config| {
            builder.config(config.expect("a valid config"))
        });
    let functions = Functions::new().register("T", "echo", echo);
    let error = builder.functions(functions).start().await.expect_err("two");
    let text = "there are two configs `svc/echo` of version none";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_strict_start_refuses_configs_that_cannot_be_called() {
    let base = || config("echo", "echo").arg("value", ArgType::String);
    let faults = [
        (
            base().call("T", "eco"),
            "its function T.eco is not registered",
        ),
        (
            base().arg("other", ArgType::Num),
            "its function T.echo has arity 1, but is called with 2",
        ),
        (
            base().before_execute(("T", "none")),
            "its before hook T.none is not registered",
        ),
        (
            base().after_execute(("T", "echo")),
            "its after hook T.echo has arity 1, but is called with 3",
        ),
        (
            base().permission_callback(("T", "two")),
            "its permission callback T.two has arity 2, but is called with 1",
        ),
        (
            base().resolver(("T", "none")),
            "its resolver T.none is not registered",
        ),
    ];
    let start = async |config: FunConfigBuilder, is_strict| {
        let functions = Functions::new().register("T", "echo", echo).register(
            "T",
            "two",
            async |_: bool, _: bool| Ok::<_, std::convert::Infallible>(()),
        );
        let builder = GenApi::builder()
            .functions(functions)
            .settings(Settings::default().with_threads(1))
            .config(config.build().expect("a valid config"));
        let builder = if is_strict {
            builder.strict_configs()
        } else {
            builder
        };
        builder.start().await
    };
    for (config, reason) in faults {
        let error = start(config.clone(), true).await.expect_err(reason);
        let text = format!("the config `svc/echo` cannot be called: {reason}");
        assert_eq!(error.to_string(), text);
        assert!(start(config, false).await.is_ok(), "{reason}");
    }
    assert!(start(base(), true).await.is_ok());
}
