//! LND's errors as its REST proxy (grpc-gateway 2) writes them.

use hyper::StatusCode;
use serde_json::json;

use crate::reply::Reply;

/// The gRPC codes the sandbox answers with. LND returns plain Go errors nearly everywhere: `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    Unimplemented = 12,
    Unavailable = 14,
}

impl Code {
    fn http(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[derive(Debug)]
pub(crate) struct LndError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl LndError {
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self { code: Code::Unknown, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: Code::InvalidArgument, message: message.into() }
    }

    pub(crate) fn not_found() -> Self {
        Self { code: Code::NotFound, message: "Not Found".into() }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self { code: Code::Unimplemented, message: "Method Not Allowed".into() }
    }

    pub(crate) fn reply(&self) -> Reply {
        let body = json!({"code": self.code as u8, "message": self.message, "details": []});
        Reply::json(self.code.http(), &body)
    }
}
