//! One word from a provider, taken in.

use futures_util::future::{try_join, try_join3};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::object::{self, Kept};
use super::row::{self, Payment};
use super::{Derived, Kind, Snapshot, Source, derive, movement};
use crate::db::{DbError, GenericClient, Type, query};
use crate::outbox::{self, Message};
use crate::random::Random;

/// What was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Kept, and nobody's payment yet.
    Unclaimed,
    /// The payment it belongs to, and what that is now.
    Of(Uuid, Derived),
}

/// How many unclaimed objects one run looks at.
const CLAIMED_AT_ONCE: i64 = 100;
/// How long an object waits for our own row. One that is older is found by hearing of it again.
const CLAIMED_FOR: Duration = Duration::days(7);

/// Takes in what a provider says an object is: keeps it if it counts, finds whose it is, and lets the payment follow.
/// Safe to repeat, in any order and beside itself. The transaction is the caller's, and so is the inbox row in it.
pub async fn observe(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    word: &Snapshot,
    now: OffsetDateTime,
) -> Result<Observed, DbError> {
    let reference = word.reference.map(|reference| reference.to_string());
    let names = [word.object_id.as_str(), word.root_id.as_str()];
    object::lock(client, source, names.into_iter().chain(reference.as_deref())).await?;

    let known = object::known(client, source, &names).await?;
    let (mut heard, relatives) = hear(known, word);
    let payment = find_payment(client, source, &heard, &relatives).await?;
    let payment_id = payment.as_ref().map(|payment| payment.id);
    heard.payment_id = heard.payment_id.or(payment_id);
    // What came before its payment was known, or under the name of its charge, comes along.
    let left_behind: Vec<&str> = relatives
        .iter()
        .filter(|one| {
            one.state.root_id != heard.state.root_id || one.payment_id.is_none() && payment_id.is_some()
        })
        .map(|one| one.state.object_id.as_str())
        .collect();
    try_join3(
        object::write(client, source, &heard, now),
        object::bring_along(client, source, &left_behind, (&heard.state.root_id, payment_id), now),
        movement::record(client, random, source, &word.movements, now),
    )
    .await?;
    match payment {
        Some(payment) => Ok(Observed::Of(payment.id, follow(client, random, &payment, now).await?)),
        None => Ok(Observed::Unclaimed),
    }
}

/// What is on record of the object once it is heard, and of those that belong together with it.
fn hear(mut known: Vec<Kept>, word: &Snapshot) -> (Kept, Vec<Kept>) {
    let before = known.iter().position(|one| one.state.object_id == word.object_id);
    let before = before.map(|place| known.swap_remove(place));
    let mut heard = Kept::hear(before.as_ref(), word);
    // A refund may name a charge whose intent is known by now.
    if let Some(charge) = known.iter().find(|one| one.state.object_id == heard.state.root_id) {
        heard.state.root_id.clone_from(&charge.state.root_id);
    }
    known.retain(|one| [&heard.state.root_id, &heard.state.object_id].contains(&&one.state.root_id));
    (heard, known)
}

/// The payment of ours that an object belongs to, held from here on.
async fn find_payment(
    client: &impl GenericClient,
    source: &Source<'_>,
    heard: &Kept,
    relatives: &[Kept],
) -> Result<Option<Payment>, DbError> {
    let all = || std::iter::once(heard).chain(relatives);
    let candidates: Vec<Uuid> =
        all().filter_map(|one| one.payment_id).chain(all().filter_map(|one| one.reference)).collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    let payment = row::hold(client, source, &candidates).await?;
    Ok(payment.filter(|payment| {
        let belongs = heard.payment_id == Some(payment.id) || belongs(heard, payment);
        if !belongs {
            tracing::warn!(target: "payment", payment_id = %payment.id, object_id = heard.state.object_id,
                "an object names a payment of another currency or amount");
        }
        belongs
    }))
}

/// Whoever may write to a provider's account may write our id there; they cannot make it another price.
fn belongs(heard: &Kept, payment: &Payment) -> bool {
    let currency = heard.currency.as_ref().is_none_or(|currency| *currency == payment.currency);
    let amount = heard.state.kind != Kind::BtcpayInvoice || heard.state.amount_minor == payment.amount_minor;
    currency && amount
}

/// Makes the payment what its objects say, and tells of it if that changes what the payer may have.
async fn follow(
    client: &impl GenericClient,
    random: &Random,
    payment: &Payment,
    now: OffsetDateTime,
) -> Result<Derived, DbError> {
    let derived = derive(&object::of_payment(client, payment.id).await?);
    if derived == payment.derived {
        return Ok(derived);
    }
    let updating = row::update(client, payment, &derived, now);
    let entitled = derived.state.entitles();
    if entitled == payment.entitled {
        updating.await?;
        return Ok(derived);
    }
    let key = payment.id.to_string();
    let message = Message {
        topic: if entitled { "entitlement.granted" } else { "entitlement.revoked" },
        key: &key,
        version: payment.version + 1,
        payload: json!({
            "payment_id": payment.id,
            "user_id": payment.user_id,
            "state": derived.state.name(),
            "late": derived.late,
            "manually_marked": derived.manually_marked,
        }),
    };
    try_join(updating, outbox::put(client, random.id(now), &message, now)).await?;
    Ok(derived)
}

/// Objects that came before our own row of their payment, and find it now. Returns how many did.
pub async fn claim_unclaimed(
    client: &impl GenericClient,
    random: &Random,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    let rows = query(
        client,
        "SELECT o.provider, o.account, o.object_id, o.root_id, p.id AS payment_id
         FROM payment_objects o
         JOIN payments p ON p.id = o.reference AND p.provider = o.provider AND p.account = o.account
         WHERE o.payment_id IS NULL AND o.reference IS NOT NULL AND o.created_at > $1
           AND o.currency IS NOT DISTINCT FROM p.currency
           AND (o.kind <> 'btcpay_invoice' OR o.amount_minor = p.amount_minor)
         ORDER BY o.created_at
         LIMIT $2",
        &[(&(now - CLAIMED_FOR), Type::TIMESTAMPTZ), (&CLAIMED_AT_ONCE, Type::INT8)],
    )
    .await?;
    let mut claimed = 0;
    for row in &rows {
        let source = Source { provider: row.get("provider"), account: row.get("account") };
        let (object_id, root_id): (&str, &str) = (row.get("object_id"), row.get("root_id"));
        object::lock(client, &source, [object_id, root_id]).await?;
        let relatives = object::known(client, &source, &[object_id, root_id]).await?;
        let Some(payment) = row::hold(client, &source, &[row.get("payment_id")]).await? else { continue };
        let unclaimed = relatives.iter().filter(|one| one.payment_id.is_none());
        let ids: Vec<&str> = unclaimed.map(|one| one.state.object_id.as_str()).collect();
        object::bring_along(client, &source, &ids, (root_id, Some(payment.id)), now).await?;
        follow(client, random, &payment, now).await?;
        claimed += 1;
    }
    Ok(claimed)
}
