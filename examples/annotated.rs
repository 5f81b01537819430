//! One annotated function is all it takes: its arguments, their types and their names come from its signature.

use std::{collections::HashMap, sync::Arc};

use gen_api::prelude::*;

type Users = Arc<HashMap<u64, &'static str>>;

/// Greets a user of ours.
#[gen_api::function(service = "users", version = "1.0.0", permission(any_authenticated))]
async fn greet(
    id: u64,
    #[arg(default = "Hello", max_bytes = 20)] greeting: String,
    State(users): State<Users>,
    caller: RequestInfo,
) -> Result<String, FunctionError> {
    let name = users.get(&id);
    let name = name.ok_or_else(|| FunctionError::public("no such user"))?;
    let from = caller.user_id.unwrap_or_default();
    Ok(format!("{greeting}, {name}! Yours, {from}"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users: Users = Arc::new(HashMap::from([(1, "Ann"), (2, "Bob")]));
    let api = GenApi::builder()
        .functions(Functions::new().state(users))
        .function(greet::api())
        .start_blocking()?;

    for id in [1, 7] {
        let request = Request::new("r-1", "users", "greet").with_arg("id", id);
        let reply = api.block_on(api.execute(request.with_user_id("nina")));
        println!("{}", serde_json::to_string(&reply.response)?);
    }
    api.block_on(api.stop());
    Ok(())
}
