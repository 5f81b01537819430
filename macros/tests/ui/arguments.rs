use gen_api::prelude::*;

#[gen_api::function(service = "s")]
async fn unnamed((a, b): (u8, u8)) -> Result<u8, FunctionError> {
    Ok(a + b)
}

#[gen_api::function(service = "s")]
async fn wildcard(_: u8) -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s")]
async fn twice(a: u8, #[arg(name = "a")] b: u8) -> Result<u8, FunctionError> {
    Ok(a + b)
}

#[gen_api::function(service = "s")]
async fn unknown_option(#[arg(max_length = 5)] a: String) -> Result<String, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s")]
async fn unknown_type(#[arg(type = text)] a: String) -> Result<String, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s")]
async fn skipped(#[arg(skip, default = 5)] info: RequestInfo) -> Result<String, FunctionError> {
    Ok(info.request_id)
}

#[gen_api::function(service = "s")]
async fn conditional(#[cfg(unix)] a: u8) -> Result<u8, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s")]
async fn nine(
    a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8,
) -> Result<u8, FunctionError> {
    Ok(a + b + c + d + e + f + g + h + i)
}

fn main() {}
