//! `/stores/{id}/lightning/BTC/…`: the store's node, and invoices straight from it. No webhook ever tells of those.

use data_encoding::HEXLOWER;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    amount::written,
    call::{Call, method_not_allowed},
    errors::{Answer, Refusal},
    node::{Node, Unusable},
    permission::{CREATE_LIGHTNING_INVOICE, USE_LIGHTNING_NODE, VIEW_LIGHTNING_INVOICE},
};
use crate::{
    Service, clock,
    lnd::invoices::{Invoice, InvoiceState, NewInvoice, sha256},
    reply::Reply,
    world::lock,
};

pub(crate) fn info(call: &mut Call<'_>, store: &str, currency: &str) -> Answer {
    call.only(&Method::GET)?;
    let info = node(call, store, currency, USE_LIGHTNING_NODE)?.info().map_err(|why| unavailable(&why))?;
    let body = json!({
        "nodeURIs": [],
        "blockHeight": 1,
        "alias": info.alias,
        "color": "#3399ff",
        "version": "0.20.3-beta commit=v0.20.3-beta",
        "peersCount": 0,
        "activeChannelsCount": 0,
        "inactiveChannelsCount": 0,
        "pendingChannelsCount": 0,
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

pub(crate) fn all(call: &mut Call<'_>, store: &str, currency: &str) -> Answer {
    match *call.method {
        Method::POST => create(call, store, currency),
        _ => Err(method_not_allowed()),
    }
}

pub(crate) fn one(call: &mut Call<'_>, store: &str, currency: &str, id: &str) -> Answer {
    call.store(VIEW_LIGHTNING_INVOICE, store)?;
    call.only(&Method::GET)?;
    let not_found = || Refusal::not_found("invoice-not-found", "Lightning invoice");
    let node = node(call, store, currency, VIEW_LIGHTNING_INVOICE)?;
    let hash = HEXLOWER.decode(id.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let hash = hash.ok_or_else(not_found)?;
    let invoice = node.lookup(&hash).map_err(|why| match why {
        Unusable::Refused(text) if text.contains("unable to locate invoice") => not_found(),
        other => unavailable(&other),
    })?;
    Ok(Reply::json(StatusCode::OK, &describe(&invoice)))
}

fn create(call: &mut Call<'_>, store: &str, currency: &str) -> Answer {
    call.store(CREATE_LIGHTNING_INVOICE, store)?;
    let members = call.members()?;
    let number = |name: &str| members.get(name).and_then(written).and_then(|text| text.parse::<u64>().ok());
    let wrong = |name: &str, why: &str| Refusal::invalid(name, why);
    let amount_msat = number("amount").ok_or_else(|| wrong("amount", "millisatoshi, as text"))?;
    let expiry_seconds = number("expiry").filter(|seconds| *seconds > 0);
    let expiry_seconds = expiry_seconds.ok_or_else(|| wrong("expiry", "seconds, more than 0"))?;
    let description = members.get("description").and_then(Value::as_str);
    let hash_only = members.get("descriptionHashOnly").and_then(Value::as_bool).unwrap_or_default();
    if hash_only && description.is_none() {
        return Err(wrong("description", "there is nothing to hash"));
    }
    let description = description.unwrap_or_default();
    let new = NewInvoice {
        amount_msat,
        memo: if hash_only { String::new() } else { description.to_owned() },
        description_hash: hash_only.then(|| sha256(description.as_bytes())),
        expiry_seconds,
        private: members.get("privateRouteHints").and_then(Value::as_bool).unwrap_or_default(),
        ..NewInvoice::default()
    };
    let node = node(call, store, currency, CREATE_LIGHTNING_INVOICE)?;
    let invoice = node.add_invoice(new).map_err(|why| match why {
        Unusable::Elsewhere => unavailable(&why),
        Unusable::Refused(text) => Refusal::generic(text),
    })?;
    lock(&call.world.counts).created(Service::Btcpay, "lightning_invoice");
    Ok(Reply::json(StatusCode::OK, &describe(&invoice)))
}

fn node<'a>(
    call: &Call<'a>,
    store: &str,
    currency: &str,
    permission: &'static str,
) -> Result<Node<'a>, Refusal> {
    if !currency.eq_ignore_ascii_case("BTC") {
        return Err(Refusal::not_found("unknown-cryptocode", "currency here"));
    }
    let method = call.store(permission, store)?.method.as_ref();
    let method =
        method.ok_or_else(|| Refusal::not_found("lightning-not-configured", "node of this store"))?;
    Node::of(call.world, method).map_err(|why| unavailable(&why))
}

fn unavailable(why: &Unusable) -> Refusal {
    let message = format!("the Lightning node is unavailable: {why}");
    Refusal::Error(StatusCode::SERVICE_UNAVAILABLE, "lightning-node-unavailable", message)
}

fn describe(invoice: &Invoice) -> Value {
    let paid = invoice.state == InvoiceState::Settled;
    let expired = u64::try_from(clock::now().unix_timestamp()).is_ok_and(|now| now >= invoice.expires());
    let hash = HEXLOWER.encode(&invoice.payment_hash);
    let amount = invoice.new.amount_msat.to_string();
    json!({
        "id": hash,
        "status": match (paid, expired) { (true, _) => "Paid", (_, true) => "Expired", _ => "Unpaid" },
        "BOLT11": invoice.bolt11,
        "paidAt": paid.then_some(invoice.settled),
        "expiresAt": invoice.expires(),
        "amount": amount,
        "amountReceived": if paid { amount.as_str() } else { "0" },
        "paymentHash": hash,
        // Whoever has it can say that it was paid.
        "preimage": paid.then(|| HEXLOWER.encode(&invoice.preimage)),
    })
}
