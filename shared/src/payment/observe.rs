//! One word from a provider, taken in.

use futures_util::future::{try_join, try_join4};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::object::{self, Kept};
use super::row::{self, Payment};
use super::{Derived, Kind, ObjectState, Snapshot, Source, derive, movement};
use crate::db::{DbError, GenericClient, Type, query};
use crate::outbox::{self, Message};
use crate::random::Random;

/// What was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Kept, and nobody's payment yet.
    Unclaimed,
    /// The payment it belongs to, what that is now, and whether that is news.
    Of { payment_id: Uuid, derived: Derived, news: bool },
}

/// How many unclaimed objects one run looks at.
const CLAIMED_AT_ONCE: i64 = 500;
/// How long an object waits for our own row. One that is older is found by hearing of it again.
pub const CLAIMED_FOR: Duration = Duration::days(7);

/// Everything a word may change, to be [locked](object::lock) before it is heard.
pub fn names(word: &Snapshot) -> Vec<String> {
    let reference = word.reference.map(|reference| reference.to_string());
    [word.object_id.clone(), word.root_id.clone()].into_iter().chain(reference).collect()
}

/// [Locks](object::lock) everything that one word may change.
pub async fn lock_word(
    client: &impl GenericClient,
    source: &Source<'_>,
    word: &Snapshot,
) -> Result<(), DbError> {
    object::lock(client, source, names(word).iter().map(String::as_str)).await
}

/// Takes in what a provider says an object is: keeps it if it counts, finds whose it is, and lets the payment follow.
/// Safe to repeat, in any order and beside itself. The transaction is the caller's, and holds the word's [`names`].
pub async fn observe(
    client: &impl GenericClient,
    random: &Random,
    source: &Source<'_>,
    word: &Snapshot,
    now: OffsetDateTime,
) -> Result<Observed, DbError> {
    // Statements that are joined go to Postgres together, and are run there in the order they stand here. What may belong
    // to a root that is not locked yet is not held before that is: somebody may do the two in the other order.
    let is_root = matches!(word.kind, Kind::PaymentIntent | Kind::BtcpayInvoice);
    let holding = row::hold_if(client, source, word.reference.filter(|_| is_root));
    let ((mut heard, relatives), named) = try_join(hear(client, source, word), holding).await?;
    let payment = find_payment(client, source, (&heard, &relatives), named).await?;
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
    let ((), (), (), objects) = try_join4(
        object::write(client, source, &heard, now),
        object::bring_along(client, source, &left_behind, (&heard.state.root_id, payment_id), now),
        movement::record(client, random, source, &word.movements, now),
        object::of_payment(client, payment_id),
    )
    .await?;
    match payment {
        Some(payment) => follow(client, random, &payment, &objects, now).await,
        None => Ok(Observed::Unclaimed),
    }
}

/// What is on record of the object once it is heard, and of those that belong together with it.
async fn hear(
    client: &impl GenericClient,
    source: &Source<'_>,
    word: &Snapshot,
) -> Result<(Kept, Vec<Kept>), DbError> {
    let mut names = vec![word.object_id.as_str(), word.root_id.as_str()];
    let mut known = object::known(client, source, &names).await?;
    let nearer = nearer_root(&known, word);
    if let Some(root) = nearer.as_deref() {
        // An old word, or one that names a charge only: what it belongs to goes by a name that is not locked yet.
        object::lock(client, source, [root]).await?;
        names.push(root);
        known = object::known(client, source, &names).await?;
    }
    let before = known.iter().position(|one| one.state.object_id == word.object_id);
    let before = before.map(|place| known.swap_remove(place));
    let mut heard = Kept::hear(before.as_ref(), word);
    if let Some(charge) = known.iter().find(|one| one.state.object_id == heard.state.root_id) {
        heard.state.root_id.clone_from(&charge.state.root_id);
    }
    known.retain(|one| [&heard.state.root_id, &heard.state.object_id].contains(&&one.state.root_id));
    Ok((heard, known))
}

/// The root that is on record, if it is another than the word's: of the object itself, or of the charge it names.
fn nearer_root(known: &[Kept], word: &Snapshot) -> Option<String> {
    let of = |id: &str| known.iter().find(|one| one.state.object_id == id).map(|one| &one.state.root_id);
    let roots = [of(&word.object_id), of(&word.root_id)].into_iter().flatten();
    roots.filter(|root| **root != word.object_id && **root != word.root_id).max().cloned()
}

