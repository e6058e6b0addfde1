//! One request: whose key, on whose account, in which version, for the first time or again.

use std::sync::Arc;

use data_encoding::BASE64;
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{
    act::Act,
    api,
    errors::{Answer, Refusal},
    event::snapshot,
    form::Params,
    state::StripeState,
    version,
};
use crate::{reply::Reply, world::World};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const VERSION: HeaderName = HeaderName::from_static("stripe-version");

pub(crate) struct Call<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) state: &'a mut StripeState,
    pub(crate) method: &'a Method,
    /// `/v1/…`.
    pub(crate) path: String,
    pub(crate) params: Params,
    /// `Stripe-Account`; `None` is the platform itself.
    pub(crate) account: Option<String>,
    version: String,
    key: Option<String>,
    id: String,
}

/// `path` stands behind `/stripe`.
pub(crate) fn answer(
    world: &Arc<World>,
    state: &mut StripeState,
    request: &Request<Bytes>,
    path: &str,
) -> Reply {
    let id = state.new_id("req_", 14);
    let default = state.settings.api_version.clone();
    let version = header(request, &VERSION).unwrap_or(default);
    let mut reply = match Call::new(world, state, request, path, id.clone(), version.clone()) {
        Ok(mut call) => call.reply(),
        Err(refusal) => refusal.reply(),
    };
    let shown = [(REQUEST_ID, id), (VERSION, version)];
    let text = |(name, text): (HeaderName, String)| Some((name, HeaderValue::from_str(&text).ok()?));
    reply.headers.extend(shown.into_iter().filter_map(text));
    reply
}

fn header(request: &Request<Bytes>, name: &HeaderName) -> Option<String> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

impl<'a> Call<'a> {
    fn new(
        world: &'a Arc<World>,
        state: &'a mut StripeState,
        request: &'a Request<Bytes>,
        path: &str,
        id: String,
        version: String,
    ) -> Result<Self, Refusal> {
        authenticate(state, request)?;
        if !version::is_known(&version) {
            return Err(Refusal::invalid(format!("Invalid Stripe API version: {version}")));
        }
        let second = path.starts_with("/v2/");
        if second && header(request, &VERSION).is_none() {
            let message = "The Stripe-Version header is required for requests to /v2 endpoints.";
            return Err(Refusal::invalid(message));
        }
        let account = header(request, &HeaderName::from_static("stripe-account"));
        let account = account.filter(|account| *account != state.platform);
        if let Some(foreign) = account.as_deref().filter(|account| !state.is_connected(account)) {
            return Err(Refusal::foreign(foreign));
        }
        let key = header(request, &HeaderName::from_static("idempotency-key"));
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 255) {
            return Err(Refusal::idempotency("Idempotency keys are 1 to 255 characters long."));
        }
        let params = match *request.method() {
            Method::GET => Params::form(request.uri().query().unwrap_or_default().as_bytes())?,
            _ if second => Params::json(request.body())?,
            _ => Params::form(request.body())?,
        };
        let key = key.filter(|_| request.method() == Method::POST);
        Ok(Self {
            world,
            state,
            method: request.method(),
            path: path.to_owned(),
            params,
            account,
            version,
            key,
            id,
        })
    }

    fn reply(&mut self) -> Reply {
        let Some(key) = self.key.clone() else { return self.work() };
        let asked = format!("{} {} {}", self.method, self.path, self.params.fingerprint());
        match self.state.replays.find(self.account.as_deref(), &key, &asked) {
            Err(refusal) => refusal.reply(),
            Ok(Some((status, body))) => {
                let mut reply = Reply::prepared(status, body);
                reply.headers.push((REPLAYED, HeaderValue::from_static("true")));
                reply
            }
            Ok(None) => {
                let reply = self.work();
                let answer = (reply.status, reply.body.clone());
                self.state.replays.keep(self.account.as_deref(), &key, asked, answer);
                reply
            }
        }
    }

    fn work(&mut self) -> Reply {
        let path = self.path.clone();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match api::route(self, &segments).and_then(|value| self.expanded(value)) {
            Ok(value) => Reply::json(StatusCode::OK, &self.rendered(value)),
            Err(refusal) => refusal.reply(),
        }
    }

    pub(crate) fn act(&mut self) -> Act<'_> {
        Act {
            world: self.world,
            state: self.state,
            account: self.account.clone(),
            request: Some((self.id.clone(), self.key.clone())),
        }
    }

    pub(crate) fn unknown(&self) -> Refusal {
        Refusal::unknown_route(self.method.as_str(), &self.path)
    }

    /// In the caller's version, with what he asked to have included.
    pub(crate) fn rendered(&self, mut value: Value) -> Value {
        let asked = self.params.texts("/expand");
        let included: Vec<&str> = asked.iter().filter_map(|path| path.rsplit('.').next()).collect();
        // An event stands there as it was written down.
        if value["object"] != "event" && !self.path.starts_with("/v1/events") {
            version::render(&mut value, &self.version, &included);
        }
        value
    }

    /// Ids replaced by what they stand for, where `expand[]` says so.
    fn expanded(&self, mut value: Value) -> Answer {
        for path in self.params.texts("/expand") {
            self.expand(&mut value, &path.split('.').collect::<Vec<_>>()).ok_or_else(|| {
                let message = format!("This property cannot be expanded ({path}).");
                Refusal::param(None, "expand", message)
            })?;
        }
        Ok(value)
    }

    fn expand(&self, value: &mut Value, path: &[&str]) -> Option<()> {
        if let Value::Array(all) = value {
            return all.iter_mut().try_for_each(|one| self.expand(one, path));
        }
        let Some((name, rest)) = path.split_first() else { return Some(()) };
        if value.is_null() {
            return Some(());
        }
        let member = value.get_mut(*name)?;
        if let Some(stored) = member.as_str().and_then(|id| self.state.any(id)) {
            *member = snapshot(self.state, stored.value["id"].as_str()?);
        } else if member.is_string() {
            return None;
        }
        self.expand(member, rest)
    }
}

/// `Authorization: Bearer sk_…`, or Basic with the key for a name.
fn authenticate(state: &StripeState, request: &Request<Bytes>) -> Result<(), Refusal> {
    let given = header(request, &AUTHORIZATION).unwrap_or_default();
    let basic = |text: &str| {
        let bytes = BASE64.decode(text.trim().as_bytes()).ok()?;
        String::from_utf8(bytes).ok()?.split(':').next().map(str::to_owned)
    };
    let key = match given.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim().to_owned()),
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => basic(text),
        _ => None,
    };
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization \
                       header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
        return Err(Refusal::unauthenticated(message));
    };
    if state.keys.contains(&key) {
        return Ok(());
    }
    let shown: String = key.chars().take(8).collect();
    Err(Refusal::unauthenticated(format!("Invalid API Key provided: {shown}****")))
}

/// A refusal of a version that a test wants to set.
pub(crate) fn known_version(version: &str) -> anyhow::Result<()> {
    anyhow::ensure!(version::is_known(version), "{version:?} is no API version the sandbox knows");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_has_stripes_shape() {
        let reply = Refusal::missing("mode").reply();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let expected = json!({
            "type": "invalid_request_error",
            "code": "parameter_missing",
            "message": "Missing required param: mode.",
            "param": "mode",
        });
        assert_eq!((reply.status.as_u16(), &body["error"]), (400, &expected));
    }
}
