//! `/stores` and `/stores/{id}`.

use hyper::{Method, StatusCode, body::Bytes};
use serde_json::{Map, Value, json};

use super::{
    call::{Call, method_not_allowed},
    errors::{Answer, Refusal},
    permission::{MODIFY_STORE, VIEW_STORE},
    state::{BtcpayState, StoredStore},
    store_data::settings,
};
use crate::{
    Service,
    reply::Reply,
    world::{World, lock},
};

pub(crate) fn all(call: &mut Call<'_>) -> Answer {
    match *call.method {
        Method::GET => list(call),
        Method::POST => create(call),
        _ => Err(method_not_allowed()),
    }
}

pub(crate) fn one(call: &mut Call<'_>, id: &str) -> Answer {
    match *call.method {
        Method::GET => Ok(written(call.store(VIEW_STORE, id)?)),
        Method::PUT => {
            call.store(MODIFY_STORE, id)?;
            let settings = settings(&call.members()?)?;
            call.store_mut(MODIFY_STORE, id)?.settings = settings;
            call.state.rewrite(id);
            Ok(written(call.store(MODIFY_STORE, id)?))
        }
        Method::DELETE => {
            call.store(MODIFY_STORE, id)?;
            if let Some(store) = call.state.remove_store(id) {
                let mut counts = lock(&call.world.counts);
                counts.deleted(Service::Btcpay, "store");
                counts.deleted_many(Service::Btcpay, "webhook", store.webhooks.len());
                counts.deleted_many(Service::Btcpay, "invoice", store.invoices.len());
            }
            Ok(Reply::empty(StatusCode::OK))
        }
        _ => Err(method_not_allowed()),
    }
}

/// All of the user's stores this key may see: one answer, however many.
fn list(call: &mut Call<'_>) -> Answer {
    let (user, key) = (call.user()?.id.clone(), call.key()?);
    if key.permissions.iter().any(|own| own.grants(VIEW_STORE, None)) {
        let state = &mut *call.state;
        let list = if let Some(list) = state.lists.get(&user) {
            list.clone()
        } else {
            let mut own: Vec<_> = state.all_stores().filter(|store| store.owner == user).collect();
            if state.settings.newest_first {
                own.reverse();
            }
            join(own)
        };
        state.lists.insert(user, list.clone());
        return Ok(Reply::prepared(StatusCode::OK, list));
    }
    let scopes: Vec<&str> = key.permissions.iter().filter_map(|own| own.only_store(VIEW_STORE)).collect();
    if scopes.is_empty() {
        return Err(Refusal::MissingPermission(VIEW_STORE));
    }
    let seen = scopes.iter().filter_map(|id| call.state.store(id)).filter(|store| store.owner == user);
    Ok(Reply::prepared(StatusCode::OK, join(seen)))
}

fn join<'a>(stores: impl IntoIterator<Item = &'a StoredStore>) -> Bytes {
    let mut list = String::from("[");
    for store in stores {
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&store.text);
    }
    list.push(']');
    list.into()
}

/// Two stores may have one name: only the id tells them apart.
fn create(call: &mut Call<'_>) -> Answer {
    call.may(MODIFY_STORE)?;
    let settings = settings(&call.members()?)?;
    let user = call.user()?;
    let quota = call.state.settings.store_quota.filter(|_| !user.administrator);
    if quota.is_some_and(|quota| call.state.owned_by(&user.id) >= quota) {
        let message = "this user has as many stores as he may have".to_owned();
        return Err(Refusal::Error(StatusCode::FORBIDDEN, "store-limit-reached", message));
    }
    let owner = user.id.clone();
    let id = make(call.world, call.state, owner, settings);
    Ok(written(call.store(MODIFY_STORE, &id)?))
}

/// Without a request; `None` for what a request would be refused for.
pub(crate) fn insert(
    world: &World,
    state: &mut BtcpayState,
    name: &str,
    website: Option<&str>,
) -> Option<String> {
    let members = Map::from_iter([("name".into(), json!(name)), ("website".into(), json!(website))]);
    let settings = settings(&members).ok()?;
    let owner = state.first_user(false);
    Some(make(world, state, owner, settings))
}

fn make(world: &World, state: &mut BtcpayState, owner: String, settings: Map<String, Value>) -> String {
    let id = state.new_id::<32>("store");
    state.insert_store(StoredStore {
        id: id.clone(),
        owner,
        settings,
        text: String::new(),
        method: None,
        webhooks: Vec::new(),
        invoices: Vec::new(),
    });
    lock(&world.counts).created(Service::Btcpay, "store");
    id
}

fn written(store: &StoredStore) -> Reply {
    Reply::prepared(StatusCode::OK, store.text.clone().into())
}
