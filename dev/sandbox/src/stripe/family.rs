//! What belongs to an object: what it was paid with, and what was made of it since.

use std::collections::BTreeSet;

use super::{kind::Kind, state::StripeState};

/// The ids, its own among them.
pub(crate) fn of(state: &StripeState, id: &str) -> BTreeSet<String> {
    let mut family = BTreeSet::from([id.to_owned()]);
    if let Some(stored) = state.any(id).filter(|one| one.kind == Kind::Session) {
        let own = ["payment_intent", "subscription"].map(|name| stored.value[name].as_str());
        family.extend(own.into_iter().flatten().map(str::to_owned));
    }
    if let Some(intent) = state.any(id).and_then(|one| one.hidden["intent"].as_str()) {
        family.insert(intent.to_owned());
    }
    // What is made later names what it was made of: one pass in the order of making finds all but the intents of
    // invoices, which a second one finds.
    for _ in 0..2 {
        for stored in state.objects.iter().filter(|one| one.kind != Kind::BalanceTransaction) {
            let related = parents(stored.kind)
                .iter()
                .any(|name| stored.value[*name].as_str().is_some_and(|parent| family.contains(parent)));
            let invoice = stored.hidden["invoice"].as_str().is_some_and(|of| family.contains(of));
            if let Some(own) = stored.value["id"].as_str().filter(|_| related || invoice) {
                family.insert(own.to_owned());
            }
        }
    }
    family
}

/// The members that name what an object of this kind was made of.
fn parents(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Session => &["payment_intent", "subscription"],
        Kind::Charge => &["payment_intent"],
        Kind::Refund | Kind::Dispute => &["payment_intent", "charge"],
        Kind::FraudWarning | Kind::ApplicationFee => &["charge"],
        Kind::FeeRefund => &["fee"],
        Kind::Transfer => &["source_transaction"],
        Kind::TransferReversal => &["transfer"],
        Kind::Invoice => &["subscription"],
        Kind::Intent
        | Kind::Payout
        | Kind::Account
        | Kind::Customer
        | Kind::Subscription
        | Kind::BalanceTransaction => &[],
    }
}
