use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use actix_otp::ExitReason;
use parking_lot::Mutex;

use super::*;

/// One event of every kind.
pub(super) fn with_every_event(mut visit: impl FnMut(Event<'_>)) {
    let duration = Duration::from_millis(3);
    let text = "because";
    let reason = Reason::new(&text);
    let request = RequestTags {
        request_id: "r",
        service: "s",
        request_type: "t",
        version: None,
    };
    let (service, request_type, version) = ("s", "t", Some("1.0.0"));
    let (supervisor, child, incarnation) = ("root", "worker", 2);
    let (pool, request_id) = ("async", "r");
    let killed = ExitReason::Killed;

    visit(ExecutorEvent::RequestStart { request }.into());
    for outcome in [Outcome::Success, Outcome::Unsupported] {
        let response_type = (outcome == Outcome::Success).then(Default::default);
        visit(
            ExecutorEvent::RequestStop {
                request,
                response_type,
                duration,
                outcome,
            }
            .into(),
        );
    }
    visit(
        ExecutorEvent::RequestException {
            request,
            response_type: Some(Default::default()),
            duration,
            kind: ExceptionKind::Timeout,
            reason,
        }
        .into(),
    );
    visit(
        ExecutorEvent::RequestCancelled {
            request,
            response_type: None,
            duration,
        }
        .into(),
    );
    visit(
        ExecutorEvent::PermissionDenied {
            request,
            user_id: Some("ann"),
            mode: "role",
        }
        .into(),
    );
    visit(
        ExecutorEvent::Retry {
            request,
            attempt: 1,
            limit: 2,
            delay: duration,
            reason,
        }
        .into(),
    );
    visit(
        ExecutorEvent::RetryExhausted {
            request,
            calls: 3,
            reason,
        }
        .into(),
    );
    visit(
        RateLimiterEvent::Check {
            service: Some("s"),
            request_type: Some("t"),
            passed: false,
        }
        .into(),
    );
    visit(
        RateLimiterEvent::Exceeded {
            key: "user_id",
            service: None,
            request_type: None,
            max_requests: 1,
            current_requests: 1,
            window: duration,
            retry_after: duration,
        }
        .into(),
    );
    visit(
        RateLimiterEvent::Reset {
            key: "user_id",
            value: "ann",
            service: None,
            request_type: None,
        }
        .into(),
    );
    visit(
        RateLimiterEvent::Cleanup {
            removed: 1,
            remaining: 7,
        }
        .into(),
    );
    for phase in [HookPhase::Before, HookPhase::After] {
        let hook = HookCall {
            phase,
            request,
            module: "M",
            function: "f",
        };
        visit(HookEvent::Start { hook }.into());
        visit(
            HookEvent::Stop {
                hook,
                duration,
                rejected: false,
            }
            .into(),
        );
        visit(HookEvent::Cancelled { hook, duration }.into());
        visit(
            HookEvent::Exception {
                hook,
                duration,
                kind: ExceptionKind::Panic,
                reason,
            }
            .into(),
        );
    }
    visit(
        WorkerPoolEvent::TaskStart {
            pool,
            waited: duration,
        }
        .into(),
    );
    visit(
        WorkerPoolEvent::TaskStop {
            pool,
            duration,
            outcome: TaskOutcome::Success,
        }
        .into(),
    );
    visit(
        WorkerPoolEvent::TaskException {
            pool,
            duration,
            kind: ExceptionKind::Panic,
        }
        .into(),
    );
    visit(
        WorkerPoolEvent::TaskRejected {
            pool,
            rejection: Rejection::QueueFull,
        }
        .into(),
    );
    visit(
        WorkerPoolEvent::CircuitOpen {
            pool,
            cooldown: duration,
        }
        .into(),
    );
    visit(WorkerPoolEvent::CircuitHalfOpen { pool }.into());
    visit(WorkerPoolEvent::CircuitClose { pool }.into());
    visit(ConfigEvent::PullStart { service }.into());
    visit(
        ConfigEvent::PullStop {
            service,
            duration,
            stored: 1,
            rejected: 0,
            error: Some(reason),
        }
        .into(),
    );
    visit(
        ConfigEvent::Push {
            service,
            config_version: "1",
            stored: 1,
            error: None,
        }
        .into(),
    );
    visit(
        ConfigEvent::Add {
            service,
            request_type,
            version,
        }
        .into(),
    );
    visit(
        ConfigEvent::BatchAdd {
            stored: 2,
            rejected: 1,
        }
        .into(),
    );
    visit(
        ConfigEvent::Delete {
            service,
            request_type,
            version,
        }
        .into(),
    );
    visit(ConfigEvent::Clear.into());
    visit(
        ConfigEvent::Enable {
            service,
            request_type,
            version,
        }
        .into(),
    );
    visit(
        ConfigEvent::Disable {
            service,
            request_type,
            version,
        }
        .into(),
    );
    visit(
        StreamEvent::Start {
            request_id,
            service,
            request_type,
            open: 4,
        }
        .into(),
    );
    visit(
        StreamEvent::Stop {
            request_id,
            service,
            request_type,
            duration,
            chunks: 5,
            end: StreamEnd::Complete,
            open: 3,
        }
        .into(),
    );
    visit(
        SupervisorEvent::ChildStarted {
            supervisor,
            child,
            incarnation,
        }
        .into(),
    );
    visit(
        SupervisorEvent::ChildTerminated {
            supervisor,
            child,
            incarnation,
            reason: &killed,
        }
        .into(),
    );
    visit(
        SupervisorEvent::ChildRestarted {
            supervisor,
            child,
            incarnation,
        }
        .into(),
    );
    visit(
        SupervisorEvent::GaveUp {
            supervisor,
            child,
            reason: &killed,
        }
        .into(),
    );
    with_every_relay_event(|event| visit(event.into()));
}

fn with_every_relay_event(mut visit: impl FnMut(RelayEvent<'_>)) {
    let (group_id, actor_id, user_id) = ("g", "ann", "bob");
    visit(RelayEvent::Created {
        group_id,
        group_type: "public",
        user_id,
        groups: 8,
    });
    visit(RelayEvent::Joined {
        group_id,
        user_id,
        status: "pending",
    });
    for cause in [LeaveCause::Asked, LeaveCause::ConnectionEnded] {
        visit(RelayEvent::Left {
            group_id,
            user_id,
            cause,
        });
    }
    visit(RelayEvent::Accepted {
        group_id,
        actor_id,
        user_id,
    });
    visit(RelayEvent::Muted {
        group_id,
        actor_id,
        user_id,
    });
    visit(RelayEvent::Unmuted {
        group_id,
        actor_id,
        user_id,
    });
    visit(RelayEvent::Sent {
        group_id,
        user_id,
        recipients: 4,
        missed: 1,
    });
    visit(RelayEvent::Deleted {
        group_id,
        members: 4,
        groups: 7,
    });
    visit(RelayEvent::Cleanup {
        removed: 1,
        remaining: 6,
    });
}

/// Writes down the names of the events it hears, after a word of its own.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn handler(&self, word: &'static str) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let notes = Arc::clone(&self.0);
        move |event| notes.lock().push(format!("{word} {}", event.name()))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

fn emit_clear(telemetry: &Telemetry) {
    telemetry.emit(Family::Config, || ConfigEvent::Clear);
}

fn heard_through(filter: Filter) -> BTreeSet<&'static str> {
    let telemetry = Telemetry::new();
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let notes = Arc::clone(&heard);
    let note = move |event: &Event<'_>| {
        notes.lock().insert(event.name());
    };
    telemetry.attach("notes", filter, note).expect("a free id");
    with_every_event(|event| telemetry.emit(event.family(), || event));
    let heard = heard.lock();
    heard.clone()
}

