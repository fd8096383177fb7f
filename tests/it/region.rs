//! Where a token may go, whatever a webhook says.

use conversationd::domain::arrival::{Delivery, Endpoint, Method};
use conversationd::domain::ids::Region;
use conversationd::vonage::region::{RegionHosts, trusted};
use conversationd::vonage::webhook::Webhook;
use proptest::prelude::*;
use url::Url;

use super::support::data;

#[test]
fn vonages_hosts_are_taken() {
    for (region_url, host) in [
        ("https://api-eu-3.vonage.com", "api-eu-3.vonage.com"),
        ("https://api-us-4.vonage.com", "api-us-4.vonage.com"),
        ("https://api-sg-1.nexmo.com", "api-sg-1.nexmo.com"),
        ("https://api.nexmo.com", "api.nexmo.com"),
        ("https://api-ap-3.vonage.com/", "api-ap-3.vonage.com"),
        ("HTTPS://API-EU-3.Vonage.COM", "api-eu-3.vonage.com"),
    ] {
        assert_eq!(trusted(region_url).as_ref().map(Region::as_str), Some(host), "{region_url}");
    }
}

#[test]
fn nobody_elses_hosts_are_taken() {
    for region_url in [
        "",
        "https://",
        "https:///",
        "api-eu-3.vonage.com",
        "//api-eu-3.vonage.com",
        "http://api-eu-3.vonage.com",
        "wss://api-eu-3.vonage.com",
        " https://api-eu-3.vonage.com",
        "https://api-eu-3.vonage.com ",
        "https://evil.com",
        "https://evil.com/.vonage.com",
        "https://evil.com?.vonage.com",
        "https://evil.com#.vonage.com",
        "https://evil.com\\.vonage.com",
        "https://evil.com%2f.vonage.com",
        "https://evil.com\t.vonage.com",
        "https://evil.com\0.vonage.com",
        "https://evil.com\n.vonage.com",
        "https://api.vonage.com.evil.com",
        "https://evilvonage.com",
        "https://evil-vonage.com",
        "https://evilnexmo.com",
        "https://vonage.com",
        "https://vonage.com.",
        "https://api.vonage.com.",
        "https://.vonage.com",
        "https://api..vonage.com",
        "https://-.vonage.com",
        "https://u@api-eu-3.vonage.com",
        "https://u:p@api-eu-3.vonage.com",
        "https://api-eu-3.vonage.com@evil.com",
        "https://evil.com@.vonage.com",
        "https://api-eu-3.vonage.com:8443",
        "https://api-eu-3.vonage.com:443",
        "https://api-eu-3.vonage.com:",
        "https://api-eu-3.vonage.com/v1",
        "https://api-eu-3.vonage.com//",
        "https://api-eu-3.vonage.com?a",
        "https://api-eu-3.vonage.com#a",
        "https://аpi.vonage.com",
        "https://api.vonage。com",
        "https://api.vonage.ｃom",
        "https://api_eu.vonage.com",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[::1].vonage.com",
    ] {
        assert_eq!(trusted(region_url), None, "{region_url:?}");
    }
    assert_eq!(trusted(&format!("https://{}.vonage.com", "a".repeat(200))), None);
}

#[test]
fn an_answer_webhook_names_its_region() {
    let told = |body: &[u8]| {
        let delivery = Delivery {
            endpoint: Endpoint::Answer,
            method: Method::Post,
            query: None,
            covered_query: None,
            content_type: None,
            body: body.to_vec(),
        };
        Webhook::read(&delivery).unwrap().region_url()
    };
    let regional = data::bytes("events/answer_get_query_regional.json");
    assert_eq!(told(&regional), Some(region("api-eu-3.vonage.com")));
    assert_eq!(told(&data::bytes("events/answer_get_query.json")), None);
    assert_eq!(told(br#"{"region_url": "https://evil.com"}"#), None);
    assert_eq!(told(br#"{"region_url": ["https://api-eu-3.vonage.com"]}"#), None);
}

#[test]
fn a_region_is_asked_over_https_at_its_host() {
    let hosts = RegionHosts::beside(&url("https://api.nexmo.com"));
    let place = hosts.url(&region("api-eu-3.vonage.com"));
    assert_eq!(place, Some(url("https://api-eu-3.vonage.com/")));
    // Even where the store says otherwise.
    assert_eq!(hosts.url(&region("evil.com")), None);
    assert_eq!(hosts.url(&region("vonage.com.")), None);
}

#[test]
fn who_does_not_ask_vonage_asks_no_region_of_vonages() {
    for api_url in ["http://127.0.0.1:9", "https://gateway.example.net", "http://api.nexmo.com"] {
        let hosts = RegionHosts::beside(&url(api_url));
        assert_eq!(hosts.url(&region("api-eu-3.vonage.com")), None, "{api_url}");
        let placed = hosts.with(region("api-eu-3.vonage.com"), url("http://127.0.0.1:10"));
        assert_eq!(placed.url(&region("api-eu-3.vonage.com")), Some(url("http://127.0.0.1:10")));
        assert_eq!(placed.url(&region("api-us-3.vonage.com")), None);
    }
}

proptest! {
    #[test]
    fn what_is_taken_leads_to_vonage(prefix in "(https|http|HTTPS)?(:|://|//)?", host in "\\PC{0,12}", end in "(\\.vonage\\.com|\\.nexmo\\.com)?[/:@.]?") {
        if let Some(region) = trusted(&format!("{prefix}{host}{end}")) {
            let address = url(&format!("https://{region}/v1"));
            let host = address.host_str().unwrap();
            prop_assert_eq!(host, region.as_str());
            prop_assert!(host.ends_with(".vonage.com") || host.ends_with(".nexmo.com"));
            prop_assert_eq!((address.username(), address.port(), address.path()), ("", None, "/v1"));
        }
    }
}

fn region(host: &str) -> Region {
    Region::parse(host).expect("it is a host")
}

fn url(text: &str) -> Url {
    text.parse().expect("it is an address")
}
