//! The token of a client: the subprotocol `base64url.bearer.phx.<token>` (clients from 1.8).

use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const PREFIX: &str = "base64url.bearer.phx.";

/// The subprotocol of the WebSocket itself.
pub(crate) const PROTOCOL: &str = "phoenix";

/// What a client offers as subprotocols.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// It speaks `phoenix`, and waits for that as the answer.
    pub(crate) phoenix: bool,
    pub(crate) token: Option<String>,
}

impl Offered {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut offered = Self::default();
        let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        let lists = lists.filter_map(|list| list.to_str().ok());
        for protocol in lists.flat_map(|list| list.split(',')).map(str::trim) {
            if protocol == PROTOCOL {
                offered.phoenix = true;
            } else if let Some(token) = protocol.strip_prefix(PREFIX) {
                offered.token = decode(token);
            }
        }
        offered
    }
}

/// Reads base64 in the alphabet that clients use and in the one they name, padded or not.
fn decode(token: &str) -> Option<String> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let standard = token.replace('-', "+").replace('_', "/");
    String::from_utf8(LENIENT.decode(standard).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn offered(lists: &[&'static str]) -> Offered {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list));
        }
        Offered::of(&headers)
    }

    #[test]
    fn the_token_is_read_in_both_alphabets_with_and_without_padding() {
        for encoded in ["Pz8/Pg", "Pz8_Pg", "Pz8/Pg==", "Pz8_Pg=="] {
            assert_eq!(decode(encoded).as_deref(), Some("???>"), "{encoded}");
        }
        assert_eq!(decode("YWJj").as_deref(), Some("abc"));
    }

    #[test]
    fn what_is_no_base64_or_no_text_is_no_token() {
        for odd in ["a", "!!!!", "_w"] {
            assert_eq!(decode(odd), None, "{odd}");
        }
    }

    #[test]
    fn protocol_and_token_may_come_in_one_header_or_in_two() {
        let both = Offered {
            phoenix: true,
            token: Some("abc".to_owned()),
        };
        assert_eq!(offered(&["phoenix, base64url.bearer.phx.YWJj"]), both);
        assert_eq!(
            offered(&["base64url.bearer.phx.YWJj", "other,phoenix"]),
            both
        );
        assert_eq!(offered(&[]), Offered::default());
        assert_eq!(offered(&["chat"]), Offered::default());
    }
}
