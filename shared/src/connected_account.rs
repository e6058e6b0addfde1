//! Stripe accounts connected to ours: whether they may be paid, as Stripe last said.

use time::{Duration, OffsetDateTime};

use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::payment::{self, Heard, Source, Standing};
use crate::stripe;

/// Whoever owns the account took our access away.
const DEAUTHORIZED: &str = "deauthorized";
const SILENT_FOR: Duration = Duration::days(1);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "what Stripe says yes or no to")]
struct Content {
    status: String,
    charges_enabled: bool,
    payouts_enabled: bool,
    details_submitted: bool,
    is_v2: bool,
}

/// Takes in what Stripe says an account is. Safe to repeat and in any order.
pub async fn observe(
    client: &impl GenericClient,
    (account, is_v2): (&stripe::Account, bool),
    seen_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let content = Content {
        status: account.status.name().to_owned(),
        charges_enabled: account.charges_enabled,
        payouts_enabled: account.payouts_enabled,
        details_submitted: account.details_submitted,
        is_v2,
    };
    hear(client, &account.id, Heard::new(content, Standing::new((0, 0), seen_at)), now).await
}

/// Takes in that an account is ours to act for no more. One that is connected again later is described again.
pub async fn deauthorize(
    client: &impl GenericClient,
    account: &str,
    seen_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let content = Content {
        status: DEAUTHORIZED.to_owned(),
        charges_enabled: false,
        payouts_enabled: false,
        details_submitted: false,
        is_v2: false,
    };
    hear(client, account, Heard::new(content, Standing::new((0, 1), seen_at)), now).await
}

async fn hear(
    client: &impl GenericClient,
    account: &str,
    word: Heard<Content>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    payment::lock(client, &Source { provider: "stripe", account }, [account]).await?;
    let before = read(client, account).await?;
    let after = Heard::after(before.clone(), word);
    if before.as_ref() == Some(&after) {
        return Ok(());
    }
    write(client, account, &after, now).await
}

async fn read(client: &impl GenericClient, account: &str) -> Result<Option<Heard<Content>>, DbError> {
    let row = query_opt(
        client,
        "SELECT status, charges_enabled, payouts_enabled, details_submitted, is_v2, finality, seen_at, rank,
                refetch_at
         FROM connected_accounts WHERE account = $1",
        &[(&account, Type::TEXT)],
    )
    .await?;
    Ok(row.map(|row| {
        Heard::of_row(
            &row,
            Content {
                status: row.get("status"),
                charges_enabled: row.get("charges_enabled"),
                payouts_enabled: row.get("payouts_enabled"),
                details_submitted: row.get("details_submitted"),
                is_v2: row.get("is_v2"),
            },
        )
    }))
}

async fn write(
    client: &impl GenericClient,
    account: &str,
    heard: &Heard<Content>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let (content, standing) = (&heard.content, &heard.standing);
    execute(
        client,
        "INSERT INTO connected_accounts
             (account, status, charges_enabled, payouts_enabled, details_submitted, is_v2, finality, seen_at, rank,
              refetch_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
         ON CONFLICT ON CONSTRAINT connected_accounts_pkey DO UPDATE SET
             status = excluded.status, charges_enabled = excluded.charges_enabled,
             payouts_enabled = excluded.payouts_enabled, details_submitted = excluded.details_submitted,
             is_v2 = excluded.is_v2, finality = excluded.finality, seen_at = excluded.seen_at, rank = excluded.rank,
             refetch_at = excluded.refetch_at, updated_at = excluded.updated_at",
        &[
            (&account, Type::TEXT),
            (&content.status, Type::TEXT),
            (&content.charges_enabled, Type::BOOL),
            (&content.payouts_enabled, Type::BOOL),
            (&content.details_submitted, Type::BOOL),
            (&content.is_v2, Type::BOOL),
            (&standing.finality, Type::INT2),
            (&standing.seen_at, Type::TIMESTAMPTZ),
            (&standing.rank, Type::INT2),
            (&heard.disputed.then_some(now), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Marks accounts that nothing was heard of for a day, to be asked about: what API v2 tells is in no list of events.
pub async fn ask_about_the_silent(client: &impl GenericClient, now: OffsetDateTime) -> Result<u64, DbError> {
    execute(
        client,
        "UPDATE connected_accounts SET refetch_at = $1
         WHERE refetch_at IS NULL AND status <> 'deauthorized' AND updated_at < $2",
        &[(&now, Type::TIMESTAMPTZ), (&(now - SILENT_FOR), Type::TIMESTAMPTZ)],
    )
    .await
}
