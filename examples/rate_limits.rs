//! Rate limits: exact sliding windows, global and for one function, changed while requests run.
//!
//! Run it with `cargo run --example rate_limits`.

use gen_api::{
    prelude::*,
    rate_limiter::{LimitKey, RateLimit, Scope},
};

async fn ping() -> Result<&'static str, FunctionError> {
    Ok("pong")
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = FunConfig::builder("demo", "ping")
        .call("Demo", "ping")
        .local()
        .build()?;
    let api = GenApi::builder()
        .functions(Functions::new().register("Demo", "ping", ping))
        .config(config)
        .start()
        .await?;

    // Three requests in ten seconds for each user, whatever they call.
    let limiter = api.rate_limiter();
    limiter.set_global_limits(vec![RateLimit::new(LimitKey::UserId, 3, 10_000)])?;
    for number in 1..=4 {
        let request = Request::new(format!("r-{number}"), "demo", "ping").with_user_id("ann");
        print(&api.execute(request).await);
    }
    print(
        &api.execute(Request::new("r-5", "demo", "ping").with_user_id("bob"))
            .await,
    );

    for status in limiter.status("ann", &Scope::Global, &LimitKey::UserId) {
        println!(
            "ann: {} of {} used",
            status.current_requests, status.max_requests
        );
    }

    // A second limit for devices; the counts of the first stay.
    limiter.add_global_limit(RateLimit::new(LimitKey::DeviceId, 100, 60_000))?;
    limiter.reset("ann", &Scope::Global, &LimitKey::UserId);
    print(
        &api.execute(Request::new("r-6", "demo", "ping").with_user_id("ann"))
            .await,
    );
    api.stop().await;
    Ok(())
}

fn print(reply: &Reply) {
    if let Some(response) = &reply.response {
        let text = response
            .error
            .clone()
            .unwrap_or_else(|| response.result.to_string());
        println!(
            "{:?}: {text} (can retry: {})",
            response.request_id, response.can_retry
        );
    }
}
