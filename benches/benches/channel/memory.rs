//! What an idle connection costs a server: its resident memory with thousands of connections, less that with none.

use gen_api_benches::{Table, grouped, median};

use crate::{
    client::{Client, masked},
    process::Server,
    requests::JOIN,
    servers::{BARE, GATEWAY, JSONRPSEE},
};

/// How many connections are idle.
const CONNECTIONS: usize = 5_000;

/// Each with a process of its own.
const ROUNDS: usize = 3;

/// A kind of connection: its name, server and path, what it sends once, and what the answer to that holds.
struct Kind(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const KINDS: [Kind; 3] = [
    Kind("bare actix-ws, an echo", BARE, "/", "hello", "hello"),
    Kind(
        "gateway, a channel joined",
        GATEWAY,
        "/socket/websocket?vsn=2.0.0",
        JOIN,
        r#""status":"ok""#,
    ),
    Kind(
        "jsonrpsee, a call",
        JSONRPSEE,
        "/",
        r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":["hello"]}"#,
        "result",
    ),
];

/// Measures in turns, and prints the table.
pub(crate) async fn compare() {
    let mut bytes: [Vec<f64>; KINDS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (kind, bytes) in KINDS.iter().zip(&mut bytes) {
            bytes.push(bytes_each(kind).await);
        }
    }
    let base = median(bytes[0].iter().copied());
    let title = format!("an idle connection, of {CONNECTIONS}");
    let mut table = Table::new(title, ["resident bytes of the server", "ratio"]);
    for (Kind(name, ..), bytes) in KINDS.iter().zip(bytes) {
        let bytes = median(bytes);
        table.row(*name, [grouped(bytes), format!("{:.2}", bytes / base)]);
    }
    table.print();
}

async fn bytes_each(&Kind(_, server, path, text, answer): &Kind) -> f64 {
    let server = Server::start(server);
    let connect = async |count| {
        let begin = async |client: &mut Client| {
            client.send(&masked(text)).await?;
            client.receive_until(answer).await
        };
        Client::connect_many(server.address, count, |_| path.to_owned(), begin).await
    };
    // What a server sets up once is no part of a connection.
    let _few = connect(CONNECTIONS / 100).await;
    let before = server.resident_bytes();
    let _many = connect(CONNECTIONS).await;
    (server.resident_bytes() - before) as f64 / CONNECTIONS as f64
}
