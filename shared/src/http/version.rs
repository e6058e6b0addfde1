//! Optimistic updates: `ETag` out, `If-Match` or `version` in.

use super::{ApiError, ErrorCode, HeaderValue, Reply, Request, header};

/// Adds the version as `ETag: "v7"`.
#[must_use]
pub fn tagged(reply: Reply, version: i64) -> Reply {
    match HeaderValue::try_from(format!("\"v{version}\"")) {
        Ok(tag) => reply.with_header(header::ETAG, tag),
        // A number between quotes is always a header's value.
        Err(_) => reply,
    }
}

/// The version the caller read before they changed anything: `If-Match` if it is there, else the body's. `None`
/// says that it does not matter to them.
pub fn expected(request: &Request, in_body: Option<i64>) -> Result<Option<i64>, ApiError> {
    let Some(header) = request.headers.get(header::IF_MATCH) else { return Ok(in_body) };
    let header = header.to_str().unwrap_or_default().trim();
    if header == "*" {
        return Ok(in_body);
    }
    let number = header.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"'));
    let version = number.and_then(|number| number.parse().ok());
    let version = version.ok_or_else(|| ApiError::invalid("If-Match", "must be the ETag of an answer"))?;
    if in_body.is_some_and(|other| other != version) {
        return Err(ApiError::invalid("version", "is not what If-Match says"));
    }
    Ok(Some(version))
}

/// Somebody else was quicker.
pub fn conflict(what: &'static str) -> ApiError {
    let message = format!("{what} has been modified by another request. Please retry.");
    ApiError::new(ErrorCode::VersionConflict, message)
}

#[cfg(test)]
mod tests {
    use super::expected;
    use crate::http::{HeaderValue, Request, header};

    fn request(if_match: &'static str) -> Request {
        let mut request = Request::default();
        request.headers.insert(header::IF_MATCH, HeaderValue::from_static(if_match));
        request
    }

    #[test]
    fn the_header_goes_before_the_body_and_may_not_contradict_it() {
        assert_eq!(expected(&Request::default(), Some(3)).unwrap(), Some(3));
        assert_eq!(expected(&Request::default(), None).unwrap(), None);
        assert_eq!(expected(&request("\"v3\""), None).unwrap(), Some(3));
        assert_eq!(expected(&request("\"v3\""), Some(3)).unwrap(), Some(3));
        assert_eq!(expected(&request("*"), Some(4)).unwrap(), Some(4));
        assert!(expected(&request("\"v3\""), Some(4)).is_err());
        for bad in ["v3", "\"3\"", "W/\"v3\"", "\"v\"", "\"v3", ""] {
            assert!(expected(&request(bad), None).is_err(), "{bad}");
        }
    }
}
