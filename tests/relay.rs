//! The relay through the engine: clients' requests, with the connections of a door, and what survives when actors die.

use std::sync::Arc;

use futures_util::FutureExt;
use gen_api::{
    GenApi, GenApiBuilder, Settings, StartApiError,
    config::Allowlist,
    connection::{Connection, Outlet, PushError},
    function::{FunctionError, Functions, RequestInfo, State},
    model::{FunConfig, Request, Response},
    relay::{self, GetGroupInfo, GroupType, MemberStatus, RelayRef},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The door's side of a client: its connection, and what was pushed over it.
#[derive(Clone)]
struct Client {
    user: &'static str,
    connection: Connection,
    pushed: Arc<Mutex<Vec<Response>>>,
}

struct Pushed(Arc<Mutex<Vec<Response>>>);

impl Outlet for Pushed {
    fn push(&self, response: Response) -> Result<(), PushError> {
        self.0.lock().push(response);
        Ok(())
    }
}

impl Client {
    fn new(user: &'static str) -> Self {
        let pushed = Arc::default();
        Self {
            user,
            connection: Connection::new(Pushed(Arc::clone(&pushed))),
            pushed,
        }
    }

    fn request(&self, request_type: &str, args: &Value) -> Request {
        let args = args.as_object().cloned().unwrap_or_default();
        Request::new("r-1", "chat", request_type)
            .with_user_id(self.user)
            .with_connection(self.connection.clone())
            .with_args(args)
    }

    /// What the client is answered: the result, or the text of the error.
    async fn ask(&self, api: &GenApi, request_type: &str, args: Value) -> Result<Value, String> {
        answer(api, self.request(request_type, &args)).await
    }

    fn messages(&self) -> Vec<Value> {
        let pushed = std::mem::take(&mut *self.pushed.lock());
        let results = pushed.into_iter().map(|response| response.result);
        results.map(|mut result| result["message"].take()).collect()
    }
}

async fn answer(api: &GenApi, request: Request) -> Result<Value, String> {
    let response = api.execute(request).await.response.expect("a sync request");
    match response.error {
        None => Ok(response.result),
        Some(error) => Err(error),
    }
}

fn engine() -> GenApiBuilder {
    GenApi::builder().settings(Settings::default().with_threads(2))
}

async fn chat() -> GenApi {
    engine().relay("chat").start().await.expect("it starts")
}

fn g() -> Value {
    json!({"group_id": "g"})
}

fn g_and(name: &str, value: impl Into<Value>) -> Value {
    let mut args = g();
    args[name] = value.into();
    args
}

fn text(answer: &str) -> Result<Value, String> {
    Err(answer.to_owned())
}

#[tokio::test]
async fn every_verb_is_a_request_of_the_one_service_that_offers_them() {
    let api = chat().await;
    let (ann, bob) = (Client::new("ann"), Client::new("bob"));
    let ok = || Ok(json!("ok"));
    let created = ann.ask(&api, "create_group", g_and("group_type", "strict_private"));
    assert_eq!(created.await, ok());
    let joined = bob.ask(&api, "join_group", g()).await;
    assert_eq!(joined, Ok(json!({"joined": "pending"})));
    for verb in ["accept_member", "mute_member", "unmute_member"] {
        assert_eq!(
            ann.ask(&api, verb, g_and("user_id", "bob")).await,
            ok(),
            "{verb}"
        );
    }
    let message = json!({"text": "hi", "to": ["all", {"but": null}]});
    let sent = bob.ask(&api, "relay_msg", g_and("message", message.clone()));
    let relayed = json!({"status": "relayed", "recipients_count": 2});
    assert_eq!(sent.await, Ok(relayed));
    assert_eq!(
        [ann.messages(), bob.messages()],
        [[message.clone()], [message]]
    );
    let info = bob.ask(&api, "get_group_info", g()).await;
    assert_eq!(
        info,
        Ok(json!({
            "group_id": "g",
            "group_type": "strict_private",
            "members": {
                "ann": {"status": "active", "roles": ["admin"]},
                "bob": {"status": "active", "roles": ["member"]},
            },
        }))
    );
    assert_eq!(bob.ask(&api, "delete_group", g()).await, text("not_admin"));
    assert_eq!(bob.ask(&api, "leave_group", g()).await, ok());
    assert_eq!(ann.ask(&api, "delete_group", g()).await, ok());
    assert_eq!(api.relay().count(), 0);
    api.stop().await;
}

#[tokio::test]
async fn a_client_reads_the_names_of_errors_whatever_detail_error_says() {
    for detail_error in [false, true] {
        let settings = Settings::default().with_threads(1);
        let settings = settings.with_detail_error(detail_error);
        let api = engine().settings(settings).relay("chat").start();
        refusals(&api.await.expect("it starts")).await;
    }
}

async fn refusals(api: &GenApi) {
    let ann = Client::new("ann");
    let joined = ann.ask(api, "join_group", g()).await;
    assert_eq!(joined, text("not_found"));
    let sent = ann.ask(api, "relay_msg", g_and("message", "hi")).await;
    assert_eq!(sent, text("Group not found"));
    let created = ann.ask(api, "create_group", g_and("group_type", "secret"));
    let must_be = "invalid argument \"group_type\": must be public, private or strict_private";
    assert_eq!(created.await, text(must_be));
    let long = json!({"group_id": "g".repeat(257), "group_type": "public"});
    let created = ann.ask(api, "create_group", long).await;
    assert_eq!(created, text("invalid_id"));

    let mut without_connection = ann.request("create_group", &g_and("group_type", "public"));
    without_connection.connection = None;
    let created = answer(api, without_connection).await;
    assert_eq!(created, text("no_connection"));
    let mut stranger = ann.request("join_group", &g());
    stranger.user_id = None;
    assert_eq!(answer(api, stranger).await, text("Permission denied"));
    assert_eq!(api.relay().count(), 0);
    api.stop().await;
}

#[tokio::test]
async fn a_config_that_lets_everybody_in_gives_no_place_to_a_request_without_a_user() {
    let everybody = FunConfig::builder("chat", "join_group")
        .call(relay::MODULE, "join")
        .local()
        .arg("group_id", gen_api::arguments::ArgType::String)
        .build()
        .expect("it is valid");
    let api = engine().config(everybody).start().await.expect("it starts");
    let mut nobody = Client::new("").request("join_group", &g());
    for user in [None, Some(String::new())] {
        nobody.user_id = user;
        let joined = answer(&api, nobody.clone()).await;
        assert_eq!(joined, text("Authentication required"));
    }
    api.stop().await;
}

#[tokio::test]
async fn the_end_of_a_connection_is_the_end_of_its_memberships_at_once() {
    let api = chat().await;
    let (ann, bob) = (Client::new("ann"), Client::new("bob"));
    let create = ann.ask(&api, "create_group", g_and("group_type", "public"));
    create.await.expect("it is new");
    bob.ask(&api, "join_group", g())
        .await
        .expect("it is public");
    bob.connection.end();
    let info = api.relay().info("g").expect("it is there");
    assert_eq!(info.members.into_keys().collect::<Vec<_>>(), ["ann"]);
    let joined = bob.ask(&api, "join_group", g()).await;
    assert_eq!(joined, text("connection_ended"));
    api.stop().await;
}

#[tokio::test]
async fn members_messages_and_ends_survive_the_death_of_the_relay_actor() {
    let api = chat().await;
    let clients = ["ann", "bob", "carl"].map(Client::new);
    let [ann, bob, carl] = &clients;
    let create = ann.ask(&api, "create_group", g_and("group_type", "public"));
    create.await.expect("it is new");
    for client in [bob, carl] {
        client
            .ask(&api, "join_group", g())
            .await
            .expect("it is public");
    }
    for round in 0..10 {
        // Sent while the actor is killed: no message waits for it, and none is lost or doubled.
        let kill = api.relay().actor().kill();
        let send = bob.ask(&api, "relay_msg", g_and("message", round));
        let (_, sent) = futures_util::future::join(kill, send).await;
        sent.expect("the actor is not needed");
    }
    for client in &clients {
        assert_eq!(
            client.messages(),
            (0..10).map(Value::from).collect::<Vec<_>>()
        );
    }
    api.relay().actor().kill().await;
    carl.connection.end();
    api.relay().actor().wait_until_running(0).await;
    let info = GetGroupInfo {
        group_id: "g".into(),
        viewer_id: None,
    };
    let info = api.relay().actor().call(info).await.expect("it runs again");
    let members = info.expect("the group is there").members;
    assert_eq!(members.into_keys().collect::<Vec<_>>(), ["ann", "bob"]);
    api.stop().await;
}

#[tokio::test]
async fn the_relay_is_a_supervised_child_of_the_engine() {
    let api = engine().start().await.expect("it starts");
    let tree = api.supervision_tree().await;
    let mut children = tree.children.iter();
    assert!(children.any(|child| &*child.id == "relay"), "{tree}");
    api.stop().await;
}

/// Greets whoever asks, twice: over the connection, and with the answer.
async fn greet(client: RequestInfo) -> Result<&'static str, FunctionError> {
    let Some(connection) = client.connection() else {
        return Ok("nobody is connected");
    };
    connection.push(Response::sync(
        &client.request_id,
        json!({"message": "hello"}),
    ))?;
    Ok("hello")
}

