//! `/stores/{id}/invoices` and `/invoices/{id}`.

use std::{sync::Arc, time::Duration};

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    amount::{Currency, written},
    call::{Call, method_not_allowed},
    delivery::emit,
    errors::{Answer, Refusal},
    invoice::{Additional, Prompt, Status, StoredInvoice},
    node::Node,
    payment_methods::LIGHTNING,
    permission::{CREATE_INVOICE, VIEW_INVOICES},
    state::{BtcpayState, StoredStore},
};
use crate::{
    Service, clock,
    lnd::invoices::NewInvoice,
    reply::Reply,
    world::{World, lock},
};

const LEAST_EXPIRATION: Duration = Duration::from_secs(30);

pub(crate) fn all(call: &mut Call<'_>, store: &str) -> Answer {
    match *call.method {
        Method::GET => list(call, store),
        Method::POST => create(call, store),
        _ => Err(method_not_allowed()),
    }
}

pub(crate) fn one(call: &mut Call<'_>, named_store: Option<&str>, id: &str) -> Answer {
    Ok(Reply::json(StatusCode::OK, &find(call, named_store, id)?.json()))
}

/// The BOLT11 is made when somebody first looks for it, and once.
pub(crate) fn payment_methods(call: &mut Call<'_>, named_store: Option<&str>, id: &str) -> Answer {
    find(call, named_store, id)?;
    // A node that cannot be used now leaves the method without a destination.
    let _ = prompt(call.world, call.state, id);
    let methods = json!([find(call, named_store, id)?.payment_method_json()]);
    Ok(Reply::json(StatusCode::OK, &methods))
}

fn not_found() -> Refusal {
    Refusal::not_found("invoice-not-found", "invoice")
}

fn find<'a>(call: &'a mut Call<'_>, named: Option<&str>, id: &str) -> Result<&'a StoredInvoice, Refusal> {
    let owner = call.state.invoices.get(id).map(|invoice| &invoice.store);
    let store = call.store_of(VIEW_INVOICES, named, owner)?;
    call.only(&Method::GET)?;
    age(call.world, call.state, id);
    call.state.invoices.get(id).filter(|invoice| invoice.store == store).ok_or_else(not_found)
}

/// Time passes when somebody looks.
pub(crate) fn age(world: &Arc<World>, state: &mut BtcpayState, id: &str) {
    let now = clock::now().unix_timestamp();
    let over = state.invoices.get_mut(id).filter(|invoice| now >= invoice.expires);
    if let Some(happening) = over.and_then(StoredInvoice::expire) {
        emit(world, state, id, vec![happening]);
    }
}

pub(crate) fn prompt(world: &Arc<World>, state: &mut BtcpayState, id: &str) -> anyhow::Result<()> {
    let known =
        |state: &BtcpayState| state.invoices.get(id).filter(|invoice| invoice.prompt.is_none()).cloned();
    let Some(invoice) = known(state).filter(|invoice| invoice.status == Status::New) else { return Ok(()) };
    let store = state.store(&invoice.store).ok_or_else(|| anyhow::anyhow!("the store is gone"))?;
    let method = store.method.as_ref().ok_or_else(|| anyhow::anyhow!("the store has no node"))?;
    let node = Node::of(world, method).map_err(|why| anyhow::anyhow!("{why}"))?;
    let left = invoice.expires - clock::now().unix_timestamp();
    let new = NewInvoice {
        amount_msat: invoice.msat.unwrap_or_default(),
        memo: description(store, &invoice),
        expiry_seconds: u64::try_from(left).unwrap_or_default().max(1),
        ..NewInvoice::default()
    };
    let made = node.add_invoice(new).map_err(|why| anyhow::anyhow!("{why}"))?;
    state.by_hash.insert(made.payment_hash, id.to_owned());
    if let Some(invoice) = state.invoices.get_mut(id) {
        invoice.prompt = Some(Prompt { bolt11: made.bolt11, payment_hash: made.payment_hash });
    }
    Ok(())
}

fn description(store: &StoredStore, invoice: &StoredInvoice) -> String {
    store
        .setting("lightningDescriptionTemplate")
        .replace("{StoreName}", store.setting("name"))
        .replace("{ItemDescription}", &invoice.metadata_text("itemDesc"))
        .replace("{OrderId}", &invoice.metadata_text("orderId"))
}

fn list(call: &mut Call<'_>, store: &str) -> Answer {
    let ids = call.store(VIEW_INVOICES, store)?.invoices.clone();
    for id in &ids {
        age(call.world, call.state, id);
    }
    let orders: Vec<&str> = call.parameters("orderId").collect();
    let statuses: Vec<&str> = call.parameters("status").collect();
    let term = call.parameter("textSearch").filter(|term| !term.is_empty());
    let number = |name| call.parameter(name).and_then(|text| text.parse::<usize>().ok());
    let wanted = |invoice: &&StoredInvoice| {
        (orders.is_empty() || orders.contains(&invoice.metadata_text("orderId").as_str()))
            && (statuses.is_empty() || statuses.iter().any(|s| s.eq_ignore_ascii_case(invoice.status.name())))
            && term.is_none_or(|term| invoice.contains(term))
    };
    let found = ids.iter().rev().filter_map(|id| call.state.invoices.get(id)).filter(wanted);
    let page = found.skip(number("skip").unwrap_or_default()).take(number("take").unwrap_or(usize::MAX));
    Ok(Reply::json(StatusCode::OK, &Value::Array(page.map(StoredInvoice::json).collect())))
}

