//! One call: what is sent, and what is made of every way it can end.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Error as ClientError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::error::{Common, Fate, Trouble};
use super::transport::Transport;
use super::{Provider, Repeat, retry};
use crate::log;

/// More than any single object of a provider has.
const MAX_ANSWER: usize = 1024 * 1024;
/// Lists hold everything an account has, and come in one piece. This is where one account ends: at some 1.2 kB a store,
/// as BTCPay writes it, with 55 000 stores, when every list becomes `BTCPAY_UNEXPECTED_ANSWER`. It cannot simply be more:
/// while it is gathered a list takes twice its size, which is half of the 256 MB a function has, and all of it must
/// come within the time of one try.
pub(crate) const MAX_LIST: usize = 64 * 1024 * 1024;

/// A request that can be sent any number of times.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) provider: Provider,
    pub(crate) repeat: Repeat,
    method: Method,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Bytes>,
    limit: usize,
    /// What must not appear in a log, should the provider repeat it.
    pub(super) secrets: Vec<Zeroizing<String>>,
}

/// An answer read to its end.
pub(crate) struct Answer {
    pub(crate) provider: Provider,
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<std::time::Duration>,
    /// What the provider itself says of another try, in the one header that does (`Stripe-Should-Retry`).
    pub(crate) should_retry: Option<bool>,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(provider: Provider, repeat: Repeat, method: Method, url: String) -> Self {
        let (headers, body, secrets) = (Vec::new(), None, Vec::new());
        Self { provider, repeat, method, url, headers, body, limit: MAX_ANSWER, secrets }
    }

    /// A header with a credential, `secret` within `value`. One that no header can hold is left out, and so refused.
    pub(crate) fn credential(mut self, name: &'static str, value: &str, secret: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.push((HeaderName::from_static(name), value));
        }
        self.secret(secret)
    }

    /// A header that is no secret. One that no header can hold is left out.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// Part of the body that is a secret.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(Zeroizing::new(secret.to_owned()));
        self
    }

    pub(crate) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Wiped once the last try is over: it may hold a macaroon or a seed.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).unwrap_or_default();
        self.body = Some(Bytes::from_owner(Zeroizing::new(json)));
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.url)
            .header(USER_AGENT, "satchel")
            .header(ACCEPT, "application/json");
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone().unwrap_or_default()))
    }

    /// Sends it once and reads the answer whole. Nothing here follows a redirect or asks the environment for a proxy.
    pub(super) async fn try_once(
        &self,
        transport: &Transport,
        now: OffsetDateTime,
    ) -> Result<Answer, Trouble> {
        let request = self.request().map_err(|error| {
            Trouble::refused(self.provider.code(Common::Rejected), format!("cannot be sent: {error}"))
        })?;
        let sent = transport.client(self.repeat).request(request).await;
        let (head, body) = sent.map_err(|error| self.not_answered(&error)).map(Response::into_parts)?;
        let body = Limited::new(body, self.limit).collect().await.map_err(|error| self.cut(&*error))?;
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| retry::after(value, now));
        let said = head.headers.get("stripe-should-retry").and_then(|value| value.to_str().ok());
        let should_retry = said.and_then(|said| said.parse().ok());
        let (provider, status, body) = (self.provider, head.status, body.to_bytes());
        Ok(Answer { provider, status, retry_after, should_retry, body })
    }

    fn not_answered(&self, error: &ClientError) -> Trouble {
        let (mut common, mut fate) = (Common::Unavailable, Fate::Unknown { after: None });
        if error.is_connect() {
            fate = Fate::NotDone { after: None };
            if is_late(error) {
                common = Common::TimedOut;
            } else if is_about_certificate(error) {
                (common, fate) = (Common::CertificateRefused, Fate::NotYet);
            }
        }
        Trouble { code: self.provider.code(common), fate, detail: log::causes(error), blames: Some(true) }
    }

    fn cut(&self, error: &(dyn Error + 'static)) -> Trouble {
        let why = if error.is::<LengthLimitError>() {
            format!("an answer of more than {} bytes", self.limit)
        } else {
            format!("the answer broke off: {}", log::causes(error))
        };
        Trouble::unexpected(self.provider, why)
    }
}

impl Answer {
    /// The document of a success.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        self.borrowed()
    }

    /// The document of a success, parts of it left where they are.
    pub(crate) fn borrowed<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Trouble> {
        // serde's message may quote the value it choked on; its position does not.
        serde_json::from_slice(&self.body).map_err(|error| {
            self.unexpected(format!(
                "not the document expected (line {} column {})",
                error.line(),
                error.column()
            ))
        })
    }

    pub(crate) fn unexpected(&self, why: impl Into<String>) -> Trouble {
        Trouble::unexpected(self.provider, why)
    }

    /// A refusal that is not in the provider's own words: it came from something in front of it, and says nothing of
    /// the provider, of our key, or of what was asked for.
    pub(crate) fn not_its_own(&self) -> Trouble {
        let (status, provider) = (self.status.as_u16(), self.provider.name());
        self.unexpected(format!("{status}: not {provider}'s own"))
    }

    pub(crate) fn common(&self, common: Common, said: &str) -> Trouble {
        Trouble::refused(self.provider.code(common), format!("{}: {said}", self.status.as_u16()))
    }

    /// What a status means with every provider, once its own refusals are told apart.
    pub(crate) fn trouble(&self, said: &str) -> Trouble {
        let after = self.retry_after;
        let unavailable = |fate, blames| Trouble {
            code: self.provider.code(Common::Unavailable),
            fate,
            detail: format!("{}: {said}", self.status.as_u16()),
            blames: Some(blames),
        };
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => unavailable(Fate::NotDone { after }, false),
            // What the server cannot do it has not done, and will not do.
            StatusCode::NOT_IMPLEMENTED => self.common(Common::Rejected, said),
            StatusCode::REQUEST_TIMEOUT => unavailable(Fate::Unknown { after }, true),
            status if status.is_server_error() => unavailable(Fate::Unknown { after }, true),
            status if status.is_client_error() => self.common(Common::Rejected, said),
            status => self.unexpected(format!("{}: neither a success nor an error", status.as_u16())),
        }
    }
}

/// The errors below one, and those an `io::Error` hides: its `source` skips what it was made from.
fn any_cause(error: &(dyn Error + 'static), wanted: &dyn Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wanted(error)
        || hidden.is_some_and(|hidden| any_cause(hidden, wanted))
        || error.source().is_some_and(|source| any_cause(source, wanted))
}

pub(super) fn is_late(error: &ClientError) -> bool {
    any_cause(error, &|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
    })
}

pub(super) fn is_about_certificate(error: &ClientError) -> bool {
    any_cause(error, &|cause| {
        matches!(cause.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
    })
}
