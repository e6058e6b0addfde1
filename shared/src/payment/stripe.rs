//! What Stripe's objects say of a payment: each as one word, with what it has moved.
//!
//! Stripe's own statuses become ours here, and each gets its finality and rank. A status this build does not know says
//! nothing and outdoes nothing.

use time::OffsetDateTime;

use super::{Kind, Movement, MovementKind, Snapshot, Standing};
use crate::stripe::{
    self, ApplicationFee, Charge, CheckoutSession, Dispute, Invoice, PaymentIntent, Refund, Transfer,
};

/// Finality and rank of a status that is not known.
const UNKNOWN: (i16, i16) = (0, -1);

pub fn session(session: &CheckoutSession, event_type: &str, seen_at: OffsetDateTime) -> Snapshot {
    let paid = matches!(session.payment_status.as_str(), "paid" | "no_payment_required");
    let subscribes = session.mode == "subscription";
    let (status, order) = match session.status.as_deref() {
        Some("expired") => ("expired", (1, 0)),
        // The session says nothing of a payment that failed after it was completed; the event does.
        Some("complete") if !paid && event_type.ends_with("async_payment_failed") => ("failed", (0, 2)),
        Some("complete") if !paid => ("processing", (0, 1)),
        // Old sessions have no status of their own.
        Some("complete") | None if paid && subscribes => ("subscribed", (2, 0)),
        Some("complete") | None if paid => ("paid", (2, 0)),
        Some("open") | None => ("open", (0, 0)),
        Some(other) => (other, UNKNOWN),
    };
    let root = session.payment_intent.as_ref().or(session.subscription.as_ref());
    Snapshot {
        kind: Kind::CheckoutSession,
        object_id: session.id.clone(),
        root_id: root.unwrap_or(&session.id).clone(),
        reference: session.reference,
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor: session.amount.unwrap_or_default(),
        asked_minor: session.named_by_payer.then(|| session.amount.unwrap_or_default()),
        refunded_minor: 0,
        currency: session.currency.clone(),
        was_expired: status == "expired",
        movements: Vec::new(),
    }
}

pub fn intent(intent: &PaymentIntent, seen_at: OffsetDateTime) -> Snapshot {
    let (status, order) = match intent.status.as_str() {
        "requires_payment_method" if intent.failed => ("failed", (0, 2)),
        "requires_payment_method" | "requires_confirmation" | "requires_action" => ("open", (0, 0)),
        "processing" | "requires_capture" => ("processing", (0, 1)),
        "canceled" => ("canceled", (1, 0)),
        "succeeded" => ("succeeded", (2, 0)),
        other => (other, UNKNOWN),
    };
    let succeeded = status == "succeeded";
    let amount_minor = if succeeded { intent.amount_received } else { intent.amount };
    let movement = Movement {
        kind: MovementKind::Payment,
        source_object: intent.id.clone(),
        object_id: intent.id.clone(),
        amount_minor,
        currency: intent.currency.clone(),
        occurred_at: intent.created_at,
    };
    Snapshot {
        kind: Kind::PaymentIntent,
        object_id: intent.id.clone(),
        root_id: intent.id.clone(),
        reference: intent.reference,
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor,
        asked_minor: None,
        refunded_minor: 0,
        currency: Some(intent.currency.clone()),
        was_expired: false,
        movements: if succeeded { vec![movement] } else { Vec::new() },
    }
}

/// The charge, and before it the refunds that older API versions carry within.
///
/// What was authorised and not captured Stripe counts as refunded. Nobody had it, and so nobody got it back.
pub fn charge(charge: &Charge, seen_at: OffsetDateTime) -> Vec<Snapshot> {
    let captured = if charge.captured { charge.amount_captured } else { 0 };
    let let_go = charge.amount - captured;
    let (status, order) = match charge.status.as_str() {
        "succeeded" if charge.paid && charge.captured => ("succeeded", (2, 0)),
        "pending" | "succeeded" => ("processing", (0, 1)),
        "failed" => ("failed", (1, 0)),
        other => (other, UNKNOWN),
    };
    // Where there is an intent it is the intent that was paid.
    let moved = (status == "succeeded" && charge.payment_intent.is_none()).then(|| Movement {
        kind: MovementKind::Payment,
        source_object: charge.id.clone(),
        object_id: charge.id.clone(),
        amount_minor: charge.amount_captured,
        currency: charge.currency.clone(),
        occurred_at: charge.created_at,
    });
    let word = Snapshot {
        kind: Kind::Charge,
        object_id: charge.id.clone(),
        root_id: charge.payment_intent.as_ref().unwrap_or(&charge.id).clone(),
        reference: charge.reference,
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor: charge.amount_captured,
        asked_minor: None,
        refunded_minor: (charge.amount_refunded - let_go).max(0),
        currency: Some(charge.currency.clone()),
        was_expired: false,
        movements: moved.into_iter().collect(),
    };
    let released = charge.refunds.iter().position(|within| let_go > 0 && within.amount == let_go);
    let within = charge.refunds.iter().enumerate().filter(|(place, _)| Some(*place) != released);
    within.map(|(_, within)| refund(within, seen_at)).chain([word]).collect()
}

