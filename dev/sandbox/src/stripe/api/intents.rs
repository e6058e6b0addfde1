//! `/v1/payment_intents`.

use hyper::Method;
use serde_json::json;

use super::{done, known, list_of, sessions, show};
use crate::stripe::{
    call::Call,
    errors::{Answer, Refusal},
    event::snapshot,
    kind::Kind,
    payments::NewIntent,
};

const KNOWN: &[&str] = &[
    "amount",
    "currency",
    "metadata",
    "application_fee_amount",
    "transfer_data",
    "capture_method",
    "confirm",
    "confirmation_method",
    "customer",
    "description",
    "payment_method",
    "payment_method_types",
    "automatic_payment_methods",
    "return_url",
    "off_session",
    "on_behalf_of",
];

const WRONG_STATE: &str = "payment_intent_unexpected_state";

pub(super) fn answer(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    if let [id, ..] = rest {
        known(&call.act(), Kind::Intent, id)?;
    }
    match (call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => list_of(call, Kind::Intent, &["customer"]),
        (&Method::GET, [id]) => show(call, Kind::Intent, id),
        (&Method::POST, [id]) => {
            let params = call.params.clone();
            let metadata = sessions::metadata_change(&params, &call.act().member(id, "metadata"))?;
            call.act().change(id, json!({"metadata": metadata}));
            Ok(snapshot(call.state, id))
        }
        (&Method::POST, [id, "confirm"]) => confirm(call, id),
        (&Method::POST, [id, "cancel"]) => {
            let why = call.params.text("/cancellation_reason").map(str::to_owned);
            done(call.act().cancel_intent(id, why.as_deref()), WRONG_STATE)?;
            Ok(snapshot(call.state, id))
        }
        (&Method::POST, [id, "capture"]) => {
            let amount = call.params.amount("/amount_to_capture", 1)?;
            done(call.act().capture(id, amount), WRONG_STATE)?;
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}

fn create(call: &mut Call<'_>) -> Answer {
    let params = call.params.clone();
    params.only(KNOWN)?;
    let amount = params.amount("/amount", 1)?.ok_or_else(|| Refusal::missing("amount"))?;
    let (fee, destination) = sessions::shares(call, &params, amount)?;
    let new = NewIntent {
        amount,
        currency: params.currency("/currency")?,
        metadata: params.metadata("/metadata")?,
        application_fee_amount: fee,
        destination,
        manual: params.text("/capture_method") == Some("manual"),
        customer: params.text("/customer").map(str::to_owned),
        description: params.text("/description").map(str::to_owned),
    };
    let confirm_now = params.is_set("/confirm");
    if confirm_now {
        params.required("/payment_method")?;
    }
    let id = call.act().new_intent(new);
    if let Some(method) = params.text("/payment_method") {
        call.act().change(&id, json!({"status": "requires_confirmation", "payment_method": method}));
    }
    if confirm_now { confirm(call, &id) } else { Ok(snapshot(call.state, &id)) }
}

/// What comes of it, Stripe's own test payment methods say.
fn confirm(call: &mut Call<'_>, id: &str) -> Answer {
    let given = call.params.text("/payment_method").map(str::to_owned);
    let method = given.unwrap_or_else(|| call.act().text(id, "payment_method"));
    if method.is_empty() {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(Refusal::coded(WRONG_STATE, message));
    }
    let mut act = call.act();
    let manual = act.text(id, "capture_method") == "manual";
    let declined = method.contains("Declined");
    let result = match method.as_str() {
        _ if declined => act.decline(id, "card_declined"),
        "pm_card_authenticationRequired" => act.require_action(id),
        "pm_usBankAccount" => act.process(id),
        _ if manual => act.hold(id),
        _ => act.succeed(id),
    };
    done(result, WRONG_STATE)?;
    act.change(id, json!({"payment_method": if declined { json!(null) } else { json!(method) }}));
    let shown = snapshot(call.state, id);
    if declined {
        return Err(Refusal::declined("card_declined", "generic_decline", &call.rendered(shown)));
    }
    Ok(shown)
}
