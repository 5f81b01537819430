//! The smallest embedding: one function, one config, one request.

use gen_api::prelude::*;

async fn greet(name: String) -> Result<String, std::convert::Infallible> {
    Ok(format!("Hello, {name}!"))
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = FunConfig::builder("greeter", "greet")
        .call("Greeter", "greet")
        .arg("name", ArgType::String)
        .local()
        .build()?;
    let api = GenApi::builder()
        .functions(Functions::new().register("Greeter", "greet", greet))
        .config(config)
        .start()
        .await?;

    let json =
        br#"{"request_id":"r-1","service":"greeter","request_type":"greet","args":{"name":"Ann"}}"#;
    // Who asks is what your login has verified, never what the payload says.
    let reply = api.execute_json(&Identity::user("ann"), json).await;
    println!("{}", serde_json::to_string(&reply.response)?);

    api.stop().await;
    Ok(())
}
