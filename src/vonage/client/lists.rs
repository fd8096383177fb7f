//! Lists of an application's calls.

use jiff::Timestamp;
use url::Url;

use super::{Calls, Client, Failure, NoAnswer};
use crate::domain::call::ListedCall;
use crate::domain::fetch::Urgency;
use crate::vonage::calls::{CallsPage, list_address};
use crate::vonage::hold::Api;
use crate::vonage::requests::{MAX_PAGES, Miss, PAGE_SIZE, unreadable};

/// The calls of one list.
struct List {
    calls: Vec<ListedCall>,
    /// Whether there are no more.
    is_whole: bool,
}

impl Client {
    /// Lists the calls of the application that began between these instants, cut to seconds, as the Voice API
    /// of the configured host knows them: some days back, while Vonage keeps legs. Of more than one list can hold
    /// those of the earlier half are listed, or of its half: a call does not tell when it began, so how far a list
    /// that was broken off goes cannot be seen from it.
    ///
    /// # Errors
    /// When the token is refused, or no useful answer came. What was listed until then is not worth keeping:
    /// it can be listed again.
    pub async fn calls(&self, since: Timestamp, until: Timestamp) -> Result<Calls, NoAnswer> {
        let mut until = until;
        loop {
            let list = self.list(list_address(&self.settings.api_url, since, until)).await?;
            match halfway(since, until) {
                Some(halfway) if !list.is_whole => until = halfway,
                _ => {
                    if !list.is_whole {
                        tracing::warn!(%since, "more calls began in one second than are listed: some are left out");
                    }
                    return Ok(Calls { calls: list.calls, until });
                }
            }
        }
    }

    /// Follows a list from its first page on, as far as it goes or as pages are read.
    async fn list(&self, first: Url) -> Result<List, NoAnswer> {
        let mut next = Some(first);
        let mut calls: Vec<ListedCall> = Vec::new();
        let mut asked: Vec<Url> = Vec::new();
        while let Some(url) = next.take().filter(|url| !asked.contains(url)) {
            if asked.len() >= MAX_PAGES as usize {
                return Ok(List { calls, is_whole: false });
            }
            let page = self.calls_page(&url).await?;
            if page.calls.is_empty() {
                break;
            }
            let is_too_long = page.count.is_some_and(|count| count > i64::from(MAX_PAGES * PAGE_SIZE));
            next = page.next_address(&url);
            calls.extend(page.calls);
            if is_too_long {
                return Ok(List { calls, is_whole: false });
            }
            asked.push(url);
        }
        Ok(List { calls, is_whole: true })
    }

    async fn calls_page(&self, url: &Url) -> Result<CallsPage, NoAnswer> {
        let page = self.requests.get(Api::Calls, url, Urgency::Poll).await.and_then(|body| {
            CallsPage::read(&body).ok_or_else(|| unreadable("there is no list of calls in it"))
        });
        page.map_err(|miss| match miss {
            Miss::NotFound => NoAnswer::Unreachable(Failure::Status(404)),
            Miss::Refused(status) => {
                self.requests.discard_token();
                NoAnswer::Refused(status)
            }
            Miss::Failed(failure) => NoAnswer::Unreachable(failure),
        })
    }
}

/// The second in the middle, if there is one between.
fn halfway(since: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let (since, until) = (since.as_second(), until.as_second());
    let halfway = since.midpoint(until);
    (since < halfway).then(|| Timestamp::from_second(halfway).expect("it lies between two instants"))
}
