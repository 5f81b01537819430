//! The vectors of `relay.json`: clients on channels, whose commands are requests to the functions of the module `Relay`.
//!
//! A step that names no user is the embedder's own, on the handle.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use gen_api::{
    GenApi, Settings,
    connection::{Connection, Outlet, PushError},
    model::{Request, Response},
    relay::RelayError,
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, json, only_keys},
    compare::compare_value,
    engine::block_on,
};

/// The service under which the relay's functions are offered.
const SERVICE: &str = "relay";

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &[])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["results"])?;
    block_on(play(case))
}

async fn play(case: &Case) -> Result<(), String> {
    let started = GenApi::builder()
        .settings(Settings::default().with_threads(1))
        .relay(SERVICE)
        .start()
        .await;
    let mut stage = Stage {
        api: started.map_err(|error| error.to_string())?,
        channels: HashMap::new(),
        pushed: Pushed::default(),
    };
    let mut results = Vec::new();
    for step in field::<Vec<Map<String, Value>>>(&case.when, "steps")? {
        let result = stage.step(&step).await?;
        if !stage.pushed.lock().is_empty() {
            return Err(format!("channels were pushed to by {step:?}"));
        }
        results.push(result);
    }
    stage.api.stop().await;
    compare_value("results", &case.expect["results"], &results.into())
}

/// What channels were pushed, in order, by all pushes of a step.
type Pushed = Arc<Mutex<Vec<(String, Response)>>>;

/// A channel that notes what it is pushed.
struct Channel {
    name: String,
    pushed: Pushed,
}

impl Outlet for Channel {
    fn push(&self, response: Response) -> Result<(), PushError> {
        self.pushed.lock().push((self.name.clone(), response));
        Ok(())
    }
}

struct Stage {
    api: GenApi,
    channels: HashMap<String, Connection>,
    pushed: Pushed,
}

impl Stage {
    async fn step(&mut self, step: &Map<String, Value>) -> Result<Value, String> {
        let op: String = field(step, "op")?;
        let text = |name: &str| field::<String>(step, name);
        let known: &[&str] = match op.as_str() {
            "create" => &["op", "group", "type", "user", "channel"],
            "join" => &["op", "group", "user", "channel"],
            "leave" => &["op", "group", "user"],
            "accept" | "mute" | "unmute" => &["op", "group", "actor", "target"],
            "send" => &["op", "group", "user", "message", "request_id"],
            "delete" | "info" => &["op", "group"],
            "channel_down" => &["op", "channel"],
            _ => return Err(format!("unknown step {step:?}")),
        };
        only_keys(step, known)?;
        if op == "channel_down" {
            self.channel(text("channel")?).end();
            return Ok("ok".into());
        }
        let group = text("group")?;
        Ok(match op.as_str() {
            "create" => {
                let request = request("create_group", &group, text("user")?)
                    .with_arg("group_type", text("type")?)
                    .with_connection(self.channel(text("channel")?));
                command(&self.ask(request).await?)
            }
            "join" => {
                let request = request("join_group", &group, text("user")?)
                    .with_connection(self.channel(text("channel")?));
                command(&self.ask(request).await?)
            }
            "leave" => {
                let request = request("leave_group", &group, text("user")?);
                command(&self.ask(request).await?)
            }
            "accept" | "mute" | "unmute" => {
                let request = request(&format!("{op}_member"), &group, text("actor")?)
                    .with_arg("user_id", text("target")?);
                command(&self.ask(request).await?)
            }
            "send" => self.send(step, &group).await?,
            "delete" => match self.api.relay().delete(&group).await {
                Ok(()) => "ok".into(),
                Err(error) => refused(error),
            },
            _ => match self.api.relay().info(&group) {
                Ok(info) => json!({ "info": json(info)? }),
                Err(error) => refused(error),
            },
        })
    }

    async fn send(&self, step: &Map<String, Value>, group: &str) -> Result<Value, String> {
        let mut request = request("relay_msg", group, field(step, "user")?)
            .with_arg("message", field::<Value>(step, "message")?);
        request.request_id = field(step, "request_id")?;
        let reply = self.ask(request).await?;
        let pushed = std::mem::take(&mut *self.pushed.lock());
        if reply.is_error() {
            return match pushed.as_slice() {
                [] => Ok(json!({ "error": reply.error })),
                _ => Err(format!("a refused message was pushed: {pushed:?}")),
            };
        }
        let mut delivered_to: Vec<_> = pushed.iter().map(|(channel, _)| channel).collect();
        delivered_to.sort();
        let messages: Vec<_> = pushed.iter().map(|(_, message)| message).collect();
        if messages.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!(
                "channels were pushed different messages: {pushed:?}"
            ));
        }
        Ok(json!({ "sent": {
            "recipients_count": reply.result["recipients_count"],
            "delivered_to": delivered_to,
            "message": messages.first().map(|message| without_timestamp(message)).transpose()?,
            "reply": without_timestamp(&reply)?,
        }}))
    }

    /// The one response to a request.
    async fn ask(&self, request: Request) -> Result<Response, String> {
        let mut responses = self.api.execute(request).await.collect().await;
        match (responses.pop(), responses.pop()) {
            (Some(response), None) => Ok(response),
            (last, more) => Err(format!("expected one response, got {more:?} and {last:?}")),
        }
    }

    fn channel(&mut self, name: String) -> Connection {
        let pushed = Arc::clone(&self.pushed);
        let open = |name: &String| {
            let name = name.clone();
            Connection::new(Channel { name, pushed })
        };
        let channel = self.channels.entry(name);
        channel.or_insert_with_key(open).clone()
    }
}

fn request(request_type: &str, group: &str, user: String) -> Request {
    Request::new("command", SERVICE, request_type)
        .with_user_id(user)
        .with_arg("group_id", group)
}

/// The result of a step from its response.
fn command(response: &Response) -> Value {
    if response.is_error() {
        json!({ "error": response.error })
    } else {
        response.result.clone()
    }
}

fn refused(error: RelayError) -> Value {
    json!({ "error": error.code() })
}

/// A response whose result loses the time it was sent, which is not compared.
fn without_timestamp(response: &Response) -> Result<BTreeMap<String, Value>, String> {
    let Value::Object(json) = json(response)? else {
        return Err("a response is an object".to_owned());
    };
    let mut response: BTreeMap<_, _> = json.into_iter().collect();
    if let Some(Value::Object(result)) = response.get_mut("result") {
        result.remove("timestamp");
    }
    Ok(response)
}
