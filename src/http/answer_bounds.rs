//! How much the answers of the private listener may take together: a client that asks for much, or reads nothing of
//! what it asked for, must not take the memory that webhooks need.
//!
//! A handler needs a turn. What it has made beyond a small size needs room in a common memory, until the client has
//! taken it. Where there is none, connections whose clients do not read are closed; whoever finds no room even so is
//! told to come back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::form_urlencoded;

use super::problem::Problem;
use super::query::list::DEFAULT_LIMIT;
use super::serve::StalledConnections;

/// Requests that are worked on at one time: twice as many as the store answers.
const TURNS: usize = 8;

/// Of those that may be long, fewer than the store answers: the others have a connection to it left.
const BULK_TURNS: usize = 3;

/// How long a request waits for its turn: as long as the store's slowest answer takes.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// What an answer may hold without asking: a usual page. The system's own buffer takes one at once, so that few are held
/// by clients that do not read.
const SMALL_BYTES: u64 = 256 * 1024;

/// What a streamed answer holds at one time: a portion of a list, whose bodies are 256 KiB at most by default.
const STREAM_BYTES: u64 = 4 * 1024 * 1024;

/// What all larger answers may hold together.
const TOTAL_BYTES: u64 = 48 * 1024 * 1024;

/// What goes out at once of a larger answer: the connection has a few of these beside the common memory.
const FRAME_BYTES: usize = 16 * 1024;

/// The memory is given out in pieces of this size, since a semaphore counts in 32 bits.
const PIECE_BYTES: u64 = 1024;

/// How long an answer waits for room: clients that do not read are known as such after a second.
const ROOM_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the listener is asked to close connections meanwhile.
const ASKING_INTERVAL: Duration = Duration::from_millis(200);

/// Answers that wait for room at one time, and are held beside the common memory.
const WAITING_ANSWERS: usize = 8;

/// The turns and the memory of one listener.
#[derive(Debug, Clone)]
pub(super) struct AnswerBounds {
    turns: Arc<Semaphore>,
    bulk_turns: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl AnswerBounds {
    pub(super) fn new() -> Self {
        let pieces = usize::try_from(TOTAL_BYTES / PIECE_BYTES).expect("it is small");
        let [turns, bulk_turns, memory, waiting] =
            [TURNS, BULK_TURNS, pieces, WAITING_ANSWERS].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { turns, bulk_turns, memory, waiting }
    }

    /// The same for paths whose answers hold bodies, and so may be long however few items are asked for.
    pub(super) fn of_bodies(&self) -> Self {
        Self { turns: Arc::clone(&self.bulk_turns), ..self.clone() }
    }

    async fn turn(&self, is_bulk: bool) -> Result<OwnedSemaphorePermit, Problem> {
        let turns = if is_bulk { &self.bulk_turns } else { &self.turns };
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(turns).acquire_owned()).await;
        let turn =
            turn.map_err(|_| Problem::unavailable("too many questions are being answered; try again"))?;
        Ok(turn.expect("the semaphore is never closed"))
    }

    /// Room for an answer of so many bytes. The largest gets it when there is no other.
    async fn room(&self, bytes: u64, stalled: Option<&StalledConnections>) -> Option<OwnedSemaphorePermit> {
        let pieces = u32::try_from(bytes.min(TOTAL_BYTES).div_ceil(PIECE_BYTES)).expect("it is bounded");
        if let Ok(room) = Arc::clone(&self.memory).try_acquire_many_owned(pieces) {
            return Some(room);
        }
        let (_waiting, stalled) = (self.waiting.try_acquire().ok()?, stalled?);
        let closing = async {
            let mut turns = tokio::time::interval(ASKING_INTERVAL);
            loop {
                turns.tick().await;
                stalled.close();
            }
        };
        tokio::select! {
            room = Arc::clone(&self.memory).acquire_many_owned(pieces) => room.ok(),
            () = closing => None,
            () = tokio::time::sleep(ROOM_TIMEOUT) => None,
        }
    }
}

/// Whether more than a usual page is asked for. Who asks for a page must not wait for those who ask for everything.
fn is_bulk(request: &Request) -> bool {
    let parameters = request.uri().query().unwrap_or_default();
    let asks = form_urlencoded::parse(parameters.as_bytes()).any(|(name, value)| match &*name {
        "limit" => value.parse::<u32>().is_ok_and(|limit| limit > DEFAULT_LIMIT),
        "format" => value != "json",
        _ => false,
    });
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    asks || accepted.into_iter().any(|types| types.contains("csv") || types.contains("ndjson"))
}

/// Answers when it is the request's turn, as far as there is memory for it.
pub(super) async fn bound(
    State(bounds): State<AnswerBounds>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let stalled = request.extensions().get::<StalledConnections>().cloned();
    let is_bulk = is_bulk(&request);
    let turn = bounds.turn(is_bulk).await?;
    let answer = next.run(request).await;
    drop(turn);
    let bytes = answer.body().size_hint().exact().unwrap_or(STREAM_BYTES);
    if bytes <= SMALL_BYTES {
        return Ok(answer);
    }
    let room = bounds.room(bytes, stalled.as_ref()).await.ok_or_else(|| {
        Problem::unavailable(
            "too many large answers are being read; try again, or ask for less: a smaller limit, or more filters",
        )
    })?;
    Ok(answer.map(|body| Body::new(RoomyBody { body, ready: Bytes::new(), _room: room })))
}

/// A body that has its room until the client has it, but for the last few frames. These are copies: a part of a
/// larger allocation would hold all of it.
struct RoomyBody {
    body: Body,
    /// What came of the body and did not go out yet.
    ready: Bytes,
    _room: OwnedSemaphorePermit,
}

impl HttpBody for RoomyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.ready.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.ready = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.ready.len().min(FRAME_BYTES);
        let frame = Bytes::copy_from_slice(&self.ready.split_to(length));
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, ready) = (self.body.size_hint(), self.ready.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + ready);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + ready);
        }
        hint
    }
}
