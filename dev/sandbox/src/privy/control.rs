//! `/sandbox/privy/…`: the handle over HTTP.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{PrivyPerson, PrivyTokens};
use crate::Handle;

type Answer = anyhow::Result<(StatusCode, Value)>;

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let ["privy", rest @ ..] = segments else { return None };
    let privy = sandbox.privy();
    Some(match (method, rest) {
        (&Method::POST, ["tokens"]) => match serde_json::from_slice::<PrivyPerson>(body) {
            Ok(person) => {
                let PrivyTokens { id, access, identity } = privy.tokens(&person);
                Ok((StatusCode::CREATED, json!({ "id": id, "access": access, "identity": identity })))
            }
            Err(error) => Err(error.into()),
        },
        (&Method::POST, ["rotate"]) => {
            privy.rotate();
            Ok((StatusCode::OK, json!({})))
        }
        _ => return None,
    })
}
