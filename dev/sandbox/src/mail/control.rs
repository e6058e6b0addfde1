//! `/sandbox/mail/…`: the mailboxes over HTTP.

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    code: String,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let ["mail", rest @ ..] = segments else { return None };
    let mail = sandbox.mail();
    let decoded = |address: &str| percent_decode_str(address).decode_utf8_lossy().into_owned();
    let answer = match (method, rest) {
        (&Method::GET, []) => Ok(json!({ "letters": mail.letters() })),
        (&Method::GET, [address]) => Ok(json!({ "letters": mail.inbox(&decoded(address)) })),
        (&Method::PUT, [address, "refused"]) => serde_json::from_slice::<Refused>(body).map(|refused| {
            mail.refuse(&decoded(address), &refused.code);
            json!({})
        }),
        (&Method::DELETE, [address, "refused"]) => {
            mail.accept(&decoded(address));
            Ok(json!({}))
        }
        _ => return None,
    };
    Some(answer.map(|body| (StatusCode::OK, body)).map_err(Into::into))
}
