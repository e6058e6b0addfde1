//! What a good signature is answered with: a session's tokens, or the approval of one payment.

use serde::Serialize;
use shared::account::IdentityKind;
use shared::challenge::Challenge;
use shared::crypto::Secret;
use shared::db::Transaction;
use shared::http::signed_in::Arrival;
use shared::http::wish::Granted;
use shared::http::{ApiError, Reply, Request};
use shared::lightning::{Did, Pubkey};
use shared::session::Device;
use shared::token::{STEP_UP_TTL, StepUp};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Deps;

#[derive(Serialize)]
struct Answer<T> {
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    custom_token: &'a str,
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    expires_in: u64,
    did: &'a Did,
    #[serde(rename = "lightning_pubkey")]
    pubkey: Pubkey,
    #[serde(rename = "lightning_setup", skip_serializing_if = "Option::is_none")]
    setup: Option<&'a Granted>,
}

#[derive(Serialize)]
struct Approval<'a> {
    #[serde(rename = "stepUpToken")]
    token: &'a str,
    #[serde(rename = "expiresIn")]
    expires_in: i64,
    did: &'a str,
    amount_msat: i64,
    destination: &'a str,
}

/// Who signed in, with which key.
pub struct SignedIn<'a> {
    pub user_id: Uuid,
    pub did: &'a Did,
    pub signer: Pubkey,
    pub device: Device<'a>,
    /// The account is an administrator's, and its token says so.
    pub admin: bool,
}

/// Opens a session and answers with its tokens.
pub async fn session(
    deps: &Deps,
    tx: &Transaction<'_>,
    (request, who, setup): (&Request, &SignedIn<'_>, Option<&Granted>),
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let did = who.did.to_string();
    let arrival = Arrival {
        user_id: who.user_id,
        identity: (IdentityKind::Did, &did),
        pubkey: Some(who.signer),
        device: who.device,
        admin: who.admin,
    };
    let signed_in = deps.sign_ins.open(tx, request, &arrival, now).await?;
    let custom = custom_token(deps, &did, &signed_in.access_token, now).await?;
    Ok(signed_in.with_cookie(Reply::ok(&Answer {
        data: Session {
            custom_token: custom.expose(),
            access_token: signed_in.access_token.expose(),
            refresh_token: signed_in.in_body(),
            expires_in: signed_in.expires_in,
            did: who.did,
            pubkey: who.signer,
            setup,
        },
    })))
}

/// Firebase's own token when a service account is configured, and the access token when none is.
async fn custom_token(
    deps: &Deps,
    uid: &str,
    access: &Secret<String>,
    now: OffsetDateTime,
) -> Result<Secret<String>, ApiError> {
    match &deps.firebase {
        Some(account) => account.get().await?.custom_token(uid, now).map_err(ApiError::internal),
        None => Ok(access.clone()),
    }
}

/// Answers with the approval of the payment that the signed text names.
pub async fn approval(
    deps: &Deps,
    tx: &Transaction<'_>,
    (challenge, user_id): (&Challenge, Uuid),
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let (Some(amount_msat), Some(destination)) = (challenge.amount_msat, &challenge.destination) else {
        return Err(ApiError::internal("a step-up challenge without amount or destination"));
    };
    let did = &challenge.did;
    let step_up = StepUp { user_id, challenge_id: challenge.id, did, amount_msat, destination };
    let token = deps.sign_ins.issuer.step_up(tx, &step_up, now).await?;
    let expires_in = STEP_UP_TTL.whole_seconds();
    Ok(Reply::ok(&Answer {
        data: Approval { token: token.expose(), expires_in, did, amount_msat, destination },
    }))
}
