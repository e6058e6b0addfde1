//! `OAuth2`: authorize, token, revoke.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION},
};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::state::TOKEN_LIVES;
use crate::{
    Service, clock,
    reply::Reply,
    world::{World, lock},
};

/// What may be asked for here.
const SCOPES: [&str; 2] = ["identify", "email"];

type Fields = BTreeMap<String, String>;

fn fields(text: &[u8]) -> Fields {
    form_urlencoded::parse(text).into_owned().collect()
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// The browser is sent on at once: whoever sits there has agreed.
pub(super) fn browse(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let query = fields(request.uri().query().unwrap_or_default().as_bytes());
    let to = match authorize(world, &query) {
        Ok(to) => to,
        // A page of Discord's: nobody is sent to an address it does not know.
        Err(why) => return Reply::text(400, why.to_owned()),
    };
    let mut reply = Reply::empty(StatusCode::FOUND);
    reply.headers.extend(HeaderValue::from_str(&to).ok().map(|to| (LOCATION, to)));
    reply
}

/// Where the person is sent.
pub(super) fn authorize(world: &Arc<World>, query: &Fields) -> Result<String, &'static str> {
    let mut state = lock(&world.discord);
    let client_id = field(query, "client_id");
    let application = state.find_application(client_id).ok_or("Unknown Application")?;
    let redirect_uri = field(query, "redirect_uri");
    if !application.redirect_uris.iter().any(|known| known == redirect_uri) {
        return Err("Invalid OAuth2 redirect_uri");
    }
    let mut to = Url::parse(redirect_uri).map_err(|_| "Invalid OAuth2 redirect_uri")?;
    let scope = field(query, "scope");
    let error = if field(query, "response_type") != "code" {
        Some("unsupported_response_type")
    } else if scope.is_empty() || !scope.split(' ').all(|one| SCOPES.contains(&one)) {
        Some("invalid_scope")
    } else if query.contains_key("code_challenge") && field(query, "code_challenge_method") != "S256" {
        Some("invalid_request")
    } else if std::mem::take(&mut state.deny_next) {
        Some("access_denied")
    } else {
        None
    };
    if let Some(error) = error {
        to.query_pairs_mut().append_pair("error", error);
    } else {
        let challenge = query.get("code_challenge").map(String::as_str);
        let code = state.make_code(client_id, redirect_uri, challenge, scope, clock::now());
        lock(&world.counts).created(Service::Discord, "code");
        to.query_pairs_mut().append_pair("code", &code);
    }
    if let Some(given) = query.get("state") {
        to.query_pairs_mut().append_pair("state", given);
    }
    Ok(to.into())
}

fn error(status: StatusCode, error: &str, description: &str) -> Reply {
    let mut body = json!({ "error": error });
    if !description.is_empty() {
        body["error_description"] = json!(description);
    }
    Reply::json(status, &body)
}

fn invalid_client() -> Reply {
    error(StatusCode::UNAUTHORIZED, "invalid_client", "")
}

/// Whose the `Authorization: Basic …` is.
fn client(world: &World, request: &Request<Bytes>) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let pair = BASE64.decode(header.strip_prefix("Basic ")?.as_bytes()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let state = lock(&world.discord);
    state.find_application(id).filter(|known| known.secret == secret).map(|_| id.to_owned())
}

fn is_form(request: &Request<Bytes>) -> bool {
    let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.is_some_and(|said| said.split(';').next() == Some("application/x-www-form-urlencoded"))
}

pub(super) fn token(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let form = if is_form(request) { fields(request.body()) } else { Fields::new() };
    let invalid =
        |kind, what: &str| error(StatusCode::BAD_REQUEST, kind, &format!("Invalid \"{what}\" in request."));
    let Some(client_id) = client(world, request) else { return invalid_client() };
    if field(&form, "grant_type") != "authorization_code" {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type", "");
    }
    let now = clock::now();
    let mut state = lock(&world.discord);
    let Some(code) = state.find_code(field(&form, "code"), now).filter(|code| code.client_id == client_id)
    else {
        return invalid("invalid_grant", "code");
    };
    if code.redirect_uri != field(&form, "redirect_uri") {
        return invalid("invalid_request", "redirect_uri");
    }
    let verifier = field(&form, "code_verifier");
    let proven = BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
    if code.challenge.as_ref().is_some_and(|challenge| *challenge != proven) {
        return invalid("invalid_grant", "code_verifier");
    }
    let Some((access, refresh, scope)) = state.redeem(field(&form, "code"), now) else {
        return invalid("invalid_grant", "code");
    };
    lock(&world.counts).created(Service::Discord, "token");
    let body = json!({
        "token_type": "Bearer",
        "access_token": access,
        "expires_in": TOKEN_LIVES.whole_seconds(),
        "refresh_token": refresh,
        "scope": scope,
    });
    Reply::json(StatusCode::OK, &body)
}

pub(super) fn revoke(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let form = if is_form(request) { fields(request.body()) } else { Fields::new() };
    let Some(client_id) = client(world, request) else { return invalid_client() };
    let revoked = lock(&world.discord).revoke(field(&form, "token"), &client_id);
    lock(&world.counts).deleted_many(Service::Discord, "token", revoked);
    Reply::json(StatusCode::OK, &json!({}))
}
