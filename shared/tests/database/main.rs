//! What holds only with a real Postgres. One program, so that it is linked once.

mod administrators;
mod audit;
mod db;
mod errors;
mod idempotency;
mod lock;
mod migrations;
mod policies;
mod pool;
mod privileges;
mod rate_limit;
mod reseal;
mod row_level_security;
mod secrets;
mod sign_in;
mod signing_key;
mod token;

use shared::account;
use shared::db::{GenericClient, Transaction};
use shared::lightning::{Did, Pubkey};
use shared::random::Random;
use shared::session;
use testing::Result;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio_postgres::Client;
use uuid::Uuid;

/// Where the clock of a test world stands, too.
const NOW: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);

/// A point on the curve that nobody else in this test has: the first of its seed and those after it.
fn pubkey(random: &Random) -> Pubkey {
    loop {
        let digits = data_encoding::HEXLOWER.encode(&random.bytes::<32>());
        if let Ok(key) = format!("02{digits}").parse() {
            return key;
        }
    }
}

/// An account with its node, made as sign-in makes it. `client` is `satchel_auth`'s.
async fn create_account(client: &impl GenericClient, random: &Random) -> Result<Uuid> {
    let (user_id, key) = (random.id(NOW), pubkey(random));
    let did = Did::Lightning(key);
    let created = account::create(client, user_id, &did, key, NOW).await;
    created.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(user_id)
}

/// From here the transaction is the account's, though no session stands.
async fn act_for(tx: &Transaction<'_>, user_id: Uuid) -> Result<()> {
    session::enter(tx, (user_id, Uuid::nil()), false, NOW).await?;
    Ok(())
}

/// The first column of the one row of a query.
async fn number(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_typed_one(sql, &[]).await?.get(0))
}
