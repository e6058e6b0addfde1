//! What a payment is: a pure function of the objects it rests on.

use time::OffsetDateTime;

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
    /// `None` when the object does not say.
    pub currency: Option<String>,
    pub was_expired: bool,
    pub seen_at: OffsetDateTime,
}

/// What follows from the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    pub state: PaymentState,
    pub received_minor: i64,
    pub refunded_minor: i64,
    pub late: bool,
    pub manually_marked: bool,
    /// Whether what was paid for is the payer's to have.
    pub entitled: bool,
}

/// What a payment in `currency` is, in whatever order its objects come. An amount in another currency counts nothing.
pub fn derive(objects: &[ObjectState], currency: &str) -> Derived {
    let counted: Vec<&ObjectState> = objects
        .iter()
        .filter(|object| object.currency.as_deref().is_none_or(|own| own == currency))
        .collect();
    let received_minor = received(&counted);
    let refunded_minor = refunded(&counted);
    let base = base(objects);
    let paid = base == PaymentState::Paid;
    let whole = if received_minor > 0 { received_minor } else { paid_by_session(&counted) };
    let state = if paid { after_paid(objects, whole, refunded_minor) } else { base };
    // A subscription is the payer's for as long as the subscription says, and not because it was once bought.
    let subscribed = objects.iter().any(|object| object.status == "subscribed");
    Derived {
        state,
        received_minor,
        refunded_minor,
        late: paid && objects.iter().any(came_late),
        manually_marked: objects.iter().any(|object| object.status.ends_with("_marked")),
        entitled: state.entitles() && !subscribed,
    }
}

/// How far the payment came, up to being paid. There may be several attempts, each with a root of its own: one that was
/// paid settles it, else one that is under way; of those that are over the last one counts.
fn base(objects: &[ObjectState]) -> PaymentState {
    let mut roots: Vec<&str> = objects.iter().map(|object| object.root_id.as_str()).collect();
    roots.sort_unstable();
    roots.dedup();
    let attempts = roots.into_iter().map(|root| {
        let of_root = || objects.iter().filter(|object| object.root_id == root);
        let seen_at = of_root().map(|object| object.seen_at).max();
        (attempt(root, &of_root().collect::<Vec<_>>()), seen_at)
    });
    let standing = |state: PaymentState| match state {
        PaymentState::Paid => 4,
        PaymentState::Processing => 3,
        PaymentState::Open => 2,
        PaymentState::Failed | PaymentState::Expired => 1,
        _ => 0,
    };
    let counts_most = attempts.max_by_key(|(state, seen_at)| (standing(*state), *seen_at, *state));
    counts_most.map_or(PaymentState::Created, |(state, _)| state)
}

/// How far one attempt came. Its intent knows best, but for being paid, which any of its objects may tell, and for a
/// session that is over, which takes an intent with it that waits for the payer.
fn attempt(root: &str, objects: &[&ObjectState]) -> PaymentState {
    let states = || objects.iter().map(|object| begun(object));
    if states().any(|state| state == PaymentState::Paid) {
        return PaymentState::Paid;
    }
    let intent = objects.iter().find(|object| object.kind == Kind::PaymentIntent && object.object_id == root);
    let expired = states().any(|state| state == PaymentState::Expired);
    match intent.map(|intent| begun(intent)) {
        Some(PaymentState::Processing) => PaymentState::Processing,
        Some(_) if expired => PaymentState::Expired,
        Some(state) if state > PaymentState::Created => state,
        _ => states().max().unwrap_or(PaymentState::Created),
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
        | (Kind::CheckoutSession, "paid" | "subscribed")
        | (Kind::BtcpayInvoice, "settled" | "settled_marked") => PaymentState::Paid,
        _ => PaymentState::Created,
    }
}

fn came_late(object: &ObjectState) -> bool {
    object.was_expired && begun(object) == PaymentState::Paid
}

fn after_paid(objects: &[ObjectState], whole: i64, refunded: i64) -> PaymentState {
    let disputes = || objects.iter().filter(|object| object.kind == Kind::Dispute);
    let is_open = |status: &str| {
        matches!(status, "needs_response" | "under_review" | "appeal_needs_response" | "appeal_under_review")
    };
    if disputes().any(|dispute| dispute.status == "lost") {
        PaymentState::DisputeLost
    } else if disputes().any(|dispute| is_open(&dispute.status)) {
        PaymentState::Disputed
    } else if refunded == 0 {
        PaymentState::Paid
    } else if whole > 0 && refunded >= whole {
        PaymentState::Refunded
    } else {
        PaymentState::PartiallyRefunded
    }
}

/// What arrived. A charge is counted by its intent where it has one that is known.
fn received(objects: &[&ObjectState]) -> i64 {
    let intents = || objects.iter().filter(|object| object.kind == Kind::PaymentIntent);
    let counts = |object: &&&ObjectState| match object.kind {
        Kind::PaymentIntent => object.status == "succeeded",
        Kind::BtcpayInvoice => object.status == "settled",
        Kind::Charge => {
            object.status == "succeeded" && !intents().any(|intent| intent.object_id == object.root_id)
        }
        Kind::CheckoutSession | Kind::Refund | Kind::Dispute | Kind::Invoice => false,
    };
    objects.iter().filter(counts).map(|object| object.amount_minor).sum()
}

/// What the session says was paid, for as long as its intent is not known.
fn paid_by_session(objects: &[&ObjectState]) -> i64 {
    let paid =
        |object: &&&ObjectState| object.kind == Kind::CheckoutSession && begun(object) == PaymentState::Paid;
    objects.iter().filter(paid).map(|object| object.amount_minor).max().unwrap_or_default()
}

/// What went back. A charge's own sum is believed where it knows of refunds we were not told of; what failed after the
/// charge was last described is still within that sum. An authorisation that was let go is no refund.
fn refunded(objects: &[&ObjectState]) -> i64 {
    let refunds = || objects.iter().filter(|object| object.kind == Kind::Refund);
    let failed = |refund: &&&ObjectState| matches!(refund.status.as_str(), "failed" | "canceled");
    let told: i64 = refunds().filter(|refund| !failed(refund)).map(|refund| refund.amount_minor).sum();
    let charges = objects.iter().filter(|object| object.kind == Kind::Charge && object.status == "succeeded");
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