/// Keeps what it is given.
async fn echo(request: Request, _: FunConfig) -> Result<Request, FunctionError> {
    Ok(request)
}

#[tokio::test]
async fn a_function_pushes_to_the_connection_of_its_request_and_hooks_do_not_lose_it() {
    let greeting = FunConfig::builder("chat", "greet")
        .call("T", "greet")
        .local()
        .before_execute(("T", "echo"))
        .build()
        .expect("it is valid");
    let functions = Functions::new()
        .register("T", "greet", greet)
        .register("T", "echo", echo);
    let api = engine().functions(functions).config(greeting).start();
    let api = api.await.expect("it starts");
    let ann = Client::new("ann");
    let asked = ann.ask(&api, "greet", json!({})).await;
    assert_eq!(asked, Ok(json!("hello")));
    assert_eq!(ann.messages(), ["hello"]);
    let alone = Request::new("r", "chat", "greet");
    assert_eq!(answer(&api, alone).await, Ok(json!("nobody is connected")));
    api.stop().await;
}

/// Joins the caller to the lobby: a function of the embedder that uses the relay.
async fn enter(
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Result<MemberStatus, FunctionError> {
    let connection = client.connection().cloned().ok_or("no connection")?;
    let user = client.user_id.unwrap_or_default();
    match relay.join("lobby", &user, connection).await {
        Ok(status) => Ok(status),
        Err(error) => Err(FunctionError::public(error)),
    }
}

#[tokio::test]
async fn functions_of_the_embedder_get_the_relay_as_a_shared_state() {
    let entering = FunConfig::builder("chat", "enter")
        .call("T", "enter")
        .local();
    let entering = entering.build().expect("it is valid");
    let functions = Functions::new().register("T", "enter", enter);
    let api = engine().functions(functions).config(entering).start();
    let api = api.await.expect("it starts");
    let (host, ann) = (Client::new("host"), Client::new("ann"));
    let connection = host.connection.clone();
    let created = api
        .relay()
        .create("lobby", GroupType::Public, "host", connection);
    assert_eq!(created.now_or_never(), Some(Ok(())));
    assert_eq!(ann.ask(&api, "enter", json!({})).await, Ok(json!("active")));
    let again = ann.ask(&api, "enter", json!({})).await;
    assert_eq!(again, text("the user is in the group already"));
    api.stop().await;
}

#[tokio::test]
async fn configs_that_cannot_be_offered_are_refused_at_the_start() {
    let nameless = engine().relay("").start().await;
    assert!(matches!(nameless, Err(StartApiError::Config { .. })));
    let mine = Functions::new().register(relay::MODULE, "join", greet);
    let taken = engine().functions(mine).start().await;
    assert!(matches!(taken, Err(StartApiError::Functions(_))));
    let allowlist: Allowlist = serde_json::from_value(json!(["T"])).expect("a list");
    let settings = Settings::default().with_function_allowlist(allowlist);
    let forbidden = engine().settings(settings).relay("chat").start().await;
    assert!(matches!(forbidden, Err(StartApiError::Config { .. })));
}
