use ::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer on its way out.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub cookies: Vec<String>,
    pub body: String,
}

impl Reply {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            cookies: Vec::new(),
            // Only a map with keys that are not strings, or a failing Serialize, could fail here.
            body: serde_json::to_string(body).unwrap_or_else(|_| String::from("{}")),
        }
    }

    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    #[must_use]
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }
}
