//! Webhooks, and calls as a whole.

use std::time::Instant;

use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::Validation;
use serde_json::Value;
use tokio::net::TcpListener;

use super::super::Call;
use super::super::Members;
use super::super::NoReply;
use super::super::Pace;
use super::super::Signing;
use super::super::Target;
use super::super::Webhook;
use super::support::APPLICATION;
use super::support::Application;
use super::support::PATIENCE;
use super::support::Received;
use super::support::SECRET;
use super::support::TUTORIAL;
use super::support::get;
use super::support::now;
use super::support::simulator;

const BODY: &str = r#"{"status":"started","uuid":"a"}"#;

fn event() -> Webhook {
    Webhook::post(Target::Event, BODY)
}

fn claims(received: &Received, secret: &str) -> jsonwebtoken::errors::Result<Value> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    let token = received.authorization.as_ref().unwrap().strip_prefix("Bearer ").unwrap();
    let key = DecodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::decode::<Value>(token, &key, &validation).map(|token| token.claims)
}

#[tokio::test]
async fn a_webhook_is_repeated_once_where_vonage_repeats_it() {
    let simulator = simulator(Members::Embedded).await;
    for status in [200, 204, 400, 401, 404, 500] {
        let application = Application::replying([status]).await;
        simulator.send_webhooks_to(application.base.clone());
        let delivery = simulator.send(event()).await;
        assert_eq!((delivery.attempts, delivery.status()), (1, Some(status)));
    }
    for status in [429, 502, 503, 504] {
        let application = Application::replying([status, 200]).await;
        simulator.send_webhooks_to(application.base.clone());
        let delivery = simulator.send(event()).await;
        assert_eq!((delivery.attempts, delivery.status()), (2, Some(200)));
        let stubborn = Application::replying([status, status, status]).await;
        simulator.send_webhooks_to(stubborn.base.clone());
        let delivery = simulator.send(event()).await;
        assert_eq!((delivery.attempts, delivery.status()), (2, Some(status)));
        assert!(!delivery.is_accepted());
    }
}

#[tokio::test]
async fn a_repetition_has_the_same_body_and_another_token() {
    let simulator = simulator(Members::Embedded).await;
    let application = Application::replying([503]).await;
    simulator.send_webhooks_to(application.base.clone());
    simulator.send(event()).await;
    let received = application.received();
    assert_eq!(received[0].body, received[1].body);
    let (first, second) = (claims(&received[0], SECRET).unwrap(), claims(&received[1], SECRET).unwrap());
    assert_ne!(first["jti"], second["jti"]);
}

#[tokio::test]
async fn nobody_there_is_tried_twice() {
    let simulator = simulator(Members::Embedded).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    simulator.send_webhooks_to(format!("http://{nobody}").parse().unwrap());
    let delivery = simulator.send(event()).await;
    assert_eq!((delivery.attempts, delivery.reply.unwrap_err()), (2, NoReply::Unreachable));
}

#[tokio::test]
async fn a_connection_closed_without_a_reply_is_tried_again() {
    let simulator = simulator(Members::Embedded).await;
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    simulator.send_webhooks_to(format!("http://{}", rude.local_addr().unwrap()).parse().unwrap());
    let hanging_up = async {
        for _ in 0..2 {
            drop(rude.accept().await.unwrap());
        }
    };
    let (delivery, ()) = tokio::join!(simulator.send(event()), hanging_up);
    assert_eq!((delivery.attempts, delivery.reply.unwrap_err()), (2, NoReply::Closed));
}

#[tokio::test]
async fn a_webhook_is_signed_with_vonages_claims() {
    let simulator = simulator(Members::Embedded).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    simulator.send(event()).await;
    simulator.send(event().by_get()).await;
    simulator.send(event().signed_by(Signing::Stranger)).await;
    simulator.send(event().signed_by(Signing::Nobody)).await;
    let received = application.received();
    let signed = claims(&received[0], SECRET).unwrap();
    assert_eq!(signed["iss"], "Vonage");
    assert_eq!(signed["api_key"], "a1b2c3d4");
    assert_eq!(signed["application_id"], APPLICATION);
    assert_eq!(signed["iat"], now().as_second());
    assert_eq!(signed["payload_hash"], "051cb88c9fe90131b82aeb680edeefdaef5e64342f7fc427cac4ddf32fc808ff");
    // Of {"status":"started","uuid":"a"}.
    let of_parameters = "051cb88c9fe90131b82aeb680edeefdaef5e64342f7fc427cac4ddf32fc808ff";
    assert_eq!(claims(&received[1], SECRET).unwrap()["payload_hash"], of_parameters);
    assert_eq!(received[1].address, "/webhooks/event?status=started&uuid=a");
    assert!(claims(&received[2], SECRET).is_err());
    assert_eq!(received[3].authorization, None);
}