#[test]
fn each_event_has_one_of_the_names_of_its_family_and_each_name_an_event() {
    let mut seen = BTreeSet::new();
    with_every_event(|event| {
        assert!(event.family().event_names().contains(&event.name()));
        seen.insert(event.name());
    });
    let listed = Family::ALL.iter().flat_map(|family| family.event_names());
    let listed: Vec<_> = listed.copied().collect();
    assert_eq!(seen.len(), listed.len(), "a name occurs twice");
    assert_eq!(seen, listed.into_iter().collect());
}

#[test]
fn the_table_of_the_docs_lists_every_event() {
    let docs = include_str!("../telemetry.rs");
    for name in Family::ALL.iter().flat_map(|family| family.event_names()) {
        let row = |line: &str| line.starts_with("//! | `") && line.contains(&format!("`{name}`"));
        assert!(docs.lines().any(row), "{name} is missing");
    }
}

#[test]
fn a_family_filter_lets_its_families_through_and_no_other() {
    let heard = heard_through(Filter::families([Family::Stream, Family::RateLimiter]));
    let expected = [Family::Stream, Family::RateLimiter]
        .iter()
        .flat_map(|family| family.event_names())
        .copied()
        .collect();
    assert_eq!(heard, expected);
    let everything = Family::ALL.iter().flat_map(|family| family.event_names());
    assert_eq!(heard_through(Filter::all()), everything.copied().collect());
}

