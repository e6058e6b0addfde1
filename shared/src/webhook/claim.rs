//! What was told of a payment before our own row of it was there: it finds that row now.

use time::OffsetDateTime;

use super::inbox::Sender;
use crate::db::{self, Connection, DbError};
use crate::log;
use crate::payment::{self, Source, Unclaimed};
use crate::random::Random;
use crate::subscription;

/// Returns how many objects and subscriptions found their payment. Each in a transaction of its own: whoever tells us
/// something of one of them does not wait for the others.
pub async fn claim(
    connection: &mut Connection,
    random: &Random,
    now: OffsetDateTime,
) -> Result<u64, DbError> {
    let mut claimed = 0;
    for object in payment::unclaimed(connection.client(), now).await? {
        match claim_object(connection, random, &object, now).await {
            Ok(is_claimed) => claimed += u64::from(is_claimed),
            Err(error) => not_now(&object.object_id, &error),
        }
    }
    for (account, id) in subscription::unclaimed(connection.client(), now).await? {
        match claim_subscription(connection, random, (&account, &id), now).await {
            Ok(()) => claimed += 1,
            Err(error) => not_now(&id, &error),
        }
    }
    Ok(claimed)
}

async fn claim_object(
    connection: &mut Connection,
    random: &Random,
    object: &Unclaimed,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let tx = connection.transaction().await?;
    let is_claimed = payment::claim(&tx, random, object, now).await?;
    db::commit(tx).await?;
    Ok(is_claimed)
}

async fn claim_subscription(
    connection: &mut Connection,
    random: &Random,
    (account, id): (&str, &str),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let source = Source { provider: Sender::Stripe.name(), account };
    let tx = connection.transaction().await?;
    payment::lock(&tx, &source, [id]).await?;
    subscription::claim(&tx, random, &source, id, now).await?;
    db::commit(tx).await
}

/// One that cannot be claimed keeps none of the others from it, and is looked at again in a minute.
fn not_now(id: &str, error: &DbError) {
    let cause = log::causes(error);
    tracing::error!(target: "webhook", id, cause, "an object could not be given to its payment");
}
