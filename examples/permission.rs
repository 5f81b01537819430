//! Who may call what: the four modes of a config, and a callback for everything else.
//!
//! Run it with `cargo run --example permission`.

use gen_api::{model::CheckPermission, prelude::*};

async fn read(owner: String) -> Result<String, FunctionError> {
    Ok(format!("the diary of {owner}"))
}

/// A permission callback: a registered function that gets the request, and the predefined arguments of the config.
async fn in_office_hours(request: Request, from: u32, to: u32) -> Result<bool, FunctionError> {
    let hour = request
        .args
        .get("hour")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or_default();
    Ok((u64::from(from)..u64::from(to)).contains(&hour))
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
        FunConfig::builder("diary", request_type)
            .call("Diary", "read")
            .arg("owner", ArgType::String)
            .check_permission(mode)
            .local()
            .build()
    };
    let office =
        gen_api::model::Mfa::new("Diary", "in_office_hours").with_args([9.into(), 17.into()]);
    let api = GenApi::builder()
        .functions(functions)
        .config(diary("anybody", CheckPermission::Off)?)
        .config(diary("logged_in", CheckPermission::AnyAuthenticated)?)
        .config(diary("own", CheckPermission::Arg("owner".into()))?)
        .config(diary("admin", CheckPermission::Role(vec!["admin".into()]))?)
        .config(
            FunConfig::builder("diary", "count")
                .call("Diary", "count")
                .arg("hour", ArgType::Num)
                .permission_callback(office)
                .local()
                .build()?,
        )
        .start()
        .await?;

    let read =
        |request_type: &str| Request::new("r", "diary", request_type).with_arg("owner", "ann");
    let requests = [
        ("a stranger reads what anybody may", read("anybody")),
        ("a stranger reads what users may", read("logged_in")),
        ("ann reads her own", read("own").with_user_id("ann")),
        ("bob reads ann's", read("own").with_user_id("bob")),
        (
            "an admin reads ann's",
            read("admin").with_user_id("eve").with_user_roles(["admin"]),
        ),
        (
            "counting at ten",
            Request::new("r", "diary", "count").with_arg("hour", 10),
        ),
        (
            "counting at night",
            Request::new("r", "diary", "count").with_arg("hour", 23),
        ),
    ];
    for (who, request) in requests {
        let response = api
            .execute(request)
            .await
            .response
            .ok_or("sync answers at once")?;
        println!(
            "{who:<36} {}",
            response
                .error
                .unwrap_or_else(|| response.result.to_string())
        );
    }
    api.stop().await;
    Ok(())
}
