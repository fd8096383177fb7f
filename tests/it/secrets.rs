//! Secrets are taken out of documents, and nothing else is.

use conversationd::vonage::secrets::without_secrets;
use proptest::prelude::*;
use serde_json::Value;

use super::support::data;

#[test]
fn the_secrets_of_a_sip_and_a_websocket_member_are_gone_and_every_other_byte_is_the_same() {
    for (file, secret, replaced) in [
        (
            "embedded_sip_member.json",
            &["\"agent7\"", "\"not-a-real-password\""][..],
            &["\"[redacted]\"", "\"[redacted]\""][..],
        ),
        (
            "embedded_websocket_member.json",
            &["wss://bot.example.net/socket?token=SECRET"][..],
            &["wss://bot.example.net/socket?token=[redacted]"][..],
        ),
    ] {
        let original = String::from_utf8(data::bytes(&format!("conversations/{file}"))).unwrap();
        let mut by_hand = original.clone();
        for (secret, replaced) in secret.iter().zip(replaced) {
            assert_eq!(by_hand.matches(secret).count(), 1, "{file}");
            by_hand = by_hand.replace(secret, replaced);
        }
        let clean = without(&original);
        assert_eq!(clean, by_hand, "{file}");
        assert!(!clean.contains("SECRET") && !clean.contains("not-a-real-password"), "{file}");
    }
}

#[test]
fn what_is_no_text_hides_no_secret() {
    for odd in [
        r#"{"\ud800": 1, "password": "hidden"}"#,
        r#"{"uri": "wss://b/?k=hidden\ud800"}"#,
        r#"{"a": 1e999, "b": "\udc00", "\ud801": {"token": "hidden"}}"#,
    ] {
        let clean = without(odd);
        assert!(!clean.contains("hidden") && clean.contains("[redacted]"), "{clean}");
    }
    let name = r#"{"display_name": "\ud83d"}"#;
    assert_eq!(without(name), name);
}

#[test]
fn a_document_without_secrets_comes_back_byte_for_byte() {
    let with_secrets = ["embedded_sip_member.json", "embedded_websocket_member.json"];
    let files =
        data::names("conversations").into_iter().filter(|name| !with_secrets.contains(&name.as_str()));
    for file in files {
        let body = data::bytes(&format!("conversations/{file}"));
        assert_eq!(without_secrets(body.clone()), body, "{file}");
    }
    for file in data::names("errors") {
        let body = data::bytes(&format!("errors/{file}"));
        let clean = without_secrets(body.clone());
        assert_eq!(clean, body, "{file}");
    }
    for body in [&b""[..], b"{", b"\xff\xfe", b"{} {}", b"not json, but password=x"] {
        assert_eq!(without_secrets(body.to_vec()), body);
    }
}

