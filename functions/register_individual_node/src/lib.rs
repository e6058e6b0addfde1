//! `POST /v1/nodes` — register the node a user runs, so that payments can be set up on it.
//!
//! The endpoint is parsed and kept, and never called from here. The macaroon must be too narrow to move money
//! or to sign; it is sealed, and never comes back.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use shared::account::{self, ClaimError, Identities, IdentityKind};
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys, Secret};
use shared::db::{self, Db, Transaction};
use shared::http::auth::{self, NodeAuthenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request, idempotent};
use shared::lightning::endpoint::Transport;
use shared::lightning::macaroon::{HOW_TO_BAKE, Verdict};
use shared::lightning::{Did, Macaroon, NodeEndpoint, Pubkey};
use shared::node::{self, NodeId, Registration};
use shared::random::Random;
use shared::secrets::SecretHandle;
use time::OffsetDateTime;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: NodeAuthenticator,
    sealing: SecretHandle<KeyRing>,
    audit: Auditor,
    clock: Clock,
    random: Random,
    transport: Transport,
    discard_too_wide: bool,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        let http_allowed = config.flag("ALLOW_HTTP_NODE_ENDPOINTS");
        Self {
            db: Db::wire(config),
            auth: NodeAuthenticator::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
            transport: if http_allowed { Transport::HttpAllowed } else { Transport::HttpsOnly },
            discard_too_wide: config.choice("MACAROON_TOO_WIDE", &["refuse", "discard"]) == "discard",
        }
    }
}

#[derive(Deserialize)]
struct Body {
    did: Did,
    #[serde(alias = "nodeId")]
    node_id: String,
    #[serde(alias = "adminMacaroon")]
    admin_macaroon: Option<Secret<String>>,
    #[serde(alias = "lightningPubkey")]
    lightning_pubkey: Pubkey,
    #[serde(alias = "caddyEndpoint")]
    caddy_endpoint: String,
    #[serde(alias = "tlsCertSha256")]
    tls_cert_sha256: Option<String>,
}

/// A request whose every field has been read.
struct Parsed {
    did: Did,
    node_id: NodeId,
    pubkey: Pubkey,
    endpoint: NodeEndpoint,
    certificate: Option<[u8; 32]>,
    macaroon: Option<Macaroon>,
    macaroon_discarded: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    success: bool,
    message: &'static str,
    data: Registered<'a>,
}

#[derive(Serialize)]
struct Registered<'a> {
    node_id: &'a str,
    lightning_pubkey: Pubkey,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let node = parse(deps, &request.json_or_data()?)?;
    let now = deps.clock.now();
    let ring = deps.sealing.get().await?;

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let caller = (request, session.user_id);
    let reply = idempotent::run(&tx, caller, &ring, (now, &deps.random), async || {
        register(deps, &tx, caller, &node, &ring, now).await
    })
    .await?;
    db::commit(tx).await?;
    Ok(reply)
}

async fn register(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, user_id): (&Request, Uuid),
    node: &Parsed,
    ring: &KeyRing,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let identities = account::identities(tx, user_id).await?;
    check_owner(tx, user_id, &identities, node, now).await?;
    let macaroon_sealed = match &node.macaroon {
        Some(macaroon) => Some(ring.seal(
            node::macaroon_field(&user_id),
            macaroon.to_hex().as_bytes(),
            now,
            &deps.random,
        )?),
        None => None,
    };
    let registration = Registration {
        user_id,
        did: &node.did,
        node_id: &node.node_id,
        pubkey: node.pubkey,
        endpoint: &node.endpoint,
        macaroon_sealed,
        certificate_sha256: node.certificate,
    };
    node::register(tx, &registration, now).await?;
    let node_id = node.node_id.to_string();
    let entry = Entry {
        user_id: Some(user_id),
        action: "node.registered",
        resource: ("node", &node_id),
        details: serde_json::json!({ "pubkey": node.pubkey, "macaroon": node.macaroon.is_some() }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(tx, &entry).await?;
    let message = if node.macaroon_discarded {
        "node registered; the macaroon allowed too much and was not kept"
    } else {
        "node registered"
    };
    Ok(Reply::ok(&Answer {
        success: true,
        message,
        data: Registered { node_id: &node_id, lightning_pubkey: node.pubkey },
    }))
}

/// The DID and the key must be the caller's own: another's is a conflict, nobody's is not theirs to use.
async fn check_owner(
    tx: &Transaction<'_>,
    user_id: Uuid,
    identities: &Identities,
    node: &Parsed,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let (did, pubkey) = (node.did.to_string(), node.pubkey.to_string());
    let claims = [
        (identities.has_did(&node.did), (IdentityKind::Did, did), ClaimError::DidTaken),
        (identities.has_node(node.pubkey), (IdentityKind::Node, pubkey), ClaimError::NodeTaken),
    ];
    for (own, (kind, subject), taken) in claims {
        if own {
            continue;
        }
        if account::is_taken(tx, user_id, kind, &subject, now).await? {
            return Err(taken.into());
        }
        return Err(ApiError::new(ErrorCode::Forbidden, "sign in with this DID and this node first"));
    }
    Ok(())
}

fn parse(deps: &Deps, body: &Body) -> Result<Parsed, ApiError> {
    let invalid = |field, error: &dyn std::fmt::Display| ApiError::invalid(field, error.to_string());
    let node_id = body.node_id.parse::<NodeId>().map_err(|error| invalid("node_id", &error))?;
    let endpoint = NodeEndpoint::parse(&body.caddy_endpoint, deps.transport)
        .map_err(|error| invalid("caddy_endpoint", &error))?;
    let certificate = body.tls_cert_sha256.as_deref().map(digest).transpose()?;
    let macaroon = body.admin_macaroon.as_ref().map(|text| Macaroon::parse(text.expose())).transpose();
    let macaroon = macaroon.map_err(|error| invalid("admin_macaroon", &error))?;
    let (macaroon, macaroon_discarded) = match macaroon.as_ref().map(Macaroon::judge) {
        None | Some(Verdict::Narrow) => (macaroon, false),
        Some(Verdict::TooWide(_)) if deps.discard_too_wide => (None, true),
        Some(Verdict::TooWide(_)) => return Err(too_wide("allows more than making and reading invoices")),
        // It could sign in as the user.
        Some(Verdict::CanSign) => return Err(too_wide("can sign messages with the node's key")),
    };
    Ok(Parsed {
        did: body.did,
        node_id,
        pubkey: body.lightning_pubkey,
        endpoint,
        certificate,
        macaroon,
        macaroon_discarded,
    })
}

/// A certificate's SHA-256 as `openssl x509 -fingerprint` writes it, with or without its colons.
fn digest(text: &str) -> Result<[u8; 32], ApiError> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes()).ok();
    let digest = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    digest.ok_or_else(|| ApiError::invalid("tls_cert_sha256", "must be 64 hex digits"))
}

fn too_wide(why: &str) -> ApiError {
    ApiError::invalid("admin_macaroon", format!("{why}. {HOW_TO_BAKE}"))
}
