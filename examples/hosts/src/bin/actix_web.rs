//! gen_api in an actix-web application, which verifies its clients by JSON Web Tokens:
//!
//! ```sh
//! JWT_SECRET="a long random text" cargo run -p gen_api-hosts --bin actix_web
//! curl -N localhost:8080/api -d '{"request_id":"1","service":"demo","request_type":"countdown","args":{"from":3}}'
//! TOKEN=.. # it prints one
//! curl localhost:8080/api -H "authorization: Bearer $TOKEN" -d '{"request_id":"1","service":"demo","request_type":"who_am_i"}'
//! ```

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::header::AUTHORIZATION,
    post,
    web::{Bytes, Data},
};
use futures_util::TryStreamExt;
use gen_api::GenApi;
use gen_api_hosts::{
    json_lines, start_engine,
    tokens::{Verifier, secret, sign},
};

#[post("/api")]
async fn api(
    engine: Data<GenApi>,
    verifier: Data<Verifier>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let authorization = request.headers().get(AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
    let Ok(mut identity) = verifier.identify(authorization) else {
        return HttpResponse::Unauthorized().finish();
    };
    if let Some(peer) = request.peer_addr() {
        identity = identity.with_ip_address(peer.ip().to_string());
    }
    let reply = engine.execute_json(&identity, &body).await;
    let lines = json_lines(reply).map_ok(Bytes::from);
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(lines)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = secret()?;
    println!("a token of ann: {}", sign(&secret, "ann", &[])?);
    let engine = start_engine().await?;
    let data = Data::new(engine.clone());
    let verifier = Data::new(Verifier::new(&secret));
    let app = move || {
        let app = App::new().app_data(data.clone());
        app.app_data(verifier.clone()).service(api)
    };
    let server = HttpServer::new(app).disable_signals();
    // Until Ctrl-C or SIGTERM; then running requests end, and the server.
    engine
        .serve(server.bind(("127.0.0.1", 8080))?.run())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_and_read_body, init_service};

    use super::*;

    #[actix_web::test]
    async fn a_request_in_the_body_is_answered_line_by_line() {
        let engine = start_engine().await.expect("it starts");
        let app = App::new()
            .app_data(Data::new(engine.clone()))
            .app_data(Data::new(Verifier::new("the secret of this test")))
            .service(api);
        let app = init_service(app).await;
        let json =
            r#"{"request_id":"1","service":"demo","request_type":"countdown","args":{"from":2}}"#;
        let request = TestRequest::post()
            .uri("/api")
            .set_payload(json)
            .to_request();
        let body = call_and_read_body(&app, request).await;
        let body = std::str::from_utf8(&body).expect("text");
        assert_eq!(
            body.lines().count(),
            4,
            "an acknowledgement, two chunks, the end: {body}"
        );
        engine.stop().await;
    }
    #[actix_web::test]
    async fn who_asks_is_who_the_token_was_made_for_whatever_the_body_says() {
        const SECRET: &str = "the secret of this test";
        let engine = start_engine().await.expect("it starts");
        let app = App::new()
            .app_data(Data::new(engine.clone()))
            .app_data(Data::new(Verifier::new(SECRET)))
            .service(api);
        let app = init_service(app).await;
        let ask = async |token: Option<String>| {
            let mut request = TestRequest::post().uri("/api").set_payload(
                r#"{"request_id":"1","service":"demo","request_type":"who_am_i","user_id":"bob"}"#,
            );
            if let Some(token) = token {
                request = request.insert_header((AUTHORIZATION, format!("Bearer {token}")));
            }
            let body = call_and_read_body(&app, request.to_request()).await;
            String::from_utf8(body.to_vec()).expect("text")
        };
        let stranger = ask(None).await;
        assert!(stranger.contains("Permission denied"), "{stranger}");
        let ann = ask(Some(sign(SECRET, "ann", &[]).expect("a token"))).await;
        assert!(ann.contains(r#""result":"ann""#), "{ann}");
        let forged = ask(Some(sign("another", "ann", &[]).expect("a token"))).await;
        assert!(forged.is_empty(), "{forged}");
        engine.stop().await;
    }
}
