//! What was told of a payment before our own row of it was there: it finds that row now.

use time::OffsetDateTime;

use super::inbox::Sender;
use crate::db::{self, Connection, DbError};
use crate::payment::{self, Source};
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
        let tx = connection.transaction().await?;
        claimed += u64::from(payment::claim(&tx, random, &object, now).await?);
        db::commit(tx).await?;
    }
    for (account, id) in subscription::unclaimed(connection.client()).await? {
        let source = Source { provider: Sender::Stripe.name(), account: &account };
        let tx = connection.transaction().await?;
        payment::lock(&tx, &source, [id.as_str()]).await?;
        subscription::claim(&tx, random, &source, &id, now).await?;
        db::commit(tx).await?;
        claimed += 1;
    }
    Ok(claimed)
}
