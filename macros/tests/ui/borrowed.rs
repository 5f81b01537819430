use gen_api::prelude::*;
use std::{borrow::Cow, path::Path};

#[gen_api::function(service = "s")]
async fn text(text: &str) -> Result<usize, FunctionError> {
    Ok(text.len())
}

#[gen_api::function(service = "s")]
async fn several(list: &[u8], path: &Path, info: &RequestInfo) -> Result<usize, FunctionError> {
    let _ = (path, info);
    Ok(list.len())
}

#[gen_api::function(service = "s")]
async fn inside(texts: Option<Vec<&'static str>>) -> Result<usize, FunctionError> {
    Ok(texts.map_or(0, |texts| texts.len()))
}

#[gen_api::function(service = "s")]
async fn with_lifetime(text: Cow<'static, str>) -> Result<usize, FunctionError> {
    Ok(text.len())
}

#[gen_api::function(service = "s")]
async fn unnamed_type(text: impl AsRef<str>) -> Result<usize, FunctionError> {
    Ok(text.as_ref().len())
}

fn main() {}
