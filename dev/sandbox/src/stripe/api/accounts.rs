//! `/v1/accounts`, `/v2/core/accounts`, and the links their owners are sent to.

use hyper::Method;
use serde_json::{Value, json};

use super::{known, list_of};
use crate::stripe::{
    call::Call,
    errors::{Answer, Refusal},
    event::{snapshot, written},
    kind::Kind,
};

const V1: &[&str] = &[
    "type",
    "controller",
    "country",
    "email",
    "capabilities",
    "business_type",
    "business_profile",
    "metadata",
    "default_currency",
    "settings",
];

const V2: &[&str] = &[
    "configuration",
    "contact_email",
    "dashboard",
    "defaults",
    "display_name",
    "identity",
    "include",
    "metadata",
];

pub(super) fn v1(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::POST, []) => {
            let params = call.params.clone();
            params.only(V1)?;
            let id = make(call, params.text("/email"), &params.metadata("/metadata")?, &Value::Null);
            let country = params.text("/country").unwrap_or("US");
            let kind = params.text("/type").unwrap_or("none");
            let controller =
                params.at("/controller").cloned().unwrap_or_else(|| json!({"type": "application"}));
            call.act().change(&id, json!({"country": country, "type": kind, "controller": controller}));
            Ok(snapshot(call.state, &id))
        }
        (&Method::GET, []) => list_of(call, Kind::Account, &[]),
        (&Method::GET, [id]) => {
            if !call.state.is_connected(id) {
                return Err(Refusal::foreign(id));
            }
            // Asked for by the platform, or by the account itself.
            if call.account.as_deref().is_some_and(|own| own != *id) {
                return Err(Refusal::none_such("account", id));
            }
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}

pub(super) fn v2(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    let params = call.params.clone();
    let include = params.texts("/include");
    match (call.method, rest) {
        (&Method::POST, []) => {
            params.only(V2)?;
            let of = |name: &str| params.at(&format!("/{name}")).cloned().unwrap_or_default();
            let wanted = json!({
                "configuration": of("configuration"),
                "contact_email": of("contact_email"),
                "dashboard": of("dashboard"),
                "defaults": of("defaults"),
                "display_name": of("display_name"),
                "identity": of("identity"),
            });
            let id = make(call, params.text("/contact_email"), &params.metadata("/metadata")?, &wanted);
            Ok(call.act().account_v2(&id, &include))
        }
        (&Method::GET, [id]) => {
            known(&call.act(), Kind::Account, id)?;
            Ok(call.act().account_v2(id, &include))
        }
        _ => Err(call.unknown()),
    }
}

fn make(call: &mut Call<'_>, email: Option<&str>, metadata: &Value, v2: &Value) -> String {
    let members = json!({
        "business_type": null,
        "controller": {"type": "application"},
        "country": "US",
        "default_currency": "usd",
        "email": email,
        "future_requirements": {"currently_due": [], "past_due": [], "pending_verification": []},
        "metadata": metadata,
        "type": "none",
    });
    call.act().new_account(members, v2)
}

pub(super) fn link(call: &mut Call<'_>) -> Answer {
    if call.method != Method::POST {
        return Err(call.unknown());
    }
    let params = call.params.clone();
    for name in ["/type", "/refresh_url", "/return_url"] {
        params.required(name)?;
    }
    let (url, now) = new_link(call)?;
    Ok(json!({"object": "account_link", "created": now, "expires_at": now + 300, "url": url}))
}

pub(super) fn link_v2(call: &mut Call<'_>) -> Answer {
    if call.method != Method::POST {
        return Err(call.unknown());
    }
    call.params.required("/use_case/type")?;
    let (url, now) = new_link(call)?;
    Ok(json!({
        "object": "v2.core.account_link",
        "account": call.params.text("/account"),
        "created": written(now),
        "expires_at": written(now + 300),
        "livemode": call.state.settings.livemode,
        "url": url,
        "use_case": call.params.at("/use_case"),
    }))
}

fn new_link(call: &mut Call<'_>) -> Result<(String, i64), Refusal> {
    let account = call.params.required("/account")?.to_owned();
    if !call.state.is_connected(&account) {
        return Err(Refusal::none_such_param("account", "account", &account));
    }
    let secret = call.state.new_id("", 12);
    Ok((format!("https://connect.stripe.com/setup/e/{account}/{secret}"), call.state.now()))
}
