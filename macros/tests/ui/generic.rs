use gen_api::prelude::*;

#[gen_api::function(service = "s")]
async fn generic<T: Send>(a: T) -> Result<T, FunctionError> {
    Ok(a)
}

#[gen_api::function(service = "s")]
async fn lifetime<'a>(a: &'a str) -> Result<usize, FunctionError> {
    Ok(a.len())
}

fn main() {}
