#[gen_api::function(service = "s")]
async fn nothing(id: u64) {
    let _ = id;
}

#[gen_api::function(service = "s")]
async fn unit(id: u64) -> () {
    let _ = id;
}

fn main() {}
