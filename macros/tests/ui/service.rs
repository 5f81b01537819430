use gen_api::prelude::*;

#[gen_api::function]
async fn nothing() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(version = "1.0.0")]
async fn version_only() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "")]
async fn empty() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function("users")]
async fn bare() -> Result<(), FunctionError> {
    Ok(())
}

fn main() {}
