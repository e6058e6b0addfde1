//! Invoices over REST: bodies, queries and answers in LND's JSON.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{
    errors::LndError,
    in_process,
    invoices::{Invoice, InvoiceState, NewInvoice},
    proto_json::Fields,
    state::StoredNode,
};
use crate::{Service, counts::Counts, seed::Seed};

const DEFAULT_PAGE: u64 = 100;

pub(crate) fn add(
    node: &mut StoredNode,
    counts: &mut Counts,
    seed: Seed,
    body: &[u8],
) -> Result<Value, LndError> {
    let invoice = node.add_invoice(request(body)?, seed)?;
    counts.created(Service::Lnd, "invoice");
    Ok(json!({
        "r_hash": BASE64.encode(&invoice.payment_hash),
        "payment_request": invoice.bolt11,
        "add_index": invoice.add_index.to_string(),
        "payment_addr": BASE64.encode(&invoice.payment_secret),
    }))
}

/// The members of LND's `Invoice` that a caller may set.
fn request(body: &[u8]) -> Result<NewInvoice, LndError> {
    let known =
        ["memo", "r_preimage", "value", "value_msat", "description_hash", "expiry", "cltv_expiry", "private"];
    let fields = Fields::parse(body, &known)?;
    let (sat, msat) = (fields.int64("value")?, fields.int64("value_msat")?);
    if sat != 0 && msat != 0 {
        return Err(LndError::unknown("sat and msat arguments are mutually exclusive"));
    }
    let amount = u64::try_from(sat.saturating_mul(1000).saturating_add(msat));
    let expiry = fields.int64("expiry")?;
    let negative_expiry = |_| LndError::unknown(format!("expiry of {expiry} seconds is negative"));
    let hash = fields.bytes("description_hash")?;
    let hash_length = hash.len();
    let wrong_hash = |_| LndError::unknown(format!("description hash is {hash_length} bytes, must be 32"));
    let preimage = fields.bytes("r_preimage")?;
    let preimage_length = preimage.len();
    let wrong_preimage = |_| {
        LndError::unknown(format!("payment preimage must be exactly 32 bytes, is instead {preimage_length}"))
    };
    Ok(NewInvoice {
        amount_msat: amount.map_err(|_| LndError::unknown("invoice amount cannot be negative"))?,
        memo: fields.string("memo")?,
        description_hash: if hash.is_empty() { None } else { Some(hash.try_into().map_err(wrong_hash)?) },
        expiry_seconds: u64::try_from(expiry).map_err(negative_expiry)?,
        preimage: if preimage.is_empty() { None } else { Some(preimage.try_into().map_err(wrong_preimage)?) },
        cltv_expiry: fields.uint64("cltv_expiry")?,
        private: fields.bool("private")?,
    })
}

pub(crate) fn lookup(node: &StoredNode, hash: &str) -> Result<Value, LndError> {
    Ok(describe(&node.invoices.get(&in_process::payment_hash(hash)?)?))
}

pub(crate) fn cancel(node: &mut StoredNode, body: &[u8]) -> Result<Value, LndError> {
    let hash = Fields::parse(body, &["payment_hash"])?.bytes("payment_hash")?;
    node.invoices.cancel(&in_process::payment_hash(&HEXLOWER.encode(&hash))?)?;
    Ok(json!({}))
}

/// A page of them, oldest first; `reversed` goes backwards from `index_offset`.
pub(crate) fn list(node: &StoredNode, query: &str) -> Result<Value, LndError> {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back().unwrap_or_default()
    };
    let wrong =
        |name: &str| LndError::invalid(format!("parsing field {name:?}: invalid value {:?}", value(name)));
    let number = |name: &str| match value(name) {
        "" => Ok(0),
        text => text.parse::<u64>().map_err(|_| wrong(name)),
    };
    let flag = |name: &str| match value(name) {
        "" | "false" => Ok(false),
        "true" => Ok(true),
        _ => Err(wrong(name)),
    };
    let (pending_only, reversed) = (flag("pending_only")?, flag("reversed")?);
    let (offset, page) = (number("index_offset")?, number("num_max_invoices")?);
    let page = usize::try_from(if page == 0 { DEFAULT_PAGE } else { page }).unwrap_or(usize::MAX);
    let wanted = |invoice: &Invoice| !pending_only || invoice.state == InvoiceState::Open;
    let mut found: Vec<Invoice> = if reversed {
        let before = |invoice: &Invoice| offset == 0 || invoice.add_index < offset;
        node.invoices.all().rev().filter(|i| wanted(i) && before(i)).take(page).collect()
    } else {
        node.invoices.all().filter(|i| wanted(i) && i.add_index > offset).take(page).collect()
    };
    found.sort_by_key(|invoice| invoice.add_index);
    let index = |invoice: Option<&Invoice>| invoice.map_or(0, |i| i.add_index).to_string();
    Ok(json!({
        "invoices": found.iter().map(describe).collect::<Vec<_>>(),
        "first_index_offset": index(found.first()),
        "last_index_offset": index(found.last()),
    }))
}

fn describe(invoice: &Invoice) -> Value {
    let paid = invoice.state == InvoiceState::Settled;
    let amount = invoice.new.amount_msat;
    let paid_msat = if paid { amount } else { 0 };
    let feature =
        |name: &str, is_required| json!({"name": name, "is_required": is_required, "is_known": true});
    json!({
        "memo": invoice.new.memo,
        "r_preimage": BASE64.encode(&invoice.preimage),
        "r_hash": BASE64.encode(&invoice.payment_hash),
        "value": (amount / 1000).to_string(),
        "value_msat": amount.to_string(),
        "settled": paid,
        "creation_date": invoice.created.to_string(),
        "settle_date": invoice.settled.to_string(),
        "payment_request": invoice.bolt11,
        "description_hash": BASE64.encode(&invoice.new.description_hash.map(Vec::from).unwrap_or_default()),
        "expiry": invoice.new.expiry_seconds.to_string(),
        "fallback_addr": "",
        "cltv_expiry": invoice.new.cltv_expiry.to_string(),
        "route_hints": [],
        "private": invoice.new.private,
        "add_index": invoice.add_index.to_string(),
        "settle_index": invoice.settle_index.to_string(),
        "amt_paid": paid_msat.to_string(),
        "amt_paid_sat": (paid_msat / 1000).to_string(),
        "amt_paid_msat": paid_msat.to_string(),
        "state": match invoice.state {
            InvoiceState::Open => "OPEN",
            InvoiceState::Settled => "SETTLED",
            InvoiceState::Canceled => "CANCELED",
        },
        "htlcs": [],
        "features": {
            "9": feature("tlv-onion", false),
            "14": feature("payment-addr", true),
            "17": feature("multi-path-payments", false),
        },
        "is_keysend": false,
        "payment_addr": BASE64.encode(&invoice.payment_secret),
        "is_amp": false,
        "amp_invoice_state": {},
        "is_blinded": false,
        "blinded_path_config": null,
    })
}
