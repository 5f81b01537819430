//! gen_api in an actix-web application: `cargo run -p gen_api-hosts --bin actix_web`, then
//!
//! ```sh
//! curl -N localhost:8080/api -d '{"request_id":"1","service":"demo","request_type":"countdown","args":{"from":3}}'
//! ```

use actix_web::{
    App, HttpResponse, HttpServer, Responder, post,
    web::{Bytes, Data},
};
use futures_util::TryStreamExt;
use gen_api::GenApi;
use gen_api_hosts::{json_lines, start_engine};

#[post("/api")]
async fn api(engine: Data<GenApi>, body: Bytes) -> impl Responder {
    let reply = engine.execute_json(&body).await;
    let lines = json_lines(reply).map_ok(Bytes::from);
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(lines)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = start_engine().await?;
    let data = Data::new(engine.clone());
    HttpServer::new(move || App::new().app_data(data.clone()).service(api))
        .bind(("127.0.0.1", 8080))?
        .run()
        .await?;
    engine.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_and_read_body, init_service};

    use super::*;

    #[actix_web::test]
    async fn a_request_in_the_body_is_answered_line_by_line() {
        let engine = start_engine().await.expect("it starts");
        let app = App::new().app_data(Data::new(engine.clone())).service(api);
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
}
