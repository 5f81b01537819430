//! Points in time as texts: which ones are accepted, and the form in which they are handed on.

use std::borrow::Cow;

use jiff::{Timestamp, civil::DateTime, fmt::temporal::Pieces};

/// A finer fraction of a second is cut: no time that is handed on has more digits.
const FRACTION_DIGITS: usize = 9;

/// Reads RFC 3339 (an offset is part of it) and answers the same instant in UTC, ending in `Z`.
///
/// Fractions of a second survive up to nanoseconds; second 60 is read as 59, because the time scale handed on has no leap
/// seconds.
pub(super) fn to_utc(text: &str) -> Option<String> {
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    let utc = cut_fraction(text).parse::<Timestamp>().ok()?.to_string();
    // An offset can carry the first or last hours out of the years RFC 3339 can write.
    is_rfc3339(utc.as_bytes()).then_some(utc)
}

/// Reads ISO 8601 with a date and a time, drops the offset if there is one, and answers what the clock showed.
pub(super) fn to_wall_clock(text: &str) -> Option<String> {
    // jiff also takes the bracketed annotations of RFC 9557, which are no part of ISO 8601.
    if text.contains('[') {
        return None;
    }
    let text = cut_fraction(text);
    let pieces = Pieces::parse(&*text).ok()?;
    Some(DateTime::from_parts(pieces.date(), pieces.time()?).to_string())
}

fn cut_fraction(text: &str) -> Cow<'_, str> {
    let Some((whole, rest)) = text.find(['.', ',']).map(|point| text.split_at(point + 1)) else {
        return Cow::Borrowed(text);
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest.split_at_checked(FRACTION_DIGITS) {
        Some((kept, _)) if digits > FRACTION_DIGITS => {
            let offset = rest.get(digits..).unwrap_or_default();
            Cow::Owned(format!("{whole}{kept}{offset}"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The grammar of RFC 3339, section 5.6; which days and hours exist is left to jiff, whose own grammar is wider.
fn is_rfc3339(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let shaped = |bytes: &[u8], shape: &[u8]| {
        bytes.len() == shape.len()
            && bytes
                .iter()
                .zip(shape)
                .all(|(byte, expected)| match expected {
                    b'0' => byte.is_ascii_digit(),
                    b'T' => matches!(byte, b'T' | b't' | b' '),
                    _ => byte == expected,
                })
    };
    if !shaped(date_time, b"0000-00-00T00:00:00") {
        return false;
    }
    let offset = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        _ => rest,
    };
    match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', time @ ..] => shaped(time, b"00:00") && time < b"24:00".as_slice(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_rfc_3339_becomes_the_same_instant_in_utc() {
        for (text, utc) in [
            ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00Z"),
            ("2024-01-15t10:30:00z", "2024-01-15T10:30:00Z"),
            ("2024-01-15 10:30:00-00:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15T10:30:00+00:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15T00:30:00+07:45", "2024-01-14T16:45:00Z"),
            (
                "2024-01-15T10:30:00.123456789-05:00",
                "2024-01-15T15:30:00.123456789Z",
            ),
            (
                "2024-01-15T10:30:00.123456789999+00:00",
                "2024-01-15T10:30:00.123456789Z",
            ),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            assert_eq!(to_utc(text).as_deref(), Some(utc), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_no_datetime() {
        for text in [
            "",
            "tomorrow",
            "2024-01-15",
            "2024-01-15T10:30:00",
            "2024-01-15T10:30Z",
            "20240115T103000Z",
            "2024-01-15T10:30:00,5Z",
            "2024-01-15T10:30:00.Z",
            "2024-01-15T10:30:00+0700",
            "2024-01-15T10:30:00+24:00",
            "2024-01-15T10:30:00+07:60",
            "2024-01-15T24:00:00Z",
            "2024-02-30T10:30:00Z",
            "2024-01-15T10:30:00Z[UTC]",
            "0000-01-01T00:00:00+23:00",
            "9999-12-31T23:59:59-23:00",
            "２０２４-01-15T10:30:00Z",
        ] {
            assert_eq!(to_utc(text), None, "{text}");
        }
    }

    #[test]
    fn a_wall_clock_keeps_what_was_written_and_drops_the_offset() {
        for (text, clock) in [
            ("2024-01-15T10:30:00", "2024-01-15T10:30:00"),
            ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00"),
            ("2024-01-15 10:30:00.5-11:00", "2024-01-15T10:30:00.5"),
            (
                "2024-01-15T10:30:00,123456789012Z",
                "2024-01-15T10:30:00.123456789",
            ),
            ("2024-01-15T10:30", "2024-01-15T10:30:00"),
            ("20240115T103000+0700", "2024-01-15T10:30:00"),
        ] {
            assert_eq!(to_wall_clock(text).as_deref(), Some(clock), "{text}");
        }
        for text in [
            "",
            "2024-01-15",
            "10:30:00",
            "2024-13-01T10:30:00",
            "2024-01-15T10:30:00[UTC]",
            "noon",
        ] {
            assert_eq!(to_wall_clock(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_independent_of_the_offset_it_was_written_with(
            seconds in -60_000_000_000_i64..250_000_000_000,
            offset in -1_400_i64..1_400,
        ) {
            let utc = Timestamp::from_second(seconds).unwrap();
            let local = Timestamp::from_second(seconds + offset * 60).unwrap().to_string();
            let sign = if offset < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
            let text = format!("{}{sign}{hours:02}:{minutes:02}", local.trim_end_matches('Z'));
            prop_assert_eq!(to_utc(&text), Some(utc.to_string()));
        }

        #[test]
        fn no_text_makes_reading_a_time_panic(text in "[0-9TtZz:.+ \\[\\]-]{0,40}|\\PC{0,40}") {
            let _ = (to_utc(&text), to_wall_clock(&text));
        }
    }
}
