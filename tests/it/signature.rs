//! Signed webhooks: the recorded vectors, and what the vectors do not try.

use std::collections::BTreeMap;

use conversationd::domain::arrival::{Delivery, Endpoint, Method};
use conversationd::domain::digest::Digest;
use conversationd::domain::ids::ApplicationId;
use conversationd::vonage::signature::{Message, Refusal, Signer, Verified, Verifier};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::support::data;

const NOW: i64 = 1_773_051_344;
const SECRET: &str = "a signature secret of more than 32 bytes";
const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";
const API_KEY: &str = "a1b2c3d4";
const BODY: &[u8] = br#"{"status":"answered"}"#;

/// The verdict of each vector: the application that it is for, or why it is refused.
fn verdict(name: &str) -> Result<Option<ApplicationId>, Refusal> {
    match name {
        "ok" | "get_no_payload_hash" | "get_hash_of_empty" => Ok(Some(application(APPLICATION))),
        "ok_without_application_id" => Ok(None),
        "bad_body_changed" => Err(Refusal::WrongBody),
        "bad_secret" => Err(Refusal::WrongSecret),
        "bad_api_key" | "bad_application" | "bad_iss" => Err(Refusal::WrongSubject),
        "bad_stale_iat" => Err(Refusal::WrongTime),
        "missing_header" => Err(Refusal::Unsigned),
        other => panic!("the vector {other} has no verdict here"),
    }
}

#[test]
fn every_recorded_vector_gets_its_verdict() {
    let file: Value = serde_json::from_slice(&data::bytes("signing/hs256_vectors.json")).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let (secret, api_key) = (text(&file, "secret").unwrap(), text(&file, "api_key"));
    let signer = Signer::new(application(&text(&file, "application_id").unwrap()), api_key, &secret.into());
    let verifier = Verifier::new(vec![signer]);
    let now = Timestamp::from_second(file["reference_now"].as_i64().unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for vector in file["vectors"].as_array().unwrap() {
        let name = text(vector, "name").unwrap();
        let expected = text(vector, "expect").unwrap();
        let body = text(vector, "body").unwrap_or_default();
        let delivery = match vector["method"].as_str().unwrap() {
            "POST" => post(body.as_bytes()),
            _ => get(&text(vector, "query").unwrap_or_default()),
        };
        let found = verifier.verify(vector["authorization"].as_str(), &delivery, now).map(application_of);
        assert_eq!(found, verdict(&name), "{name}");
        assert_eq!(if found.is_ok() { "accept" } else { "reject" }, expected, "{name}");
        *counts.entry(expected).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("accept".to_owned(), 4), ("reject".to_owned(), 7)]));
}

