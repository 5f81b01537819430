//! The engine in programs of every kind, and starts that cannot work.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join_all;
use gen_api::{
    Execute, GenApi, Settings, StartApiError, arguments::ArgType, function::Functions,
    model::Response,
};
use serde_json::Value;

use crate::fixture::{config, echo, request, start_echo};

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let twice = Functions::new()
        .register("T", "echo", echo)
        .register("T", "echo", echo);
    let error = GenApi::builder()
        .functions(twice)
        .start()
        .await
        .expect_err("registered twice");
    assert!(matches!(error, StartApiError::Functions(_)), "{error}");
    let mut config = config("echo", "echo").build().expect("valid");
    config.service = String::new();
    let error = GenApi::builder()
        .config(config)
        .start()
        .await
        .expect_err("an invalid config");
    assert!(error.to_string().contains("service"), "{error}");
    let error = GenApi::builder()
        .settings(Settings::default().with_max_payload_bytes(0))
        .start()
        .await
        .expect_err("settings without sense");
    let text = error.to_string();
    assert!(text.contains("requests.max_payload_bytes"), "{text}");
}

#[actix::test]
async fn it_embeds_under_actix() {
    serves(&start_echo().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_embeds_under_tokio_with_many_threads() {
    let api = start_echo().await;
    let call = |_| {
        let api = api.clone();
        tokio::spawn(async move { serves(&api).await })
    };
    for served in join_all((0..8).map(call)).await {
        served.expect("it serves on every thread");
    }
}

#[test]
fn it_embeds_in_a_plain_main() {
    async fn sleeps() -> Result<(), Infallible> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "sleeps", sleeps);
    let configs = [
        config("echo", "echo").arg("value", ArgType::String),
        config("sleeps", "sleeps"),
    ];
    let api = GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("valid")))
        .start_blocking()
        .expect("it starts");
    api.block_on(serves(&api));
    // Functions may use tokio's timers although this executor knows nothing of tokio.
    let reply = futures_executor(api.execute(request("r", "sleeps")));
    assert_eq!(reply.response, Some(Response::sync("r", Value::Null)));
    api.block_on(api.stop());
}

/// An executor that is no tokio runtime: a stream's first item, polled by a thread that parks.
pub(crate) fn futures_executor<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

async fn serves(api: &GenApi) {
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
    let reply = api
        .executor(1)
        .call(Execute::new(request("r", "echo").with_arg("value", "hi")));
    assert_eq!(
        reply.await.expect("an executor serves").response,
        Some(Response::sync("r", "hi"))
    );
}
