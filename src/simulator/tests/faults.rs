//! How the API misbehaves when it is told to.

use std::time::Duration;

use super::super::Fault;
use super::super::Members;
use super::support::KEYS;
use super::support::PATIENCE;
use super::support::ask;
use super::support::get;
use super::support::good_claims;
use super::support::simulator;

const PATH: &str = "/v0.3/conversations/CON-1";

#[tokio::test]
async fn faults_happen_in_the_order_and_as_often_as_asked_for() {
    let simulator = simulator(Members::Embedded).await;
    simulator.answer_next(2, Fault::Status(500));
    simulator.answer_next(1, Fault::Status(502));
    simulator.answer_next(1, Fault::Unauthorized);
    simulator.answer_next(1, Fault::TooManyRequests { retry_after: None });
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(get(&simulator, PATH).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [500, 500, 502, 401, 429, 404]);
    assert_eq!(answers[0].1["code"], "system:error:internal-error");
    assert!(answers[2].1.as_str().unwrap().starts_with("<html>"));
    assert_eq!(answers[4].1, "");
    let recorded: Vec<u16> = simulator.requests().iter().filter_map(|request| request.status).collect();
    assert_eq!(recorded, statuses);
}

#[tokio::test]
async fn a_throttled_request_is_told_how_long_to_wait() {
    let simulator = simulator(Members::Embedded).await;
    simulator.answer_next(1, Fault::TooManyRequests { retry_after: Some(Duration::from_millis(1500)) });
    let address = simulator.api_url().join(PATH).unwrap();
    let response = reqwest::Client::builder().build().unwrap().get(address).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    assert!(response.text().await.unwrap().contains("Rate Limit Hit"));
}

#[tokio::test]
async fn a_closed_connection_is_no_answer() {
    let simulator = simulator(Members::Embedded).await;
    simulator.answer_next(1, Fault::Close);
    let error = ask(&simulator, PATH, &KEYS.sign(&good_claims())).await.unwrap_err();
    assert!(!error.is_timeout() && error.is_request(), "{error:?}");
    assert_eq!(simulator.requests()[0].status, None);
    assert_eq!(get(&simulator, PATH).await.0, 404);
}

#[tokio::test]
async fn a_hanging_request_ends_with_the_simulator() {
    let simulator = simulator(Members::Embedded).await;
    simulator.answer_next(1, Fault::Hang);
    let token = KEYS.sign(&good_claims());
    let mut hanging = Box::pin(ask(&simulator, PATH, &token));
    tokio::select! {
        answer = &mut hanging => panic!("{answer:?}"),
        () = simulator.wait_for_requests(1) => {}
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err());

    simulator.answer_next(1, Fault::Hang);
    let client = reqwest::Client::builder().build().unwrap();
    let hanging = client.get(simulator.api_url().join(PATH).unwrap()).send();
    let stopping = async {
        simulator.wait_for_requests(2).await;
        simulator.stop().await;
    };
    let (answer, ()) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(hanging, stopping) }).await.unwrap();
    assert!(answer.is_err());
}

#[tokio::test]
async fn faults_can_be_called_off() {
    let simulator = simulator(Members::Embedded).await;
    simulator.answer_next(1000, Fault::Status(503));
    assert_eq!(get(&simulator, PATH).await.0, 503);
    simulator.answer_properly();
    assert_eq!(get(&simulator, PATH).await.0, 404);
    assert_eq!(simulator.peak_per_second(), 2);
}
