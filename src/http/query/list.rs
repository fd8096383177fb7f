//! Lists, whatever is listed: a page of JSON, or the whole as a stream of lines.

use std::collections::VecDeque;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, LINK, VARY};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::super::cursor::Cursor;
use super::super::problem::Problem;
use super::blind::Blind;
use super::parameters::Parameters;
use super::{csv, json};

/// Items on a page when none are asked for.
pub(in crate::http) const DEFAULT_LIMIT: u32 = 50;

/// The most items on a page.
pub(super) const MAX_LIMIT: u32 = 500;

/// The most bytes of items on a page, as they are stored or told, unless the first alone has more. A page that is full
/// ends early.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// A portion with fewer items than asked for is the last one if it has fewer bytes than this: the store returns fewer
/// where they are large, and these have more.
const LARGE_PORTION_BYTES: usize = 16 * 1024;

/// Something that can be listed.
pub(super) trait List: Send + Sync + 'static {
    /// What the store has.
    type Item: Send + 'static;
    /// What is told of it.
    type Told: Serialize + Send;
    /// Where the list goes on.
    type Place: Cursor + Clone + Send + Sync + 'static;

    /// The columns of its CSV: a name, and the place of the value in what is told (RFC 6901).
    const COLUMNS: &'static [(&'static str, &'static str)];

    /// The most items that are read at once: the memory that a list takes does not depend on how many are asked for.
    const PORTION: u32 = 250;

    /// At most `limit` items from behind `after` on. Fewer are the last ones, unless they are large.
    fn items(
        &self,
        after: Option<&Self::Place>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Self::Item>, Problem>> + Send;

    /// How much of a page an item takes.
    fn bytes(item: &Self::Item) -> usize;

    /// The place of an item.
    fn place(item: &Self::Item) -> Self::Place;

    /// What is told of these items, which follow `after`, and the times near them that could not be seen.
    fn tell(
        &self,
        items: Vec<Self::Item>,
        after: Option<&Self::Place>,
    ) -> impl Future<Output = Result<(Vec<Self::Told>, Vec<Blind>), Problem>> + Send;
}

/// What is asked of any list.
#[derive(Debug)]
pub(super) struct Asked {
    part: Part,
    format: Format,
}

/// Which part of a list is asked for.
#[derive(Debug)]
pub(super) struct Part {
    limit: Option<u32>,
    next: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Page<T> {
    /// The items, in the order of the list.
    pub(in crate::http) items: Vec<T>,
    /// Where the next page begins; `null` on the last.
    next: Option<String>,
    /// The times near these items in which the daemon could not see.
    pub(in crate::http) blind: Vec<Blind>,
    /// The query string that asks for what follows, with the limit and the list's own parameters.
    #[serde(skip)]
    pub(in crate::http) onward: Option<String>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// The first of the media types asked for that there is; JSON where there is none.
    fn accepted(headers: &HeaderMap) -> Self {
        let types = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = types.flat_map(|value| value.split(','));
        let known = |accepted: &str| {
            let essence = accepted.split(';').next().unwrap_or_default().trim();
            Self::ALL.into_iter().find(|format| essence.eq_ignore_ascii_case(format.media_type()))
        };
        types.find_map(known).unwrap_or(Self::Json)
    }
}

impl Asked {
    /// Takes the parameters that every list has.
    pub(super) fn of(parameters: &mut Parameters, headers: &HeaderMap) -> Result<Self, Problem> {
        let part = Part::of(parameters)?;
        let format = match parameters.take("format") {
            None => Format::accepted(headers),
            Some(name) => Format::ALL
                .into_iter()
                .find(|format| format.name() == name)
                .ok_or_else(|| Problem::bad_request("format is json, ndjson or csv"))?,
        };
        Ok(Self { part, format })
    }

    /// Answers with `list`, which was asked for at `path` with these parameters of its own.
    pub(super) async fn answer<L: List>(
        self,
        list: L,
        path: &str,
        own: &[(String, String)],
    ) -> Result<Response, Problem> {
        let mut response = if self.format == Format::Json {
            let page = self.part.read(&list, own).await?;
            let mut response = json(&page);
            if let Some(onward) = page.onward {
                let link = format!("<{path}?{onward}>; rel=\"next\"");
                response.headers_mut().insert(LINK, link.try_into().expect("a URL's query is in ASCII"));
            }
            response
        } else {
            self.stream(list, path).await?
        };
        response.headers_mut().insert(VARY, ACCEPT.into());
        Ok(response)
    }

