use proptest::prelude::*;
use serde_json::json;

use super::*;

fn text(version: Version, json: &str) -> Frame<'_> {
    Frame::text(version, json.as_bytes()).unwrap()
}

fn json_of(frame: &Frame<'_>) -> Value {
    match frame.payload {
        RawPayload::Json(raw) => serde_json::from_str(raw.get()).unwrap(),
        RawPayload::Binary(bytes) => panic!("{bytes:?}"),
    }
}

fn reply(version: Version, frame: &Frame<'_>, status: Status, response: Value) -> String {
    let mut out = Vec::new();
    let to = ReplyTo {
        version,
        join_ref: &frame.join_ref,
        reference: &frame.reference,
        topic: &frame.topic,
    };
    let kind = write_reply(&mut out, to, status, &response.into()).unwrap();
    assert_eq!(kind, Kind::Text);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_version_is_1_unless_the_client_says_so_and_others_are_unknown() {
    assert_eq!(Version::parse(None), Some(Version::V1));
    assert_eq!(Version::parse(Some("1.0.0")), Some(Version::V1));
    assert_eq!(Version::parse(Some("2.0.0")), Some(Version::V2));
    for unknown in ["", "2", "3.0.0", "2.1.0", "latest", "-1.0.0"] {
        assert_eq!(Version::parse(Some(unknown)), None, "{unknown}");
    }
}

#[test]
fn a_frame_of_version_2_is_a_list_of_five() {
    let frame = text(Version::V2, r#"["3","4","room:1","shout",{"a":[1]}]"#);
    assert_eq!(frame.join_ref, Ref::text("3"));
    assert_eq!(frame.reference, Ref::text("4"));
    assert_eq!((&*frame.topic, &*frame.event), ("room:1", "shout"));
    assert_eq!(json_of(&frame), json!({"a": [1]}));
}

#[test]
fn a_frame_of_version_1_is_an_object() {
    let json = r#"{"topic":"room:1","event":"shout","payload":{},"ref":"4"}"#;
    let frame = text(Version::V1, json);
    assert_eq!(
        (frame.join_ref, frame.reference),
        (Ref::Null, Ref::text("4"))
    );
    assert_eq!((&*frame.topic, &*frame.event), ("room:1", "shout"));
}

#[test]
fn refs_are_echoed_in_the_form_in_which_they_came() {
    for raw in [
        "\"1\"",
        "1",
        "null",
        "-0.50",
        "\"a\\\"b\"",
        "12345678901234567890123",
    ] {
        let json = format!(r#"[null,{raw},"phoenix","heartbeat",{{}}]"#);
        let frame = text(Version::V2, &json);
        let expected =
            format!(r#"[null,{raw},"phoenix","phx_reply",{{"status":"ok","response":{{}}}}]"#);
        assert_eq!(reply(Version::V2, &frame, Status::Ok, json!({})), expected);
    }
}

#[test]
fn a_reply_of_version_1_has_no_join_ref() {
    let frame = text(
        Version::V1,
        r#"{"topic":"t","event":"e","payload":{},"ref":"4"}"#,
    );
    assert_eq!(
        reply(Version::V1, &frame, Status::Error, json!({"reason": "no"})),
        r#"{"topic":"t","event":"phx_reply","payload":{"status":"error","response":{"reason":"no"}},"ref":"4"}"#
    );
}

#[test]
fn a_push_has_the_join_ref_and_a_broadcast_none() {
    let mut out = Vec::new();
    let payload = Payload::Json(json!({"v": 1}));
    let join_ref = Ref::text("3");
    write_push(&mut out, Version::V2, Some(&join_ref), "t", "e", &payload).unwrap();
    write_push(&mut out, Version::V2, None, "t", "e", &payload).unwrap();
    write_push(&mut out, Version::V1, Some(&join_ref), "t", "e", &payload).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#"["3",null,"t","e",{"v":1}]"#,
            r#"[null,null,"t","e",{"v":1}]"#,
            r#"{"topic":"t","event":"e","payload":{"v":1},"ref":null}"#
        )
    );
}

#[test]
fn what_is_no_frame_is_an_error() {
    let deep = format!(
        r#"[null,"1","t","e",{}1{}]"#,
        "[".repeat(200),
        "]".repeat(100)
    );
    for json in [
        "",
        "5",
        "{}",
        "[]",
        r#"["1","2","t","e"]"#,
        r#"["1","2","t","e",{},6]"#,
        r#"["1","2",5,"e",{}]"#,
        r#"["1","2","t",null,{}]"#,
        r#"[{},"2","t","e",{}]"#,
        r#"["1",[],"t","e",{}]"#,
        r#"["1",true,"t","e",{}]"#,
        r#"["1","2","t","e",{"#,
        r#"["1","2","t","e",{}] x"#,
        &deep,
    ] {
        assert!(Frame::text(Version::V2, json.as_bytes()).is_err(), "{json}");
    }
    for json in [
        r#"["t","e",{},"1"]"#,
        r#"{"event":"e","payload":{},"ref":"1"}"#,
        r#"{"topic":"t","payload":{},"ref":"1"}"#,
        r#"{"topic":"t","event":"e","ref":"1"}"#,
    ] {
        assert!(Frame::text(Version::V1, json.as_bytes()).is_err(), "{json}");
    }
    let invalid = b"[null,\"1\",\"\xff\",\"e\",{}]";
    assert!(matches!(
        Frame::text(Version::V2, invalid),
        Err(FrameError::NotUtf8)
    ));
}

#[test]
fn refs_topics_and_events_have_a_greatest_length() {
    let (fits, long) = ("x".repeat(1_024), "x".repeat(1_025));
    for (index, name) in ["join ref", "ref", "topic", "event"].iter().enumerate() {
        let frame = |text: &str| {
            let mut frame = json!(["1", "2", "t", "e", {}]);
            frame[index] = json!(text);
            frame.to_string()
        };
        assert!(Frame::text(Version::V2, frame(&fits).as_bytes()).is_ok());
        let long = frame(&long);
        let Err(FrameError::TooLong { field, bytes }) = Frame::text(Version::V2, long.as_bytes())
        else {
            panic!("{name} was taken");
        };
        assert_eq!((field, bytes), (*name, 1_025));
    }
}

#[test]
fn deep_json_is_passed_over_without_recursion() {
    let (open, close) = ("[".repeat(50_000), "]".repeat(50_000));
    let json = format!(r#"[null,"1","t","e",{open}{close}]"#);
    assert!(Frame::text(Version::V2, json.as_bytes()).is_ok());
}

#[test]
fn a_binary_push_holds_its_fields_and_the_raw_payload() {
    let bytes = b"\x00\x01\x02\x03\x0212" as &[u8];
    let bytes = [bytes, b"2", b"abc", b"ev", b"\xff\x00raw"].concat();
    let frame = Frame::binary(Version::V2, &bytes).unwrap();
    assert_eq!(frame.join_ref, Ref::text("1"));
    assert_eq!(frame.reference, Ref::text("22"));
    assert_eq!((&*frame.topic, &*frame.event), ("abc", "ev"));
    assert!(matches!(frame.payload, RawPayload::Binary(b"\xff\x00raw")));
}

#[test]
fn an_empty_ref_of_a_binary_frame_is_none() {
    let frame = Frame::binary(Version::V2, b"\x00\x00\x00\x01\x01te").unwrap();
    assert_eq!((frame.join_ref, frame.reference), (Ref::Null, Ref::Null));
}

#[test]
fn version_1_has_no_binary_frames() {
    let bytes = b"\x00\x00\x00\x01\x01te";
    assert!(Frame::binary(Version::V1, bytes).is_err());
    let payload = Payload::Binary(Bytes::new());
    let written = write_push(&mut Vec::new(), Version::V1, None, "t", "e", &payload);
    assert!(matches!(written, Err(EncodeError::BinaryInVersion1)));
}

#[test]
fn binary_frames_to_the_client_say_what_they_are() {
    let payload = Payload::Binary(Bytes::from_static(b"\xfe"));
    let join_ref = Ref::text("3");
    let written = |join_ref: Option<&Ref>| {
        let mut out = Vec::new();
        let kind = write_push(&mut out, Version::V2, join_ref, "tp", "e", &payload).unwrap();
        assert_eq!(kind, Kind::Binary);
        out
    };
    assert_eq!(written(Some(&join_ref)), b"\x00\x01\x02\x013tpe\xfe");
    assert_eq!(written(None), b"\x02\x02\x01tpe\xfe");
    let to = ReplyTo {
        version: Version::V2,
        join_ref: &join_ref,
        reference: &Ref::Number("44".into()),
        topic: "tp",
    };
    let mut out = Vec::new();
    write_reply(&mut out, to, Status::Ok, &payload).unwrap();
    assert_eq!(out, b"\x01\x01\x02\x02\x02344tpok\xfe");
}

#[test]
fn a_field_too_long_for_a_binary_frame_is_an_error_that_writes_nothing() {
    let payload = Payload::Binary(Bytes::new());
    let topic = "t".repeat(256);
    let mut out = b"before".to_vec();
    let written = write_push(&mut out, Version::V2, None, &topic, "e", &payload);
    let Err(EncodeError::TooLong { field, bytes }) = written else {
        panic!("{written:?}");
    };
    assert_eq!((field, bytes), ("topic", 256));
    assert_eq!(out, b"before");
}

#[test]
fn a_binary_frame_that_ends_early_is_an_error_wherever_it_ends() {
    let whole = b"\x00\x01\x02\x03\x02122abcev";
    for length in 0..whole.len() {
        let read = Frame::binary(Version::V2, &whole[..length]);
        assert!(matches!(read, Err(FrameError::Truncated)), "{length}");
    }
    assert!(Frame::binary(Version::V2, whole).is_ok());
    let read = Frame::binary(Version::V2, b"\x01\x00\x00\x00\x00");
    assert!(matches!(read, Err(FrameError::Kind(1))));
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        version in versions(),
    ) {
        let _ = Frame::text(version, &bytes);
        let _ = Frame::binary(version, &bytes);
    }

    #[test]
    fn no_text_that_resembles_a_frame_makes_reading_panic(
        json in r#"[\[{]("[a-z\\u0-9]{0,4}"|null|-?[0-9]{0,3}|[\[\]{}:,]|"topic":|"ref":|"event":){0,12}[\]}]?"#,
        version in versions(),
    ) {
        let _ = Frame::text(version, json.as_bytes());
    }

    #[test]
    fn a_written_frame_can_be_read_again(
        topic in ".{0,40}", event in ".{0,20}", reference in ".{1,8}", text in ".{0,40}", version in versions(),
    ) {
        let (join_ref, reference) = (Ref::text("7"), Ref::text(&reference));
        let head = Head { version, join_ref: &join_ref, reference: &reference, topic: &topic, event: &event };
        let mut out = Vec::new();
        head.write_json(&mut out, &json!({"text": text})).unwrap();
        let frame = Frame::text(version, &out).unwrap();
        prop_assert_eq!(&*frame.topic, topic);
        prop_assert_eq!(&*frame.event, event);
        prop_assert_eq!(json_of(&frame), json!({"text": text}));
        prop_assert_eq!(frame.reference, reference);
    }

    #[test]
    fn a_frame_that_ends_early_is_no_frame(cut in 0..100usize, version in versions()) {
        let whole = match version {
            Version::V1 => r#"{"topic":"t","event":"e","payload":{"a":1},"ref":"1"}"#,
            Version::V2 => r#"["1","2","t","e",{"a":1}]"#,
        };
        let length = cut % whole.len();
        prop_assert!(Frame::text(version, &whole.as_bytes()[..length]).is_err());
    }
}
