//! One request: who asks, what he may, and what the request says.

use std::sync::Arc;

use hyper::{Method, Request, StatusCode, body::Bytes, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    errors::{Answer, Refusal},
    invoices, keys, lightning, payment_methods,
    permission::{MODIFY_STORE, UNRESTRICTED, is_of_server, is_of_store},
    state::{BtcpayState, Key, StoredStore, User},
    stores, webhook_deliveries, webhooks,
};
use crate::world::World;

pub(crate) struct Call<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) state: &'a mut BtcpayState,
    pub(crate) method: &'a Method,
    body: &'a [u8],
    query: Vec<(String, String)>,
    caller: Option<(User, Key)>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        world: &'a Arc<World>,
        state: &'a mut BtcpayState,
        request: &'a Request<Bytes>,
    ) -> Self {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key =
            header.and_then(|value| value.strip_prefix("token ")).and_then(|key| state.keys.get(key.trim()));
        let caller = key.and_then(|key| Some((state.users.get(&key.user)?.clone(), key.clone())));
        let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        Self {
            query: query.into_owned().collect(),
            world,
            state,
            method: request.method(),
            body: request.body(),
            caller,
        }
    }

    /// `path` stands behind `/btcpay/api/v1/`.
    pub(crate) fn answer(&mut self, path: &str) -> Answer {
        let decoded: Vec<_> =
            path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
        let segments: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
        match *segments.as_slice() {
            ["health"] => self.health(),
            ["api-keys" | "users", ..] => keys::answer(self, &segments),
            ["stores"] => stores::all(self),
            ["stores", store] => stores::one(self, store),
            ["stores", store, "payment-methods"] => payment_methods::all(self, store),
            ["stores", store, "payment-methods", method] => payment_methods::one(self, store, method),
            ["stores", store, "webhooks"] => webhooks::all(self, store),
            ["stores", store, "webhooks", webhook] => webhooks::one(self, Some(store), webhook),
            ["stores", store, "webhooks", webhook, "deliveries", ref rest @ ..] => {
                webhook_deliveries::answer(self, Some(store), webhook, rest)
            }
            ["webhooks", webhook] => webhooks::one(self, None, webhook),
            ["webhooks", webhook, "deliveries", ref rest @ ..] => {
                webhook_deliveries::answer(self, None, webhook, rest)
            }
            ["stores", store, "invoices"] => invoices::all(self, store),
            ["stores", store, "invoices", invoice] => invoices::one(self, Some(store), invoice),
            ["stores", store, "invoices", invoice, "payment-methods"] => {
                invoices::payment_methods(self, Some(store), invoice)
            }
            ["invoices", invoice] => invoices::one(self, None, invoice),
            ["invoices", invoice, "payment-methods"] => invoices::payment_methods(self, None, invoice),
            ["stores", store, "lightning", currency, "info"] => lightning::info(self, store, currency),
            ["stores", store, "lightning", currency, "invoices"] => lightning::all(self, store, currency),
            ["stores", store, "lightning", currency, "invoices", id] => {
                lightning::one(self, store, currency, id)
            }
            _ => Err(Refusal::Bare(StatusCode::NOT_FOUND)),
        }
    }

    fn health(&self) -> Answer {
        self.only(&Method::GET)?;
        let body = serde_json::json!({"synchronized": self.state.settings.synchronized});
        Ok(crate::reply::Reply::json(StatusCode::OK, &body))
    }

    pub(crate) fn only(&self, method: &Method) -> Result<(), Refusal> {
        if self.method == method { Ok(()) } else { Err(method_not_allowed()) }
    }

    pub(crate) fn user(&self) -> Result<&User, Refusal> {
        self.caller.as_ref().map(|(user, _)| user).ok_or_else(Refusal::unauthenticated)
    }

    pub(crate) fn key(&self) -> Result<&Key, Refusal> {
        self.caller.as_ref().map(|(_, key)| key).ok_or_else(Refusal::unauthenticated)
    }

    /// Outside of any one store. A key never makes more of its user than he is.
    pub(crate) fn may(&self, permission: &'static str) -> Result<(), Refusal> {
        let (user, key) = (self.user()?, self.key()?);
        let granted = key.permissions.iter().any(|own| own.grants(permission, None));
        if granted && (!is_of_server(permission) || user.administrator) {
            return Ok(());
        }
        Err(Refusal::MissingPermission(permission))
    }

    pub(crate) fn may_in(&self, permission: &'static str, store: &str) -> Result<(), Refusal> {
        let (user, key) = (self.user()?, self.key()?);
        let granted = key.permissions.iter().any(|own| own.grants(permission, Some(store)));
        let known = self.state.store(store).filter(|store| store.owner == user.id);
        // A store that is gone is nobody's, and looks like one of somebody else.
        if granted && is_of_store(permission) && known.is_some() {
            return Ok(());
        }
        Err(Refusal::MissingPermission(permission))
    }

    pub(crate) fn store(&self, permission: &'static str, id: &str) -> Result<&StoredStore, Refusal> {
        self.may_in(permission, id)?;
        self.state.store(id).ok_or(Refusal::MissingPermission(permission))
    }

    pub(crate) fn store_mut(
        &mut self,
        permission: &'static str,
        id: &str,
    ) -> Result<&mut StoredStore, Refusal> {
        self.may_in(permission, id)?;
        self.state.store_mut(id).ok_or(Refusal::MissingPermission(permission))
    }

    /// The store a path names, else the one the thing itself belongs to.
    pub(crate) fn store_of(
        &self,
        permission: &'static str,
        named: Option<&str>,
        owner: Option<&String>,
    ) -> Result<String, Refusal> {
        self.user()?;
        let store = named.or(owner.map(String::as_str)).ok_or(Refusal::MissingPermission(permission))?;
        self.may_in(permission, store)?;
        Ok(store.to_owned())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }

    pub(crate) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn is_asked(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The members of the body, an object.
    pub(crate) fn members(&self) -> Result<Map<String, Value>, Refusal> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err(Refusal::invalid("", "a JSON object is expected")),
            Err(error) => Err(Refusal::invalid("", format!("this is no JSON: {error}"))),
        }
    }

    /// An absent body has no members.
    pub(crate) fn members_if_any(&self) -> Result<Map<String, Value>, Refusal> {
        if self.body.is_empty() { Ok(Map::new()) } else { self.members() }
    }

    pub(crate) fn may_modify_store(&self, store: &str) -> Result<(), Refusal> {
        self.may_in(MODIFY_STORE, store)
    }

    pub(crate) fn unrestricted(&self) -> Result<(), Refusal> {
        self.may(UNRESTRICTED)
    }
}

pub(crate) fn method_not_allowed() -> Refusal {
    Refusal::Bare(StatusCode::METHOD_NOT_ALLOWED)
}
