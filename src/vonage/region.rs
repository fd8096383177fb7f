//! Which hosts are Vonage's: an application's token goes to no other.
//!
//! A call lives in one of Vonage's regions, and only that region's host is sure to know its conversation. The
//! answer webhook names it as `region_url`: `https://api-eu-3.vonage.com`, in older texts
//! `https://api-eu-1.nexmo.com` (developer.vonage.com, Voice API, webhook reference and troubleshooting).

use url::Url;

use crate::domain::ids::Region;

/// What every host of Vonage's ends in. The known regional hosts all do, so they need no list of their own.
const DOMAINS: [&str; 2] = [".vonage.com", ".nexmo.com"];

/// The region that a `region_url` names; `None` unless it is `https://` and a host of Vonage's and nothing
/// else: no user, no port, no path. Whoever sends webhooks must not get to say where a token is sent.
///
/// The text itself is judged and not a parsed address, whose reader forgives: it drops `:443` and tabs, takes
/// backslashes for slashes, and turns other alphabets into Latin letters.
#[must_use]
pub fn trusted(region_url: &str) -> Option<Region> {
    let (scheme, host) = region_url.split_once("://")?;
    // A slash alone is the empty path.
    let host = host.strip_suffix('/').unwrap_or(host).to_ascii_lowercase();
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Region::parse(&host).ok().filter(|region| region.as_str() == host && is_vonages(region))
}

/// Whether the host is one of Vonage's.
fn is_vonages(region: &Region) -> bool {
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let host = region.as_str();
    DOMAINS.iter().any(|domain| host.ends_with(domain)) && host.split('.').all(is_label)
}

/// Where each region is asked.
#[derive(Debug, Clone)]
pub struct RegionHosts {
    vonages: bool,
    placed: Vec<(Region, Url)>,
}

impl RegionHosts {
    /// Regions for a client that asks at `api_url`: each at its own host, if `api_url` is one of Vonage's. Who
    /// asks a program of their own instead does not want their token at Vonage's.
    #[must_use]
    pub fn beside(api_url: &Url) -> Self {
        let host = api_url.host_str().and_then(|host| Region::parse(host).ok());
        let vonages = api_url.scheme() == "https" && host.as_ref().is_some_and(is_vonages);
        Self { vonages, placed: Vec::new() }
    }

    /// The same, but `region` is asked at `url`: for a simulated Vonage.
    #[must_use]
    pub fn with(mut self, region: Region, url: Url) -> Self {
        self.placed.push((region, url));
        self
    }

    /// Where to ask the region; `None` when it is not to be asked. Checked here once more: the region may come
    /// from a store that somebody has written to.
    #[must_use]
    pub fn url(&self, region: &Region) -> Option<Url> {
        let placed = self.placed.iter().find(|(placed, _)| placed == region);
        if let Some((_, url)) = placed {
            return Some(url.clone());
        }
        let known = self.vonages && is_vonages(region);
        known.then(|| Url::parse(&format!("https://{region}/")).ok()).flatten()
    }
}