/// The money leaves with the refund, whatever its status, and comes back if it fails.
pub fn refund(refund: &Refund, seen_at: OffsetDateTime) -> Snapshot {
    let (status, order) = match refund.status.as_str() {
        "requires_action" => ("requires_action", (0, 0)),
        "pending" => ("pending", (0, 1)),
        "succeeded" => ("succeeded", (1, 0)),
        "canceled" => ("canceled", (2, 0)),
        "failed" => ("failed", (3, 0)),
        other => (other, UNKNOWN),
    };
    let movement = |kind, amount_minor| Movement {
        kind,
        source_object: refund.id.clone(),
        object_id: refund.id.clone(),
        amount_minor,
        currency: refund.currency.clone(),
        occurred_at: refund.created_at,
    };
    let mut movements = vec![movement(MovementKind::Refund, -refund.amount)];
    if matches!(status, "canceled" | "failed") {
        movements.push(movement(MovementKind::RefundReversed, refund.amount));
    }
    Snapshot {
        kind: Kind::Refund,
        object_id: refund.id.clone(),
        root_id: refund.payment_intent.as_ref().or(refund.charge.as_ref()).unwrap_or(&refund.id).clone(),
        reference: refund.reference,
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor: refund.amount,
        asked_minor: None,
        refunded_minor: 0,
        currency: Some(refund.currency.clone()),
        was_expired: false,
        movements,
    }
}

/// What was withdrawn and reinstated Stripe lists itself, each with an id of its own.
pub fn dispute(dispute: &Dispute, seen_at: OffsetDateTime) -> Snapshot {
    // A lost one may be appealed, and an inquiry become a dispute: nothing here is an end for good.
    let rank = match dispute.status.as_str() {
        "warning_needs_response" => 0,
        "warning_under_review" => 1,
        "warning_closed" => 2,
        "needs_response" => 3,
        "under_review" => 4,
        "prevented" => 5,
        "lost" => 6,
        "appeal_needs_response" => 7,
        "appeal_under_review" => 8,
        "won" => 9,
        _ => UNKNOWN.1,
    };
    let movements = dispute.movements.iter().flat_map(|moved| {
        let movement = |kind, amount_minor| Movement {
            kind,
            source_object: moved.id.clone(),
            object_id: dispute.id.clone(),
            amount_minor,
            currency: moved.currency.clone(),
            occurred_at: moved.created_at,
        };
        let back = moved.amount > 0;
        let kind = if back { MovementKind::DisputeReversed } else { MovementKind::Dispute };
        [movement(kind, moved.amount), movement(MovementKind::DisputeFee, -moved.fee)]
    });
    Snapshot {
        kind: Kind::Dispute,
        object_id: dispute.id.clone(),
        root_id: dispute.payment_intent.as_ref().unwrap_or(&dispute.charge).clone(),
        reference: None,
        status: dispute.status.clone(),
        standing: Standing::new((0, rank), seen_at),
        amount_minor: dispute.amount,
        asked_minor: None,
        refunded_minor: 0,
        currency: Some(dispute.currency.clone()),
        was_expired: false,
        movements: movements.collect(),
    }
}

/// A subscription's bill moves no money of its own: its intent does.
pub fn invoice(invoice: &Invoice, seen_at: OffsetDateTime) -> Snapshot {
    let (status, order) = match invoice.status.as_str() {
        "draft" => ("draft", (0, 0)),
        "open" => ("open", (0, 1)),
        "uncollectible" => ("uncollectible", (1, 0)),
        "void" => ("void", (2, 0)),
        "paid" => ("paid", (3, 0)),
        other => (other, UNKNOWN),
    };
    Snapshot {
        kind: Kind::Invoice,
        object_id: invoice.id.clone(),
        // Not its subscription: of a later period it is none of what the subscription was bought with.
        root_id: invoice.payment_intent.as_ref().unwrap_or(&invoice.id).clone(),
        reference: None,
        status: status.to_owned(),
        standing: Standing::new(order, seen_at),
        amount_minor: invoice.amount_paid,
        asked_minor: None,
        refunded_minor: 0,
        currency: Some(invoice.currency.clone()),
        was_expired: false,
        movements: Vec::new(),
    }
}

pub fn application_fee(fee: &ApplicationFee) -> Vec<Movement> {
    let taken = Movement {
        kind: MovementKind::ApplicationFee,
        source_object: fee.id.clone(),
        object_id: fee.id.clone(),
        amount_minor: fee.amount,
        currency: fee.currency.clone(),
        occurred_at: fee.created_at,
    };
    let back =
        fee.refunds.iter().map(|refund| given_back(refund, &fee.id, MovementKind::ApplicationFeeRefund, -1));
    std::iter::once(taken).chain(back).collect()
}

pub fn transfer(transfer: &Transfer) -> Vec<Movement> {
    let sent = Movement {
        kind: MovementKind::Transfer,
        source_object: transfer.id.clone(),
        object_id: transfer.id.clone(),
        amount_minor: -transfer.amount,
        currency: transfer.currency.clone(),
        occurred_at: transfer.created_at,
    };
    let back =
        transfer.reversals.iter().map(|one| given_back(one, &transfer.id, MovementKind::TransferReversed, 1));
    std::iter::once(sent).chain(back).collect()
}

fn given_back(reversal: &stripe::Reversal, object_id: &str, kind: MovementKind, sign: i64) -> Movement {
    Movement {
        kind,
        source_object: reversal.id.clone(),
        object_id: object_id.to_owned(),
        amount_minor: sign * reversal.amount,
        currency: reversal.currency.clone(),
        occurred_at: reversal.created_at,
    }
}

#[cfg(test)]
mod tests;
