use gen_api::prelude::*;

#[gen_api::function(service = "s", timeout = 5)]
async fn unknown() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", timeout_ms = 99)]
async fn too_short() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", timeout_ms = "5s")]
async fn no_number() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", timeout_ms = 500, no_timeout)]
async fn two_timeouts() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", async, stream)]
async fn two_modes() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", version = 1)]
async fn version_number() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", retry = 0)]
async fn no_retry() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", retry(other_node = 3))]
async fn odd_retry() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", before_execute = "Hooks.before")]
async fn odd_hook() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", after_execute = ("Hooks", "after", 5))]
async fn long_hook() -> Result<(), FunctionError> {
    Ok(())
}

fn main() {}
