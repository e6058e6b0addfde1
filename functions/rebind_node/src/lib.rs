//! `POST /v1/nodes/rebind` — move an account to another node key.
//!
//! Both keys sign one challenge that names them both. The old key is reserved for ever; all other sessions
//! end; where the node was and what opened it is forgotten, because the new node is elsewhere.

use serde::{Deserialize, Serialize};
use shared::audit::{Auditor, Entry};
use shared::challenge::{self, Challenge, ChallengeType};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, NodeAuthenticator};
use shared::http::{ApiError, ErrorCode, Reply, Request};
use shared::lightning::{Did, Pubkey, signed_message};
use shared::sign_in;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: NodeAuthenticator,
    audit: Auditor,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: NodeAuthenticator::wire(config),
            audit: Auditor::wire(config),
            clock: config.clock(),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    did: Did,
    #[serde(alias = "challengeId")]
    challenge_id: Uuid,
    #[serde(alias = "oldSignature")]
    old_signature: String,
    #[serde(alias = "newSignature")]
    new_signature: String,
}

#[derive(Serialize)]
struct Answer {
    success: bool,
    message: &'static str,
    data: Rebound,
}

#[derive(Serialize)]
struct Rebound {
    did: Did,
    lightning_pubkey: Pubkey,
    sessions_ended: u64,
}

const DID_IS_ITS_KEY: &str = "this DID is made of its key and cannot have another";

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let body: Body = request.json_or_data()?;
    if body.did.self_certified_key().is_some() {
        return Err(ApiError::new(ErrorCode::Conflict, DID_IS_ITS_KEY));
    }
    let now = deps.clock.now();

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &bearer, now).await?;
    let challenge = challenge::find_open(&tx, body.challenge_id, &body.did, now).await?;
    let (old, new) = match judge(&challenge, session.user_id, &body) {
        Ok(keys) => keys,
        Err(refusal) => {
            challenge::note_wrong_answer(&tx, challenge.id).await?;
            db::commit(tx).await?;
            return Err(refusal);
        }
    };

    let sessions_ended = sign_in::rebind(&tx, &challenge, (&session, old, new), now).await?;
    let entry = Entry {
        user_id: Some(session.user_id),
        action: "node.rebound",
        resource: ("challenge", &challenge.id.to_string()),
        details: serde_json::json!({ "did": body.did, "old": old, "new": new, "sessions_ended": sessions_ended }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    db::commit(tx).await?;

    let data = Rebound { did: body.did, lightning_pubkey: new, sessions_ended };
    Ok(Reply::ok(&Answer { success: true, message: "node rebound", data }))
}

/// The account's key and the new one, if the challenge names both and each signed it.
fn judge(challenge: &Challenge, user_id: Uuid, body: &Body) -> Result<(Pubkey, Pubkey), ApiError> {
    let key =
        challenge.account.filter(|account| account.user_id == user_id).and_then(|account| account.pubkey);
    let (ChallengeType::NodeRebind, Some(old), Some(new)) = (challenge.kind, key, challenge.new_pubkey)
    else {
        return Err(challenge::ChallengeError::Gone.into());
    };
    // The account may have moved since the text was given out; then it tells of a key that is not replaced.
    if !challenge.title.contains(&format!("\nlightning_pubkey: {old}\n")) {
        return Err(challenge::ChallengeError::Gone.into());
    }
    let text = challenge.title.as_bytes();
    for (signature, key) in [(&body.old_signature, old), (&body.new_signature, new)] {
        signed_message::verify(text, signature, &key)?;
    }
    Ok((old, new))
}
