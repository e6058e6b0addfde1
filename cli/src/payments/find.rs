use std::collections::BTreeSet;

use anyhow::{Result, bail};
use shared::db::{self, GenericClient, Row, Type};
use time::OffsetDateTime;
use uuid::Uuid;

/// What stands before every selection of objects.
macro_rules! objects {
    ($from:literal) => {
        concat!(
            "SELECT provider, account, object_id, root_id, kind, reference, payment_id, status, amount_minor, asked_minor,
                    refunded_minor, currency, seen_at, refetch_at ",
            $from
        )
    };
}

/// What stands before every selection of subscriptions, which are called `s`.
macro_rules! subscriptions {
    ($from:literal) => {
        concat!(
            "SELECT s.provider, s.account, s.subscription_id, s.reference, s.payment_id, s.status, s.cancel_at_period_end,
                    s.current_period_end_at, s.entitled, s.version, s.seen_at ",
            $from
        )
    };
}

/// What somebody means: one of our payments, or objects that are none's.
pub struct Found {
    pub payment: Option<Row>,
    pub objects: Vec<Object>,
    pub subscriptions: Vec<Row>,
}

/// An object at a provider, as the newest word about it has it.
pub struct Object {
    pub provider: String,
    pub account: String,
    pub id: String,
    pub root_id: String,
    pub kind: String,
    pub reference: Option<Uuid>,
    pub payment_id: Option<Uuid>,
    pub status: String,
    pub amount_minor: i64,
    pub asked_minor: Option<i64>,
    pub refunded_minor: i64,
    pub currency: Option<String>,
    pub seen_at: OffsetDateTime,
    pub refetch_at: Option<OffsetDateTime>,
}

impl From<&Row> for Object {
    fn from(row: &Row) -> Self {
        Self {
            provider: row.get("provider"),
            account: row.get("account"),
            id: row.get("object_id"),
            root_id: row.get("root_id"),
            kind: row.get("kind"),
            reference: row.get("reference"),
            payment_id: row.get("payment_id"),
            status: row.get("status"),
            amount_minor: row.get("amount_minor"),
            asked_minor: row.get("asked_minor"),
            refunded_minor: row.get("refunded_minor"),
            currency: row.get("currency"),
            seen_at: row.get("seen_at"),
            refetch_at: row.get("refetch_at"),
        }
    }
}

/// By our id of a payment, or by the id of an object or a subscription at its provider. Nothing is found of what is
/// neither; there may be events about it all the same.
pub async fn find(client: &impl GenericClient, text: &str) -> Result<Found> {
    let mut found = Vec::new();
    if let Ok(id) = text.parse::<Uuid>() {
        let payment = of_payment(client, id).await?;
        if payment.payment.is_some() {
            return Ok(payment);
        }
        found = payment.objects;
    }
    found.extend(objects_called(client, text).await?);
    let called = subscriptions_called(client, text).await?;
    let owners = found.iter().map(|object| object.payment_id);
    let owners: BTreeSet<Uuid> =
        owners.chain(called.iter().map(|row| row.get("payment_id"))).flatten().collect();
    if owners.len() > 1 {
        bail!("several accounts have an object {text}: give the payment's id, one of {owners:?}");
    }
    if let Some(owner) = owners.first() {
        return of_payment(client, *owner).await;
    }
    let roots: Vec<&str> = found.iter().map(|object| object.root_id.as_str()).chain([text]).collect();
    let objects = with_roots(client, &roots).await?;
    let of_objects = subscriptions_of(client, None, &objects).await?;
    let subscriptions = if of_objects.is_empty() { called } else { of_objects };
    Ok(Found { payment: None, objects, subscriptions })
}

async fn of_payment(client: &impl GenericClient, id: Uuid) -> Result<Found> {
    let payment = db::query_opt(
        client,
        "SELECT id, user_id, provider, account, currency, amount_minor, received_minor, refunded_minor, state, late,
                manually_marked, entitled, version, expires_at, poll_at, created_at, updated_at
         FROM payments WHERE id = $1",
        &[(&id, Type::UUID)],
    )
    .await?;
    let rows = db::query(
        client,
        objects!(
            "FROM (SELECT * FROM payment_objects WHERE payment_id = $1
                   UNION ALL
                   -- It names the payment, and is not taken for it.
                   SELECT * FROM payment_objects WHERE payment_id IS NULL AND reference IS NOT NULL AND reference = $1) o
             ORDER BY root_id, created_at, object_id"
        ),
        &[(&id, Type::UUID)],
    )
    .await?;
    let objects: Vec<Object> = rows.iter().map(Object::from).collect();
    let owner = payment.as_ref().map(|row| (row.get("id"), row.get("user_id")));
    let subscriptions = subscriptions_of(client, owner, &objects).await?;
    Ok(Found { payment, objects, subscriptions })
}

/// The objects of this id, whichever account they are of.
async fn objects_called(client: &impl GenericClient, object_id: &str) -> Result<Vec<Object>> {
    let rows =
        db::query(client, objects!("FROM payment_objects WHERE object_id = $1"), &[(&object_id, Type::TEXT)])
            .await?;
    Ok(rows.iter().map(Object::from).collect())
}

async fn subscriptions_called(client: &impl GenericClient, subscription_id: &str) -> Result<Vec<Row>> {
    Ok(db::query(
        client,
        subscriptions!("FROM subscriptions s WHERE s.subscription_id = $1"),
        &[(&subscription_id, Type::TEXT)],
    )
    .await?)
}

/// Those bought with the payment, and those that its objects belong to.
async fn subscriptions_of(
    client: &impl GenericClient,
    owner: Option<(Uuid, Uuid)>,
    objects: &[Object],
) -> Result<Vec<Row>> {
    let (payment_id, user_id) = owner.unzip();
    let column = |of: fn(&Object) -> &String| objects.iter().map(of).collect::<Vec<_>>();
    let (providers, accounts) = (column(|object| &object.provider), column(|object| &object.account));
    let roots = column(|object| &object.root_id);
    Ok(db::query(
        client,
        concat!(
            subscriptions!("FROM subscriptions s WHERE s.user_id = $1 AND s.payment_id = $2"),
            " UNION ",
            subscriptions!(
                "FROM unnest($3, $4, $5) o (provider, account, root_id) CROSS JOIN LATERAL (
                     SELECT * FROM subscriptions s
                     WHERE s.provider = o.provider AND s.account = o.account AND s.subscription_id = o.root_id LIMIT 1) s"
            ),
            " ORDER BY subscription_id"
        ),
        &[
            (&user_id, Type::UUID),
            (&payment_id, Type::UUID),
            (&providers, Type::TEXT_ARRAY),
            (&accounts, Type::TEXT_ARRAY),
            (&roots, Type::TEXT_ARRAY),
        ],
    )
    .await?)
}

/// What belongs together.
async fn with_roots(client: &impl GenericClient, roots: &[&str]) -> Result<Vec<Object>> {
    let rows = db::query(
        client,
        objects!(
            "FROM payment_objects
             WHERE root_id = ANY($1)
             ORDER BY root_id, created_at, object_id"
        ),
        &[(&roots, Type::TEXT_ARRAY)],
    )
    .await?;
    Ok(rows.iter().map(Object::from).collect())
}
