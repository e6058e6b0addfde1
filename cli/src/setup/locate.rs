use anyhow::{Context, Result, bail};
use shared::db::{self, GenericClient, Type};
use shared::setup::{Setup, row};
use uuid::Uuid;

/// The setup somebody means: by its own id, its account's id, its address, or the name before the `@`. One that was
/// undone is found by its own id alone.
pub async fn locate(client: &impl GenericClient, text: &str) -> Result<Setup> {
    let id = match text.parse::<Uuid>() {
        Ok(id) => Some(id),
        Err(_) => by_name(client, text).await?,
    };
    let nobody = || format!("there is no setup {text}: `satchel setup list` has them all");
    let id = id.with_context(nobody)?;
    match row::find(client, id).await? {
        Some(setup) => Ok(setup),
        None => row::find_of(client, id).await?.with_context(nobody),
    }
}

async fn by_name(client: &impl GenericClient, text: &str) -> Result<Option<Uuid>> {
    let column = if text.contains('@') {
        "SELECT id FROM lightning_setups WHERE lower(address) = lower($1) AND state <> 'undone'"
    } else {
        "SELECT id FROM lightning_setups WHERE username = lower($1) AND state <> 'undone' ORDER BY id LIMIT 2"
    };
    let rows = db::query(client, column, &[(&text, Type::TEXT)]).await?;
    if rows.len() > 1 {
        bail!("several setups have the name {text}: give the address, or the id from `satchel setup list`");
    }
    Ok(rows.first().map(|row| row.get("id")))
}
