//! `GET /v1/nodes/{did}` — what is known of the caller's own node.
//!
//! Another's node, and a node never registered, are both not found.

use data_encoding::HEXLOWER;
use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request};
use shared::lightning::Did;
use shared::node::{self, NodeInfo};
use time::OffsetDateTime;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), auth: Authenticator::wire(config), clock: config.clock() }
    }
}

#[derive(Serialize)]
struct Answer {
    did: Did,
    node_id: String,
    lightning_pubkey: String,
    caddy_endpoint: Option<String>,
    has_macaroon: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_sha256: Option<String>,
    status: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_accessed_at: OffsetDateTime,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let did: Did = request
        .path_parameter("did")
        .parse()
        .map_err(|error: shared::lightning::did::DidError| ApiError::invalid("did", error.to_string()))?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let node = node::find_own(&tx, session.user_id, &did).await?;
    db::commit(tx).await?;

    let node = node.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no node of yours has this DID"))?;
    Ok(Reply::ok(&Answer::new(did, node)))
}

impl Answer {
    fn new(did: Did, node: NodeInfo) -> Self {
        Self {
            did,
            node_id: node.node_id,
            lightning_pubkey: node.pubkey,
            caddy_endpoint: node.endpoint,
            has_macaroon: node.has_macaroon,
            tls_cert_sha256: node.certificate_sha256.map(|digest| HEXLOWER.encode(&digest)),
            status: node.status,
            created_at: node.created_at,
            last_accessed_at: node.last_accessed_at,
        }
    }
}