#[test]
fn a_name_filter_lets_whole_parts_of_names_through() {
    let heard = |prefix: &str| heard_through(Filter::named(prefix));
    assert_eq!(
        heard("gen_api.worker_pool.circuit"),
        [
            "gen_api.worker_pool.circuit.close",
            "gen_api.worker_pool.circuit.half_open",
            "gen_api.worker_pool.circuit.open"
        ]
        .into()
    );
    assert_eq!(
        heard("gen_api.request.retry"),
        ["gen_api.request.retry"].into()
    );
    assert_eq!(heard("gen_api"), heard_through(Filter::all()));
    assert_eq!(heard("gen_api.nothing"), [].into());
    assert_eq!(heard("gen_api.reque"), [].into());
}

#[test]
fn an_event_that_nobody_listens_to_is_not_made() {
    let telemetry = Telemetry::new();
    let made = |family| {
        let mut made = false;
        telemetry.emit(family, || {
            made = true;
            ConfigEvent::Clear
        });
        made
    };
    assert!(!made(Family::Config));
    telemetry
        .attach("streams", Family::Stream, |_| {})
        .expect("a free id");
    assert!(!made(Family::Config));
    telemetry
        .attach("adds", Filter::named("gen_api.config.add"), |_| {})
        .expect("a free id");
    assert!(made(Family::Config));
    assert!(telemetry.detach("adds"));
    assert!(!made(Family::Config));
}

#[test]
fn handlers_are_called_in_the_order_in_which_they_were_attached() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    for word in ["c", "a", "b"] {
        let attached = telemetry.attach(word, Filter::all(), notes.handler(word));
        attached.expect("a free id");
    }
    emit_clear(&telemetry);
    assert_eq!(
        notes.take(),
        [
            "c gen_api.config.clear",
            "a gen_api.config.clear",
            "b gen_api.config.clear"
        ]
    );
    let ids: Vec<_> = telemetry.handlers().into_iter().map(|h| h.id).collect();
    assert_eq!(ids, ["c".into(), "a".into(), "b".into()]);
}

#[test]
fn an_id_is_taken_until_its_handler_is_detached() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    let attach = |word| telemetry.attach("id", Filter::all(), notes.handler(word));
    attach("first").expect("a free id");
    assert_eq!(
        attach("second").map_err(|error| error.to_string()),
        Err("a telemetry handler with the id `id` is attached already; detach it first".to_owned())
    );
    emit_clear(&telemetry);
    assert!(telemetry.detach("id"));
    assert!(!telemetry.detach("id"));
    emit_clear(&telemetry);
    attach("third").expect("a free id");
    emit_clear(&telemetry);
    assert_eq!(
        notes.take(),
        ["first gen_api.config.clear", "third gen_api.config.clear"]
    );
}

