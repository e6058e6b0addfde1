//! `POST /v1/challenges` — a text for the user's node to sign.
//!
//! Anybody may ask, for any DID: an unknown one gets a challenge too, so that asking reveals nothing. Only the
//! challenges that change an account's key need a session.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::account::{self, LinkError};
use shared::challenge::{self, ChallengeType, MAX_AMOUNT_MSAT, MAX_DESTINATION_BYTES, NewChallenge, Purpose};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db, Transaction};
use shared::http::auth::{self, RecentAuthenticator};
use shared::http::limit::SignInLimits;
use shared::http::{ApiError, ErrorCode, Reply, Request};
use shared::lightning::{Did, Pubkey};
use shared::metrics;
use shared::random::Random;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: RecentAuthenticator,
    clock: Clock,
    random: Random,
    domain: String,
    lifetime: Duration,
    limits: SignInLimits,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: RecentAuthenticator::wire(config),
            clock: config.clock(),
            random: config.random(),
            domain: challenge::domain(config),
            lifetime: config.seconds("CHALLENGE_TTL_SECONDS", 300, 30..=3_600),
            limits: SignInLimits::wire(config),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    did: Did,
    #[serde(alias = "challengeType")]
    challenge_type: ChallengeType,
    #[serde(alias = "amountMsat")]
    amount_msat: Option<i64>,
    destination: Option<String>,
    #[serde(alias = "newLightningPubkey")]
    new_lightning_pubkey: Option<Pubkey>,
}

#[derive(Serialize)]
struct Answer<'a> {
    challenge: Given<'a>,
}

#[derive(Serialize)]
struct Given<'a> {
    challenge_id: Uuid,
    /// The exact text to sign.
    title: &'a str,
    expires_at: String,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body: Body = request.json_or_data()?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    deps.limits.check(connection.client(), ("create_challenge", request, &body.did), now).await?;

    let tx = connection.transaction().await?;
    let purpose = purpose(deps, &tx, request, &body, now).await?;
    let challenge = NewChallenge {
        id: deps.random.id(now),
        did: &body.did,
        purpose,
        nonce: deps.random.bytes(),
        issued_at: now,
        lifetime: deps.lifetime,
    };
    let title = challenge.text(&deps.domain);
    challenge::create(&tx, &challenge, &title).await?;
    db::commit(tx).await?;

    metrics::count("ChallengeCreated");
    let expires_at = challenge.expires_at().format(&Rfc3339).map_err(ApiError::internal)?;
    Ok(Reply::ok(&Answer { challenge: Given { challenge_id: challenge.id, title: &title, expires_at } }))
}

/// What is asked for, with everything that kind of challenge needs and nothing it does not.
async fn purpose(
    deps: &Deps,
    tx: &Transaction<'_>,
    request: &Request,
    body: &Body,
    now: OffsetDateTime,
) -> Result<Purpose, ApiError> {
    match body.challenge_type {
        ChallengeType::SendBtcOrInternalAccountRebalance => step_up(body),
        ChallengeType::NodeLink | ChallengeType::NodeRebind => {
            let new = body.new_lightning_pubkey.ok_or_else(|| {
                ApiError::invalid("new_lightning_pubkey", "is needed for this challenge type")
            })?;
            let session = deps.auth.sessions.enter(tx, &auth::bearer(request)?, now).await?;
            let identities = account::identities(tx, session.user_id).await?;
            let linking = body.challenge_type == ChallengeType::NodeLink;
            if linking {
                deps.auth.check(&session, now)?;
            }
            if linking && identities.unproven {
                return Err(LinkError::EmailNotVerified.into());
            }
            // An account that never signed in with a node has no DID: it chooses one, which it gets with the key.
            let named_anew = linking && identities.has_no_did();
            if !named_anew && !identities.has_did(&body.did) {
                return Err(ApiError::new(ErrorCode::Forbidden, "this DID is not one of your account's"));
            }
            if body.challenge_type == ChallengeType::NodeRebind && body.did.self_certified_key().is_some() {
                return Err(ApiError::new(
                    ErrorCode::Conflict,
                    "this DID is made of its key and cannot have another",
                ));
            }
            if identities.has_node(new) {
                return Err(ApiError::invalid("new_lightning_pubkey", "is the key of your node already"));
            }
            match (body.challenge_type, identities.pubkey()) {
                (ChallengeType::NodeRebind, Some(old)) => {
                    Ok(Purpose::NodeRebind { user_id: session.user_id, old, new })
                }
                (ChallengeType::NodeRebind, None) => {
                    Err(ApiError::new(ErrorCode::Conflict, "this account has no node to replace"))
                }
                (_, Some(_)) => {
                    Err(ApiError::new(ErrorCode::NodeAlreadyBound, "this account has a node already"))
                }
                (_, None) => Ok(Purpose::NodeLink { user_id: session.user_id, session_id: session.id, new }),
            }
        }
        sign_in => Ok(Purpose::SignIn(sign_in)),
    }
}

fn step_up(body: &Body) -> Result<Purpose, ApiError> {
    let amount_msat = body.amount_msat.filter(|amount| (1..=MAX_AMOUNT_MSAT).contains(amount));
    let amount_msat = amount_msat
        .ok_or_else(|| ApiError::invalid("amount_msat", format!("must be from 1 to {MAX_AMOUNT_MSAT}")))?;
    // The destination stands on a line of the text to sign; a line break in it would forge the next line.
    let on_one_line = |text: &&String| {
        (1..=MAX_DESTINATION_BYTES).contains(&text.len())
            && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
    };
    let destination = body.destination.as_ref().filter(on_one_line).ok_or_else(|| {
        ApiError::invalid("destination", format!("must be 1 to {MAX_DESTINATION_BYTES} printable characters"))
    })?;
    Ok(Purpose::StepUp { amount_msat, destination: destination.clone() })
}
