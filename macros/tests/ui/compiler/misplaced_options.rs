use gen_api::prelude::*;

#[gen_api::function(service = "s")]
async fn number(#[arg(max_bytes = 5)] n: u64) -> Result<u64, FunctionError> {
    Ok(n)
}

#[gen_api::function(service = "s")]
async fn text(#[arg(accept = ["a"], max_items = 5)] text: String) -> Result<String, FunctionError> {
    Ok(text)
}

#[gen_api::function(service = "s")]
async fn provided(#[arg(skip)] text: String) -> Result<String, FunctionError> {
    Ok(text)
}

fn main() {}