#[test]
fn a_token_with_another_algorithm_is_refused() {
    let good = token(&claims(), SECRET);
    assert_eq!(verify(&good, &post(BODY)), Ok(Some(application(APPLICATION))));
    let (_, rest) = good.split_once('.').unwrap();
    let (claims_part, _) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"} and {"alg":"RS256","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let hmac = |header: &str| {
        let message = format!("{header}.{claims_part}");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let stronger = |algorithm| jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap();
    // The right secret and a right signature: only what the header says is different.
    assert_eq!(
        verify(&hmac("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"), &post(BODY)),
        Ok(Some(application(APPLICATION)))
    );
    for forged in [
        format!("{none}.{claims_part}."),
        format!("{none}.{rest}"),
        hmac(none),
        hmac(rs256),
        stronger(Algorithm::HS384),
        stronger(Algorithm::HS512),
    ] {
        assert_eq!(verify(&forged, &post(BODY)), Err(Refusal::WrongSecret), "{forged}");
    }
}

#[test]
fn the_header_must_be_a_bearer_token() {
    let good = token(&claims(), SECRET);
    let verify =
        |authorization: &str| verifier().verify(Some(authorization), &post(BODY), now()).map(application_of);
    for authorization in [format!("bearer {good}"), format!("  BEARER   {good} "), format!("Bearer\t{good}")]
    {
        assert_eq!(verify(&authorization), Ok(Some(application(APPLICATION))), "{authorization}");
    }
    for authorization in ["", "Bearer", "Bearer  ", good.as_str(), &format!("Basic {good}")] {
        assert_eq!(verify(authorization), Err(Refusal::Unsigned), "{authorization}");
    }
    assert_eq!(verifier().verify(None, &post(BODY), now()), Err(Refusal::Unsigned));
    for damaged in ["x", "a.b.c", &good[..good.len() - 2], &good.replace('.', "")] {
        assert_eq!(verify(&format!("Bearer {damaged}")), Err(Refusal::WrongSecret), "{damaged}");
    }
}

#[test]
fn a_token_holds_for_five_minutes_either_way() {
    for (iat, verdict) in [
        (json!(NOW - 300), true),
        (json!(NOW + 300), true),
        (json!(NOW - 301), false),
        (json!(NOW + 301), false),
        (json!(1_773_051_344.75), true),
        (json!("1773051344"), true),
        (json!("1773051043"), false),
        (json!("now"), false),
        (json!(i64::MIN), false),
        (json!(i64::MAX), false),
        (json!(1e300), false),
    ] {
        let claims = with(&[("iat", iat.clone())]);
        let found = verify(&token(&claims, SECRET), &post(BODY));
        let expected = if verdict { Ok(Some(application(APPLICATION))) } else { Err(Refusal::WrongTime) };
        assert_eq!(found, expected, "iat {iat}");
    }
    for (exp, verdict) in [(NOW - 300, true), (NOW - 301, false)] {
        let found = verify(&token(&with(&[("exp", json!(exp))]), SECRET), &post(BODY));
        assert_eq!(found.is_ok(), verdict, "exp {exp}");
    }
    let timeless = token(&with(&[("iat", Value::Null)]), SECRET);
    assert!(verify(&timeless, &post(BODY)).is_err());
}

#[test]
fn a_post_is_bound_to_the_bytes_of_its_body() {
    let hash = |bytes: &[u8]| json!(Digest::of(bytes).to_string());
    let spaced = br#"{ "status":"answered"}"#;
    for (payload_hash, body, accepted) in [
        (hash(BODY), BODY, true),
        (json!(Digest::of(BODY).to_string().to_uppercase()), BODY, true),
        (hash(BODY), &spaced[..], false),
        (hash(b""), BODY, false),
        (hash(b""), b"", true),
        (Value::Null, BODY, false),
        (Value::Null, b"", false),
        (json!(""), b"", false),
    ] {
        let found = verify(&token(&with(&[("payload_hash", payload_hash.clone())]), SECRET), &post(body));
        let expected = if accepted { Ok(Some(application(APPLICATION))) } else { Err(Refusal::WrongBody) };
        assert_eq!(found, expected, "{payload_hash} for {}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_get_is_bound_to_nothing_or_to_its_parameters() {
    let query = "status=answered&uuid=abc";
    let hash = |text: &str| json!(Digest::of(text.as_bytes()).to_string());
    for (payload_hash, accepted) in [
        (Value::Null, true),
        (hash(""), true),
        (hash(r#"{"status":"answered","uuid":"abc"}"#), true),
        (json!(hash(r#"{"status":"answered","uuid":"abc"}"#).as_str().unwrap().to_uppercase()), true),
        (hash(r#"{"uuid":"abc","status":"answered"}"#), false),
        (hash(r#"{"status":"answered", "uuid":"abc"}"#), false),
        (hash(r#"{"status":"completed","uuid":"abc"}"#), false),
        (hash(query), false),
        (hash("{}"), false),
        (json!("0"), false),
        (json!(""), false),
    ] {
        let found = verify(&token(&with(&[("payload_hash", payload_hash.clone())]), SECRET), &get(query));
        let expected = if accepted { Ok(Some(application(APPLICATION))) } else { Err(Refusal::WrongBody) };
        assert_eq!(found, expected, "{payload_hash}");
    }
}

/// The query as it is to be read, if a `GET` with it may be signed so.
fn covered(query: &str, signed: &str) -> Option<String> {
    let token = token(&with(&[("payload_hash", json!(Digest::of(signed.as_bytes()).to_string()))]), SECRET);
    let verified = verifier().verify(Some(&format!("Bearer {token}")), &get(query), now());
    verified.ok().map(|verified| verified.covered_query.unwrap_or_else(|| query.to_owned()))
}

#[test]
fn the_parameters_of_a_get_are_signed_in_every_way_that_vonage_may_write_them() {
    let escapes = "from_user=Zo%C3%AB+K%20%2B%2f%22%5C%0A%08%1F%7F%E2%80%A8&uuid=a";
    let nested =
        "headers=%7B%7D&dtmf=%7B%22digits%22:%20%223%2F%22,%22t%22%3A1.50%7D&list=%5B%22%5Cu00eb%22%5D";
    for (query, signed) in [
        (escapes, "{\"from_user\":\"Zoë K +/\\\"\\\\\\n\\b\\u001f\u{7f}\u{2028}\",\"uuid\":\"a\"}"),
        ("uuid=a&rate=&network&x=1", r#"{"uuid":"a","rate":"","network":"","x":"1"}"#),
        ("uuid=12&duration=61&size=1.0", r#"{"uuid":"12","duration":"61","size":"1.0"}"#),
        (nested, r#"{"headers":"{}","dtmf":"{\"digits\": \"3/\",\"t\":1.50}","list":"[\"\\u00eb\"]"}"#),
        (nested, r#"{"headers":{},"dtmf":{"digits":"3/","t":1.50},"list":["ë"]}"#),
        (nested, r#"{"headers":{},"dtmf":"{\"digits\": \"3/\",\"t\":1.50}","list":["ë"]}"#),
        (nested, r#"{"headers":"{}","dtmf":{"digits":"3/","t":1.50}}"#),
        ("headers=%7Boops&uuid=a", r#"{"headers":"{oops","uuid":"a"}"#),
        ("utm=1&uuid=a&SipHeader_X-Id=7&via=x", r#"{"uuid":"a","SipHeader_X-Id":"7"}"#),
        ("utm=1&uuid=a&via=x", r#"{"utm":"1","uuid":"a","via":"x"}"#),
        ("%EF%BB%BFuuid=a&to=%EF%BB%BFb", r#"{"uuid":"a","to":"b"}"#),
        ("%EF%BB%BFuuid=a&to=%EF%BB%BFb", "{\"\u{feff}uuid\":\"a\",\"to\":\"\u{feff}b\"}"),
        ("via=1&uuid=a&via=2&to=2", r#"{"uuid":"a","to":"2"}"#),
    ] {
        assert_eq!(covered(query, signed).as_deref(), Some(query), "{signed}");
    }
}

#[test]
fn of_a_repeated_parameter_the_signed_one_counts() {
    for (query, signed, read) in [
        ("to=1&uuid=a&to=2", r#"{"to":"1","uuid":"a"}"#, "to=1&uuid=a"),
        ("to=%31&uuid=a&to=2&to=3&via=x", r#"{"to":"1","uuid":"a"}"#, "to=%31&uuid=a&via=x"),
        ("to=1&uuid=a&to=2&to=3", r#"{"uuid":"a","to":"2"}"#, "uuid=a&to=2"),
        ("to=1&%EF%BB%BFto=2", r#"{"to":"1"}"#, "to=1"),
        ("to=1&uuid=a&to=2", r#"{"uuid":"a","to":"2"}"#, "uuid=a&to=2"),
        ("to=1&uuid=a&to=2", r#"{"to":"2","uuid":"a"}"#, "uuid=a&to=2"),
        ("via=1&to=1&uuid=a&via=2&to=2", r#"{"to":"2","uuid":"a"}"#, "via=1&uuid=a&via=2&to=2"),
        ("via=1&to=1&&uuid=a&via=2&to=2", r#"{"via":"1","to":"2","uuid":"a"}"#, "via=1&uuid=a&to=2"),
    ] {
        assert_eq!(covered(query, signed).as_deref(), Some(read), "{signed}");
    }
}

#[test]
fn what_is_added_to_a_signed_get_must_mean_nothing() {
    let signed = r#"{"uuid":"a","to":"1"}"#;
    assert!(covered("uuid=a&to=1&utm=x", signed).is_some());
    for query in [
        "uuid=a&to=1&status=completed",
        "uuid=a&to=1&conversation_uuid=CON-1",
        "uuid=a&to=1&conversation_id=CON-1",
        "uuid=a&to=1&region_url=https%3A%2F%2Fapi-us-3.vonage.com",
        "uuid=a&to=1&SipHeader_X-A=1",
        "uuid=a&to=1&%66rom=2",
        "uuid=a&to=1&%EF%BB%BFfrom=2",
        "uuid=a",
        "to=1&uuid=a",
        "uuid=a&to=1%00",
        "uuid=A&to=1",
        "uuid=a&to=%ff",
        "",
    ] {
        assert_eq!(covered(query, signed), None, "{query}");
    }
}

#[test]
fn the_ways_that_are_tried_are_bounded() {
    let repeated = (0..500).map(|name| format!("a{name}=1&a{name}=2")).collect::<Vec<_>>().join("&");
    let nested = (0..60).map(|name| format!("b{name}=%7B%7D")).collect::<Vec<_>>().join("&");
    for query in [repeated.as_str(), &nested, &"a&".repeat(4000), &"headers=[[[[[[[[[[[[".repeat(300)] {
        assert_eq!(covered(query, "{}"), None);
    }
}

/// Parameters of a webhook, and what is in them.
fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        prop::sample::select(vec!["to", "from", "uuid", "status", "headers", "dtmf", "SipHeader_X-A"])
            .prop_map(str::to_owned),
        r"\PC{1,6}",
    ];
    let value = prop_oneof![
        r"[0-9]{0,15}",
        r"(\PC|[\x00-\x20]){0,12}",
        Just("{}".to_owned()),
        r#"\{"[a-z]{1,3}":("\PC{0,3}"|[0-9]{1,3}|\[\])\}"#,
    ];
    prop::collection::btree_map(name, value, 1..8)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_filter("a name may begin with no byte order mark", |pairs| {
            pairs.iter().all(|(name, value)| !name.contains('\u{feff}') && !value.contains('\u{feff}'))
        })
}

fn encoded(parameters: &[(String, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn compact(parameters: &[(String, String)]) -> String {
    let fields = parameters.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

proptest! {
    #[test]
    fn a_signed_get_is_accepted_and_a_changed_one_is_not(
        parameters in parameters(),
        place in any::<prop::sample::Index>(),
        other in r"\PC{0,6}",
    ) {
        let query = encoded(&parameters);
        let signed = compact(&parameters);
        prop_assert_eq!(covered(&query, &signed), Some(query));
        let mut changed = parameters.clone();
        let place = place.index(changed.len());
        if changed[place].1 != other.trim_start_matches('\u{feff}') {
            changed[place].1.clone_from(&other);
            prop_assert_eq!(covered(&encoded(&changed), &signed), None);
        }
        changed.remove(place);
        if changed.iter().all(|(name, _)| name != &other) {
            prop_assert_eq!(covered(&encoded(&changed), &signed), None);
        }
    }
}

#[test]
fn without_a_configured_api_key_any_account_with_the_secret_is_believed() {
    let open = Verifier::new(vec![Signer::new(application(APPLICATION), None, &SECRET.into())]);
    for api_key in [json!(API_KEY), json!("ffffffff"), Value::Null] {
        let token = token(&with(&[("api_key", api_key.clone())]), SECRET);
        let found = open.verify(Some(&format!("Bearer {token}")), &post(BODY), now()).map(application_of);
        assert_eq!(found, Ok(Some(application(APPLICATION))), "{api_key}");
        let expected = if api_key == json!(API_KEY) { found } else { Err(Refusal::WrongSubject) };
        assert_eq!(verify(&token, &post(BODY)), expected, "{api_key}");
    }
}

#[test]
fn each_application_is_believed_with_its_own_secret() {
    let other = "11111111-2222-4333-8444-555555555555";
    let third = "22222222-2222-4333-8444-555555555555";
    let verifier = Verifier::new(vec![
        Signer::new(application(APPLICATION), Some(API_KEY.to_owned()), &SECRET.into()),
        Signer::new(application(other), None, &"another secret, of the second account".into()),
        // The first account has two applications, and so one secret for both.
        Signer::new(application(third), Some(API_KEY.to_owned()), &SECRET.into()),
    ]);
    let verify = |id: &str, secret: &str| {
        let token = token(&with(&[("application_id", json!(id))]), secret);
        verifier.verify(Some(&format!("Bearer {token}")), &post(BODY), now()).map(application_of)
    };
    assert_eq!(verify(APPLICATION, SECRET), Ok(Some(application(APPLICATION))));
    assert_eq!(verify(third, SECRET), Ok(Some(application(third))));
    assert_eq!(verify(other, "another secret, of the second account"), Ok(Some(application(other))));
    assert_eq!(verify(other, SECRET), Err(Refusal::WrongSubject));
    assert_eq!(verify(APPLICATION, "another secret, of the second account"), Err(Refusal::WrongSubject));
    assert_eq!(verify(APPLICATION, "nobody's"), Err(Refusal::WrongSecret));
}

#[test]
fn a_token_that_names_no_application_opens_no_path_of_another_accounts() {
    const OTHER: &str = "aaaaaaaa-bbbb-cccc-dddd-000000000002";
    let verifier = Verifier::new(vec![
        Signer::new(application(APPLICATION), Some(API_KEY.to_owned()), &SECRET.into()),
        Signer::new(
            application(OTHER),
            Some("ffffffff".to_owned()),
            &"another secret, of the second account".into(),
        ),
    ]);
    let delivery = post(BODY);
    let token = token(&with(&[("application_id", Value::Null)]), SECRET);
    for (addressed, verdict) in
        [(None, Ok(())), (Some(APPLICATION), Ok(())), (Some(OTHER), Err(Refusal::WrongSubject))]
    {
        let addressed = addressed.map(application);
        let message = Message { delivery: &delivery, other_forms: &[], addressed: addressed.as_ref() };
        let outcome = verifier.verify(Some(&format!("Bearer {token}")), message, now());
        assert_eq!(outcome.map(|_| ()), verdict, "{addressed:?}");
    }
}

// === signing

fn claims() -> Value {
    json!({
        "iat": NOW,
        "jti": "6ad0a1f5-38e2-4c90-b7d4-1e95f2c8603b",
        "iss": "Vonage",
        "payload_hash": Digest::of(BODY).to_string(),
        "api_key": API_KEY,
        "application_id": APPLICATION,
    })
}

/// The usual claims with others in their place; `null` leaves one out.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (name, value) in changes {
        claims[*name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims are an object").remove(*name);
        }
    }
    claims
}

fn token(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("HS256 signs any claims")
}

fn verifier() -> Verifier {
    Verifier::new(vec![Signer::new(application(APPLICATION), Some(API_KEY.to_owned()), &SECRET.into())])
}

fn verify(token: &str, delivery: &Delivery) -> Result<Option<ApplicationId>, Refusal> {
    verifier().verify(Some(&format!("Bearer {token}")), delivery, now()).map(application_of)
}

fn application_of(verified: Verified) -> Option<ApplicationId> {
    verified.application_id
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("it is an instant")
}

fn application(id: &str) -> ApplicationId {
    ApplicationId::parse(id).expect("it is an id")
}

fn post(body: &[u8]) -> Delivery {
    Delivery {
        endpoint: Endpoint::Event,
        method: Method::Post,
        query: None,
        covered_query: None,
        content_type: None,
        body: body.to_vec(),
    }
}

fn get(query: &str) -> Delivery {
    Delivery {
        endpoint: Endpoint::Event,
        method: Method::Get,
        query: Some(query.to_owned()),
        covered_query: None,
        content_type: None,
        body: Vec::new(),
    }
}
