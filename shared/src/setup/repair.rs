//! Lightning addresses brought over from another system, some with ids that were never written down: each becomes a
//! setup, which is then driven to the end like any other.

use time::OffsetDateTime;
use uuid::Uuid;

use super::intent::{Intent, NodeSource};
use super::row::{self, BeginError};
use crate::db::{DbError, GenericClient, Row, Type, execute, query, query_opt};
use crate::random::Random;

/// An address as it was brought over.
#[derive(Clone, Debug)]
pub struct Imported {
    pub user_id: Uuid,
    pub address: String,
    pub btcpay_store_id: Option<String>,
    /// Of the other system: we have no key to its wallet, so it is named and left alone.
    pub voltage_node_id: Option<String>,
    /// The user has a node of their own here, with a macaroon.
    pub has_registered_node: bool,
}

/// Why an address cannot be repaired without a person.
#[derive(Debug)]
pub enum AdoptError {
    /// Not a name on this deployment's domain; the text says why.
    Address(&'static str),
    Begin(BeginError),
}

impl From<DbError> for AdoptError {
    fn from(error: DbError) -> Self {
        Self::Begin(error.into())
    }
}

/// Imported addresses that no finished setup stands behind.
pub async fn broken(client: &impl GenericClient) -> Result<Vec<Imported>, DbError> {
    let rows = query(
        client,
        "SELECT i.user_id, i.address, i.btcpay_store_id, i.voltage_node_id,
                EXISTS (SELECT FROM nodes n WHERE n.user_id = i.user_id AND n.macaroon_sealed IS NOT NULL
                        AND n.endpoint IS NOT NULL) AS has_registered_node
         FROM imported_lightning_addresses i
         LEFT JOIN lightning_setups s ON s.user_id = i.user_id AND s.state <> 'undone'
         WHERE s.state IS DISTINCT FROM 'finished'
         ORDER BY i.imported_at, i.user_id",
        &[],
    )
    .await?;
    Ok(rows.iter().map(Imported::read).collect())
}

/// The setup that an imported address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub setup_id: Uuid,
    /// It was written down just now.
    pub is_new: bool,
}

/// Writes down the setup an imported address stands for, its store kept if it has one. An address that has a setup
/// keeps it; before it has come to its store, the store may be set right in the import.
pub async fn adopt(
    client: &impl GenericClient,
    imported: &Imported,
    domain: &str,
    (random, now): (&Random, OffsetDateTime),
) -> Result<Adopted, AdoptError> {
    let store = imported.btcpay_store_id.as_ref().filter(|store| !store.is_empty());
    if let Some(setup_id) = setup_of(client, imported.user_id).await? {
        set_store_right(client, setup_id, store).await?;
        return Ok(Adopted { setup_id, is_new: false });
    }
    let name = imported.address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let source = if imported.has_registered_node { NodeSource::Registered } else { NodeSource::Voltage };
    let address = imported.address.to_ascii_lowercase();
    let intent = Intent::parse((&name, Some(&address), Some(source.name())), domain);
    let intent = intent.map_err(|(_, why)| AdoptError::Address(why))?;
    let id = random.id(now);
    row::begin(client, (id, imported.user_id), &intent, now).await.map_err(AdoptError::Begin)?;
    execute(
        client,
        "WITH linked AS (UPDATE imported_lightning_addresses SET setup_id = $1 WHERE user_id = $2)
         UPDATE lightning_setups SET btcpay_store_id = $3 WHERE id = $1",
        &[(&id, Type::UUID), (&imported.user_id, Type::UUID), (&store, Type::TEXT)],
    )
    .await?;
    Ok(Adopted { setup_id: id, is_new: true })
}

/// The account's setup as it is now, with its import locked: of two who repair at once, the second finds the first
/// one's.
async fn setup_of(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Uuid>, DbError> {
    let lock = "SELECT FROM imported_lightning_addresses WHERE user_id = $1 FOR UPDATE";
    query_opt(client, lock, &[(&user_id, Type::UUID)]).await?;
    let sql = "SELECT id FROM lightning_setups WHERE user_id = $1 AND state <> 'undone'";
    Ok(query_opt(client, sql, &[(&user_id, Type::UUID)]).await?.map(|row| row.get("id")))
}

/// Until the step that makes the store is done, a setup has none but the one it was given here.
async fn set_store_right(
    client: &impl GenericClient,
    setup_id: Uuid,
    store: Option<&String>,
) -> Result<(), DbError> {
    execute(
        client,
        "UPDATE lightning_setups s SET btcpay_store_id = $2
         WHERE s.id = $1 AND s.state = 'failed'
           AND s.step IN ('create_node', 'await_node', 'init_wallet', 'bake_macaroon', 'create_store')
           AND EXISTS (SELECT FROM imported_lightning_addresses i WHERE i.setup_id = s.id)",
        &[(&setup_id, Type::UUID), (&store, Type::TEXT)],
    )
    .await?;
    Ok(())
}

impl Imported {
    fn read(row: &Row) -> Self {
        Self {
            user_id: row.get("user_id"),
            address: row.get("address"),
            btcpay_store_id: row.get("btcpay_store_id"),
            voltage_node_id: row.get("voltage_node_id"),
            has_registered_node: row.get("has_registered_node"),
        }
    }
}
