//! `/v1/events` and `/v2/core/events/{id}`.

use hyper::Method;
use serde_json::Value;

use super::page;
use crate::stripe::{
    call::Call,
    errors::{Answer, Refusal},
    event::StoredEvent,
};

/// How long events can be asked for.
const KEPT: i64 = 30 * 86_400;

pub(super) fn v1(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::GET, []) => list(call),
        (&Method::GET, [id]) => {
            let known = snapshots(call).find(|event| event.id == *id);
            known.map(|event| shown(call, event)).ok_or_else(|| Refusal::none_such("event", id))
        }
        _ => Err(call.unknown()),
    }
}

/// Those of other accounts are found as well: the platform is told of them in one place.
pub(super) fn v2(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    let (&Method::GET, [id]) = (call.method, rest) else { return Err(call.unknown()) };
    let mut thin = call.state.events.iter().filter(|event| event.thin.is_some());
    let known = thin.find(|event| event.id == *id && call.state.now() - event.created < KEPT);
    known.map(|event| shown(call, event)).ok_or_else(|| Refusal::none_such("event", id))
}

fn snapshots<'a>(call: &'a Call<'_>) -> impl Iterator<Item = &'a StoredEvent> {
    let since = call.state.now() - KEPT;
    let of_account = |event: &&StoredEvent| event.thin.is_none() && event.account == call.account;
    call.state.events.iter().filter(of_account).filter(move |event| event.created > since)
}

/// In the version the account is pinned to, whatever the request says: that is how it was written down.
fn shown(call: &Call<'_>, event: &StoredEvent) -> Value {
    event.json(&call.state.settings.api_version)
}

fn list(call: &Call<'_>) -> Answer {
    let params = &call.params;
    params.only(&[
        "type",
        "types",
        "created",
        "limit",
        "starting_after",
        "ending_before",
        "delivery_success",
    ])?;
    let types = params.texts("/types");
    if types.len() > 20 {
        return Err(Refusal::param(None, "types", "You may specify up to 20 types."));
    }
    if params.at("/type").is_some() && !types.is_empty() {
        return Err(Refusal::param(
            None,
            "type",
            "You may only specify one of these parameters: type, types.",
        ));
    }
    let bound = |name: &str| params.integer(&format!("/created/{name}"));
    let (gt, gte, lt, lte) = (bound("gt")?, bound("gte")?, bound("lt")?, bound("lte")?);
    // A single moment, when it is no range.
    let exact = if params.at("/created").is_some_and(Value::is_object) {
        None
    } else {
        params.integer("/created")?
    };
    let undelivered = params.text("/delivery_success") == Some("false");
    let wanted = |event: &&StoredEvent| {
        let at = event.created;
        let named = |kind: &str| {
            kind == event.kind || kind.strip_suffix('*').is_some_and(|begin| event.kind.starts_with(begin))
        };
        params.text("/type").is_none_or(named)
            && (types.is_empty() || types.iter().any(|kind| named(kind)))
            && gt.is_none_or(|bound| at > bound)
            && gte.is_none_or(|bound| at >= bound)
            && lt.is_none_or(|bound| at < bound)
            && lte.is_none_or(|bound| at <= bound)
            && exact.is_none_or(|bound| at == bound)
            && (!undelivered || !event.pending.is_empty())
    };
    let mut found: Vec<&StoredEvent> = snapshots(call).filter(wanted).collect();
    // Stable: within one second the later one stays behind the earlier one, and in front of it once turned round.
    found.sort_by_key(|event| event.created);
    found.reverse();
    page(call, &found, |event| &event.id, |event| shown(call, event))
}
