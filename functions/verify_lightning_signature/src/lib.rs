//! `POST /v1/challenges/verify` — sign in with the node that signed a challenge.
//!
//! The signature is checked here, against the key on record; the node is never called. The challenge is
//! spent, the account made if need be, the session opened and the audit row written in one transaction.

use serde::{Deserialize, Serialize};
use shared::account::IdentityKind;
use shared::audit::{self, AuditDocument, AuditKey, Entry};
use shared::challenge::{self, Challenge};
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::{self, Db, Transaction};
use shared::firebase::{ServiceAccount, ServiceAccountDocument};
use shared::http::limit;
use shared::http::{ApiError, Reply, Request};
use shared::lightning::{Did, MessageSignature, Pubkey};
use shared::metrics;
use shared::random::Random;
use shared::rate_limit::Limit;
use shared::secrets::SecretHandle;
use shared::session::{self, Lifetimes, NewSession};
use shared::sign_in::{self, Arrival, Decision};
use shared::token::{AccessGrant, STEP_UP_TTL, StepUp, TokenIssuer};
use time::OffsetDateTime;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    issuer: TokenIssuer,
    sealing: SecretHandle<KeyRing>,
    audit: SecretHandle<AuditKey>,
    firebase: Option<SecretHandle<ServiceAccount>>,
    clock: Clock,
    random: Random,
    lifetimes: Lifetimes,
    per_did: u32,
    per_address: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            issuer: TokenIssuer::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            audit: config.secret::<AuditDocument, AuditKey>("AUDIT_SECRET"),
            firebase: config.optional_secret::<ServiceAccountDocument, ServiceAccount>("FIREBASE_SECRET"),
            clock: config.clock(),
            random: config.random(),
            lifetimes: Lifetimes::wire(config),
            per_did: config.number("RATE_LIMIT_SIGN_IN_PER_DID", 10, 1..=1_000_000),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    did: Did,
    #[serde(alias = "challengeId")]
    challenge_id: Uuid,
    signature: String,
}

#[derive(Serialize)]
struct Answer<T> {
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn<'a> {
    custom_token: &'a str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    expires_in: u64,
    did: &'a Did,
    #[serde(rename = "lightning_pubkey")]
    pubkey: Pubkey,
}

#[derive(Serialize)]
struct Approved<'a> {
    #[serde(rename = "stepUpToken")]
    token: &'a str,
    #[serde(rename = "expiresIn")]
    expires_in: i64,
    did: &'a Did,
    amount_msat: i64,
    destination: &'a str,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let outcome = answer(deps, request).await;
    metrics::count(if outcome.is_ok() { "SignInAccepted" } else { "SignInRefused" });
    outcome
}

async fn answer(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body: Body = request.json_or_data()?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let subject = format!("{:?}\n{}", request.source_ip, body.did);
    let limits = [
        Limit::new("verify:did", &subject, deps.per_did),
        Limit::per_address("verify", request.source_ip, deps.per_address),
    ];
    limit::check(connection.client(), &limits, now).await?;

    let challenge = challenge::find_open(connection.client(), body.challenge_id, &body.did, now).await?;
    let (signer, decision) = match judge(&challenge, &body) {
        Ok(judged) => judged,
        Err(refusal) => {
            challenge::note_wrong_answer(connection.client(), challenge.id).await?;
            return Err(refusal);
        }
    };

    let tx = connection.transaction().await?;
    let user_id = deps.random.id(now);
    let arrival = sign_in::carry_out(&tx, &challenge, (decision, &body.did, signer), user_id, now).await?;
    let reply = match decision {
        Decision::StepUp(_) => approve(deps, &tx, &challenge, &body.did, arrival, now).await?,
        Decision::SignIn(_) | Decision::Create | Decision::Link(_) => {
            open_session(deps, &tx, request, &body.did, (arrival, signer), now).await?
        }
    };
    record(deps, &tx, request, &challenge, (arrival, signer), now).await?;
    db::commit(tx).await?;
    Ok(reply)
}

fn judge(challenge: &Challenge, body: &Body) -> Result<(Pubkey, Decision), ApiError> {
    let signature: MessageSignature = body.signature.parse()?;
    let signer = signature.recover(challenge.title.as_bytes())?;
    Ok((signer, sign_in::decide(challenge, &body.did, signer)?))
}

async fn open_session(
    deps: &Deps,
    tx: &Transaction<'_>,
    request: &Request,
    did: &Did,
    (arrival, signer): (Arrival, Pubkey),
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let uid = did.to_string();
    let session = NewSession {
        id: deps.random.id(now),
        user_id: arrival.user_id,
        identity: (IdentityKind::Did, &uid),
        pubkey: Some(signer),
        ip: request.source_ip,
        user_agent: request.header("user-agent"),
        now,
        lifetimes: deps.lifetimes,
    };
    let ring = deps.sealing.get().await?;
    let refresh = session::open(tx, &session, &ring, &deps.random).await?;
    let grant =
        AccessGrant { user_id: arrival.user_id, session_id: session.id, token_id: deps.random.id(now) };
    let access = deps.issuer.access(tx, &grant, now).await?;
    let custom = match &deps.firebase {
        Some(account) => account.get().await?.custom_token(&uid, now).map_err(ApiError::internal)?,
        None => access.clone(),
    };
    let in_cookie = session::refresh_in_cookie(request.header(session::REFRESH_TRANSPORT_HEADER));
    let reply = Reply::ok(&Answer {
        data: SignedIn {
            custom_token: custom.expose(),
            access_token: access.expose(),
            refresh_token: (!in_cookie).then(|| refresh.expose().as_str()),
            expires_in: deps.issuer.access_ttl.as_secs(),
            did,
            pubkey: signer,
        },
    });
    Ok(if in_cookie { reply.with_cookie(session::refresh_cookie(&refresh, deps.lifetimes)) } else { reply })
}

async fn approve(
    deps: &Deps,
    tx: &Transaction<'_>,
    challenge: &Challenge,
    did: &Did,
    arrival: Arrival,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let (Some(amount_msat), Some(destination)) = (challenge.amount_msat, &challenge.destination) else {
        return Err(ApiError::internal("a step-up challenge without amount or destination"));
    };
    let approval = StepUp {
        user_id: arrival.user_id,
        challenge_id: challenge.id,
        did: &challenge.did,
        amount_msat,
        destination,
    };
    let token = deps.issuer.step_up(tx, &approval, now).await?;
    let expires_in = STEP_UP_TTL.whole_seconds();
    Ok(Reply::ok(&Answer {
        data: Approved { token: token.expose(), expires_in, did, amount_msat, destination },
    }))
}

async fn record(
    deps: &Deps,
    tx: &Transaction<'_>,
    request: &Request,
    challenge: &Challenge,
    (arrival, signer): (Arrival, Pubkey),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let entry = Entry {
        user_id: Some(arrival.user_id),
        action: arrival.action,
        resource: ("challenge", &challenge.id.to_string()),
        details: serde_json::json!({ "did": challenge.did, "type": challenge.kind.name(), "pubkey": signer }),
        ip: request.source_ip,
        request_id: &request.id,
        now,
    };
    audit::append(tx, deps.audit.get().await?.as_ref(), &entry, &deps.random).await?;
    Ok(())
}
