use gen_api::prelude::*;

/// An argument that happens to be called like the engine's `State<T>`.
#[derive(serde::Deserialize)]
struct State {
    code: String,
}

#[gen_api::function(service = "s")]
async fn capital(state: State) -> Result<String, FunctionError> {
    Ok(state.code)
}

fn main() {}
