//! gen_api in an axum application, which verifies its clients by JSON Web Tokens:
//!
//! ```sh
//! JWT_SECRET="a long random text" cargo run -p gen_api-hosts --bin axum
//! curl -N localhost:8081/api -d '{"request_id":"1","service":"demo","request_type":"countdown","args":{"from":3}}'
//! TOKEN=.. # it prints one
//! curl localhost:8081/api -H "authorization: Bearer $TOKEN" -d '{"request_id":"1","service":"demo","request_type":"who_am_i"}'
//! ```

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use gen_api::GenApi;
use gen_api_hosts::{
    json_lines, start_engine,
    tokens::{Verifier, secret, sign},
};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Host {
    engine: GenApi,
    verifier: Arc<Verifier>,
}

async fn api(
    State(host): State<Host>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
    let Ok(identity) = host.verifier.identify(authorization) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let identity = identity.with_ip_address(peer.ip().to_string());
    let reply = host.engine.execute_json(&identity, &body).await;
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (content_type, Body::from_stream(json_lines(reply))).into_response()
}

fn app(engine: GenApi, secret: &str) -> Router {
    let verifier = Arc::new(Verifier::new(secret));
    let host = Host { engine, verifier };
    Router::new().route("/api", post(api)).with_state(host)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = secret()?;
    println!("a token of ann: {}", sign(&secret, "ann", &[])?);
    let engine = start_engine().await?;
    let listener = TcpListener::bind(("127.0.0.1", 8081)).await?;
    let app = app(engine.clone(), &secret);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    // First the engine, which lets running requests end, and then the server.
    let stopped = async move {
        gen_api::shutdown_signal().await;
        engine.stop().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, extract::connect_info::MockConnectInfo, http::Request};
    use tower::ServiceExt;

    use super::*;

    const SECRET: &str = "the secret of this test";

    /// The status, and the body as a text.
    async fn ask(engine: &GenApi, authorization: Option<&str>, json: &str) -> (StatusCode, String) {
        let request = Request::post("/api");
        let request = match authorization {
            Some(header) => request.header("authorization", header),
            None => request,
        };
        let request = request.body(Body::from(json.to_owned()));
        let peer = MockConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4_000)));
        let response = app(engine.clone(), SECRET)
            .layer(peer)
            .oneshot(request.expect("a request"))
            .await
            .expect("a response");
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await;
        let body = String::from_utf8(body.expect("a body").to_vec());
        (status, body.expect("text"))
    }

    #[tokio::test]
    async fn a_request_in_the_body_is_answered_line_by_line() {
        let engine = start_engine().await.expect("it starts");
        let json =
            r#"{"request_id":"1","service":"demo","request_type":"greet","args":{"name":"Ann"}}"#;
        let (_, body) = ask(&engine, None, json).await;
        assert!(body.contains("Hello, Ann!"), "{body}");
        engine.stop().await;
    }

    #[tokio::test]
    async fn who_asks_is_who_the_token_was_made_for_whatever_the_body_says() {
        let engine = start_engine().await.expect("it starts");
        let json =
            r#"{"request_id":"1","service":"demo","request_type":"who_am_i","user_id":"bob"}"#;
        let (_, body) = ask(&engine, None, json).await;
        assert!(body.contains("Permission denied"), "{body}");
        let header = format!("Bearer {}", sign(SECRET, "ann", &[]).expect("a token"));
        let (_, body) = ask(&engine, Some(&header), json).await;
        assert!(body.contains(r#""result":"ann""#), "{body}");
        let forged = format!("Bearer {}", sign("another", "ann", &[]).expect("a token"));
        let (status, _) = ask(&engine, Some(&forged), json).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        engine.stop().await;
    }
}