    /// Streams the list from behind `after` on, all of it unless a limit is asked for. It is read portion by portion,
    /// as the client takes it.
    async fn stream<L: List>(&self, list: L, path: &str) -> Result<Response, Problem> {
        let (after, left) = (self.part.after()?, self.part.limit);
        let mut lines = Lines { list, after, left, format: self.format, ready: VecDeque::new() };
        if self.format == Format::Csv {
            lines.ready.push_back(csv::header(L::COLUMNS));
        }
        // What cannot be answered at all is still answered with a status.
        lines.read().await?;
        let chunks = stream::try_unfold(lines, |mut lines| async move {
            if lines.ready.is_empty() {
                // The status is out: breaking off is the only sign that is left, and clients show it.
                lines.read().await.map_err(|_| std::io::Error::other("the list broke off"))?;
            }
            Ok::<_, std::io::Error>(lines.ready.pop_front().map(|chunk| (chunk, lines)))
        });
        let name = path.rsplit('/').next().unwrap_or_default();
        let disposition = format!("attachment; filename=\"{name}.{}\"", self.format.name());
        let content_type = format!("{}; charset=utf-8", self.format.media_type());
        let headers = [(CONTENT_TYPE, content_type), (CONTENT_DISPOSITION, disposition)];
        Ok((headers, Body::from_stream(chunks)).into_response())
    }
}

impl Part {
    /// Takes the parameters that say so.
    pub(super) fn of(parameters: &mut Parameters) -> Result<Self, Problem> {
        let limit = parameters.take("limit").map(|text| text.parse().unwrap_or(0));
        if limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
            return Err(Problem::bad_request(format!("limit is a number from 1 to {MAX_LIMIT}")));
        }
        Ok(Self { limit, next: parameters.take("next") })
    }

    /// Reads it from `list`, which has these parameters of its own.
    pub(super) async fn read<L: List>(
        &self,
        list: &L,
        own: &[(String, String)],
    ) -> Result<Page<L::Told>, Problem> {
        let after = self.after()?;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let (items, more) = full_page(list, after.clone(), limit).await?;
        let next = items.last().filter(|_| more).map(|item| L::place(item).encode());
        let (items, blind) = list.tell(items, after.as_ref()).await?;
        let onward = next.as_ref().map(|next| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(own).append_pair("limit", &limit.to_string()).append_pair("next", next);
            query.finish()
        });
        Ok(Page { items, next, blind, onward })
    }

    /// The place behind which it begins.
    fn after<P: Cursor>(&self) -> Result<Option<P>, Problem> {
        let foreign = "next is not a cursor of this list: take it as it is from the answer before";
        let read = |text: &String| P::decode(text).ok_or_else(|| Problem::bad_request(foreign));
        self.next.as_ref().map(read).transpose()
    }
}

/// As many items from behind `after` on as a page holds, and whether there are more.
async fn full_page<L: List>(
    list: &L,
    mut after: Option<L::Place>,
    limit: u32,
) -> Result<(Vec<L::Item>, bool), Problem> {
    let (mut items, mut left, mut bytes) = (Vec::new(), limit, 0);
    loop {
        // One more than there is room for tells whether there is more.
        let wanted = (left + 1).min(L::PORTION);
        let portion = list.items(after.as_ref(), wanted).await?;
        let portion_bytes: usize = portion.iter().map(L::bytes).sum();
        let is_last =
            portion.is_empty() || (portion.len() < wanted as usize && portion_bytes < LARGE_PORTION_BYTES);
        for item in portion {
            bytes += L::bytes(&item);
            if left == 0 || (bytes > PAGE_BYTES && !items.is_empty()) {
                return Ok((items, true));
            }
            left -= 1;
            items.push(item);
        }
        if is_last {
            return Ok((items, false));
        }
        after = items.last().map(L::place);
    }
}

/// How many bytes the JSON of an item has.
pub(super) fn json_bytes<T: Serialize>(item: &T) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, item).expect("texts, numbers and JSON are always JSON");
    counter.0
}

/// A list on its way out, portion by portion.
struct Lines<L: List> {
    list: L,
    after: Option<L::Place>,
    /// How many items may follow; `None` is all.
    left: Option<u32>,
    format: Format,
    /// Nothing in it after a read means the end.
    ready: VecDeque<Bytes>,
}

impl<L: List> Lines<L> {
    /// Makes the next portion ready, if there is one.
    async fn read(&mut self) -> Result<(), Problem> {
        let limit = self.left.unwrap_or(L::PORTION).min(L::PORTION);
        if limit == 0 {
            return Ok(());
        }
        let items = self.list.items(self.after.as_ref(), limit).await?;
        let Some(last) = items.last().map(L::place) else { return Ok(()) };
        self.left = self.left.map(|left| left.saturating_sub(u32::try_from(items.len()).unwrap_or(left)));
        let (told, _) = self.list.tell(items, self.after.as_ref()).await?;
        self.after = Some(last);
        self.ready.push_back(match self.format {
            Format::Csv => csv::rows(L::COLUMNS, &told),
            Format::Json | Format::Ndjson => ndjson(&told),
        });
        Ok(())
    }
}

fn ndjson<T: Serialize>(items: &[T]) -> Bytes {
    let mut lines = Vec::new();
    for item in items {
        let start = lines.len();
        serde_json::to_writer(&mut lines, item).expect("texts, numbers and JSON are always JSON");
        // A stored body is told to the byte, and may have line breaks. In JSON they are between its parts only.
        let breaks = lines[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r'));
        breaks.for_each(|byte| *byte = b' ');
        lines.push(b'\n');
    }
    lines.into()
}
