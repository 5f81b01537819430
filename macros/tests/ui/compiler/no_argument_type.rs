use gen_api::prelude::*;

#[derive(serde::Deserialize)]
struct Search {
    text: String,
}

#[gen_api::function(service = "s")]
async fn find(search: Search) -> Result<String, FunctionError> {
    Ok(search.text)
}

#[gen_api::function(service = "s")]
async fn find_all(searches: Vec<Search>) -> Result<usize, FunctionError> {
    Ok(searches.len())
}

fn main() {}