/// The payment of ours that an object belongs to, held from here on.
async fn find_payment(
    client: &impl GenericClient,
    source: &Source<'_>,
    (heard, relatives): (&Kept, &[Kept]),
    named: Option<Payment>,
) -> Result<Option<Payment>, DbError> {
    let all = || std::iter::once(heard).chain(relatives);
    let hold = async |id: Uuid| match &named {
        Some(payment) if payment.id == id => Ok(Some(payment.clone())),
        _ => row::hold_if(client, source, Some(id)).await,
    };
    // A relative that is claimed says whose they all are.
    if let Some(id) = all().find_map(|one| one.payment_id) {
        return hold(id).await;
    }
    for one in all() {
        let Some(reference) = one.reference else { continue };
        let payment = hold(reference).await?;
        if let Some(payment) = payment.filter(|payment| may_claim(one, payment)) {
            return Ok(Some(payment));
        }
    }
    Ok(None)
}

/// Metadata is written with the account's own key. What a payer may choose, as on a payment link, is believed for no less
/// than our own amount; an invoice at BTCPay is of our own making, to the last millisatoshi.
fn may_claim(object: &Kept, payment: &Payment) -> bool {
    let currency = object.state.currency.as_ref().is_some_and(|currency| *currency == payment.currency);
    let amount = match object.state.kind {
        Kind::BtcpayInvoice => object.asked_minor == Some(payment.amount_minor),
        _ => object.asked_minor.is_none_or(|asked| asked >= payment.amount_minor),
    };
    if !(currency && amount) {
        tracing::warn!(target: "payment", payment_id = %payment.id, object_id = object.state.object_id,
            "an object names a payment of another currency or amount");
    }
    currency && amount
}

/// Makes the payment what its objects say, and tells of it if that changes what the payer may have.
async fn follow(
    client: &impl GenericClient,
    random: &Random,
    payment: &Payment,
    objects: &[ObjectState],
    now: OffsetDateTime,
) -> Result<Observed, DbError> {
    let derived = derive(objects, &payment.currency);
    let news = derived != payment.derived;
    let observed = Observed::Of { payment_id: payment.id, derived, news };
    if !news {
        return Ok(observed);
    }
    let updating = row::update(client, payment, &derived, now);
    if derived.entitled == payment.derived.entitled {
        updating.await?;
        return Ok(observed);
    }
    let key = payment.id.to_string();
    let message = Message {
        topic: if derived.entitled { "entitlement.granted" } else { "entitlement.revoked" },
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
    Ok(observed)
}

/// An object that came before our own row of its payment.
#[derive(Clone, Debug)]
pub struct Unclaimed {
    pub provider: String,
    pub account: String,
    pub object_id: String,
}

/// Objects whose payment is on record by now.
pub async fn unclaimed(client: &impl GenericClient, now: OffsetDateTime) -> Result<Vec<Unclaimed>, DbError> {
    let rows = query(
        client,
        "SELECT o.provider, o.account, o.object_id
         FROM payment_objects o
         JOIN payments p ON p.id = o.reference AND p.provider = o.provider AND p.account = o.account
         WHERE o.payment_id IS NULL AND o.reference IS NOT NULL AND o.created_at > $1
           AND o.currency = p.currency AND COALESCE(o.asked_minor >= p.amount_minor, true)
         ORDER BY o.created_at DESC
         LIMIT $2",
        &[(&(now - CLAIMED_FOR), Type::TIMESTAMPTZ), (&CLAIMED_AT_ONCE, Type::INT8)],
    )
    .await?;
    let unclaimed = rows.iter().map(|row| Unclaimed {
        provider: row.get("provider"),
        account: row.get("account"),
        object_id: row.get("object_id"),
    });
    Ok(unclaimed.collect())
}

/// Gives an object, and what belongs together with it, to its payment. Says whether it found one.
pub async fn claim(
    client: &impl GenericClient,
    random: &Random,
    unclaimed: &Unclaimed,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let source = Source { provider: &unclaimed.provider, account: &unclaimed.account };
    let id = unclaimed.object_id.as_str();
    object::lock(client, &source, [id]).await?;
    let Some(root) =
        object::known(client, &source, &[id]).await?.into_iter().find(|one| one.state.object_id == id)
    else {
        return Ok(false);
    };
    let root = root.state.root_id;
    object::lock(client, &source, [root.as_str()]).await?;
    let group = object::known(client, &source, &[id, &root]).await?;
    let Some((one, relatives)) = group.split_first() else { return Ok(false) };
    let Some(payment) = find_payment(client, &source, (one, relatives), None).await? else {
        return Ok(false);
    };
    let ids: Vec<&str> = group
        .iter()
        .filter(|one| one.payment_id.is_none() && (one.state.root_id == root || one.state.object_id == id))
        .map(|one| one.state.object_id.as_str())
        .collect();
    object::bring_along(client, &source, &ids, (&root, Some(payment.id)), now).await?;
    let objects = object::of_payment(client, Some(payment.id)).await?;
    follow(client, random, &payment, &objects, now).await?;
    Ok(true)
}
