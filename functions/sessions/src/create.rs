//! `POST /v1/sessions`

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::db::{self, Transaction};
use shared::http::{self, ApiError, ErrorCode, HeaderValue, Reply, Request, StatusCode, header, idempotent};
use shared::session::child::NewChild;
use shared::session::{Device, Platform};
use uuid::Uuid;

use crate::{Call, Shown};

const MAX_KEY_CHARS: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    user_id: Option<Uuid>,
    device_id: Option<String>,
    platform: Option<Platform>,
    idempotency_key: Option<String>,
}

/// A session that is asked for.
pub struct Asked {
    user_id: Option<Uuid>,
    device_id: Option<String>,
    platform: Option<Platform>,
    key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(flatten)]
    session: Shown,
    refresh_token: &'a str,
}

impl Asked {
    pub fn of(request: &Request) -> Result<Self, ApiError> {
        let body: Body = request.json()?;
        http::device(body.device_id.as_deref(), body.platform)?;
        if let Some(key) = &body.idempotency_key
            && (!(1..=MAX_KEY_CHARS).contains(&key.chars().count()) || key.contains('\0'))
        {
            return Err(ApiError::invalid("idempotencyKey", "must have 1 to 255 characters"));
        }
        let in_header = idempotent::key(request)?.map(str::to_owned);
        if let (Some(one), Some(other)) = (&body.idempotency_key, &in_header)
            && one != other
        {
            return Err(ApiError::invalid("idempotencyKey", "is not what the header Idempotency-Key says"));
        }
        Ok(Self {
            user_id: body.user_id,
            device_id: body.device_id,
            platform: body.platform,
            key: body.idempotency_key.or(in_header),
        })
    }
}

pub async fn handle(call: &Call<'_>, tx: Transaction<'_>, asked: &Asked) -> Result<Reply, ApiError> {
    let (session, now) = (call.session, call.now);
    if asked.user_id.is_some_and(|user_id| user_id != session.user_id) {
        return Err(ApiError::new(ErrorCode::Forbidden, "a session is made by its owner"));
    }
    let child = NewChild {
        id: call.deps.random.id(now),
        user_id: session.user_id,
        parent_id: session.id,
        device: Device { id: asked.device_id.as_deref(), platform: asked.platform },
        idempotency_key: asked.key.as_deref(),
        ip: call.request.source_ip,
        user_agent: call.request.header("user-agent"),
        now,
    };
    let made = call.deps.sessions.open_child(&tx, &child).await?;
    let id = made.session.id;
    if !made.is_replayed {
        let details = json!({ "parent": session.id, "platform": asked.platform });
        call.note(&tx, "session.created", ("session", id), details).await?;
    }
    db::commit(tx).await?;

    let answer = Answer { session: call.shown(made.session), refresh_token: made.refresh_token.expose() };
    let mut reply = Reply::json(StatusCode::CREATED, &answer);
    if let Ok(place) = HeaderValue::try_from(format!("/v1/sessions/{id}")) {
        reply = reply.with_header(header::LOCATION, place);
    }
    Ok(if made.is_replayed { idempotent::replayed(reply) } else { reply })
}