#[test]
fn the_secrets_of_an_event_are_gone() {
    let sip = r#"{"type":"sip","uri":"sip:a:hidden@b","username":"hidden","password":"hidden"}"#;
    let websocket =
        r#"{"type":"websocket","uri":"wss://b/?k=hidden","headers":{"Authorization":"hidden","n":1}}"#;
    for to in [sip, websocket] {
        let event = format!(r#"{{"id":2,"type":"member:invited","body":{{"channel":{{"to":{to}}}}}}}"#);
        for body in [
            event.clone(),
            format!("[{event}]"),
            format!(r#"{{"_embedded":{{"events":[{event}],"data":{{"events":[{event}]}}}}}}"#),
            format!(r#"{{"_embedded":[{event}]}}"#),
        ] {
            let clean = without(&body);
            assert!(!clean.contains("hidden"), "{clean}");
            assert!(clean.contains("member:invited") && clean.contains("[redacted]"), "{clean}");
        }
    }
    let offer = r#"{"type":"rtc:offer","body":{"sdp":"v=0\r\n","client_token":"hidden"}}"#;
    assert_eq!(without(offer), offer.replace("hidden", "[redacted]"));
}

#[test]
fn an_event_without_secrets_comes_back_byte_for_byte() {
    // A session's id opens the session.
    for file in data::names("rtc").into_iter().filter(|file| file != "rtc_terminate.json") {
        let body = data::bytes(&format!("rtc/{file}"));
        assert_eq!(without_secrets(body.clone()), body, "{file}");
    }
}

#[test]
fn a_secret_is_known_by_its_key_in_any_spelling() {
    for key in [
        "password",
        "Password",
        "sip_password",
        "passwd",
        "secret",
        "clientSecret",
        "client-secret",
        "token",
        "accessToken",
        "X-Auth-Token",
        "authorization",
        "Authorization",
        "auth",
        "X-Api-Key",
        "api_key",
        "apiKey",
        "credentials",
        "private_key",
        "Cookie",
        "Set-Cookie",
        "jwt",
        "passphrase",
        "AccessKey",
        "access-key",
    ] {
        assert_eq!(
            without(&format!(r#"{{"{key}":"hidden","b":1}}"#)),
            format!(r#"{{"{key}":"[redacted]","b":1}}"#)
        );
    }
    for key in ["author", "authenticated", "user", "username", "key", "name", "to", "pass"] {
        let body = format!(r#"{{"{key}":"shown","b":1}}"#);
        assert_eq!(without(&body), body);
    }
}

#[test]
fn a_user_name_is_a_secret_beside_a_password() {
    assert_eq!(
        without(r#"{"username":"agent7","uri":"sip:a@b","password":"x","inner":{"username":"shown"}}"#),
        r#"{"username":"[redacted]","uri":"sip:a@b","password":"[redacted]","inner":{"username":"shown"}}"#
    );
}

#[test]
fn a_secret_may_be_any_value_but_null_true_and_false() {
    for (value, clean) in [
        ("\"x\"", "\"[redacted]\""),
        ("17", "\"[redacted]\""),
        ("-1.5e3", "\"[redacted]\""),
        (r#"{"user":"a","pin":[1,2]}"#, "\"[redacted]\""),
        (r#"["a",{"b":"c"}]"#, "\"[redacted]\""),
        ("null", "null"),
        ("true", "true"),
        ("false", "false"),
    ] {
        assert_eq!(without(&format!("{{ \"token\" : {value} }}")), format!("{{ \"token\" : {clean} }}"));
    }
}

#[test]
fn secrets_are_found_wherever_they_are() {
    for (body, clean) in [
        (r#"[[{"a":[{"token":"x"}]}],1]"#, r#"[[{"a":[{"token":"[redacted]"}]}],1]"#),
        // Twice the same key: a reader may take either.
        (r#"{"token":"x","a":1,"token":"y"}"#, r#"{"token":"[redacted]","a":1,"token":"[redacted]"}"#),
        (r#"{"\u0074oken":"x"}"#, r#"{"\u0074oken":"[redacted]"}"#),
        (r#"{"token":"a\"b\\"}"#, r#"{"token":"[redacted]"}"#),
        (r#"{"ä\"ö":"ü","token":"ß","n":"\u00e4"}"#, r#"{"ä\"ö":"ü","token":"[redacted]","n":"\u00e4"}"#),
        (
            " {\n\t\"token\" :\r\n \"x\" , \"n\": 1.50 } ",
            " {\n\t\"token\" :\r\n \"[redacted]\" , \"n\": 1.50 } ",
        ),
    ] {
        assert_eq!(without(body), clean);
    }
}

#[test]
fn an_address_loses_its_password_and_its_tokens() {
    for (address, clean) in [
        ("sip:alice:hidden@sip.example.net", "sip:alice:[redacted]@sip.example.net"),
        (
            "sips:alice:hidden@sip.example.net;transport=tls",
            "sips:alice:[redacted]@sip.example.net;transport=tls",
        ),
        ("sip:alice@sip.example.net:5060", "sip:alice@sip.example.net:5060"),
        ("https://alice:hidden@example.net/a?b=c#d", "https://alice:[redacted]@example.net/a?b=c#d"),
        ("https://alice:hid@den@example.net/", "https://alice:[redacted]@example.net/"),
        ("https://alice@example.net/", "https://alice@example.net/"),
        ("https://example.net/a:b@c", "https://example.net/a:b@c"),
        (
            "https://example.net/?page_size=10&access_token=hidden&b",
            "https://example.net/?page_size=10&access_token=[redacted]&b",
        ),
        ("wss://example.net/socket?id=hidden&x&=", "wss://example.net/socket?id=[redacted]&[redacted]&="),
        ("ws://u:hidden@example.net?a=hidden#f", "ws://u:[redacted]@example.net?a=[redacted]#f"),
        (
            "https://api.nexmo.com/v1/conversations?cursor=a%3D",
            "https://api.nexmo.com/v1/conversations?cursor=a%3D",
        ),
    ] {
        assert_eq!(without(&format!(r#"{{"uri":["{address}"]}}"#)), format!(r#"{{"uri":["{clean}"]}}"#));
    }
}

#[test]
fn a_scheme_may_be_in_capitals() {
    for (address, clean) in [
        ("SIP:alice:hidden@sip.example.net", "SIP:alice:[redacted]@sip.example.net"),
        ("WSS://example.net/socket?id=hidden", "WSS://example.net/socket?id=[redacted]"),
    ] {
        assert_eq!(without(&format!(r#"["{address}"]"#)), format!(r#"["{clean}"]"#));
    }
}

#[test]
fn a_password_with_an_at_sign_is_gone_whole() {
    assert_eq!(
        without(r#"["sip:alice:hid@den@sip.example.net"]"#),
        r#"["sip:alice:[redacted]@sip.example.net"]"#
    );
}

#[test]
fn a_document_of_any_depth_does_no_harm() {
    const DEPTH: usize = 200_000;
    let deep = format!("{}{{\"token\":\"hidden\"}}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let clean = without(&deep);
    assert!(!clean.contains("hidden"));
    let shallow = format!("{}{{\"token\":\"hidden\"}}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(without(&shallow), shallow.replace("hidden", "[redacted]"));
}

proptest! {
    #[test]
    fn what_was_json_stays_json(document in document("token|password|username|to|[a-z]{0,4}"), pretty: bool) {
        let text = written(&document, pretty);
        let clean = without(&text);
        prop_assert!(serde_json::from_str::<Value>(&clean).is_ok(), "{clean}");
        prop_assert_eq!(without(&clean), clean.clone(), "a second time changes nothing");
    }

    #[test]
    fn json_without_secrets_is_unchanged(document in document("to|from|name|number|[a-d]{0,4}"), pretty: bool) {
        let text = written(&document, pretty);
        prop_assert_eq!(without(&text), text);
    }

    #[test]
    fn a_secret_is_gone_wherever_it_is(document in document("to|name|[a-d]{0,4}"), path in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut document = document;
        put(&mut document, &path);
        let text = document.to_string();
        prop_assert!(text.contains("hidden-4711"));
        prop_assert!(!without(&text).contains("hidden-4711"), "{text}");
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = without_secrets(body);
    }
}

/// Any JSON with these keys and no address in it.
fn document(keys: &'static str) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        r"[^:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(keys, inner, 0..5).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn written(document: &Value, pretty: bool) -> String {
    if pretty { format!("{document:#}") } else { document.to_string() }
}

/// Puts a secret somewhere into the document: along the path, as far as it goes.
fn put(document: &mut Value, path: &[prop::sample::Index]) {
    match (document, path) {
        (Value::Array(elements), [first, rest @ ..]) if !elements.is_empty() => {
            let chosen = first.index(elements.len());
            put(&mut elements[chosen], rest);
        }
        (Value::Object(entries), [first, rest @ ..]) if !entries.is_empty() => {
            let chosen = first.index(entries.len());
            put(entries.values_mut().nth(chosen).expect("the index is below the length"), rest);
        }
        (here, _) => *here = serde_json::json!({"X-Api-Key": ["hidden-4711", {"a": "hidden-4711"}]}),
    }
}

fn without(body: &str) -> String {
    String::from_utf8(without_secrets(body.as_bytes().to_vec())).expect("a text stays a text")
}
