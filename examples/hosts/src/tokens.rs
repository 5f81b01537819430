//! JSON Web Tokens: how the hosts know who asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gen_api::model::Identity;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::Error,
};
use serde::{Deserialize, Serialize};

/// Whom the tokens are for.
const AUDIENCE: &str = "gen_api";

/// What the tokens say; that they have not expired is checked with them.
#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    aud: String,
    exp: u64,
}

/// Reads tokens that were signed with one secret, by one algorithm: a token's own word for it does not count.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Reads tokens that were signed with this secret.
    pub fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["aud", "exp", "sub"]);
        Self {
            key: DecodingKey::from_secret(secret.as_bytes()),
            validation,
        }
    }

    /// Who the token belongs to.
    ///
    /// # Errors
    ///
    /// When it is not valid, or no longer.
    pub fn verify(&self, token: &str) -> Result<Identity, Error> {
        let claims = decode::<Claims>(token, &self.key, &self.validation)?.claims;
        Ok(Identity::user(claims.sub).with_roles(claims.roles))
    }

    /// Who asks, by the header `authorization` of a request: nobody in particular where there is none.
    ///
    /// # Errors
    ///
    /// When the header holds no valid token.
    pub fn identify(&self, authorization: Option<&str>) -> Result<Identity, Error> {
        match authorization {
            None => Ok(Identity::anonymous()),
            Some(header) => self.verify(header.strip_prefix("Bearer ").unwrap_or_default()),
        }
    }
}

/// A token for an hour, as the login of a program would hand it out.
///
/// # Errors
///
/// When it cannot be signed.
pub fn sign(secret: &str, user: &str, roles: &[&str]) -> Result<String, Error> {
    let expires = SystemTime::now() + Duration::from_secs(3_600);
    let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = Claims {
        sub: user.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        aud: AUDIENCE.to_owned(),
        exp: expires.as_secs(),
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
}

/// The secret that tokens are signed with, from the variable `JWT_SECRET`.
///
/// # Errors
///
/// When it is not set.
pub fn secret() -> Result<String, &'static str> {
    std::env::var("JWT_SECRET").map_err(|_| "set JWT_SECRET to a long random text")
}
