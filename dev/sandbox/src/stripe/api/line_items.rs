//! `line_items` of a checkout session, with prices given on the spot.

use serde_json::{Value, json};

use crate::stripe::{errors::Refusal, form::Params};

pub(super) struct LineItems {
    pub(super) shown: Vec<Value>,
    pub(super) total: i64,
    pub(super) currency: String,
}

pub(super) fn read(params: &Params, subscription: bool) -> Result<LineItems, Refusal> {
    let given = params.list("/line_items");
    if given.is_empty() {
        return Err(Refusal::missing("line_items"));
    }
    let (mut shown, mut total, mut currency) = (Vec::new(), 0_i64, String::new());
    for at in 0..given.len() {
        let path = |rest: &str| format!("/line_items/{at}/{rest}");
        if let Some(price) = params.text(&path("price")) {
            let param = format!("line_items[{at}][price]");
            return Err(Refusal::none_such_param(&param, "price", price));
        }
        let code = params.currency(&path("price_data/currency"))?;
        let unit = params.amount(&path("price_data/unit_amount"), 0)?;
        let name = |rest: &str| format!("line_items[{at}]{rest}");
        let unit = unit.ok_or_else(|| Refusal::missing(&name("[price_data][unit_amount]")))?;
        let quantity = params.amount(&path("quantity"), 1)?;
        let quantity = quantity.ok_or_else(|| Refusal::missing(&name("[quantity]")))?;
        let product = params.text(&path("price_data/product_data/name"));
        if product.is_none() && params.text(&path("price_data/product")).is_none() {
            return Err(Refusal::missing(&name("[price_data][product_data]")));
        }
        let interval = params.text(&path("price_data/recurring/interval"));
        if subscription && interval.is_none() {
            let message = "You must provide at least one recurring price in `subscription` mode.";
            return Err(Refusal::param(None, "line_items", message));
        }
        if !currency.is_empty() && currency != code {
            let message = "All prices of a session must have the same currency.";
            return Err(Refusal::param(None, &name("[price_data][currency]"), message));
        }
        let amount = unit.checked_mul(quantity).and_then(|amount| Some((amount, total.checked_add(amount)?)));
        let too_large = || Refusal::param(Some("amount_too_large"), "line_items", "Amount is too large.");
        let (amount, sum) = amount.filter(|(_, sum)| *sum <= 99_999_999).ok_or_else(too_large)?;
        total = sum;
        shown.push(json!({
            "object": "item",
            "amount_subtotal": amount,
            "amount_total": amount,
            "currency": code,
            "description": product,
            "price": {"object": "price", "currency": code, "unit_amount": unit, "type": if subscription { "recurring" } else { "one_time" }},
            "quantity": quantity,
        }));
        currency = code;
    }
    Ok(LineItems { shown, total, currency })
}
