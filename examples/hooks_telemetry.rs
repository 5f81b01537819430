//! Hooks change requests and responses on their way; telemetry tells what happens, without a part in it.
//!
//! Run it with `cargo run --example hooks_telemetry`.

use gen_api::{
    prelude::*,
    telemetry::{Event, Filter, HookEvent},
};
use serde_json::json;

async fn price(item: String) -> Result<u32, FunctionError> {
    Ok(10 * u32::try_from(item.len())?)
}

/// A before hook answers the request, changed or not, or an error that ends it.
async fn tidy(mut request: Request, _: FunConfig) -> Result<Request, FunctionError> {
    let item = request.args.get("item").and_then(|item| item.as_str());
    let item = item.unwrap_or_default().trim().to_lowercase();
    if item == "secret" {
        return Err(FunctionError::failed("not for sale"));
    }
    request.args.insert("item".into(), item.into());
    Ok(request)
}

/// An after hook answers the response, changed or not.
async fn sign(_: Request, _: FunConfig, mut answer: Response) -> Result<Response, FunctionError> {
    if answer.success {
        answer.result = json!({"amount": answer.result, "currency": "EUR"});
    }
    Ok(answer)
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let functions = Functions::new()
        .register("Shop", "price", price)
        .register("Hooks", "tidy", tidy)
        .register("Hooks", "sign", sign);
    let config = FunConfig::builder("shop", "price")
        .call("Shop", "price")
        .arg("item", ArgType::String)
        .before_execute(("Hooks", "tidy"))
        .after_execute(("Hooks", "sign"))
        .local();
    let api = GenApi::builder().functions(functions);
    let api = api.config(config.build()?).start().await?;

    // Called on the thread where it happens, so it must be quick. Filters choose by family, name or prefix.
    let print = |event: &Event<'_>| match event {
        Event::Hook(HookEvent::Stop { hook, duration, .. }) => {
            println!("  Hook: {} took {duration:?}", hook.function);
        }
        event => println!("  {:?}: {}", event.family(), event.name()),
    };
    api.telemetry().attach("print", Filter::all(), print)?;
    for item in ["  Bicycle ", "secret", "bell"] {
        if item == "bell" {
            api.telemetry().detach("print");
        }
        let request = Request::new("r-1", "shop", "price").with_arg("item", item);
        let response = api.execute(request).await.response;
        println!("{item:?}: {}", serde_json::to_string(&response)?);
    }
    api.stop().await;
    Ok(())
}
