//! Code of the embedder that panics, and whose panic carries something that panics when it is dropped.

use std::{convert::Infallible, panic::panic_any, task::Poll};

use futures_util::{Stream, stream};
use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    function::{FunctionError, Functions},
    model::{
        ChooseNodeMode, FunConfig, Request, Response,
        connection::{Connection, Outlet, PushError},
    },
    node::{Node, Selection},
    telemetry::{Event, Filter},
};
use serde::{Serialize, Serializer};

use crate::fixture::{config, echo, request};

/// Panics when it is dropped, with another one of its kind as long as there are some left.
struct Bomb(u8);

impl Drop for Bomb {
    fn drop(&mut self) {
        match self.0.checked_sub(1) {
            Some(left) => panic_any(Bomb(left)),
            None => panic!("the last one"),
        }
    }
}

fn explode() -> ! {
    panic_any(Bomb(2))
}

/// A result that panics when it is dropped.
struct Explosive {
    _bomb: Bomb,
}

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

async fn explodes() -> Result<(), Infallible> {
    explode()
}

async fn explodes_before(_: Request, _: FunConfig) -> Result<Request, FunctionError> {
    explode()
}

async fn explodes_after(_: Request, _: FunConfig, _: Response) -> Result<Response, FunctionError> {
    explode()
}

async fn explosive() -> Result<Explosive, Infallible> {
    Ok(Explosive { _bomb: Bomb(1) })
}

fn blocks() -> Result<(), Infallible> {
    explode()
}

async fn chunks() -> Result<impl Stream<Item = Result<u8, Infallible>>, Infallible> {
    Ok(stream::poll_fn(|_| -> Poll<Option<_>> { explode() }))
}

async fn start() -> GenApi {
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "explodes", explodes)
        .register("T", "explosive", explosive)
        .register_blocking("T", "blocks", blocks)
        .register_stream("T", "chunks", chunks)
        .register("T", "before", explodes_before)
        .register("T", "after", explodes_after);
    let bad = ChooseNodeMode::Custom("bad".to_owned());
    let configs = [
        config("sync", "explodes"),
        config("drop", "explosive"),
        config("blocking", "blocks"),
        config("async", "explodes").asynchronous(),
        config("stream", "chunks").stream(),
        config("handle", "explodes").stream(),
        config("hook", "explodes").before_execute(("T", "before")),
        config("callback", "explodes").permission_callback(("T", "explodes")),
        config("selector", "explodes")
            .nodes(["n"])
            .choose_node_mode(bad),
        config("works", "echo")
            .arg("value", ArgType::String)
            .after_execute(("T", "after")),
    ];
    let select = |_: &Request, _: &FunConfig, _: &[Node]| -> Selection { explode() };
    let builder = GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("a valid config")))
        .node_selector("bad", select)
        .settings(Settings::default().with_threads(1));
    builder.start().await.expect("the engine starts")
}

async fn works(api: &GenApi) {
    let request = request("r", "works").with_arg("value", "still");
    let response = api.execute(request).await.response;
    assert_eq!(response, Some(Response::sync("r", "still")));
}

#[tokio::test]
async fn a_panic_whose_payload_panics_when_dropped_costs_its_own_request_alone() {
    let api = start().await;
    for (request_type, error) in [
        ("sync", "Internal Server Error"),
        ("drop", "Internal Server Error"),
        ("blocking", "Internal Server Error"),
        ("async", "Internal Server Error"),
        ("stream", "Internal Server Error"),
        ("handle", "Internal Server Error"),
        ("hook", "hook rejected: hook failed"),
        ("callback", "Permission denied"),
        ("selector", "Internal Server Error"),
    ] {
        let responses = api
            .execute(request("r", request_type))
            .await
            .collect()
            .await;
        let last = responses.last().and_then(|last| last.error.as_deref());
        assert_eq!(last, Some(error), "{request_type}");
        works(&api).await;
    }
    api.stop().await;
}

#[tokio::test]
async fn a_telemetry_handler_is_kept_in_when_it_panics_and_when_it_is_dropped() {
    let api = start().await;
    let bomb = Bomb(2);
    let handler = move |_: &Event<'_>| {
        let _ = &bomb;
        explode()
    };
    let attached = api.telemetry().attach("bad", Filter::all(), handler);
    assert_eq!(attached, Ok(()));
    works(&api).await;
    assert!(api.telemetry().handlers().is_empty());

    let bomb = Bomb(2);
    let quiet = move |_: &Event<'_>| {
        let _ = &bomb;
    };
    let attached = api.telemetry().attach("quiet", Filter::all(), quiet);
    assert_eq!(attached, Ok(()));
    assert!(api.telemetry().detach("quiet"));
    works(&api).await;
    api.stop().await;
}

#[test]
fn an_outlet_that_panics_ends_its_connection_alone() {
    struct Bad;
    impl Outlet for Bad {
        fn push(&self, _: Response) -> Result<(), PushError> {
            explode()
        }
    }
    let connection = Connection::new(Bad);
    assert_eq!(
        connection.push(Response::sync("r", 1)),
        Err(PushError::Gone)
    );
    assert!(connection.is_ended());
}
