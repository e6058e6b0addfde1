//! `POST /v1/auth/register` — an account with an e-mail address and a password, and its first session.
//!
//! The address is not proven yet: until its mailbox has answered, the account links nothing. Of any number of callers
//! with one address, one gets the account. Names for a Lightning setup may come along, as they may with a sign-in.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::account::{self, IdentityKind};
use shared::audit::{Auditor, Entry};
use shared::breaches::Breaches;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::{self, Db, Transaction};
use shared::email::Email;
use shared::http::signed_in::{Arrival, SignIns, SignedIn};
use shared::http::wish::{Granted, Wishes};
use shared::http::{self, ApiError, Reply, Request, StatusCode, limit};
use shared::mail::{Kind, NewMail, Sender, Written};
use shared::metrics;
use shared::one_time_token::{self, Purpose};
use shared::password::{self, NewPassword};
use shared::random::Random;
use shared::session::{Device, Platform};
use shared::setup::Intent;
use time::OffsetDateTime;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    sign_ins: SignIns,
    sender: Sender,
    audit: Auditor,
    wishes: Wishes,
    breaches: Breaches,
    clock: Clock,
    random: Random,
    per_address: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            sign_ins: SignIns::wire(config),
            sender: Sender::wire(config),
            audit: Auditor::wire(config),
            wishes: Wishes::wire(config),
            breaches: Breaches::wire(config),
            clock: config.clock(),
            random: config.random(),
            per_address: config.number("RATE_LIMIT_REGISTER_PER_ADDRESS", 20, 1..=1_000_000),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    email: Email,
    password: NewPassword,
    username: Option<String>,
    #[serde(alias = "lightning_address")]
    lightning_address: Option<String>,
    platform: Option<Platform>,
    device_id: Option<String>,
}

/// What the answer says besides the tokens.
#[derive(Serialize)]
struct More<'a> {
    #[serde(rename = "lightning_setup", skip_serializing_if = "Option::is_none")]
    setup: Option<&'a Granted>,
}

/// What was made in one transaction.
struct Made {
    signed_in: SignedIn,
    granted: Option<Granted>,
    mail: Option<Written>,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body: Body = request.json()?;
    let wish = deps
        .wishes
        .parse(body.username.as_deref(), ("lightningAddress", body.lightning_address.as_deref()))?;
    let device = http::device(body.device_id.as_deref(), body.platform)?;
    let now = deps.clock.now();

    let connection = deps.db.connection().await?;
    let limits = [limit::per_address("register_account", request, deps.per_address)];
    limit::check(connection.client(), &limits, now).await?;
    // Hashing takes its time, and so does whoever knows of breaches.
    drop(connection);
    http::not_breached(&deps.breaches, ("password", &body.password)).await?;
    let hash = password::hash(&body.password, &deps.random).await?;

    let mut connection = deps.db.connection().await?;
    let mut tx = connection.transaction().await?;
    let made = make(deps, &mut tx, (request, &body, device), (&hash, wish.as_ref()), now).await?;
    db::commit(tx).await?;
    drop(connection);

    metrics::count("AccountRegistered");
    if let Some(granted) = &made.granted {
        granted.count();
    }
    deps.sender.send_now(&deps.db, made.mail).await;
    Ok(made.signed_in.reply_with(StatusCode::CREATED, &More { setup: made.granted.as_ref() }))
}

/// The account, its password, the token that proves its address, and its first session.
async fn make(
    deps: &Deps,
    tx: &mut Transaction<'_>,
    (request, body, device): (&Request, &Body, Device<'_>),
    (hash, wish): (&Secret<String>, Option<&Intent>),
    now: OffsetDateTime,
) -> Result<Made, ApiError> {
    let user_id: Uuid = deps.random.id(now);
    let email = &body.email;
    account::create_with_email(&*tx, user_id, email, None, now).await?;
    account::note_sign_in(&*tx, user_id, now).await?;
    password::set(&*tx, user_id, hash, now).await?;
    let token =
        one_time_token::issue(&*tx, (user_id, Purpose::VerifyEmail, email), &deps.random, now).await?;
    let mail = NewMail { user_id, kind: Kind::VerifyEmail, to: email, token: Some(&token), about: None };
    let mail = deps.sender.mails.put(&*tx, &mail, now).await?;
    let arrival = Arrival {
        user_id,
        identity: (IdentityKind::Email, email.as_str()),
        pubkey: None,
        device,
        admin: false,
    };
    let signed_in = deps.sign_ins.open(&*tx, request, &arrival, now).await?;
    let entry = Entry {
        user_id: Some(user_id),
        action: "account.registered",
        resource: ("user", &user_id.to_string()),
        details: json!({ "identity": "email", "session": signed_in.session_id }),
        origin: request.origin(),
        now,
    };
    deps.audit.append(&*tx, &entry).await?;
    let granted = match wish {
        Some(intent) => {
            let wished = (request.origin(), now);
            Some(deps.wishes.grant(tx, (user_id, intent), &deps.audit, wished).await?)
        }
        None => None,
    };
    Ok(Made { signed_in, granted, mail })
}
