//! What is told of the engine's actors.

use gen_api::{
    function::Functions,
    telemetry::{Event, Family, SupervisorEvent, Telemetry},
};

use crate::fixture::{all, engine, hear, start};

#[tokio::test]
async fn the_actors_of_the_engine_are_told_of_from_their_first_start() {
    let telemetry = Telemetry::new();
    let mut heard = hear(&telemetry, Family::Supervisor, |event| {
        let name = event.name();
        match event {
            Event::Supervisor(
                SupervisorEvent::ChildStarted {
                    supervisor, child, ..
                }
                | SupervisorEvent::ChildRestarted {
                    supervisor, child, ..
                },
            ) => format!("{name} {supervisor}/{child}"),
            Event::Supervisor(SupervisorEvent::ChildTerminated {
                supervisor,
                child,
                reason,
                ..
            }) => format!("{name} {supervisor}/{child} {reason}"),
            other => format!("unexpected: {other:?}"),
        }
    });
    let api = start(engine(Functions::new(), []).telemetry(telemetry)).await;
    let started = all(&mut heard);
    for child in ["config_db", "executors/executor-0", "executors"] {
        let words = format!("gen_api.supervisor.child.started gen_api/{child}");
        assert!(started.contains(&words), "{words} in {started:?}");
    }
    api.config_db().actor().kill().await;
    for words in [
        "gen_api.supervisor.child.terminated gen_api/config_db killed",
        "gen_api.supervisor.child.started gen_api/config_db",
        "gen_api.supervisor.child.restarted gen_api/config_db",
    ] {
        assert_eq!(heard.recv().await.as_deref(), Some(words));
    }
    api.stop().await;
}
