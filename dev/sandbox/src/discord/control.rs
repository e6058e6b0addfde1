//! `/sandbox/discord/…`: the handle over HTTP.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Person;
use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let ["discord", rest @ ..] = segments else { return None };
    let discord = sandbox.discord();
    let answer = match (method, rest) {
        (&Method::POST, ["person"]) => serde_json::from_slice::<Person>(body).map(|person| {
            discord.person(person);
            json!({})
        }),
        (&Method::POST, ["deny"]) => {
            discord.deny_next();
            Ok(json!({}))
        }
        _ => return None,
    };
    Some(answer.map(|body| (StatusCode::OK, body)).map_err(Into::into))
}