fn create(call: &mut Call<'_>, store: &str) -> Answer {
    call.store(CREATE_INVOICE, store)?;
    let members = call.members()?;
    let invoice = new_invoice(call, store, &members)?;
    let (id, answer) = (invoice.id.clone(), invoice.json());
    call.state.invoices.insert(id.clone(), invoice);
    call.store_mut(CREATE_INVOICE, store)?.invoices.push(id.clone());
    lock(&call.world.counts).created(Service::Btcpay, "invoice");
    emit(call.world, call.state, &id, vec![("InvoiceCreated", Vec::new())]);
    Ok(Reply::json(StatusCode::OK, &answer))
}

/// Two invoices may have one order id.
fn new_invoice(
    call: &mut Call<'_>,
    store: &str,
    members: &Map<String, Value>,
) -> Result<StoredInvoice, Refusal> {
    let known = call.store(CREATE_INVOICE, store)?;
    let code = members.get("currency").and_then(Value::as_str).filter(|code| !code.is_empty());
    let code = code.unwrap_or_else(|| known.setting("defaultCurrency"));
    let currency =
        Currency::parse(code).ok_or_else(|| Refusal::generic(format!("there is no rate for {code}")))?;
    let amount = members.get("amount").filter(|amount| !amount.is_null());
    let wrong = || Refusal::invalid("amount", "this is no amount of 0 or more");
    let text = amount.map(|amount| written(amount).ok_or_else(wrong)).transpose()?;
    let msat = text.as_deref().map(|text| currency.msat(text).ok_or_else(wrong)).transpose()?;
    let metadata = members.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let checkout = members.get("checkout").and_then(Value::as_object).cloned().unwrap_or_default();
    check_methods(known, &checkout)?;
    let seconds = |name: &str, default: &str| {
        let given = checkout.get(name).and_then(Value::as_f64).map(|minutes| minutes * 60.0);
        let seconds = given.or_else(|| known.settings.get(default)?.as_f64()).unwrap_or(900.0);
        let path = format!("checkout.{name}");
        Duration::try_from_secs_f64(seconds).map_err(|_| Refusal::invalid(&path, "this is no duration"))
    };
    let expiration = seconds("expirationMinutes", "invoiceExpiration")?;
    if expiration < LEAST_EXPIRATION {
        let why = format!("{} seconds at least", LEAST_EXPIRATION.as_secs());
        return Err(Refusal::invalid("checkout.expirationMinutes", why));
    }
    let monitoring = seconds("monitoringMinutes", "monitoringExpiration")?;
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4);
    let created = clock::now().unix_timestamp();
    let expires = created + whole(expiration);
    let terms = members.get("additionalSearchTerms").and_then(Value::as_array);
    let search_terms = terms.into_iter().flatten().filter_map(written).collect();
    let option = |name: &str| checkout.get(name).cloned().unwrap_or_default();
    let speed = checkout.get("speedPolicy").filter(|speed| !speed.is_null());
    let checkout = json!({
        "speedPolicy": speed.or_else(|| known.settings.get("speedPolicy")),
        "paymentMethods": [LIGHTNING],
        "defaultPaymentMethod": option("defaultPaymentMethod"),
        "lazyPaymentMethods": true,
        "expirationMinutes": whole(expiration) / 60,
        "monitoringMinutes": whole(monitoring) / 60,
        "paymentTolerance": 0,
        "redirectURL": option("redirectURL"),
        "redirectAutomatically": option("redirectAutomatically"),
        "defaultLanguage": option("defaultLanguage"),
    });
    let receipt = known.settings.get("receipt").cloned().unwrap_or_default();
    let id = call.state.new_id::<16>("invoice");
    Ok(StoredInvoice {
        checkout_link: format!("{}/btcpay/i/{id}", call.world.base_url),
        id,
        store: store.to_owned(),
        amount: text,
        msat,
        currency,
        metadata,
        checkout,
        receipt,
        search_terms,
        created,
        expires,
        monitored_until: expires + whole(monitoring),
        status: Status::New,
        additional: Additional::None,
        prompt: None,
        payments: Vec::new(),
    })
}

fn check_methods(store: &StoredStore, checkout: &Map<String, Value>) -> Result<(), Refusal> {
    let named = checkout.get("paymentMethods").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (at, method) in named.iter().enumerate() {
        if method.as_str() != Some(LIGHTNING) {
            let path = format!("checkout.paymentMethods[{at}]");
            return Err(Refusal::invalid(&path, format!("{method} is no payment method here")));
        }
    }
    if store.method.as_ref().is_none_or(|method| !method.enabled) {
        return Err(Refusal::generic("the store has no payment method that is set up and enabled"));
    }
    Ok(())
}
