//! What SES is asked, and how it answers.

use std::sync::Arc;

use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use serde_json::json;

use super::{Letter, MailState, PREFIX, signature};
use crate::{
    Service,
    reply::Reply,
    world::{World, lock},
};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const PATH: &str = "/v2/email/outbound-emails";

/// The parts of a `SendEmail` that are understood here; of others a test should hear.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendEmail {
    from_email_address: String,
    destination: Destination,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destination {
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Content {
    simple: Simple,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Simple {
    subject: Text,
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Body {
    text: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Text {
    data: String,
    charset: String,
}

/// Status, code and words.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

fn refuse(status: StatusCode, code: &str, message: &str) -> Reply {
    let mut reply = Reply::json(status, &json!({ "message": message }));
    reply.headers.extend(HeaderValue::from_str(code).ok().map(|code| (ERROR_TYPE, code)));
    reply
}

pub(super) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    if (request.method(), path) != (&Method::POST, PATH) {
        return refuse(StatusCode::NOT_FOUND, "NotFoundException", "no such operation here");
    }
    if let Err(Refusal(status, code, message)) = signature::check(request) {
        return refuse(status, code, &message);
    }
    let mut state = lock(&world.mail);
    match send(&state, request.body()) {
        Err((code, message)) => refuse(StatusCode::BAD_REQUEST, &code, &message),
        Ok(letters) => {
            let id = format!("{:016x}-{}", state.letters.len() + 1, world.seed.uuid("mail"));
            lock(&world.counts).created(Service::Mail, "letter");
            state.letters.extend(letters.into_iter().map(|letter| Letter { id: id.clone(), ..letter }));
            Reply::json(StatusCode::OK, &json!({ "MessageId": id }))
        }
    }
}

/// The letters, one for each address, without their id.
fn send(state: &MailState, body: &[u8]) -> Result<Vec<Letter>, (String, String)> {
    let bad = |message: String| (String::from("BadRequestException"), message);
    let asked: SendEmail = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let SendEmail { from_email_address: from, destination, content: Content { simple } } = asked;
    let (subject, text) = (simple.subject, simple.body.text);
    if !subject.charset.eq_ignore_ascii_case("utf-8") || !text.charset.eq_ignore_ascii_case("utf-8") {
        return Err(bad(String::from("the charset is UTF-8 here")));
    }
    if subject.data.chars().any(char::is_control) {
        return Err(bad(String::from("the subject has a control character")));
    }
    let of_one_mailbox = |address: &String| {
        address.split('@').count() == 2 && !address.contains([',', ';', '<', '>', '"', ' ', '\r', '\n'])
    };
    if destination.to_addresses.is_empty() || !destination.to_addresses.iter().all(of_one_mailbox) {
        return Err(bad(String::from("Illegal address")));
    }
    if state.unverified.contains(&from) {
        let message = format!("Email address is not verified: {from}");
        return Err((String::from("MailFromDomainNotVerifiedException"), message));
    }
    let refused = destination.to_addresses.iter().find_map(|address| state.refused.get(address));
    if let Some(code) = refused {
        return Err((code.clone(), String::from("refused, as ordered")));
    }
    let letter = |to: String| Letter {
        id: String::new(),
        from: from.clone(),
        to,
        subject: subject.data.clone(),
        text: text.data.clone(),
    };
    Ok(destination.to_addresses.into_iter().map(letter).collect())
}
