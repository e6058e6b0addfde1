//! `POST /v1/webhooks/stripe`, `POST /v1/webhooks/stripe/connect` — Stripe tells us what happened.
//!
//! Delivery is at least once, in any order, and by either endpoint. What is signed by one of the endpoint's secrets is
//! written down once, as the bytes that came, and what follows from it for payments, subscriptions and payouts is made
//! so in the same transaction. A copy finds the row and changes nothing. Whatever is signed and readable is answered
//! with 200, also what nothing follows from: Stripe would only send it again.

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Db;
use shared::http::{ApiError, ErrorCode, Reply, Request, not_configured};
use shared::metrics;
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::stripe::webhook::{self as delivery, EndpointSecrets, EndpointSecretsDocument, SignatureError};
use shared::stripe::{API_VERSION, Content, Event};
use shared::upstream::Provider;
use shared::webhook::processor::livemode;
use shared::webhook::stripe::{self as events, Delivery, Plan};
use shared::webhook::{Recorded, reason};
use time::{Duration, OffsetDateTime};

const SIGNATURE: &str = "stripe-signature";
/// A signature by none of the secrets may be by one that was put there since they were fetched. Whoever forges makes us
/// look no more often than this.
const LOOK_AGAIN_AFTER: Duration = Duration::seconds(5);

pub struct Deps {
    db: Db,
    endpoints: Option<SecretHandle<EndpointSecrets>>,
    sealing: SecretHandle<KeyRing>,
    clock: Clock,
    random: Random,
    livemode: bool,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            endpoints: config.optional_secret::<EndpointSecretsDocument, _>("STRIPE_WEBHOOKS_SECRET"),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            clock: config.clock(),
            random: config.random(),
            livemode: livemode(config),
        }
    }
}

/// Whose events an endpoint is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// Our own account's.
    Platform,
    /// Those of the accounts connected to ours.
    Connect,
}

#[derive(Serialize)]
struct Answer {
    received: bool,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let endpoint = if request.path.ends_with("/connect") { Endpoint::Connect } else { Endpoint::Platform };
    let body = request.webhook_body()?;
    let now = deps.clock.now();
    verify(deps, endpoint, (request.sole_header(SIGNATURE), body), now).await?;
    let event = Event::parse(body).map_err(|error| {
        ApiError::new(ErrorCode::MalformedRequest, "the body is not an event of Stripe").caused_by(error)
    })?;
    let plan = plan(&event, endpoint, deps.livemode);

    let ring = deps.sealing.get().await?;
    let mut connection = deps.db.connection().await?;
    let told = Delivery { event: &event, body, plan: &plan, ring: &ring, random: &deps.random, now };
    let recorded = events::take_in(&mut connection, &told).await?;
    metrics::count(if recorded == Recorded::New { "WebhookReceived" } else { "WebhookRepeated" });
    Ok(Reply::ok(&Answer { received: true }))
}

/// Whether one of the endpoint's secrets signed the body, within the time Stripe's own libraries allow.
async fn verify(
    deps: &Deps,
    endpoint: Endpoint,
    (signature, body): (Option<&str>, &[u8]),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let Some(secrets) = &deps.endpoints else { return Err(not_configured(Provider::Stripe)) };
    let by = |secrets: &EndpointSecrets| {
        let secrets = match endpoint {
            Endpoint::Platform => &secrets.platform,
            Endpoint::Connect => &secrets.connect,
        };
        delivery::verify(signature, body, secrets, now)
    };
    let mut verified = by(&*secrets.get().await?);
    if verified == Err(SignatureError::Wrong)
        && let Some(fresh) = secrets.get_if_older(LOOK_AGAIN_AFTER).await
    {
        verified = by(&fresh);
    }
    verified.map_err(|error| {
        metrics::count("WebhookRefused");
        ApiError::new(
            ErrorCode::WebhookRejected,
            "the body is not signed by this endpoint's secret, or not now",
        )
        .caused_by(error)
    })
}

/// What follows from the event, by this endpoint and in this deployment.
fn plan(event: &Event, endpoint: Endpoint, livemode: bool) -> Plan {
    if event.api_version.as_deref().is_some_and(|version| version != API_VERSION) {
        tracing::warn!(target: "webhook", event_id = event.id, version = event.api_version, "an event of another API version");
    }
    // A thin event names the account it is about wherever it is sent.
    let is_thin = matches!(event.content, Content::Thin(_));
    if !is_thin && (endpoint == Endpoint::Connect) != event.account.is_some() {
        return Plan::Ignore(reason::WRONG_ENDPOINT);
    }
    events::plan(event, livemode)
}
