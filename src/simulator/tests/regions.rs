//! One host for each region, and one for the rest.

use url::Url;

use super::super::Action;
use super::super::Call;
use super::super::Change;
use super::super::Members;
use super::super::Pace;
use super::super::Region;
use super::super::Simulator;
use super::support::Application;
use super::support::KEYS;
use super::support::good_claims;
use super::support::now;
use super::support::simulator;

async fn status(host: &Url, path: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(host.join(path).unwrap()).bearer_auth(KEYS.sign(&good_claims()));
    request.send().await.unwrap().status().as_u16()
}

/// Plays a call up to where both talk.
async fn play(simulator: &Simulator, call: Call) -> Application {
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let (talk, _) = call.split_at(now() + jiff::SignedDuration::from_secs(15));
    assert!(simulator.play(&talk, Pace::AtOnce).await.is_accepted());
    application
}

#[tokio::test]
async fn only_the_host_of_its_region_knows_a_conversation() {
    let simulator = simulator(Members::Listed).await;
    let call = Call::inbound(1, now()).in_region(Region::EuWest);
    let leg = call.steps.iter().find_map(|step| match &step.action {
        Action::Change(Change::Leg(leg, _)) => Some(leg.id.clone()),
        _ => None,
    });
    let paths = [
        format!("/v1/conversations/{}", call.conversation),
        format!("/v0.3/conversations/{}/members", call.conversation),
        format!("/beta/conversations/{}/events", call.conversation),
        format!("/v1/calls/{}", leg.unwrap()),
    ];
    play(&simulator, call).await;
    for path in &paths {
        assert_eq!(status(&simulator.region_url(Region::EuWest), path).await, 200, "{path}");
        assert_eq!(status(&simulator.region_url(Region::EuEast), path).await, 404, "{path}");
        assert_eq!(status(&simulator.api_url(), path).await, 404, "{path}");
    }
    let asked: Vec<Option<Region>> = simulator.requests().iter().map(|request| request.region).collect();
    assert_eq!(asked[..3], [Some(Region::EuWest), Some(Region::EuEast), None]);
}

#[tokio::test]
async fn a_conversation_without_a_region_is_known_to_the_global_host_only() {
    let simulator = simulator(Members::Listed).await;
    let call = Call::inbound(1, now());
    let path = format!("/v1/conversations/{}", call.conversation);
    play(&simulator, call).await;
    assert_eq!(status(&simulator.api_url(), &path).await, 200);
    assert_eq!(status(&simulator.region_url(Region::NaEast), &path).await, 404);
}

#[tokio::test]
async fn a_call_in_a_region_says_so_in_its_answer_webhook() {
    let simulator = simulator(Members::Listed).await;
    let call = Call::inbound(1, now()).in_region(Region::NaEast);
    let path = format!("/v1/conversations/{}", call.conversation);
    let application = play(&simulator, call).await;
    let body = String::from_utf8(application.received()[2].body.to_vec()).unwrap();
    assert!(body.contains(r#""region_url":"https://api-us-3.vonage.com""#), "{body}");
    assert_eq!(status(&simulator.region_url(Region::NaEast), &path).await, 200);
}

#[tokio::test]
async fn every_region_has_a_host_with_an_address_of_its_own() {
    let simulator = simulator(Members::Listed).await;
    let regions = simulator.regions();
    assert_eq!(regions.len(), Region::ALL.len());
    let known = regions.iter().find(|(host, _)| host == "api-us-3.vonage.com").unwrap();
    assert_eq!(known.1, simulator.region_url(Region::NaEast));
    let mut addresses: Vec<&Url> = regions.iter().map(|(_, address)| address).collect();
    let global = simulator.api_url();
    addresses.push(&global);
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), Region::ALL.len() + 1);
}
