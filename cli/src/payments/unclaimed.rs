use anyhow::Result;
use shared::db::{self, Type};
use time::OffsetDateTime;
use uuid::Uuid;

use super::money::money;
use crate::store::{From, Store};
use crate::webhooks::connect;
use crate::when::{When, now, when};
use crate::words::{at, clean, columns, count};

/// List what providers told us of and no payment of ours is behind, the newest first
///
/// A line for each: first heard of, provider, account, kind, id, status, amount, and the payment it names. One that
/// names a payment and is here has no row of it, or is in another currency, or asks for less; one that names none was
/// made in some other way than through us. Reads the secret `database/jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First heard of then or later: `2026-01-09T12:00:00Z`, or `2h` or `3d` ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Only those that name a payment
    #[arg(long)]
    naming: bool,
    /// No more than this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    from: From,
}

pub async fn run(args: Args) -> Result<String> {
    let client = connect(&Store::open(args.from).await?).await?;
    let now = now(&client).await?;
    let since = args.since.map(|since| since.before(now)).transpose()?.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let rows = db::query(
        &client,
        "SELECT * FROM (
             SELECT provider, account, kind, object_id, status, amount_minor, currency, reference, created_at
             FROM payment_objects
             WHERE payment_id IS NULL AND created_at >= $1 AND ($2 IS FALSE OR reference IS NOT NULL)
             UNION ALL
             SELECT provider, account, 'subscription', subscription_id, status, NULL, NULL, reference, created_at
             FROM subscriptions
             WHERE payment_id IS NULL AND created_at >= $1 AND ($2 IS FALSE OR reference IS NOT NULL)) o
         ORDER BY created_at DESC, object_id
         LIMIT $3",
        &[
            (&since, Type::TIMESTAMPTZ),
            (&args.naming, Type::BOOL),
            // One more, to know that there are more.
            (&(i64::from(args.limit) + 1), Type::INT8),
        ],
    )
    .await?;
    if rows.is_empty() {
        return Ok("nothing is unclaimed".to_owned());
    }
    let limit = args.limit as usize;
    let cells: Vec<_> = rows
        .iter()
        .take(limit)
        .map(|row| {
            let amount: Option<i64> = row.get("amount_minor");
            let currency: Option<&str> = row.get("currency");
            let reference: Option<Uuid> = row.get("reference");
            [
                at(row.get("created_at")),
                row.get::<_, String>("provider"),
                clean(row.get("account")),
                row.get::<_, String>("kind"),
                clean(row.get("object_id")),
                clean(row.get("status")),
                amount.map_or_else(|| "-".to_owned(), |amount| money(amount, currency.unwrap_or_default())),
                reference.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            ]
        })
        .collect();
    let more = if rows.len() > limit {
        " shown, and more: --limit shows them, --since chooses"
    } else {
        " unclaimed"
    };
    Ok(format!("{}{}{more}", columns(&cells), count(cells.len(), "object")))
}
