//! What the API was asked.

use std::time::Duration;
use std::time::Instant;

use super::region::Region;

/// One request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, as a rule.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The region whose host was asked; none when it was the global one.
    pub region: Option<Region>,
    /// When it came in.
    pub received: Instant,
    /// The status it was answered with; nothing when it never was.
    pub status: Option<u16>,
    /// The id of its token, when the token was good.
    pub jti: Option<String>,
}

impl Request {
    /// The path without its query.
    #[must_use]
    pub fn bare_path(&self) -> &str {
        self.path.split_once('?').map_or(&self.path, |(path, _)| path)
    }
}

/// The most of these requests, which are in the order they came in, within any one second.
pub(super) fn peak_per_second(requests: &[Request]) -> usize {
    let second = Duration::from_secs(1);
    let mut oldest = 0;
    let mut peak = 0;
    for (index, request) in requests.iter().enumerate() {
        while request.received.saturating_duration_since(requests[oldest].received) >= second {
            oldest += 1;
        }
        peak = peak.max(index - oldest + 1);
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_in_any_window_of_one_second() {
        let start = Instant::now();
        let requests: Vec<Request> = [0, 600, 900, 1100, 1599, 1600, 5000]
            .into_iter()
            .map(|offset| Request {
                method: "GET".to_owned(),
                path: "/".to_owned(),
                region: None,
                received: start + Duration::from_millis(offset),
                status: None,
                jti: None,
            })
            .collect();
        assert_eq!(peak_per_second(&requests), 4);
        assert_eq!(peak_per_second(&[]), 0);
    }
}
