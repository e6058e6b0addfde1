//! `/v1/refunds`, `/v1/disputes` and `/v1/payouts`.

use hyper::Method;
use serde_json::json;

use super::{done, known, list_of, show};
use crate::stripe::{
    call::Call,
    errors::{Answer, Refusal},
    event::snapshot,
    kind::Kind,
    refunds::NewRefund,
};

pub(super) fn refunds(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::POST, []) => refund(call),
        (&Method::GET, []) => list_of(call, Kind::Refund, &["charge", "payment_intent"]),
        (&Method::GET, [id]) => show(call, Kind::Refund, id),
        (&Method::POST, [id, "cancel"]) => {
            known(&call.act(), Kind::Refund, id)?;
            done(call.act().cancel_refund(id), "refund_not_cancelable")?;
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}

fn refund(call: &mut Call<'_>) -> Answer {
    let params = call.params.clone();
    params.only(&[
        "charge",
        "payment_intent",
        "amount",
        "metadata",
        "reason",
        "reverse_transfer",
        "refund_application_fee",
    ])?;
    let act = call.act();
    let charge = match (params.text("/charge"), params.text("/payment_intent")) {
        (Some(charge), _) => charge.to_owned(),
        (None, Some(intent)) => {
            let missing = || Refusal::none_such_param("payment_intent", Kind::Intent.object(), intent);
            act.find(Kind::Intent, intent).ok_or_else(missing)?;
            let charge = act.text(intent, "latest_charge");
            if charge.is_empty() {
                let message = "This PaymentIntent does not have a successful charge to refund.";
                return Err(Refusal::param(None, "payment_intent", message));
            }
            charge
        }
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent \
                           or charge.";
            return Err(Refusal::invalid(message));
        }
    };
    let missing = || Refusal::none_such_param("charge", Kind::Charge.object(), &charge);
    act.find(Kind::Charge, &charge).ok_or_else(missing)?;
    let new = NewRefund {
        amount: params.amount("/amount", 1)?,
        metadata: params.metadata("/metadata")?,
        reason: params.text("/reason").map(str::to_owned),
        reverse_transfer: params.is_set("/reverse_transfer"),
        refund_application_fee: params.is_set("/refund_application_fee"),
        pending: false,
        charge,
    };
    let nothing_left = act.member(&new.charge, "refunded") == true;
    let code = if nothing_left { "charge_already_refunded" } else { "amount_too_large" };
    let refund = call.act().refund(new).map_err(|why| Refusal::coded(code, format!("{why:#}")))?;
    Ok(snapshot(call.state, &refund))
}

pub(super) fn disputes(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::GET, []) => list_of(call, Kind::Dispute, &["charge", "payment_intent"]),
        (&Method::GET, [id]) => show(call, Kind::Dispute, id),
        (&Method::POST, [id]) => {
            known(&call.act(), Kind::Dispute, id)?;
            if call.params.at("/submit").is_none() || call.params.is_set("/submit") {
                let warning = call.act().text(id, "status").starts_with("warning");
                let to = if warning { "warning_under_review" } else { "under_review" };
                done(call.act().move_dispute(id, to), "dispute_evidence_submitted")?;
            }
            Ok(snapshot(call.state, id))
        }
        (&Method::POST, [id, "close"]) => {
            known(&call.act(), Kind::Dispute, id)?;
            done(call.act().move_dispute(id, "lost"), "dispute_closed")?;
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}

pub(super) fn payouts(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::POST, []) => {
            let params = call.params.clone();
            params.only(&["amount", "currency", "metadata", "description", "destination", "method"])?;
            let amount = params.amount("/amount", 1)?.ok_or_else(|| Refusal::missing("amount"))?;
            let (currency, metadata) = (params.currency("/currency")?, params.metadata("/metadata")?);
            let id = call.act().new_payout(amount, &currency, &metadata, false);
            Ok(snapshot(call.state, &id))
        }
        (&Method::GET, []) => list_of(call, Kind::Payout, &["status"]),
        (&Method::GET, [id]) => show(call, Kind::Payout, id),
        (&Method::POST, [id, "cancel"]) => {
            known(&call.act(), Kind::Payout, id)?;
            done(call.act().move_payout(id, "canceled"), "payouts_not_allowed")?;
            call.act().change(id, json!({"failure_code": null}));
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}
