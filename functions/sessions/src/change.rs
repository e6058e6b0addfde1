//! `PUT /v1/sessions/{id}`, `POST /v1/sessions/{id}/activity`, `PUT /v1/sessions/{id}/push-token` and
//! `POST /v1/sessions/{id}/extend`

use serde::Deserialize;
use serde_json::json;
use shared::crypto::Secret;
use shared::db::{self, Transaction};
use shared::http::{self, ApiError, ErrorCode, Reply, Request};
use shared::session::own::{self, Change, Reach};
use shared::session::{Device, Platform};
use uuid::Uuid;

use crate::{Call, not_found};

const MAX_PUSH_TOKEN_CHARS: usize = 4_096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceBody {
    device_id: Option<String>,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PushTokenBody {
    #[serde(deserialize_with = "Option::deserialize")]
    push_token: Option<Secret<String>>,
}

/// What a session's owner wants changed.
pub enum Wish {
    Device(Option<String>, Option<Platform>),
    Seen,
    Extend,
    PushToken(Option<Secret<String>>),
}

impl Wish {
    pub fn device(request: &Request) -> Result<Self, ApiError> {
        let body: DeviceBody = request.json()?;
        http::device(body.device_id.as_deref(), body.platform)?;
        Ok(Self::Device(body.device_id, body.platform))
    }

    pub fn push_token(request: &Request) -> Result<Self, ApiError> {
        let token = request.json::<PushTokenBody>()?.push_token;
        let fits =
            |token: &Secret<String>| (1..=MAX_PUSH_TOKEN_CHARS).contains(&token.expose().chars().count());
        if token.as_ref().is_some_and(|token| !fits(token)) {
            return Err(ApiError::invalid("pushToken", "must have 1 to 4096 characters, or be null"));
        }
        Ok(Self::PushToken(token))
    }

    /// What the audit log calls it. That a session is in use would be nothing but noise there.
    fn action(&self) -> Option<&'static str> {
        match self {
            Self::Device(..) => Some("session.changed"),
            Self::Seen => None,
            Self::Extend => Some("session.extended"),
            Self::PushToken(_) => Some("session.push_token_set"),
        }
    }
}

pub async fn handle(
    call: &Call<'_>,
    tx: Transaction<'_>,
    (id, wish): (Uuid, &Wish),
) -> Result<Reply, ApiError> {
    let change = match wish {
        Wish::Device(id, platform) => Change::Device(Device { id: id.as_deref(), platform: *platform }),
        Wish::Seen => Change::Seen,
        Wish::Extend => Change::Extend(call.deps.sessions.lifetimes.idle),
        Wish::PushToken(None) => Change::PushToken(None),
        Wish::PushToken(Some(token)) => {
            Change::PushToken(Some(call.deps.sessions.seal_push_token(id, token, call.now).await?))
        }
    };
    let Some(changed) = own::change(&tx, (call.session.user_id, id), &change, call.now).await? else {
        return Err(refusal(call, &tx, id).await?);
    };
    if let Some(action) = wish.action() {
        let details = json!({ "deviceId": changed.device_id, "platform": changed.platform });
        call.note(&tx, action, ("session", id), details).await?;
    }
    db::commit(tx).await?;
    Ok(Reply::ok(&call.shown(changed)))
}

/// Why a session was not changed.
async fn refusal(call: &Call<'_>, tx: &Transaction<'_>, id: Uuid) -> Result<ApiError, ApiError> {
    let found = own::find(tx, id, Reach::of(call.session), call.now).await?;
    Ok(match found {
        None => not_found(),
        Some(found) if found.user_id != call.session.user_id => {
            ApiError::new(ErrorCode::Forbidden, "a session is changed by its owner")
        }
        Some(_) => ApiError::new(ErrorCode::Conflict, "this session has ended"),
    })
}
