//! Who may call what: the four modes of a config, and a callback for everything else.
//!
//! Run it with `cargo run --example permission`.

use gen_api::{
    model::{CheckPermission, Mfa},
    prelude::*,
};

async fn read(owner: String) -> Result<String, FunctionError> {
    Ok(format!("the diary of {owner}"))
}

/// A permission callback: a registered function that gets the request, and the predefined arguments of the config.
async fn in_office_hours(request: Request, from: u64, to: u64) -> Result<bool, FunctionError> {
    let hour = request.args.get("hour").and_then(serde_json::Value::as_u64);
    Ok(hour.is_some_and(|hour| (from..to).contains(&hour)))
}

async fn count(_hour: u32) -> Result<&'static str, FunctionError> {
    Ok("42 entries")
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let functions = Functions::new()
        .register("Diary", "read", read)
        .register("Diary", "count", count)
        .register("Diary", "in_office_hours", in_office_hours);
    let diary = |request_type: &str, mode: CheckPermission| {
        let config = FunConfig::builder("diary", request_type).call("Diary", "read");
        let config = config.arg("owner", ArgType::String).check_permission(mode);
        config.local().build()
    };
    let office = Mfa::new("Diary", "in_office_hours").with_args([9.into(), 17.into()]);
    let count = FunConfig::builder("diary", "count")
        .call("Diary", "count")
        .arg("hour", ArgType::Num)
        .permission_callback(office)
        .local();
    let api = GenApi::builder()
        .functions(functions)
        .config(diary("anybody", CheckPermission::Off)?)
        .config(diary("logged_in", CheckPermission::AnyAuthenticated)?)
        .config(diary("own", CheckPermission::Arg("owner".into()))?)
        .config(diary("admin", CheckPermission::Role(vec!["admin".into()]))?)
        .config(count.build()?)
        .start()
        .await?;

    let read = |name: &str| Request::new("r", "diary", name).with_arg("owner", "ann");
    let count = |hour: u32| Request::new("r", "diary", "count").with_arg("hour", hour);
    let admin = read("admin").with_user_id("eve").with_user_roles(["admin"]);
    for (who, request) in [
        ("a stranger reads what anybody may", read("anybody")),
        ("a stranger reads what users may", read("logged_in")),
        ("ann reads her own", read("own").with_user_id("ann")),
        ("bob reads ann's", read("own").with_user_id("bob")),
        ("an admin reads ann's", admin),
        ("counting at ten", count(10)),
        ("counting at night", count(23)),
    ] {
        let reply = api.execute(request).await;
        let response = reply.response.ok_or("sync answers at once")?;
        let text = response.error.unwrap_or(response.result.to_string());
        println!("{who:<36} {text}");
    }
    api.stop().await;
    Ok(())
}
