//! What an operator reads of clients that were turned away.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex, OnceLock},
};

use gen_api::channel::ChannelSettings;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    client::{Client, How},
    gateway::Gateway,
};

/// The warnings of this process, each a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("gen_api")
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The lines that hold this text.
fn lines_with(text: &str) -> Vec<String> {
    static LINES: OnceLock<Lines> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let lines = Lines::default();
        tracing::subscriber::set_global_default(lines.clone()).expect("the only one");
        lines
    });
    let lines = lines.0.lock().unwrap();
    lines
        .iter()
        .filter(|line| line.contains(text))
        .cloned()
        .collect()
}

async fn connect(gateway: &Gateway, query: &str, origin: &str) -> Option<u16> {
    let how = How {
        query,
        headers: &[("Origin", origin)],
        ..How::default()
    };
    Client::connect_with(gateway.address, how).await.err()
}

#[actix_web::test]
async fn a_refused_origin_leaves_one_line_that_names_it_the_host_and_the_list() {
    assert!(lines_with("none yet").is_empty());
    let settings = ChannelSettings::default().with_origins(["https://listed.example"]);
    let gateway = Gateway::with(settings).await;
    let origin = format!("https://stranger.example/\"{}", "x".repeat(5_000));
    for _ in 0..3 {
        let status = connect(&gateway, "vsn=2.0.0", &origin).await;
        assert_eq!(status, Some(403));
    }
    let lines = lines_with("stranger.example");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "address=127.0.0.1".to_owned(),
        r#"origin="https://stranger.example/\"xxx"#.to_owned(),
        format!("host=\"{}\"", gateway.address),
        r#"origins=["https://listed.example"]"#.to_owned(),
        "channel.origins".to_owned(),
    ] {
        assert!(lines[0].contains(&part), "{part} in {}", lines[0]);
    }
    assert!(lines[0].len() < 1_000);
    gateway.stop().await;
}

#[actix_web::test]
async fn an_unknown_version_and_too_many_connections_leave_a_line() {
    assert!(lines_with("none yet").is_empty());
    let mut settings = ChannelSettings::default();
    settings.max_sockets_per_address = 1;
    let gateway = Gateway::with(settings).await;
    let own = format!("http://{}", gateway.address);
    let status = connect(&gateway, "vsn=7.8.9%0aforged", &own).await;
    assert_eq!(status, Some(403));
    let lines = lines_with("7.8.9");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(r#"vsn="7.8.9\nforged""#), "{}", lines[0]);
    let _client = Client::connect(gateway.address).await;
    assert_eq!(connect(&gateway, "vsn=2.0.0", &own).await, Some(429));
    assert!(!lines_with("why=Address").is_empty());
    gateway.stop().await;
}
