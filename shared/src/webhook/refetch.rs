//! What two events of one second disagree about: the provider is asked, and what it says now counts more than both.

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::processor::{ProcessError, Processor, account, asked_at};
use super::stripe::{self as events, Effect};
use crate::db::{self, DbError, GenericClient, Type, execute, query};
use crate::log;
use crate::stripe::{Kind, Object, Path, Stripe};
use crate::upstream::{Provider, UpstreamError, code};

const AT_ONCE: i64 = 50;
/// How long an object waits whose provider could not say what it is.
const ASKED_AGAIN_AFTER: Duration = Duration::hours(1);

struct Disputed {
    kind: Kind,
    is_v2: bool,
    account: String,
    id: String,
}

/// Asks about what is to be asked about, until `until`, and says of how many objects something was learnt.
pub async fn refetch(processor: &Processor, until: Instant) -> Result<u64, ProcessError> {
    let Some(stripe) = processor.stripe.as_ref().map(|stripe| stripe.until(until)) else { return Ok(0) };
    let due = {
        let connection = processor.db.connection_for_job().await?;
        due(connection.client(), processor.clock.now()).await?
    };
    let mut learnt = 0;
    for one in due {
        if Instant::now() >= until {
            break;
        }
        match ask(processor, &stripe, &one).await {
            Ok(is_learnt) => learnt += u64::from(is_learnt),
            // It keeps none of the others from being asked about, and is itself in a minute.
            Err(error) => {
                let cause = log::causes(&error);
                tracing::error!(target: "webhook", id = one.id, cause, "an object could not be written down");
            }
        }
    }
    Ok(learnt)
}

async fn due(client: &impl GenericClient, now: OffsetDateTime) -> Result<Vec<Disputed>, DbError> {
    let rows = query(
        client,
        "SELECT kind, account, id, is_v2 FROM (
             SELECT kind, account, object_id AS id, false AS is_v2, refetch_at FROM payment_objects
             WHERE refetch_at <= $1 AND provider = 'stripe'
             UNION ALL SELECT 'subscription', account, subscription_id, false, refetch_at FROM subscriptions
             WHERE refetch_at <= $1
             UNION ALL SELECT 'payout', account, payout_id, false, refetch_at FROM payouts
             WHERE refetch_at <= $1
             UNION ALL SELECT 'account', account, account, is_v2, refetch_at FROM connected_accounts
             WHERE refetch_at <= $1
         ) disputed
         ORDER BY kind = 'account', refetch_at LIMIT $2",
        &[(&now, Type::TIMESTAMPTZ), (&AT_ONCE, Type::INT8)],
    )
    .await?;
    let disputed = rows.iter().filter_map(|row| {
        let kind: &str = row.get("kind");
        let object = if kind == "checkout_session" { "checkout.session" } else { kind };
        Some(Disputed {
            kind: Kind::of_object(object)?,
            is_v2: row.get("is_v2"),
            account: row.get("account"),
            id: row.get("id"),
        })
    });
    Ok(disputed.collect())
}

async fn ask(processor: &Processor, stripe: &Stripe, one: &Disputed) -> Result<bool, ProcessError> {
    let asked_at = asked_at(&processor.clock);
    let read = processor.breaker.call(Provider::Stripe, read(stripe, one)).await;
    let now = processor.clock.now();
    let mut connection = processor.db.connection_for_job().await?;
    let tx = connection.transaction().await?;
    let account = Some(one.account.as_str()).filter(|account| !account.is_empty());
    let effects = match read {
        Ok(object) => Object::read(&object).ok().map(|object| {
            // Of an account it is the type of the event that says which API describes it.
            events::effects(object, if one.is_v2 { "v2." } else { "" }, asked_at)
        }),
        Err(error) if error.code == code::STRIPE_ACCOUNT_REFUSED && account.is_some() => {
            Some(vec![Effect::Deauthorized])
        }
        Err(error) => {
            tracing::warn!(target: "webhook", id = one.id, %error, "an object could not be asked about");
            None
        }
    };
    match &effects {
        Some(effects) => {
            events::lock(&tx, account, effects).await?;
            events::apply(&tx, &processor.random, account, (effects, asked_at), now).await?;
        }
        None => put_off(&tx, one, now + ASKED_AGAIN_AFTER).await?,
    }
    // Of an object of an account that is nobody's any more nothing is learnt.
    if effects.as_ref().is_some_and(|effects| effects.contains(&Effect::Deauthorized)) {
        put_off(&tx, one, now + ASKED_AGAIN_AFTER).await?;
    }
    db::commit(tx).await?;
    Ok(effects.is_some())
}

async fn read(stripe: &Stripe, one: &Disputed) -> Result<serde_json::Value, UpstreamError> {
    // An account is asked about as ours, everything else as its account's.
    if one.kind == Kind::Account {
        return account(stripe, &one.id, one.is_v2).await;
    }
    let account = Some(one.account.as_str()).filter(|account| !account.is_empty());
    match Path::new(one.kind, &one.id) {
        Ok(path) => stripe.retrieve(account, &path).await,
        // Nothing of Stripe's has such an id.
        Err(_) => Err(UpstreamError::mistaken_answer(Provider::Stripe)),
    }
}

async fn put_off(client: &impl GenericClient, one: &Disputed, until: OffsetDateTime) -> Result<(), DbError> {
    let sql = match one.kind {
        Kind::Subscription => {
            "UPDATE subscriptions SET refetch_at = $3
             WHERE provider = 'stripe' AND account = $1 AND subscription_id = $2 AND refetch_at IS NOT NULL"
        }
        Kind::Payout => {
            "UPDATE payouts SET refetch_at = $3
             WHERE provider = 'stripe' AND account = $1 AND payout_id = $2 AND refetch_at IS NOT NULL"
        }
        Kind::Account => {
            "UPDATE connected_accounts SET refetch_at = $3 WHERE account = $1 AND account = $2 AND refetch_at IS NOT NULL"
        }
        _ => {
            "UPDATE payment_objects SET refetch_at = $3
             WHERE provider = 'stripe' AND account = $1 AND object_id = $2 AND refetch_at IS NOT NULL"
        }
    };
    execute(client, sql, &[(&one.account, Type::TEXT), (&one.id, Type::TEXT), (&until, Type::TIMESTAMPTZ)])
        .await?;
    Ok(())
}
