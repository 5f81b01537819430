#[gen_api::function(service = "s")]
async fn length(text: String) -> usize {
    text.len()
}

fn main() {}
