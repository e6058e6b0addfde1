//! `GET /.well-known/openid-configuration`, `GET /.well-known/jwks.json` — the keys our tokens are checked with.

use serde_json::json;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::http::{ApiError, HeaderValue, Reply, Request, header};
use shared::signing_key;
use shared::token;

/// A next key is published two hours before it signs, so an hour-old copy always has it.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

pub struct Deps {
    db: Db,
    issuer: String,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), issuer: token::issuer_url(config), clock: config.clock() }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    if request.path.ends_with("jwks.json") { key_set(deps).await } else { Ok(configuration(deps)) }
}

fn configuration(deps: &Deps) -> Reply {
    let url = &deps.issuer;
    Reply::ok(&json!({
        "issuer": url,
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    }))
    .with_header(header::CACHE_CONTROL, CACHE)
}

async fn key_set(deps: &Deps) -> Result<Reply, ApiError> {
    let connection = deps.db.connection().await?;
    let keys = signing_key::published(connection.client(), deps.clock.now()).await?;
    let keys: Vec<_> = keys.into_iter().map(|key| key.jwk).collect();
    let reply = Reply::ok(&json!({ "keys": keys }));
    // The first sign-in publishes the first key: a copy kept since before would refuse that user's token.
    Ok(if keys.is_empty() { reply } else { reply.with_header(header::CACHE_CONTROL, CACHE) })
}
