//! The secret of the cluster on the wire: every call carries it, and a door compares it in constant time (specification, section 19).

use subtle::ConstantTimeEq;
use tonic::codegen::http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, InvalidHeaderValue},
};

use crate::settings::ClusterSecret;

/// A secret that cannot travel in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "grpc.cluster_secret may only hold visible ASCII characters, without spaces, and at least one; so do grpc.cluster_secrets"
)]
pub struct UnusableSecret;

/// What a caller shows with every call, made once.
#[derive(Clone)]
pub(crate) struct Bearer(HeaderValue);

impl Bearer {
    pub(crate) fn new(secret: &ClusterSecret) -> Result<Self, UnusableSecret> {
        let secret = judged(secret)?;
        let value: Result<_, InvalidHeaderValue> =
            HeaderValue::try_from(format!("{SCHEME} {secret}"));
        let mut value = value.map_err(|_| UnusableSecret)?;
        // Hidden from `Debug`, and kept out of the compression table of the connection.
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn attach(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.0.clone());
    }
}

/// Lets those in who know one of the secrets.
pub(crate) struct Guard(Vec<ClusterSecret>);

impl Guard {
    pub(crate) fn new<'s>(
        secrets: impl IntoIterator<Item = &'s ClusterSecret>,
    ) -> Result<Self, UnusableSecret> {
        let secrets = secrets.into_iter();
        let judged = secrets.map(|secret| judged(secret).map(|_| secret.clone()));
        judged.collect::<Result<_, _>>().map(Self)
    }

    /// Whether these headers show a secret. How long it takes tells nothing of how much of it was right, nor of which.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let Some((scheme, secret)) = shown.as_bytes().split_at_checked(SCHEME.len()) else {
            return false;
        };
        let Some((b' ', secret)) = secret.split_first() else {
            return false;
        };
        // The name of a scheme is written in any case (RFC 9110).
        scheme.eq_ignore_ascii_case(SCHEME.as_bytes())
            && self.0.iter().fold(false, |admitted, known| {
                admitted | bool::from(known.expose().as_bytes().ct_eq(secret))
            })
    }
}

const SCHEME: &str = "Bearer";

fn judged(secret: &ClusterSecret) -> Result<&str, UnusableSecret> {
    let secret = secret.expose();
    let visible = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then_some(secret).ok_or(UnusableSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(value: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(value).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[test]
    fn a_door_admits_what_a_caller_with_the_same_secret_shows() {
        let secret = ClusterSecret::from("s3cret!=");
        let guard = Guard::new([&secret]).unwrap();
        let mut headers = HeaderMap::new();
        assert!(!guard.admits(&headers));
        let bearer = Bearer::new(&secret).unwrap();
        bearer.attach(&mut headers);
        bearer.attach(&mut headers);
        assert!(guard.admits(&headers));
        assert!(!format!("{headers:?}").contains("s3cret"));
    }

    #[test]
    fn anything_but_the_secret_is_kept_out() {
        let guard = Guard::new([&ClusterSecret::from("secret")]).unwrap();
        assert!(guard.admits(&showing(b"bearer secret")));
        for shown in [
            &b"Bearer secre"[..],
            b"Bearer secrets",
            b"Bearer Secret",
            b"Bearer  secret",
            b"Bearer",
            b"Bearer ",
            b"Basic secret",
            b"secret",
            b"",
            b"Bearer \xff\xfe",
        ] {
            assert!(!guard.admits(&showing(shown)), "{shown:?}");
        }
        let mut twice = showing(b"Bearer secret");
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        assert!(!guard.admits(&twice));
    }

    #[test]
    fn each_of_several_secrets_lets_in_and_no_mixture_of_them() {
        let guard = Guard::new(&["new".into(), "old".into()]).unwrap();
        assert!(guard.admits(&showing(b"Bearer new")));
        assert!(guard.admits(&showing(b"Bearer old")));
        for shown in [&b"Bearer newold"[..], b"Bearer nld", b"Bearer "] {
            assert!(!guard.admits(&showing(shown)), "{shown:?}");
        }
    }

    #[test]
    fn a_secret_that_no_header_can_carry_is_refused_on_both_sides() {
        for secret in ["", "two words", "line\nbreak", "schlüssel", "tab\t"] {
            let secret = ClusterSecret::from(secret);
            assert!(Bearer::new(&secret).is_err());
            assert!(Guard::new([&secret]).is_err());
        }
    }
}
