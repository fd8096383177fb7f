//! The description of the interface says what the router does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;

use conversationd::http::query;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::daemon::World;

/// What is for browsers, and what describes the rest.
const UNDESCRIBED: [&str; 4] = ["/", "/openapi.json", "/sign-in", "/sign-out"];

fn description() -> Value {
    serde_json::to_value(query::openapi::description()).unwrap()
}

#[test]
fn every_path_is_described_and_no_other() {
    let is_described = |path: &&str| {
        !UNDESCRIBED.contains(path)
            && !["/assets/", "/docs", "/conversations"].iter().any(|page| path.starts_with(page))
    };
    let routed: Vec<&str> = query::routes().iter().map(|route| route.path).collect();
    let routed: BTreeSet<&str> = routed.into_iter().filter(is_described).collect();
    let description = description();
    let described: BTreeSet<&str> =
        description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, routed);
}

#[test]
fn every_parameter_of_a_path_is_described() {
    for (path, item) in description()["paths"].as_object().unwrap() {
        let typed = |parameter: &Value| parameter["schema"].is_object();
        assert!(item["get"]["parameters"].as_array().is_none_or(|all| all.iter().all(typed)), "{path}");
        let in_template: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(
            parameters(&item["get"], "path"),
            in_template.into_iter().map(str::to_owned).collect(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_parameter_that_is_described_is_known_and_no_other() {
    let daemon = World::default().start().await;
    for (path, item) in description()["paths"].as_object().unwrap() {
        // Vonage's own clients send what they like, and probes may.
        if ["/vonage/", "/metrics", "/livez", "/readyz"].iter().any(|lenient| path.starts_with(lenient)) {
            continue;
        }
        let asked = path.replace("{id}", "CON-1").replace("{number}", "1");
        let reply = daemon.get(&format!("{asked}?nonsense=1")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}: {}", reply.text);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        let known = detail.rsplit(": ").next().unwrap();
        let known: BTreeSet<String> =
            known.split(", ").filter(|name| *name != "none").map(str::to_owned).collect();
        assert_eq!(parameters(&item["get"], "query"), known, "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let description = description();
    let mut left = vec![&description];
    let mut references = 0;
    while let Some(value) = left.pop() {
        if let Some(reference) = value["$ref"].as_str() {
            references += 1;
            assert!(description.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        match value {
            Value::Object(map) => left.extend(map.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    assert!(references > 50, "{references}");
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn the_page_that_shows_it_needs_no_other_host() {
    let daemon = World::default().start().await;
    assert_eq!(daemon.get("/openapi.json").await.json(), description());
    let index = daemon.get("/docs").await;
    assert!(index.content_type.starts_with("text/html"), "{}", index.content_type);
    let mut files = 0;
    let attributes = index.text.split(['"', '\'']);
    for file in attributes.filter(|text| [".js", ".css", ".png"].iter().any(|ending| text.ends_with(ending)))
    {
        let reply = daemon.get(file).await;
        assert_eq!(reply.status, StatusCode::OK, "{file}");
        files += 1;
    }
    assert!(files >= 4, "{files}");
    assert!(!index.text.contains("http://") && !index.text.contains("https://"), "{}", index.text);
    let initializer = daemon.get("/docs/swagger-initializer.js").await.text;
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    assert_eq!(daemon.get("/docs/nothing.js").await.status, StatusCode::NOT_FOUND);
}

fn parameters(operation: &Value, place: &str) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let here = all.iter().filter(|parameter| parameter["in"] == place);
    here.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}
