//! Configs that come and go while requests run.

use gen_api::{arguments::ArgType, config::LookupError, function::Functions};

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
