//! What a service answers, before a fault has had a look at it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, SizeHint},
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;
use tokio::time::Sleep;

/// Time for the bytes before the cut to leave: an error right behind them would take them along.
const FLUSH: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// In seconds.
    pub(crate) retry_after: Option<u32>,
    /// Further ones, of the service's own.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::prepared(status, body.to_string().into())
    }

    /// JSON that is written already.
    pub(crate) fn prepared(status: StatusCode, body: Bytes) -> Self {
        Self { status, content_type: "application/json", body, retry_after: None, headers: Vec::new() }
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::prepared(status, Bytes::new())
    }

    pub(crate) fn text(status: u16, body: String) -> Self {
        // A fault is checked when it is added; a status nobody can send is the sandbox's own failure.
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { content_type: "text/plain; charset=utf-8", ..Self::prepared(status, body.into()) }
    }

    pub(crate) fn whole(self) -> Response<ReplyBody> {
        let length = self.body.len();
        self.cut(length)
    }

    /// Promises the whole body and sends only its beginning.
    pub(crate) fn cut(self, bytes: usize) -> Response<ReplyBody> {
        let body = ReplyBody {
            promised: self.body.len(),
            cut: bytes < self.body.len(),
            first: Some(self.body.slice(..bytes.min(self.body.len()))).filter(|b| !b.is_empty()),
            flush: Box::pin(tokio::time::sleep(FLUSH)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.headers_mut().extend(self.headers);
        response
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox hung up, as ordered")
    }
}

impl std::error::Error for HangUp {}

pub(crate) struct ReplyBody {
    promised: usize,
    cut: bool,
    first: Option<Bytes>,
    flush: Pin<Box<Sleep>>,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if !self.cut {
            return Poll::Ready(None);
        }
        self.flush.as_mut().poll(cx).map(|()| Some(Err(io::Error::other("cut by a fault"))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised as u64)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && !self.cut
    }
}
