//! One message to thousands of members: the time from its sending until the last of them has it.

use std::time::Instant;

use gen_api_benches::{Table, median, time};
use tokio::task::JoinSet;

use crate::{
    client::{Client, masked},
    process::Server,
    requests::JOIN,
    servers::GATEWAY,
};

const MEMBERS: usize = 5_000;

const ROUNDS: usize = 15;

/// Measures both ways in turns, and prints the table.
pub(crate) async fn measure() {
    let server = Server::start(GATEWAY);
    let path = |user| format!("/socket/websocket?vsn=2.0.0&user=user-{user}");
    let begin = async |client: &mut Client| {
        client.send(&masked(JOIN)).await?;
        client.receive_until("phx_reply").await
    };
    let mut members = Client::connect_many(server.address, MEMBERS, path, begin).await;
    let create = relay("create_group", r#","group_type":"public""#);
    for (member, request) in members
        .iter_mut()
        .zip(std::iter::once(create).chain(std::iter::repeat(relay("join_group", ""))))
    {
        member
            .send(&masked(&request))
            .await
            .expect("the server reads");
        let mut joined = false;
        let mut answered = false;
        while !answered {
            let received = member.receive(|payload| {
                joined |= crate::client::contains(payload, r#""success":true"#);
                answered |= crate::client::contains(payload, "phx_reply");
            });
            received.await.expect("the server answers");
        }
        assert!(joined, "the member did not join the group");
    }
    let text = "x".repeat(100);
    let shout = format!(r#"["1","2","api:main","shout",{{"text":"{text}"}}]"#);
    let message = relay("relay_msg", &format!(r#","message":"{text}""#));
    let ways = [
        ("broadcast to a channel", masked(&shout)),
        ("message to a relay group", masked(&message)),
    ];
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut processor: [Vec<f64>; 2] = Default::default();
    for round in 0..=ROUNDS {
        for (((_, frame), times), processor) in ways.iter().zip(&mut times).zip(&mut processor) {
            let before = server.processor_time();
            let start = Instant::now();
            members[0].send(frame).await.expect("the server reads");
            let mut receiving = JoinSet::new();
            for mut member in members.drain(..) {
                let text = text.clone();
                receiving.spawn(async move {
                    member.receive_until(&text).await.expect("the server sends");
                    (Instant::now(), member)
                });
            }
            let mut last = start;
            while let Some(received) = receiving.join_next().await {
                let (at, member) = received.expect("no panic");
                last = last.max(at);
                members.push(member);
            }
            if round > 0 {
                times.push((last - start).as_nanos() as f64);
                processor.push((server.processor_time() - before).as_nanos() as f64);
            }
        }
    }
    let columns = ["until the last has it", "server CPU"];
    let mut table = Table::new(format!("one message to {MEMBERS} members"), columns);
    for (((name, _), times), processor) in ways.iter().zip(times).zip(processor) {
        table.row(*name, [time(median(times)), time(median(processor))]);
    }
    table.print();
}

fn relay(request_type: &str, more: &str) -> String {
    format!(
        r#"["1","2","api:main","phoenix_gen_api",{{"service":"chat","request_type":"{request_type}","request_id":"r","args":{{"group_id":"all"{more}}}}}]"#
    )
}
