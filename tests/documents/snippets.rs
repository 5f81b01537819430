//! The snippets of the README, each within what it takes to compile.

#![expect(dead_code, reason = "they are compiled, not run")]

use std::error::Error;

use actix_web::App;
use gen_api::{
    GenApi, GenApiBuilder,
    channel::{Channel, ChannelEndpoint, Denied, Session},
    function::FunctionError,
    model::{FunConfig, FunConfigBuilder},
    rate_limiter::{InvalidLimit, LimitKey, RateLimit},
    telemetry::{AlreadyAttached, Filter},
};

mod annotation {
    use super::FunctionError;

    #[gen_api::function(service = "users", version = "1.0.0", permission(any_authenticated))]
    async fn greet(
        id: u64,
        #[arg(default = "Hello")] greeting: String,
    ) -> Result<String, FunctionError> {
        Ok(format!("{greeting}, user {id}!"))
    }
}

pub(crate) fn rate_limit(api: &GenApi) -> Result<(), InvalidLimit> {
    api.rate_limiter()
        .add_global_limit(RateLimit::new(LimitKey::UserId, 100, 60_000))?;
    Ok(())
}

pub(crate) fn hooks() -> FunConfigBuilder {
    FunConfig::builder("shop", "price")
        .before_execute(("Hooks", "tidy"))
        .after_execute(("Hooks", "sign"))
}

pub(crate) fn relay() -> GenApiBuilder {
    GenApi::builder().relay("chat")
}

pub(crate) fn telemetry(api: &GenApi) -> Result<(), AlreadyAttached> {
    api.telemetry()
        .attach("print", Filter::all(), |event| println!("{}", event.name()))?;
    Ok(())
}

mod node {
    use gen_api::{ServiceNode, function::FunctionError, settings::GrpcSettings};

    #[gen_api::function(service = "greeter")]
    async fn greet(name: String) -> Result<String, FunctionError> {
        Ok(format!("Hello, {name}!"))
    }

    fn main() -> Result<(), Box<dyn std::error::Error>> {
        let grpc = GrpcSettings::default()
            .with_listen("127.0.0.1:9000".parse()?)
            .with_cluster_secret("s3cret");
        let node = ServiceNode::builder()
            .function(greet::api())
            .grpc(grpc)
            .push_to(["http://127.0.0.1:9100"]);
        let node = node.start_blocking()?;
        node.block_on(gen_api::shutdown_signal());
        node.block_on(node.stop());
        Ok(())
    }
}

async fn user_of(token: Option<&str>) -> Option<String> {
    token.map(str::to_owned)
}

async fn channels(api: GenApi) -> Result<(), Box<dyn Error>> {
    let endpoint = ChannelEndpoint::new(&api)
        .on_connect(
            async |connect| match user_of(connect.token.as_deref()).await {
                Some(user) => Ok(Session::user(user).with_roles(["member"])),
                None => Err(Denied::reason("log in first")),
            },
        )
        .channel("api:*", Channel::new())
        .start()
        .await?;
    let mounted = endpoint.clone();
    let server = endpoint.http_server(move || App::new().configure(mounted.mount("/socket")));
    api.serve(server.disable_signals().bind("127.0.0.1:4000")?.run())
        .await?;
    Ok(())
}
