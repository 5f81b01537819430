//! A gateway as a process of its own, for tests that kill and restart it.
//!
//! It prints `listening on ADDR` and answers each line `call ID SERVICE TYPE ARGS`, where `ARGS` is a JSON object, with the
//! responses of the request as a JSON list in one line. It ends when its standard input does.

use std::{
    error::Error,
    io::{self, BufRead, Write},
};

use gen_api::{
    GenApi,
    model::Request,
    settings::{GrpcSettings, Settings},
};
use gen_api_e2e::Arguments;
use serde_json::{Map, Value};

const KNOWN: [&str; 3] = ["listen", "secret", "state"];

fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::of_process(&KNOWN)?;
    let listen = match given.read("listen")? {
        Some(address) => address,
        None => "127.0.0.1:0".parse()?,
    };
    let mut settings = Settings::default().with_threads(2);
    settings.grpc = GrpcSettings::default()
        .with_listen(listen)
        .with_cluster_secret(given.text("secret").unwrap_or("s3cret"));
    if let Some(state) = given.text("state") {
        settings.receiver = settings.receiver.with_state_directory(state);
    }
    let api = GenApi::builder().settings(settings).start_blocking()?;
    let address = api.grpc_address().ok_or("a gateway listens")?;
    say(&format!("listening on {address}"))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        if word() != "call" {
            return Err(format!("unknown: {line}").into());
        }
        let request = Request::new(word(), word(), word());
        let args: Map<String, Value> = serde_json::from_str(word())?;
        let request = request.with_args(args);
        let responses = api.block_on(async { api.execute(request).await.collect().await });
        say(&serde_json::to_string(&responses)?)?;
    }
    api.block_on(api.stop());
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
