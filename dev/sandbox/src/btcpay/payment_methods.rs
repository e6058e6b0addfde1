//! `/stores/{id}/payment-methods`: Lightning over a node, and no other.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    call::{Call, method_not_allowed},
    connection_string::ConnectionString,
    errors::{Answer, Refusal},
    node::{Node, Unusable},
    permission::{MODIFY_SERVER, MODIFY_STORE, USE_INTERNAL_NODE, VIEW_STORE},
    state::StoredMethod,
};
use crate::reply::Reply;

pub(crate) const LIGHTNING: &str = "BTC-LN";

pub(crate) fn all(call: &mut Call<'_>, store: &str) -> Answer {
    call.only(&Method::GET)?;
    let with_config = config_asked(call, store)?;
    let method = call.store(VIEW_STORE, store)?.method.as_ref();
    let enabled_only = call.is_asked("onlyEnabled");
    let shown = method.filter(|method| method.enabled || !enabled_only);
    let list: Vec<Value> = shown.map(|method| describe(method, with_config)).into_iter().collect();
    Ok(Reply::json(StatusCode::OK, &Value::Array(list)))
}

pub(crate) fn one(call: &mut Call<'_>, store: &str, id: &str) -> Answer {
    match *call.method {
        Method::GET => {
            let with_config = config_asked(call, store)?;
            let method = call.store(VIEW_STORE, store)?.method.as_ref().filter(|_| is_lightning(id));
            let method = method.ok_or_else(not_found)?;
            Ok(Reply::json(StatusCode::OK, &describe(method, with_config)))
        }
        Method::PUT => update(call, store, id),
        Method::DELETE => {
            let known = call.store_mut(MODIFY_STORE, store)?;
            if !is_lightning(id) {
                return Err(not_found());
            }
            known.method = None;
            Ok(Reply::empty(StatusCode::OK))
        }
        _ => Err(method_not_allowed()),
    }
}

fn is_lightning(id: &str) -> bool {
    id.eq_ignore_ascii_case(LIGHTNING)
}

fn not_found() -> Refusal {
    Refusal::not_found("paymentmethod-not-found", "payment method")
}

fn config_asked(call: &Call<'_>, store: &str) -> Result<bool, Refusal> {
    call.may_in(VIEW_STORE, store)?;
    let asked = call.is_asked("includeConfig");
    if asked {
        call.may_modify_store(store)?;
    }
    Ok(asked)
}

fn describe(method: &StoredMethod, with_config: bool) -> Value {
    let config = with_config.then(|| json!({"connectionString": method.connection_string}));
    json!({"enabled": method.enabled, "paymentMethodId": LIGHTNING, "config": config})
}

/// Saying the same again changes nothing. What is left out stays as it is.
fn update(call: &mut Call<'_>, store: &str, id: &str) -> Answer {
    let before = call.store(MODIFY_STORE, store)?.method.clone();
    if !is_lightning(id) {
        return Err(not_found());
    }
    let members = call.members()?;
    let enabled = match members.get("enabled") {
        None | Some(Value::Null) => before.as_ref().is_none_or(|method| method.enabled),
        Some(Value::Bool(enabled)) => *enabled,
        Some(_) => return Err(Refusal::invalid("enabled", "true or false is expected")),
    };
    let config = members.get("config").filter(|config| !config.is_null());
    let connection_string = match config {
        None => before.ok_or_else(not_found)?.connection_string,
        Some(config) => {
            let text = config.as_str().or_else(|| config.get("connectionString")?.as_str());
            let text = text.ok_or_else(|| Refusal::invalid("config", "no connection string"))?;
            if before.is_none_or(|before| before.connection_string != text) {
                check(call, text)?;
            }
            text.to_owned()
        }
    };
    let with_config = config.is_some();
    let method = StoredMethod { enabled, connection_string };
    let answer = describe(&method, with_config);
    call.store_mut(MODIFY_STORE, store)?.method = Some(method);
    Ok(Reply::json(StatusCode::OK, &answer))
}

fn check(call: &Call<'_>, text: &str) -> Result<(), Refusal> {
    const PATH: &str = "connectionString";
    if text == "Internal Node" {
        return Err(Refusal::MissingPermission(USE_INTERNAL_NODE));
    }
    let parsed = ConnectionString::parse(text).map_err(|why| Refusal::invalid(PATH, why))?;
    if !parsed.is_safe(call.state.settings.loopback_allowed) && call.may(MODIFY_SERVER).is_err() {
        let why = "only an administrator may name files of the server or addresses of its own network";
        return Err(Refusal::invalid(PATH, why));
    }
    match Node::at(call.world, &parsed).and_then(|node| node.check()) {
        Ok(()) | Err(Unusable::Elsewhere) => Ok(()),
        Err(Unusable::Refused(why)) => {
            Err(Refusal::invalid(PATH, format!("error while connecting to the node: {why}")))
        }
    }
}
