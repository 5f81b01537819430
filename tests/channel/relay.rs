//! Relay groups over channels: a member is reached through the channel it joined over.

use gen_api::channel::{ChannelSettings, Connect, Session};
use serde_json::{Value, json};

use crate::{
    client::{Client, How, reply},
    gateway::Gateway,
};

const T: &str = "api:main";

async fn gateway() -> Gateway {
    let named = async |connect: Connect| {
        let user = connect.params.text("user").unwrap_or_default();
        Ok(Session::user(user))
    };
    Gateway::connecting(ChannelSettings::default(), named).await
}

async fn joined(gateway: &Gateway, user: &str) -> Client {
    let how = How {
        query: &format!("vsn=2.0.0&user={user}"),
        ..How::default()
    };
    let connected = Client::connect_with(gateway.address, how).await;
    let mut client = connected.expect("status 101");
    client.join("1", T).await;
    client
}

/// Sends a command; the pushed response.
async fn command(client: &mut Client, request_type: &str, args: Value) -> Value {
    let payload = json!({
        "service": "chat", "request_type": request_type, "request_id": "c", "args": args,
    });
    client
        .send(json!(["1", "2", T, "phoenix_gen_api", payload]))
        .await;
    let mut push = client.receive().await;
    let answer = reply(json!("1"), "2", T, "ok", json!(request_type));
    client.expect([answer]).await;
    push[4].take()
}

/// The next message of a group.
async fn message(client: &mut Client) -> Value {
    let mut push = client.receive().await;
    assert_eq!(push[3], "phoenix_gen_api");
    push[4]["result"].take()
}

#[actix_web::test]
async fn members_get_each_others_messages_until_their_channel_ends() {
    let gateway = gateway().await;
    let mut ann = joined(&gateway, "ann").await;
    let mut bob = joined(&gateway, "bob").await;
    let tea = json!({"group_id": "tea"});
    let create = json!({"group_id": "tea", "group_type": "public"});
    assert_eq!(
        command(&mut ann, "create_group", create).await["result"],
        "ok"
    );
    let joining = command(&mut bob, "join_group", tea.clone()).await;
    assert_eq!(joining["result"], json!({"joined": "active"}));
    let say = |text: &str| {
        let args = json!({"group_id": "tea", "message": text});
        let payload = json!({"service": "chat", "request_type": "relay_msg", "request_id": "m", "args": args});
        json!(["1", "3", T, "phoenix_gen_api", payload])
    };
    bob.send(say("hello")).await;
    for client in [&mut ann, &mut bob] {
        let message = message(client).await;
        assert_eq!(message["group_id"], "tea");
        assert_eq!(message["from_user_id"], "bob");
        assert_eq!(message["message"], "hello");
        assert!(message["timestamp"].is_string());
    }
    let sent = message(&mut bob).await;
    assert_eq!(sent, json!({"status": "relayed", "recipients_count": 2}));
    bob.expect([reply(json!("1"), "3", T, "ok", json!("relay_msg"))])
        .await;

    bob.send(json!(["1", "4", T, "phx_leave", {}])).await;
    bob.expect([
        reply(json!("1"), "4", T, "ok", json!({})),
        json!(["1", "1", T, "phx_close", {}]),
    ])
    .await;
    let info = command(&mut ann, "get_group_info", tea.clone()).await;
    let members = info["result"]["members"].as_object();
    assert_eq!(members.map(serde_json::Map::len), Some(1), "{info}");
    ann.vanish();
    while gateway.endpoint.counts().channels > 0 {
        tokio::task::yield_now().await;
    }
    let group = gateway.api.relay().info("tea").expect("the group stays");
    assert!(group.members.is_empty());
    gateway.stop().await;
}
