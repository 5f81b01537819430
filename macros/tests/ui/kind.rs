use gen_api::prelude::*;

#[gen_api::function(service = "s")]
fn neither_async_nor_blocking(a: String) -> Result<String, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s", blocking)]
async fn async_and_blocking(a: String) -> Result<String, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s", blocking, stream)]
fn blocking_stream() -> Result<String, FunctionError> {
    Ok(String::new())
}

#[gen_api::function(service = "s")]
async fn handle_without_stream(handle: StreamHandle) -> Result<(), FunctionError> {
    handle.complete().await?;
    Ok(())
}

#[gen_api::function(service = "s")]
unsafe extern "C" fn foreign() -> Result<(), FunctionError> {
    Ok(())
}

fn main() {
    // Nothing more is said where the faulty functions are used.
    GenApi::builder().function(neither_async_nor_blocking::api());
}
