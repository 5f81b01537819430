use gen_api::prelude::*;

struct Users;

impl Users {
    #[gen_api::function(service = "s")]
    async fn get(&self, id: u64) -> Result<u64, FunctionError> {
        Ok(id)
    }
}

fn main() {
    let _ = Users.get(1);
}
