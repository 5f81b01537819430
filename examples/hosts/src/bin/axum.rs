//! gen_api in an axum application: `cargo run -p gen_api-hosts --bin axum`, then
//!
//! ```sh
//! curl -N localhost:8081/api -d '{"request_id":"1","service":"demo","request_type":"countdown","args":{"from":3}}'
//! ```

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use gen_api::GenApi;
use gen_api_hosts::{json_lines, start_engine};
use tokio::net::TcpListener;

async fn api(State(engine): State<GenApi>, body: Bytes) -> Response {
    let reply = engine.execute_json(&body).await;
    let content_type = [("content-type", "application/x-ndjson")];
    (content_type, Body::from_stream(json_lines(reply))).into_response()
}

fn app(engine: GenApi) -> Router {
    Router::new().route("/api", post(api)).with_state(engine)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = start_engine().await?;
    let listener = TcpListener::bind(("127.0.0.1", 8081)).await?;
    axum::serve(listener, app(engine.clone())).await?;
    engine.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_request_in_the_body_is_answered_line_by_line() {
        let engine = start_engine().await.expect("it starts");
        let json =
            r#"{"request_id":"1","service":"demo","request_type":"greet","args":{"name":"Ann"}}"#;
        let request = Request::post("/api")
            .body(Body::from(json))
            .expect("a request");
        let response = app(engine.clone())
            .oneshot(request)
            .await
            .expect("a response");
        let body = to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let body = std::str::from_utf8(&body).expect("text");
        assert!(body.contains("Hello, Ann!"), "{body}");
        engine.stop().await;
    }
}
