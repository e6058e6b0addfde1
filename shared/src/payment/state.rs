//! What a payment is: a pure function of the objects it rests on.

use super::Kind;

/// As it stands in the column and in every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaymentState {
    Created,
    Open,
    Processing,
    Failed,
    Expired,
    Paid,
    PartiallyRefunded,
    Refunded,
    Disputed,
    DisputeLost,
}

impl PaymentState {
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Open,
        Self::Processing,
        Self::Failed,
        Self::Expired,
        Self::Paid,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Disputed,
        Self::DisputeLost,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::DisputeLost => "dispute_lost",
        }
    }

    /// `None` for a name this build does not know.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether what was paid for is the payer's to have.
    pub const fn entitles(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Disputed)
    }

    /// Whether money arrived, whatever became of it since.
    pub const fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Paid | Self::PartiallyRefunded | Self::Refunded | Self::Disputed | Self::DisputeLost
        )
    }
}

/// What the state needs to know of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    pub kind: Kind,
    pub object_id: String,
    pub root_id: String,
    /// One of the words that [`Kind`] knows; another tells nothing.
    pub status: String,
    pub amount_minor: i64,
    pub refunded_minor: i64,
    pub was_expired: bool,
    pub seen_at: time::OffsetDateTime,
}

/// What follows from the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    pub state: PaymentState,
    pub received_minor: i64,
    pub refunded_minor: i64,
    pub late: bool,
    pub manually_marked: bool,
}

/// In whatever order the objects come.
pub fn derive(objects: &[ObjectState]) -> Derived {
    let base = objects.iter().map(begun).max().unwrap_or(PaymentState::Created);
    let received_minor = received(objects);
    let refunded_minor = refunded(objects);
    let paid = base == PaymentState::Paid;
    Derived {
        state: if paid { after_paid(objects, received_minor, refunded_minor) } else { base },
        received_minor,
        refunded_minor,
        late: paid && objects.iter().any(came_late),
        manually_marked: objects.iter().any(|object| object.status.ends_with("_marked")),
    }
}

/// How far one object alone brings its payment, up to being paid.
fn begun(object: &ObjectState) -> PaymentState {
    match (object.kind, object.status.as_str()) {
        (Kind::PaymentIntent | Kind::CheckoutSession | Kind::BtcpayInvoice, "open") => PaymentState::Open,
        (Kind::PaymentIntent | Kind::CheckoutSession | Kind::BtcpayInvoice | Kind::Charge, "processing") => {
            PaymentState::Processing
        }
        (Kind::PaymentIntent, "failed" | "canceled")
        | (Kind::CheckoutSession, "failed")
        | (Kind::BtcpayInvoice, "invalid" | "invalid_marked") => PaymentState::Failed,
        (Kind::CheckoutSession | Kind::BtcpayInvoice, "expired") => PaymentState::Expired,
        (Kind::PaymentIntent | Kind::Charge, "succeeded")
        | (Kind::CheckoutSession, "paid")
        | (Kind::BtcpayInvoice, "settled" | "settled_marked") => PaymentState::Paid,
        _ => PaymentState::Created,
    }
}

/// Whether it expired before it was paid. A BTCPay invoice speaks for itself alone: another may have been made for the
/// same order, and left to expire.
fn came_late(object: &ObjectState) -> bool {
    object.was_expired && (object.kind == Kind::CheckoutSession || begun(object) == PaymentState::Paid)
}

fn after_paid(objects: &[ObjectState], received: i64, refunded: i64) -> PaymentState {
    let disputes = || objects.iter().filter(|object| object.kind == Kind::Dispute);
    let is_open = |status: &str| {
        matches!(status, "needs_response" | "under_review" | "appeal_needs_response" | "appeal_under_review")
    };
    if disputes().any(|dispute| dispute.status == "lost") {
        PaymentState::DisputeLost
    } else if disputes().any(|dispute| is_open(&dispute.status)) {
        PaymentState::Disputed
    } else if refunded > 0 && refunded >= received {
        PaymentState::Refunded
    } else if refunded > 0 {
        PaymentState::PartiallyRefunded
    } else {
        PaymentState::Paid
    }
}

/// What arrived. A charge is counted by its intent where it has one that is known.
fn received(objects: &[ObjectState]) -> i64 {
    let intents = || objects.iter().filter(|object| object.kind == Kind::PaymentIntent);
    let counts = |object: &&ObjectState| match object.kind {
        Kind::PaymentIntent => object.status == "succeeded",
        Kind::BtcpayInvoice => object.status == "settled",
        Kind::Charge => {
            object.status == "succeeded" && !intents().any(|intent| intent.object_id == object.root_id)
        }
        Kind::CheckoutSession | Kind::Refund | Kind::Dispute | Kind::Invoice => false,
    };
    objects.iter().filter(counts).map(|object| object.amount_minor).sum()
}

/// What went back. A charge's own sum is believed where it knows of refunds we were not told of; what failed after the
/// charge was last described is still within that sum.
fn refunded(objects: &[ObjectState]) -> i64 {
    let refunds = || objects.iter().filter(|object| object.kind == Kind::Refund);
    let failed = |refund: &&ObjectState| matches!(refund.status.as_str(), "failed" | "canceled");
    let told: i64 = refunds().filter(|refund| !failed(refund)).map(|refund| refund.amount_minor).sum();
    let charges = objects.iter().filter(|object| object.kind == Kind::Charge);
    let summed: i64 = charges
        .map(|charge| {
            let since = refunds()
                .filter(failed)
                .filter(|refund| refund.root_id == charge.root_id && refund.seen_at >= charge.seen_at);
            (charge.refunded_minor - since.map(|refund| refund.amount_minor).sum::<i64>()).max(0)
        })
        .sum();
    told.max(summed)
}

#[cfg(test)]
mod tests;
