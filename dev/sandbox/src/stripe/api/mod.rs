//! The endpoints of the API, one file for each family.

mod accounts;
mod billing;
mod events;
mod intents;
mod line_items;
mod money;
mod sessions;
mod webhook_endpoints;

use hyper::Method;
use serde_json::{Value, json};

use super::{
    act::Act,
    call::Call,
    errors::{Answer, Refusal},
    event::{list, snapshot},
    kind::Kind,
};

/// Which endpoint a path behind `/stripe/` means.
pub(crate) fn route(call: &mut Call<'_>, segments: &[&str]) -> Answer {
    match segments {
        ["v1", "checkout", "sessions", rest @ ..] => sessions::answer(call, rest),
        ["v1", "payment_intents", rest @ ..] => intents::answer(call, rest),
        ["v1", "refunds", rest @ ..] => money::refunds(call, rest),
        ["v1", "disputes", rest @ ..] => money::disputes(call, rest),
        ["v1", "payouts", rest @ ..] => money::payouts(call, rest),
        ["v1", "accounts", rest @ ..] => accounts::v1(call, rest),
        ["v1", "account_links"] => accounts::link(call),
        ["v1", "subscriptions", rest @ ..] => billing::subscriptions(call, rest),
        ["v1", "events", rest @ ..] => events::v1(call, rest),
        ["v1", "webhook_endpoints", rest @ ..] => webhook_endpoints::answer(call, rest),
        ["v1", "charges", rest @ ..] => readable(call, Kind::Charge, rest),
        ["v1", "invoices", rest @ ..] => readable(call, Kind::Invoice, rest),
        ["v1", "customers", rest @ ..] => readable(call, Kind::Customer, rest),
        ["v1", "transfers", rest @ ..] => readable(call, Kind::Transfer, rest),
        ["v1", "application_fees", rest @ ..] => readable(call, Kind::ApplicationFee, rest),
        ["v1", "balance_transactions", rest @ ..] => readable(call, Kind::BalanceTransaction, rest),
        ["v1", "radar", "early_fraud_warnings", rest @ ..] => readable(call, Kind::FraudWarning, rest),
        ["v2", "core", "accounts", rest @ ..] => accounts::v2(call, rest),
        ["v2", "core", "account_links"] => accounts::link_v2(call),
        ["v2", "core", "events", rest @ ..] => events::v2(call, rest),
        _ => Err(call.unknown()),
    }
}

/// What can only be looked at.
fn readable(call: &mut Call<'_>, kind: Kind, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::GET, []) => list_of(call, kind, &["charge", "payment_intent", "customer", "subscription"]),
        (&Method::GET, [id]) => show(call, kind, id),
        _ => Err(call.unknown()),
    }
}

/// One of the account's, as it is now.
pub(crate) fn show(call: &mut Call<'_>, kind: Kind, id: &str) -> Answer {
    known(&call.act(), kind, id)?;
    Ok(snapshot(call.state, id))
}

/// Whether the account has it, as the path names it.
pub(crate) fn known(act: &Act<'_>, kind: Kind, id: &str) -> Result<(), Refusal> {
    act.find(kind, id).map(|_| ()).ok_or_else(|| Refusal::none_such(kind.object(), id))
}

/// Newest first; these parameters each narrow it down to objects with that very member.
pub(crate) fn list_of(call: &mut Call<'_>, kind: Kind, filters: &[&str]) -> Answer {
    let matches = |value: &Value| {
        filters.iter().all(|name| {
            let wanted = call.params.text(&format!("/{name}"));
            wanted.is_none_or(|wanted| value[*name] == wanted)
        })
    };
    let all = call.state.of_kind(kind, call.account.as_deref()).rev();
    let ids = all.filter(|one| matches(&one.value)).filter_map(|one| one.value["id"].as_str());
    let ids: Vec<&str> = ids.collect();
    page(call, &ids, |id| *id, |id| snapshot(call.state, id))
}

/// `limit`, `starting_after` and `ending_before` on what is listed newest first.
pub(crate) fn page<T>(
    call: &Call<'_>,
    all: &[T],
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Answer {
    let limit = call.params.integer("/limit")?.unwrap_or(10);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let limit =
        limit.ok_or_else(|| Refusal::param(None, "limit", "This value must be between 1 and 100."))?;
    let place = |name: &str| -> Result<Option<usize>, Refusal> {
        let Some(named) = call.params.text(&format!("/{name}")) else { return Ok(None) };
        let at = all.iter().position(|one| id(one) == named);
        at.map(Some).ok_or_else(|| Refusal::none_such_param(name, "object", named))
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    let first = after.map_or(0, |at| at + 1);
    let last = before.unwrap_or(all.len()).max(first);
    let wanted = all.get(first..last).unwrap_or_default();
    // Before an object stand those next to it, not the newest of all.
    let shown = if before.is_some() {
        wanted.get(wanted.len().saturating_sub(limit)..).unwrap_or_default()
    } else {
        wanted.get(..limit).unwrap_or(wanted)
    };
    let mut page = list(&shown.iter().map(show).collect::<Vec<_>>(), &call.path);
    page["has_more"] = json!(wanted.len() > limit);
    Ok(page)
}

/// What an act would not do is the caller's mistake.
pub(crate) fn done(result: anyhow::Result<()>, code: &'static str) -> Result<(), Refusal> {
    result.map_err(|why| Refusal::coded(code, format!("{why:#}")))
}
