//! The node a user registered: one per user, its key and its address nobody else's.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::crypto::{Field, Purpose};
use crate::db::{DbError, GenericClient, Row, Type, execute, query_opt};
use crate::lightning::{Did, NodeEndpoint, Pubkey};

const MAX_NODE_ID_BYTES: usize = 64;

/// A user's name for a node, such as `node12`: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeId(String);

impl FromStr for NodeId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=MAX_NODE_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 64 letters, digits, '-', '_' or '.'")
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node as its owner registers it.
pub struct Registration<'a> {
    pub user_id: Uuid,
    pub did: &'a Did,
    pub node_id: &'a NodeId,
    pub pubkey: Pubkey,
    pub endpoint: &'a NodeEndpoint,
    /// The macaroon, sealed for [`macaroon_field`]; `None` leaves an earlier one in place.
    pub macaroon_sealed: Option<Vec<u8>>,
    /// SHA-256 of the certificate, when no public authority vouches for it; it belongs to the endpoint and is
    /// replaced with it.
    pub certificate_sha256: Option<[u8; 32]>,
}

/// Why a node was not registered.
#[derive(Debug)]
pub enum RegisterError {
    /// The key is another account's node.
    PubkeyTaken,
    /// Another account registered this name at this address.
    PlaceTaken,
    Db(DbError),
}

impl From<DbError> for RegisterError {
    fn from(error: DbError) -> Self {
        match error.constraint() {
            Some("nodes_pubkey_key") => Self::PubkeyTaken,
            Some("nodes_node_id_endpoint_key") => Self::PlaceTaken,
            _ => Self::Db(error),
        }
    }
}

/// Registers the user's node, or brings the registration up to date.
pub async fn register(
    client: &impl GenericClient,
    node: &Registration<'_>,
    now: OffsetDateTime,
) -> Result<(), RegisterError> {
    execute(
        client,
        "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, tls_cert_sha256, created_at,
                            updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         ON CONFLICT (user_id) DO UPDATE SET
             did = EXCLUDED.did, node_id = EXCLUDED.node_id, pubkey = EXCLUDED.pubkey,
             endpoint = EXCLUDED.endpoint, tls_cert_sha256 = EXCLUDED.tls_cert_sha256, updated_at = EXCLUDED.updated_at,
             macaroon_sealed = COALESCE(EXCLUDED.macaroon_sealed, nodes.macaroon_sealed)",
        &[
            (&node.user_id, Type::UUID),
            (&node.did.to_string(), Type::TEXT),
            (&node.node_id.to_string(), Type::TEXT),
            (&node.pubkey.to_string(), Type::TEXT),
            (&node.endpoint.to_string(), Type::TEXT),
            (&node.macaroon_sealed, Type::BYTEA),
            (&node.certificate_sha256.map(|digest| digest.to_vec()), Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// The node moved to another key: where it is and what opens it are no longer known.
pub async fn rebind(
    client: &impl GenericClient,
    user_id: Uuid,
    pubkey: Pubkey,
    now: OffsetDateTime,
) -> Result<(), RegisterError> {
    execute(
        client,
        "UPDATE nodes SET pubkey = $2, endpoint = NULL, macaroon_sealed = NULL, tls_cert_sha256 = NULL, updated_at = $3
         WHERE user_id = $1",
        &[(&user_id, Type::UUID), (&pubkey.to_string(), Type::TEXT), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(())
}

/// What its owner may know of a registered node. The macaroon never comes back.
pub struct NodeInfo {
    pub node_id: String,
    pub pubkey: String,
    pub endpoint: Option<String>,
    pub has_macaroon: bool,
    pub certificate_sha256: Option<Vec<u8>>,
    pub status: String,
    pub created_at: OffsetDateTime,
    /// When the node last signed in, or was registered, whichever was later.
    pub last_accessed_at: OffsetDateTime,
}

/// The signed-in user's node, if the DID is theirs and they registered one.
pub async fn find_own(
    client: &impl GenericClient,
    user_id: Uuid,
    did: &Did,
) -> Result<Option<NodeInfo>, DbError> {
    let row = query_opt(
        client,
        "SELECT n.node_id, n.pubkey, n.endpoint, n.macaroon_sealed IS NOT NULL AS has_macaroon,
                n.tls_cert_sha256, n.status, n.created_at,
                GREATEST(n.updated_at, (SELECT max(s.node_auth_at) FROM sessions s WHERE s.user_id = n.user_id))
                    AS last_accessed_at
         FROM nodes n
         JOIN identities i ON i.user_id = n.user_id AND i.kind = 'did' AND i.subject = $2 AND i.retired_at IS NULL
         WHERE n.user_id = $1",
        &[(&user_id, Type::UUID), (&did.to_string(), Type::TEXT)],
    )
    .await?;
    Ok(row.map(NodeInfo::from))
}

/// Whether a store can be connected to the user's node: they said where it is and gave what opens it.
pub async fn is_connectable(client: &impl GenericClient, user_id: Uuid) -> Result<bool, DbError> {
    let row = query_opt(
        client,
        "SELECT endpoint IS NOT NULL AND macaroon_sealed IS NOT NULL AS connectable FROM nodes WHERE user_id = $1",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.is_some_and(|row| row.get("connectable")))
}

/// Where a user's macaroon is sealed to.
pub fn macaroon_field(user_id: &Uuid) -> Field<'_> {
    Field { purpose: Purpose::Macaroon, table: "nodes", column: "macaroon_sealed", row: user_id.as_bytes() }
}

impl From<Row> for NodeInfo {
    fn from(row: Row) -> Self {
        Self {
            node_id: row.get("node_id"),
            pubkey: row.get("pubkey"),
            endpoint: row.get("endpoint"),
            has_macaroon: row.get("has_macaroon"),
            certificate_sha256: row.get("tls_cert_sha256"),
            status: row.get("status"),
            created_at: row.get("created_at"),
            last_accessed_at: row.get("last_accessed_at"),
        }
    }
}
