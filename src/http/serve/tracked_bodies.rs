//! Bodies that tell the activity of their connection how far they are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::activity::{Activity, RequestNumber};

/// One request of a connection.
#[derive(Debug, Clone)]
pub(super) struct CurrentRequest {
    pub(super) activity: Arc<Activity>,
    pub(super) number: RequestNumber,
}

/// A request's body, which tells when something of it comes and when nobody waits for it any more.
pub(super) struct RequestBody {
    body: Incoming,
    request: CurrentRequest,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, request: CurrentRequest) -> Self {
        Self { body, request }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.request.activity.received(self.request.number);
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let CurrentRequest { activity, number } = &self.request;
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => activity.heard(*number),
            Poll::Ready(_) => activity.received(*number),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, which tells when it is complete.
pub(super) struct AnswerBody {
    body: Body,
    request: CurrentRequest,
}

impl AnswerBody {
    pub(super) fn new(body: Body, request: CurrentRequest) -> Self {
        Self { body, request }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.request.activity.answered(self.request.number);
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
