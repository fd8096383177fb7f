//! Which tokens the API takes.

use jsonwebtoken::Algorithm;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use serde_json::Value;
use serde_json::json;

use super::super::Members;
use super::super::Simulator;
use super::support::KEYS;
use super::support::Keys;
use super::support::ask;
use super::support::good_claims;
use super::support::now;
use super::support::simulator;

const PATH: &str = "/v0.3/conversations/CON-1";

async fn code(simulator: &Simulator, token: &str) -> (u16, String) {
    let (status, body) = ask(simulator, PATH, token).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[tokio::test]
async fn a_good_token_is_taken_and_its_id_is_kept() {
    let simulator = simulator(Members::Embedded).await;
    for claims in
        [good_claims(), claims_without("exp"), claims_with("exp", json!(now().as_second() + 86_400))]
    {
        let answer = code(&simulator, &KEYS.sign(&claims)).await;
        assert_eq!(answer, (404, "conversation:error:not-found".to_owned()), "{claims}");
    }
    assert_eq!(simulator.requests()[0].jti.as_deref(), Some("j-1"));
    assert_eq!(simulator.requests()[0].path, PATH);
}

#[tokio::test]
async fn a_token_that_is_not_for_this_application_is_refused() {
    let simulator = simulator(Members::Embedded).await;
    let iat = now().as_second();
    for claims in [
        claims_with("application_id", json!("11111111-9c1d-4e87-b2a4-61d0c7f58e19")),
        claims_without("application_id"),
        claims_without("iat"),
        claims_without("jti"),
        claims_with("jti", json!("")),
        claims_with("nbf", json!(iat + 60)),
        claims_with("exp", json!(iat + 86_401)),
        json!({"application_id": "x", "iat": iat + 3600, "exp": iat + 3600 + 86_400, "jti": "j-1"}),
    ] {
        let answer = code(&simulator, &KEYS.sign(&claims)).await;
        assert_eq!(answer, (401, "system:error:invalid-token".to_owned()), "{claims}");
    }
}

#[tokio::test]
async fn an_expired_token_is_told_apart() {
    let simulator = simulator(Members::Embedded).await;
    let answer = code(&simulator, &KEYS.sign(&claims_with("exp", json!(now().as_second())))).await;
    assert_eq!(answer, (401, "system:error:expired-token".to_owned()));
}

#[tokio::test]
async fn only_the_applications_key_and_algorithm_will_do() {
    let simulator = simulator(Members::Embedded).await;
    let secret = EncodingKey::from_secret(KEYS.public_pem.as_bytes());
    let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good_claims(), &secret).unwrap();
    for token in [Keys::generate().sign(&good_claims()), confused, "nonsense".to_owned()] {
        assert_eq!(code(&simulator, &token).await, (401, "system:error:invalid-token".to_owned()));
    }
}

#[tokio::test]
async fn no_token_and_a_refused_token_are_answered_as_vonage_does() {
    let simulator = simulator(Members::Embedded).await;
    let address = simulator.api_url().join(PATH).unwrap();
    let client = reqwest::Client::builder().build().unwrap();
    let response = client.get(address).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.text().await.unwrap().contains("system:error:missing-token"));

    simulator.refuse_tokens(true);
    assert_eq!(code(&simulator, &KEYS.sign(&good_claims())).await.0, 401);
    simulator.refuse_tokens(false);
    assert_eq!(code(&simulator, &KEYS.sign(&good_claims())).await.0, 404);
}
