//! `POST /v1/challenges/verify` — sign in with the node that signed a challenge.
//!
//! The signature is checked here, against the key on record; the node is never called. The challenge is
//! spent, the account made if need be, the session opened and the audit row written in one transaction. A sign-in may
//! bring names for a Lightning setup, which is begun with it.

mod answer;

use answer::SignedIn;
use serde::Deserialize;
use serde_json::json;
use shared::audit::{Auditor, Entry};
use shared::challenge::{self, Challenge};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::firebase::{ServiceAccount, ServiceAccountDocument};
use shared::http::limit::SignInLimits;
use shared::http::signed_in::{self, SignIns};
use shared::http::wish::Wishes;
use shared::http::{self, ApiError, Reply, Request};
use shared::lightning::{Did, MessageSignature, Pubkey};
use shared::mail::{Kind, Mails};
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::session::Platform;
use shared::sign_in::{self, Decision};
use uuid::Uuid;

pub struct Deps {
    db: Db,
    sign_ins: SignIns,
    audit: Auditor,
    mails: Mails,
    firebase: Option<SecretHandle<ServiceAccount>>,
    clock: Clock,
    random: Random,
    limits: SignInLimits,
    wishes: Wishes,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            sign_ins: SignIns::wire(config),
            audit: Auditor::wire(config),
            mails: Mails::wire(config),
            firebase: config.optional_secret::<ServiceAccountDocument, ServiceAccount>("FIREBASE_SECRET"),
            clock: config.clock(),
            random: config.random(),
            limits: SignInLimits::wire(config),
            wishes: Wishes::wire(config),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    did: Did,
    #[serde(alias = "challengeId")]
    challenge_id: Uuid,
    signature: String,
    username: Option<String>,
    #[serde(alias = "lightningAddress")]
    lightning_address: Option<String>,
    #[serde(alias = "deviceId")]
    device_id: Option<String>,
    platform: Option<Platform>,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let outcome = sign_in(deps, request).await;
    signed_in::count(&outcome);
    outcome
}

async fn sign_in(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body: Body = request.json_or_data()?;
    let wish = deps
        .wishes
        .parse(body.username.as_deref(), ("lightning_address", body.lightning_address.as_deref()))?;
    let device = http::device(body.device_id.as_deref(), body.platform)?;
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    deps.limits.check(connection.client(), ("verify_lightning_signature", request, &body.did), now).await?;
    let challenge = challenge::find_open(connection.client(), body.challenge_id, &body.did, now).await?;
    let (signer, decision) = match judge(&challenge, &body) {
        Ok(judged) => judged,
        Err(refusal) => {
            challenge::note_wrong_answer(connection.client(), challenge.id).await?;
            return Err(refusal);
        }
    };

    let mut tx = connection.transaction().await?;
    let new_user_id = deps.random.id(now);
    let arrival =
        sign_in::carry_out(&tx, &challenge, (decision, &body.did, signer), new_user_id, now).await?;
    let user_id = arrival.user_id;
    let entry = Entry {
        user_id: Some(user_id),
        action: arrival.action,
        resource: ("challenge", &challenge.id.to_string()),
        details: json!({ "did": challenge.did, "type": challenge.kind.name(), "pubkey": signer }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    if let Decision::Link(_) = decision {
        deps.mails.tell(&tx, (user_id, Kind::IdentityLinked, Some("a node")), now).await?;
    }
    if let Decision::StepUp(_) = decision {
        let reply = answer::approval(deps, &tx, (&challenge, user_id), now).await?;
        db::commit(tx).await?;
        return Ok(reply);
    }
    let granted = match &wish {
        Some(intent) => {
            let wished = (request.origin(), now);
            Some(deps.wishes.grant(&mut tx, (user_id, intent), &deps.audit, wished).await?)
        }
        None => None,
    };
    let who = SignedIn { user_id, did: &body.did, signer, device, admin: arrival.admin };
    let reply = answer::session(deps, &tx, (request, &who, granted.as_ref()), now).await?;
    db::commit(tx).await?;
    if let Some(granted) = granted {
        granted.count();
    }
    Ok(reply)
}

/// The key that signed, and what that leads to.
fn judge(challenge: &Challenge, body: &Body) -> Result<(Pubkey, Decision), ApiError> {
    let signature: MessageSignature = body.signature.parse()?;
    let signer = signature.recover(challenge.title.as_bytes())?;
    Ok((signer, sign_in::decide(challenge, &body.did, signer)?))
}
