#[gen_api::function(service = "s")]
struct Users;

#[gen_api::function(service = "s")]
mod users {}

fn main() {}