#[tokio::test]
async fn the_tutorials_webhooks_come_in_the_tutorials_order() {
    let simulator = simulator(Members::Embedded).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let played = simulator.play(&Call::tutorial(), Pace::AtOnce).await;
    assert!(played.is_accepted());
    let told: Vec<String> = application
        .received()
        .iter()
        .map(|received| {
            let body: Value = serde_json::from_slice(&received.body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} {}", text("status"), text("direction"), text("to"), text("timestamp"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "started inbound 447700000002 2018-10-25T09:26:18.991Z",
            "ringing inbound 447700000002 2018-10-25T09:26:18.991Z",
            "- - 447700000002 -",
            "started outbound 447700000003 2018-10-25T09:26:24.384Z",
            "ringing outbound 447700000003 2018-10-25T09:26:24.384Z",
            "answered outbound 447700000003 2018-10-25T09:26:30.277Z",
            "answered inbound 447700000002 2018-10-25T09:26:30.340Z",
            "completed inbound 447700000002 2018-10-25T09:31:30.179Z",
            "completed outbound 447700000003 2018-10-25T09:31:30.179Z",
        ]
    );
    assert_eq!(
        str::from_utf8(&application.received()[7].body).unwrap(),
        concat!(
            r#"{"headers":{},"end_time":"2018-10-25T09:31:30.000Z","uuid":"797168e24c19a3c45e74e05b10fef2b5","#,
            r#""network":"GB-FIXED","duration":"300","start_time":"2018-10-25T09:26:30.000Z","#,
            r#""rate":"0.00450000","price":"0.02250000","from":"447700000001","to":"447700000002","#,
            r#""conversation_uuid":"CON-bc643220-2542-499a-892e-c982c4150c06","status":"completed","#,
            r#""direction":"inbound","timestamp":"2018-10-25T09:31:30.179Z"}"#,
        )
    );
}

#[tokio::test]
async fn disorder_changes_the_order_and_nothing_else() {
    let call = Call::inbound(7, now());
    let bodies = |call: &Call| call.webhooks().map(|webhook| webhook.body.clone()).collect::<Vec<_>>();
    let mut reversed = bodies(&call.clone().reversed());
    reversed.reverse();
    assert_eq!(reversed, bodies(&call));
    let mut repeated = bodies(&call.clone().repeated());
    assert_eq!(repeated.len(), 2 * bodies(&call).len());
    repeated.dedup();
    assert_eq!(repeated, bodies(&call));
    assert_eq!(Call::inbound(7, now()), call);
    assert_ne!(Call::inbound(8, now()).conversation, call.conversation);
}

#[tokio::test]
async fn a_paced_call_waits_for_each_look() {
    let simulator = simulator(Members::Embedded).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let path = format!("/v0.3/conversations/{TUTORIAL}");
    let (call, _) = Call::tutorial().split_at("2018-10-25T09:27:00Z".parse().unwrap());
    let playing = simulator.play(&call, Pace::AfterEachLook);
    let looking = async {
        let mut seen = Vec::new();
        loop {
            let (status, document) = get(&simulator, &path).await;
            let number = document["sequence_number"].as_u64();
            if status == 200 && !seen.contains(&number) {
                seen.push(number);
            }
            if number == Some(8) {
                return seen;
            }
        }
    };
    let started = Instant::now();
    let (played, seen) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(playing, looking) }).await.unwrap();
    assert_eq!(played.missed_looks, 0);
    for number in [2, 3, 6, 8] {
        assert!(seen.contains(&Some(number)), "{seen:?}");
    }
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_paced_call_goes_on_when_nobody_looks() {
    let simulator = simulator(Members::Listed).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let (call, _) = Call::tutorial().split_at("2018-10-25T09:26:24.385Z".parse().unwrap());
    let played = simulator.play(&call, Pace::AfterEachLook).await;
    assert_eq!(played.missed_looks, 1);
}
