//! Clients that prove with a JSON Web Token who they are.
//!
//! ```sh
//! JWT_SECRET="a long random text" cargo run -p gen_api-hosts --bin jwt
//! ```
//!
//! With the npm package `phoenix`, from 1.8: `new Socket("ws://localhost:8080/socket", { authToken: token })`. Older
//! clients send it as a parameter: `{ params: { token } }`.

use std::error::Error;

use actix_web::App;
use gen_api::channel::{
    Channel, ChannelEndpoint, ChannelEndpointRef, Connect, Denied, Session, StartEndpointError,
};
use gen_api_hosts::{
    start_engine,
    tokens::{Verifier, secret},
};

fn session(verifier: &Verifier, connect: &Connect) -> Result<Session, Denied> {
    let token = connect.token.as_deref();
    let token = token.or_else(|| connect.params.text("token"));
    let token = token.ok_or("a token is needed")?;
    let identity = verifier.verify(token).map_err(|error| error.to_string())?;
    // One name for all connections of the user, so that they can be ended when he is locked out.
    let name = format!("user:{}", identity.user_id().unwrap_or_default());
    Ok(Session::from(identity).with_socket_id(name))
}

async fn start_endpoint(
    engine: &gen_api::GenApi,
    secret: &str,
) -> Result<ChannelEndpointRef, StartEndpointError> {
    let verifier = Verifier::new(secret);
    ChannelEndpoint::new(engine)
        .on_connect(move |connect| {
            let session = session(&verifier, &connect);
            async move { session }
        })
        .channel("api:*", Channel::new())
        .start()
        .await
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = secret()?;
    let engine = start_engine().await?;
    let endpoint = start_endpoint(&engine, &secret).await?;
    let mounted = endpoint.clone();
    let server = endpoint.http_server(move || App::new().configure(mounted.mount("/socket")));
    let server = server.disable_signals().bind(("127.0.0.1", 8080))?;
    // Until Ctrl-C or SIGTERM; then the clients are told, and the server ends.
    engine.serve(server.run()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use actix_web::{
        http::StatusCode,
        test::{TestRequest, call_service, init_service},
    };
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "the secret of this test";

    fn sign(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).expect("it can be signed")
    }

    fn claims(seconds: i64) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("it is later than 1970").as_secs() as i64;
        json!({"sub": "ann", "roles": ["admin"], "aud": "gen_api", "exp": now + seconds})
    }

    fn without(name: &str) -> Value {
        let mut claims = claims(3_600);
        claims.as_object_mut().expect("an object").remove(name);
        claims
    }

    #[actix_web::test]
    async fn who_has_a_valid_token_connects_and_nobody_else() {
        let engine = start_engine().await.expect("it starts");
        let endpoint = start_endpoint(&engine, SECRET).await.expect("it starts");
        let app = init_service(App::new().configure(endpoint.mount("/socket"))).await;
        let status = async |query: &str| {
            let request = TestRequest::get()
                .uri(&format!("/socket/websocket?vsn=2.0.0{query}"))
                .insert_header(("connection", "upgrade"))
                .insert_header(("upgrade", "websocket"))
                .insert_header(("sec-websocket-version", "13"))
                .insert_header(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="));
            call_service(&app, request.to_request()).await.status()
        };

        let good = sign(SECRET, Algorithm::HS256, &claims(3_600));
        let accepted = status(&format!("&token={good}")).await;
        assert_eq!(accepted, StatusCode::SWITCHING_PROTOCOLS);

        assert_eq!(status("").await, StatusCode::FORBIDDEN);
        let (head, rest) = good.split_once('.').expect("three parts");
        let (body, _) = rest.split_once('.').expect("three parts");
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        for bad in [
            sign("another", Algorithm::HS256, &claims(3_600)),
            sign(SECRET, Algorithm::HS512, &claims(3_600)),
            sign(SECRET, Algorithm::HS256, &claims(-3_600)),
            sign(SECRET, Algorithm::HS256, &without("exp")),
            sign(SECRET, Algorithm::HS256, &without("aud")),
            sign(SECRET, Algorithm::HS256, &without("sub")),
            format!("{head}.{body}."),
            unsigned,
            "nonsense".to_owned(),
        ] {
            let refused = status(&format!("&token={bad}")).await;
            assert_eq!(refused, StatusCode::FORBIDDEN, "{bad}");
        }
        engine.stop().await;
    }

    #[actix_web::test]
    async fn the_session_is_what_the_token_says() {
        let engine = start_engine().await.expect("it starts");
        let verifier = Verifier::new(SECRET);
        let (sender, sessions) = std::sync::mpsc::channel();
        let endpoint = ChannelEndpoint::new(&engine)
            .on_connect(move |connect| {
                let session = session(&verifier, &connect);
                let sent = sender.send(session.clone());
                async move {
                    sent.map_err(|_| "nobody looks")?;
                    session
                }
            })
            .start()
            .await
            .expect("it starts");
        let app = init_service(App::new().configure(endpoint.mount("/socket"))).await;
        let token = sign(SECRET, Algorithm::HS256, &claims(3_600));
        let request = TestRequest::get().uri(&format!("/socket/longpoll?vsn=2.0.0&token={token}"));
        call_service(&app, request.to_request()).await;
        let session = sessions
            .recv()
            .expect("it was verified")
            .expect("it is valid");
        assert_eq!(session.user_id(), Some("ann"));
        assert_eq!(session.roles(), ["admin"]);
        assert_eq!(session.socket_id(), "user:ann");
        engine.stop().await;
    }
}
