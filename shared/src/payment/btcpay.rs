//! What BTCPay's invoice says of a payment: one word, with what it has moved.
//!
//! Only an invoice read from BTCPay is believed. What a webhook says of it is a reason to look.

use time::OffsetDateTime;

use super::{Kind, Movement, MovementKind, Snapshot, Standing};
use crate::btcpay::{AdditionalStatus, BtcpayInvoice, InvoiceStatus};

/// Bitcoin, in small letters like every currency; its amounts are in millisatoshis.
pub const BITCOIN: &str = "btc";

/// `seen_at`: when BTCPay was asked.
pub fn invoice(invoice: &BtcpayInvoice, seen_at: OffsetDateTime) -> Snapshot {
    let by_hand = invoice.additional_status == AdditionalStatus::Marked;
    // What somebody's hand did another may undo; what was paid stays paid.
    let (status, order) = match &invoice.status {
        InvoiceStatus::New => ("open", (0, 0)),
        InvoiceStatus::Processing => ("processing", (0, 1)),
        // BTCPay leaves it expired; the money is there all the same.
        InvoiceStatus::Expired if invoice.additional_status == AdditionalStatus::PaidLate => {
            ("settled", (2, 0))
        }
        InvoiceStatus::Expired => ("expired", (1, 0)),
        InvoiceStatus::Invalid if by_hand => ("invalid_marked", (1, 2)),
        InvoiceStatus::Invalid => ("invalid", (1, 1)),
        InvoiceStatus::Settled if by_hand => ("settled_marked", (1, 3)),
        InvoiceStatus::Settled => ("settled", (2, 0)),
        InvoiceStatus::Other(_) => ("unknown", (0, -1)),
    };
    let amount_minor = invoice.amount_msat.and_then(|msat| i64::try_from(msat).ok()).unwrap_or_default();
    let id = invoice.id.as_str().to_owned();
    let movement = Movement {
        kind: MovementKind::Payment,
        source_object: id.clone(),
        object_id: id.clone(),
        amount_minor,
        currency: BITCOIN.to_owned(),
        occurred_at: invoice.created_at,
    };
    Snapshot {
        kind: Kind::BtcpayInvoice,
        root_id: id.clone(),
        object_id: id,
        reference: invoice.order_id.as_deref().and_then(|id| id.parse().ok()),
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor,
        asked_minor: Some(amount_minor),
        refunded_minor: 0,
        // Of another currency nothing was asked for by us.
        currency: invoice.amount_msat.map(|_| BITCOIN.to_owned()),
        was_expired: status == "expired" || invoice.additional_status == AdditionalStatus::PaidLate,
        movements: if status == "settled" { vec![movement] } else { Vec::new() },
    }
}