#[test]
fn a_handler_that_panics_is_detached_and_the_others_hear_the_event() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    let careless = |_: &Event<'_>| panic!("careless");
    telemetry
        .attach("careless", Filter::all(), careless)
        .expect("a free id");
    telemetry
        .attach("careful", Filter::all(), notes.handler("careful"))
        .expect("a free id");
    emit_clear(&telemetry);
    assert_eq!(notes.take(), ["careful gen_api.config.clear"]);
    let ids: Vec<_> = telemetry.handlers().into_iter().map(|h| h.id).collect();
    assert_eq!(ids, ["careful".into()]);
}

#[test]
fn a_handler_may_replace_itself_and_its_panic_does_not_meet_its_successor() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    let inside = telemetry.clone();
    let successor = notes.clone();
    let first = move |_: &Event<'_>| {
        assert!(inside.detach("id"));
        let attached = inside.attach("id", Filter::all(), successor.handler("successor"));
        attached.expect("the id is free again");
        panic!("after all");
    };
    telemetry
        .attach("id", Filter::all(), first)
        .expect("a free id");
    emit_clear(&telemetry);
    assert!(notes.take().is_empty());
    emit_clear(&telemetry);
    assert_eq!(notes.take(), ["successor gen_api.config.clear"]);
}

#[test]
fn a_handler_detached_by_one_before_it_does_not_hear_the_same_event() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    let inside = telemetry.clone();
    let detach = move |_: &Event<'_>| {
        inside.detach("second");
    };
    telemetry
        .attach("first", Filter::all(), detach)
        .expect("a free id");
    telemetry
        .attach("second", Filter::all(), notes.handler("second"))
        .expect("a free id");
    emit_clear(&telemetry);
    assert!(notes.take().is_empty());
}

#[test]
fn a_handler_may_emit_events() {
    let (telemetry, notes) = (Telemetry::new(), Notes::default());
    let inside = telemetry.clone();
    let forward = move |_: &Event<'_>| {
        inside.emit(Family::Stream, || StreamEvent::Start {
            request_id: "r",
            service: "s",
            request_type: "t",
            open: 1,
        });
    };
    telemetry
        .attach("forward", Family::Config, forward)
        .expect("a free id");
    telemetry
        .attach("notes", Filter::all(), notes.handler("heard"))
        .expect("a free id");
    emit_clear(&telemetry);
    assert_eq!(
        notes.take(),
        ["heard gen_api.stream.start", "heard gen_api.config.clear"]
    );
}

#[test]
fn no_event_is_lost_while_others_attach_and_detach() {
    const EVENTS: u64 = 2_000;
    let telemetry = Telemetry::new();
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    let count = move |_: &Event<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    telemetry
        .attach("count", Family::Config, count)
        .expect("a free id");
    thread::scope(|scope| {
        for id in ["x", "y"] {
            let telemetry = &telemetry;
            scope.spawn(move || {
                for _ in 0..EVENTS {
                    emit_clear(telemetry);
                }
            });
            scope.spawn(move || {
                for _ in 0..EVENTS {
                    telemetry
                        .attach(id, Family::Stream, |_| {})
                        .expect("a free id");
                    assert!(telemetry.detach(id));
                }
            });
        }
    });
    assert_eq!(heard.load(Ordering::Relaxed), 2 * EVENTS);
}

#[test]
fn a_reason_is_shown_as_its_text() {
    let error = "disk \"full\"";
    let reason = Reason::new(&error);
    assert_eq!(reason.to_string(), "disk \"full\"");
    assert_eq!(format!("{reason:?}"), r#""disk \"full\"""#);
}
