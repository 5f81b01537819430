use gen_api::prelude::*;

#[gen_api::function(service = "s", permission(arg = "user_id"))]
async fn no_such_argument(id: String) -> Result<String, FunctionError> {
    Ok(id)
}

#[gen_api::function(service = "s", permission(roles = []))]
async fn no_roles() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", permission(everybody))]
async fn unknown_mode() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", permission())]
async fn no_mode() -> Result<(), FunctionError> {
    Ok(())
}

#[gen_api::function(service = "s", permission(any_authenticated, roles = ["admin"]))]
async fn two_modes() -> Result<(), FunctionError> {
    Ok(())
}

fn main() {}
