//! `/v1/checkout/sessions`.

use hyper::Method;
use serde_json::{Value, json};

use super::{done, known, line_items, list_of, show};
use crate::stripe::{
    call::Call,
    errors::{Answer, Refusal},
    event::{list, snapshot},
    form::Params,
    kind::Kind,
};

const KNOWN: &[&str] = &[
    "mode",
    "line_items",
    "success_url",
    "cancel_url",
    "return_url",
    "ui_mode",
    "client_reference_id",
    "customer",
    "customer_email",
    "customer_creation",
    "currency",
    "expires_at",
    "metadata",
    "payment_intent_data",
    "payment_method_types",
    "subscription_data",
    "automatic_tax",
    "locale",
    "submit_type",
    "invoice_creation",
    "billing_address_collection",
    "allow_promotion_codes",
];

pub(super) fn answer(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    if let [id, ..] = rest {
        call.act().age_session(id);
    }
    match (call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => {
            list_of(call, Kind::Session, &["payment_intent", "customer", "subscription", "status"])
        }
        (&Method::GET, [id]) => show(call, Kind::Session, id),
        (&Method::GET, [id, "line_items"]) => Ok(show(call, Kind::Session, id)?["line_items"].clone()),
        (&Method::POST, [id, "expire"]) => {
            known(&call.act(), Kind::Session, id)?;
            done(call.act().expire_session(id), "checkout_session_not_open")?;
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}

fn create(call: &mut Call<'_>) -> Answer {
    let params = call.params.clone();
    params.only(KNOWN)?;
    let mode = params.required("/mode")?;
    if mode != "payment" && mode != "subscription" {
        let message = "Invalid mode: must be one of payment or subscription";
        return Err(Refusal::param(None, "mode", message));
    }
    let subscription = mode == "subscription";
    let hosted = params.text("/ui_mode").is_none_or(|ui| ui == "hosted" || ui == "hosted_page");
    if hosted {
        params.required("/success_url")?;
    }
    let other = if subscription { "payment_intent_data" } else { "subscription_data" };
    if params.at(&format!("/{other}")).is_some() {
        let message = format!("You can not pass `{other}` in `{mode}` mode.");
        return Err(Refusal::param(None, other, message));
    }
    let items = line_items::read(&params, subscription)?;
    let expires = expiry(call, &params)?;
    let data = if subscription {
        json!({"subscription_data": subscription_data(call, &params)?})
    } else {
        json!({"payment_intent_data": payment_intent_data(call, &params, items.total)?})
    };
    let metadata = params.metadata("/metadata")?;
    let members = json!({
        "amount_subtotal": items.total,
        "amount_total": items.total,
        "cancel_url": params.text("/cancel_url"),
        "client_reference_id": params.text("/client_reference_id"),
        "currency": items.currency,
        "customer": params.text("/customer"),
        "customer_details": {"email": params.text("/customer_email")},
        "customer_email": params.text("/customer_email"),
        "expires_at": expires,
        "invoice": null,
        "metadata": metadata,
        "mode": mode,
        "payment_intent": null,
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "status": "open",
        "subscription": null,
        "success_url": params.text("/success_url"),
        "ui_mode": if hosted { "hosted" } else { "embedded" },
    });
    let mut act = call.act();
    let id = act.make(Kind::Session, members);
    act.change(
        &id,
        json!({
            "line_items": list(&items.shown, &format!("/v1/checkout/sessions/{id}/line_items")),
            "url": hosted.then(|| format!("https://checkout.stripe.com/c/pay/{id}")),
        }),
    );
    act.hide(&id, data);
    Ok(snapshot(call.state, &id))
}

/// Between half an hour and a day from now; a day.
fn expiry(call: &Call<'_>, params: &Params) -> Result<i64, Refusal> {
    let now = call.state.now();
    let at = params.integer("/expires_at")?.unwrap_or(now + 86_400);
    if (1_800..=86_400).contains(&(at - now)) {
        return Ok(at);
    }
    let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.";
    Err(Refusal::param(None, "expires_at", message))
}

fn payment_intent_data(call: &Call<'_>, params: &Params, total: i64) -> Answer {
    let data = params.below("/payment_intent_data");
    data.only(&[
        "metadata",
        "application_fee_amount",
        "transfer_data",
        "capture_method",
        "description",
        "on_behalf_of",
    ])?;
    let (fee, destination) = shares(call, &data, total)?;
    Ok(json!({
        "metadata": data.metadata("/metadata")?,
        "application_fee_amount": fee,
        "destination": destination,
        "manual": data.text("/capture_method") == Some("manual"),
        "description": data.text("/description"),
    }))
}

fn subscription_data(call: &Call<'_>, params: &Params) -> Answer {
    let data = params.below("/subscription_data");
    data.only(&["metadata", "application_fee_percent", "transfer_data", "description", "trial_period_days"])?;
    let destination = destination(call, &data)?;
    Ok(json!({
        "metadata": data.metadata("/metadata")?,
        "application_fee_percent": data.text("/application_fee_percent").and_then(|text| text.parse::<f64>().ok()),
        "transfer_data": destination.map(|to| json!({"destination": to})),
    }))
}

/// The platform's fee and the seller: a fee needs somebody to take it from.
pub(super) fn shares(
    call: &Call<'_>,
    data: &Params,
    total: i64,
) -> Result<(Option<i64>, Option<String>), Refusal> {
    let fee = data.amount("/application_fee_amount", 0)?;
    let destination = destination(call, data)?;
    if fee.is_some_and(|fee| fee > total) {
        let message = "The application fee cannot be greater than the amount.";
        return Err(Refusal::param(None, "application_fee_amount", message));
    }
    if fee.is_some() && destination.is_none() && call.account.is_none() {
        let message = "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct \
                       payment (using an OAuth key or Stripe-Account header) or destination payment (using \
                       `transfer_data[destination]`).";
        return Err(Refusal::param(None, "application_fee_amount", message));
    }
    Ok((fee, destination))
}

fn destination(call: &Call<'_>, data: &Params) -> Result<Option<String>, Refusal> {
    let Some(to) = data.text("/transfer_data/destination") else { return Ok(None) };
    if call.state.is_connected(to) {
        return Ok(Some(to.to_owned()));
    }
    Err(Refusal::none_such_param("transfer_data[destination]", "destination", to))
}

/// The members of an update: only what hangs on the object loosely.
pub(super) fn metadata_change(params: &Params, before: &Value) -> Answer {
    let mut metadata = before.clone();
    let given = params.at("/metadata").and_then(Value::as_object);
    params.metadata("/metadata")?;
    for (name, text) in given.into_iter().flatten() {
        if let Some(members) = metadata.as_object_mut() {
            members.remove(name);
            if text != "" {
                members.insert(name.clone(), text.clone());
            }
        }
    }
    Ok(metadata)
}
