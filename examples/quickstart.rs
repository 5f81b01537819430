//! The main job on real input: functions and requests come from `examples/data/`, go to the executor actors as typed
//! messages, and every response is printed as a JSON line. Half-way an actor is killed, and serving goes on.
//!
//! Run it with `cargo run --release --example quickstart`.

use std::{collections::BTreeMap, error::Error, time::Duration};

use futures_util::stream::{self, Stream};
use gen_api::{
    function::{FunctionError, State, StreamHandle},
    prelude::*,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

// The functions: plain Rust, no traits to implement.

#[derive(Clone, Serialize)]
struct User {
    id: u64,
    name: &'static str,
}

type Users = &'static [User];

const USERS: Users = &[
    User { id: 1, name: "Ann" },
    User { id: 2, name: "Bob" },
    User {
        id: 3,
        name: "Nina",
    },
];

async fn get_user(id: u64, State(users): State<Users>) -> Result<User, FunctionError> {
    let found = users.iter().find(|user| user.id == id);
    found
        .cloned()
        .ok_or_else(|| FunctionError::public("no such user"))
}

async fn create_user(name: String, email: String) -> Result<Value, FunctionError> {
    if !email.contains('@') {
        return Err(FunctionError::public("this is no e-mail address"));
    }
    Ok(serde_json::json!({"id": 4, "name": name, "email": email}))
}

#[derive(Deserialize)]
struct Search {
    name_contains: String,
    limit: usize,
}

async fn find_users(
    search: Search,
    State(users): State<Users>,
) -> Result<Vec<User>, FunctionError> {
    let found = users
        .iter()
        .filter(|user| user.name.contains(&search.name_contains));
    Ok(found.take(search.limit).cloned().collect())
}

async fn log_visit(page: String, visitor: RequestInfo) -> Result<(), FunctionError> {
    let visitor = visitor.user_id.as_deref().unwrap_or("somebody");
    eprintln!("(log) {visitor} looks at {page}");
    Ok(())
}

async fn place_order(
    item: String,
    quantity: u32,
    buyer: RequestInfo,
) -> Result<String, FunctionError> {
    let buyer = buyer
        .user_id
        .ok_or_else(|| FunctionError::public("please log in first"))?;
    Ok(format!("{quantity} x {item} for {buyer}"))
}

async fn total(tax_percent: f64, prices: Vec<f64>) -> Result<f64, FunctionError> {
    Ok(prices.iter().sum::<f64>() * (100.0 + tax_percent) / 100.0)
}

async fn track_order(order: String, stream: StreamHandle) -> Result<(), FunctionError> {
    if order == "o-404" {
        return Err(FunctionError::public("no such order"));
    }
    for place in ["warehouse", "truck"] {
        stream.send_result(place).await?;
    }
    stream.send_last_result("your door").await?;
    Ok(())
}

fn build_report(month: String) -> Result<String, FunctionError> {
    // A function that blocks is registered as one, and runs off the async threads.
    std::thread::sleep(Duration::from_millis(20));
    match month.split_once('-') {
        Some(_) => Ok(format!("report of {month}: all is well")),
        None => Err(FunctionError::public("a month looks like 2026-10")),
    }
}

async fn export_rows(
    rows: u32,
) -> Result<impl Stream<Item = Result<String, FunctionError>>, FunctionError> {
    Ok(stream::iter((1..=rows).map(|row| Ok(format!("row {row}")))))
}

async fn slow_report() -> Result<(), FunctionError> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

async fn broken_report() -> Result<(), FunctionError> {
    panic!("the report is broken");
}

fn functions() -> Functions {
    Functions::new()
        .state(USERS)
        .register("Users", "get", get_user)
        .register("Users", "create", create_user)
        .register("Users", "find", find_users)
        .register("Users", "log_visit", log_visit)
        .register("Orders", "place", place_order)
        .register("Orders", "total", total)
        .register("Orders", "track", track_order)
        .register_blocking("Reports", "build", build_report)
        .register_stream("Reports", "export", export_rows)
        .register("Reports", "slow", slow_report)
        .register("Reports", "broken", broken_report)
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The panic of `broken_report` is part of the show; a line is enough.
    std::panic::set_hook(Box::new(|panic| eprintln!("(log) {panic}")));

    let configs: Vec<FunConfig> = serde_json::from_str(include_str!("data/functions.json"))?;
    let requests: Vec<Value> = serde_json::from_str(include_str!("data/requests.json"))?;
    let api = GenApi::builder()
        .functions(functions())
        .configs(configs)
        .start()
        .await?;

    let mut summary = BTreeMap::new();
    for (number, payload) in requests.iter().enumerate() {
        if number == requests.len() / 2 {
            survive_a_kill(&api).await;
        }
        // These come from a file of our own, so their users are believed; a door would add `with_identity`.
        let reply = match Request::from_value(payload.clone()) {
            Ok(request) => api.executor(number).call(Execute::new(request)).await?,
            Err(_) => {
                let payload = payload.to_string();
                let nobody = Identity::anonymous();
                api.execute_json(&nobody, payload.as_bytes()).await
            }
        };
        let responses = reply.collect().await;
        *summary.entry(kind(&responses)).or_insert(0) += 1;
        for response in &responses {
            println!("{}", serde_json::to_string(response)?);
        }
    }

    println!("\n{:<34} {:>8}", "outcome", "requests");
    for (kind, count) in &summary {
        println!("{kind:<34} {count:>8}");
    }
    println!("{:<34} {:>8}", "total", requests.len());
    println!("\n{}", api.supervision_tree().await);
    api.stop().await;
    Ok(())
}

/// Kills two actors; their supervisors start them again at once.
async fn survive_a_kill(api: &GenApi) {
    for index in 0..api.executors() {
        let reason = api.executor(index).kill().await;
        api.executor(index).wait_until_running(1).await;
        println!("-- executor {index} was {reason}; its successor serves");
    }
    let owner = api.config_db().actor();
    let reason = owner.kill().await;
    owner.wait_until_running(1).await;
    println!(
        "-- config_db was {reason}; it is back with all {} configs",
        api.config_db().count()
    );
}

fn kind(responses: &[Response]) -> &'static str {
    match responses {
        [] => "none: accepted, no response",
        [only] if only.success => "sync: success",
        [only]
            if only
                .error
                .as_deref()
                .is_some_and(|text| text.starts_with("Internal")) =>
        {
            "error: the function's own trouble"
        }
        [_] => "error: the caller's mistake",
        [ack, ..] if ack.has_more => "stream: acknowledged, then chunks",
        _ => "async: acknowledged, then result",
    }
}
