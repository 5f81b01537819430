//! A thousand streams at once: chunks a second, and each stream complete.

use std::time::Instant;

use gen_api_benches::{Table, grouped, median, time};
use tokio::task::JoinSet;

use crate::{
    client::{Client, contains, masked},
    process::Server,
    requests::JOIN,
    servers::GATEWAY,
};

/// How the thousand streams are spread: connections, and streams of each.
const SPREADS: [(usize, usize); 2] = [(1_000, 1), (100, 10)];

/// Chunks of each stream.
const CHUNKS: usize = 500;

const ROUNDS: usize = 7;

/// Measures, and prints the table.
pub(crate) async fn measure() {
    let columns = ["chunks/s", "server CPU a chunk"];
    let mut table = Table::new(format!("1 000 streams of {CHUNKS} chunks at once"), columns);
    for (connections, each) in SPREADS {
        let server = Server::start(GATEWAY);
        let path = |_| "/socket/websocket?vsn=2.0.0".to_owned();
        let begin = async |client: &mut Client| {
            client.send(&masked(JOIN)).await?;
            client.receive_until("phx_reply").await
        };
        let mut clients = Client::connect_many(server.address, connections, path, begin).await;
        let mut rates = Vec::new();
        let mut processor = Vec::new();
        for round in 0..=ROUNDS {
            let before = server.processor_time();
            let start = Instant::now();
            let mut reading = JoinSet::new();
            for client in clients.drain(..) {
                reading.spawn(read(client, each));
            }
            clients = reading.join_all().await;
            if round > 0 {
                let chunks = (connections * each * CHUNKS) as f64;
                rates.push(chunks / start.elapsed().as_secs_f64());
                processor.push((server.processor_time() - before).as_nanos() as f64 / chunks);
            }
        }
        table.row(
            format!("{connections} connections, {each} streams each"),
            [grouped(median(rates)), time(median(processor))],
        );
    }
    table.print();
}

/// Starts streams, and reads until all have ended.
async fn read(mut client: Client, streams: usize) -> Client {
    for n in 0..streams {
        let request = format!(
            r#"["1","{n}","api:main","phoenix_gen_api",{{"service":"svc","request_type":"count","request_id":"stream-{n}","args":{{"to":{CHUNKS}}}}}]"#
        );
        client
            .send(&masked(&request))
            .await
            .expect("the server reads");
    }
    let (mut pushes, mut ended) = (0, 0);
    while ended < streams {
        let received = client.receive(|payload| {
            if contains(payload, "phx_reply") {
                return;
            }
            pushes += 1;
            assert!(contains(payload, r#""success":true"#), "a stream failed");
            ended += usize::from(contains(payload, r#""has_more":false"#));
        });
        received.await.expect("the server sends");
    }
    // The acknowledgement comes on top of the chunks.
    assert_eq!(pushes, streams * (CHUNKS + 1), "chunks are missing");
    client
}
