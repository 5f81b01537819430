//! What is told of the configs.

use gen_api::{
    function::Functions,
    model::{FunConfig, Mfa, Nodes, PushConfig, PushOptions, PushOutcome, ServiceConfig},
    telemetry::{ConfigEvent, Event, Family},
};

use crate::fixture::{all, config, engine, hear, start};

#[tokio::test]
async fn every_change_of_the_configs_is_told_and_a_refused_one_is_not() {
    let api = start(engine(Functions::new(), [])).await;
    let mut heard = hear(api.telemetry(), Family::Config, |event| {
        let name = event.name();
        match event {
            Event::Config(ConfigEvent::BatchAdd {
                stored, rejected, ..
            }) => format!("{name} {stored} {rejected}"),
            Event::Config(
                ConfigEvent::Add {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Delete {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Enable {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Disable {
                    request_type,
                    version,
                    ..
                },
            ) => format!("{name} {request_type} {}", version.unwrap_or("unversioned")),
            _ => name.to_owned(),
        }
    });
    let db = api.config_db();
    let valid = |name: &str| config(name).build().expect("a valid config");
    let versioned = config("a").version("2.0.0").build().expect("valid");
    let mut invalid = valid("bad");
    invalid.service.clear();
    db.add(valid("a")).await.expect("it is valid");
    db.update(versioned).await.expect("it is valid");
    assert!(db.add(invalid.clone()).await.is_err());
    let report = db.batch_add(vec![valid("b"), invalid, valid("c")]).await;
    assert_eq!(report.expect("the database lives").stored, 2);
    db.disable("svc", "a", Some("2.0.0")).await.expect("there");
    db.enable("svc", "a", Some("2.0.0")).await.expect("there");
    assert!(db.enable("svc", "nothing", None).await.is_err());
    db.delete("svc", "a", None).await.expect("it lives");
    db.clear().await.expect("it lives");
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.config.add a unversioned",
            "gen_api.config.add a 2.0.0",
            "gen_api.config.batch_add 2 1",
            "gen_api.config.disable a 2.0.0",
            "gen_api.config.enable a 2.0.0",
            "gen_api.config.delete a unversioned",
            "gen_api.config.clear"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn pulls_and_pushes_of_an_engine_are_told() {
    let api = start(engine(Functions::new(), [])).await;
    let mut heard = hear(api.telemetry(), Family::Config, |event| match event {
        Event::Config(ConfigEvent::PullStart { service, .. }) => format!("pull {service}"),
        Event::Config(ConfigEvent::PullStop { service, error, .. }) => {
            format!("pulled {service}, failed {}", error.is_some())
        }
        Event::Config(ConfigEvent::Push {
            service,
            config_version,
            stored,
            ..
        }) => format!("push {service} {config_version} {stored}"),
        other => format!("unexpected: {other:?}"),
    });
    let nodes = || Nodes::list(["http://a:1"]);
    let get = FunConfig::builder("users", "get").call("Users", "get");
    let get = get.local().build().expect("a valid config");
    let push = PushConfig::new("users", nodes(), "1", [get]);
    let outcome = api.receiver().push(push, PushOptions::default()).await;
    assert_eq!(outcome, Ok(PushOutcome::Accepted));
    // After this the first round, which comes with the start, is over.
    api.puller().pull().await.expect("the puller lives");
    let service = ServiceConfig::new("orders", nodes(), Mfa::new("Configs", "all"));
    api.puller().add([service]).expect("a valid service");
    // Nothing leads to the service's node.
    api.puller().pull().await.expect("the puller lives");
    assert_eq!(
        all(&mut heard),
        [
            "push users 1 1",
            "pull orders",
            "pulled orders, failed true"
        ]
    );
    api.stop().await;
}
