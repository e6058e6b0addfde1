//! `POST /v1/invoices` — a Lightning invoice on the caller's own store.
//!
//! The wish is on record before BTCPay is asked, and no connection is held while it is. What BTCPay answers is read and
//! compared with the wish before anybody sees it.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::auth::{self, Authenticator, Bearer};
use shared::http::{ApiError, Reply, Request, StatusCode, idempotent, limit};
use shared::invoice::{self, Begun, Claimed, FinishError, Invoice, Key, Left, Made, MakeError, Maker, Order};
use shared::metrics;
use shared::random::Random;
use shared::rate_limit::Limit;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    audit: Auditor,
    maker: Maker,
    clock: Clock,
    random: Random,
    per_user: u32,
    most_sats: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        let db = Db::wire(config);
        Self {
            auth: Authenticator::wire(config),
            audit: Auditor::wire(config),
            maker: Maker::wire(config, &db),
            clock: config.clock(),
            random: config.random(),
            per_user: config.number("RATE_LIMIT_INVOICES_PER_USER", 60, 1..=1_000_000),
            most_sats: config.number("INVOICE_MAX_SATS", 1_000_000_000, 1..=u32::MAX),
            db,
        }
    }
}

#[derive(Deserialize)]
struct Body {
    amount_msat: i64,
    memo: Option<String>,
    expiry_seconds: Option<u32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    invoice_id: Uuid,
    bolt11: &'a str,
    payment_hash: String,
    amount_msat: u64,
    expires_at: String,
}

/// Who asks, for as long as the request takes.
struct Caller<'a> {
    request: &'a Request,
    bearer: Bearer<'a>,
    now: OffsetDateTime,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let caller = Caller { request, bearer: auth::bearer(request)?, now: deps.clock.now() };
    let Body { amount_msat, memo, expiry_seconds } = request.json()?;
    let order = Order::parse((amount_msat, memo, expiry_seconds), deps.most_sats)
        .map_err(|(field, why)| ApiError::invalid(field, why))?;

    let claimed = match begin(deps, &caller, &order).await? {
        Begun::Made(invoice) => return Ok(idempotent::replayed(answer(&invoice)?)),
        Begun::Ours(claimed) => claimed,
    };
    let made = match deps.maker.make(&claimed).await {
        Ok(made) => made,
        Err(error) => {
            let left = if matches!(error, MakeError::Mistaken(_)) { Left::Refused } else { Left::Unfinished };
            return Err(fail(deps, &caller, &claimed, left, error.into()).await);
        }
    };
    finish(deps, &caller, &claimed, &made).await?;
    metrics::count("InvoiceCreated");
    answer(&made.invoice)
}

/// Counts the request, and writes down what is to be made.
async fn begin(deps: &Deps, caller: &Caller<'_>, order: &Order) -> Result<Begun, ApiError> {
    let key = idempotent::key(caller.request)?;
    let key = key.map(|key| Key { key, fingerprint: idempotent::fingerprint(caller.request) });

    let mut connection = deps.db.connection().await?;
    let (tx, session) = deps.auth.begin(&mut connection, &caller.bearer, caller.now).await?;
    let subject = session.user_id.to_string();
    limit::check(&tx, &[Limit::new("create_invoice", &subject, deps.per_user)], caller.now).await?;
    // By itself, so that a request that fails is counted all the same.
    db::commit(tx).await?;

    let tx = connection.transaction().await?;
    let session = deps.auth.enter(&tx, &caller.bearer, caller.now).await?;
    let ids = (deps.random.id(caller.now), session.user_id);
    let begun = invoice::begin(&tx, ids, order, key, caller.now).await?;
    db::commit(tx).await?;
    Ok(begun)
}

/// Writes down what was made, and that it was. An invoice that turns out to be another's is left as refused.
async fn finish(deps: &Deps, caller: &Caller<'_>, claimed: &Claimed, made: &Made) -> Result<(), ApiError> {
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let session = deps.auth.enter(&tx, &caller.bearer, caller.now).await?;
    let now = deps.clock.now();
    let done = invoice::finish(&tx, claimed, (made.btcpay_id.as_str(), &made.invoice), now).await;
    if let Err(error) = done {
        let another = matches!(error, FinishError::NotItsOwn);
        drop(tx);
        drop(connection);
        let error = ApiError::from(error);
        return Err(if another { fail(deps, caller, claimed, Left::Refused, error).await } else { error });
    }
    let id = claimed.id.to_string();
    let entry = Entry {
        user_id: Some(session.user_id),
        action: "invoice.created",
        resource: ("invoice", &id),
        details: serde_json::json!({
            "amount_msat": made.invoice.amount_msat,
            "btcpay_invoice_id": made.btcpay_id.as_str(),
            "btcpay_store_id": claimed.store,
        }),
        origin: caller.request.origin(),
        now,
    };
    deps.audit.append(&tx, &entry).await?;
    Ok(db::commit(tx).await?)
}

/// Lets go of the row. If that fails as well, its lease ends by itself.
async fn fail(deps: &Deps, caller: &Caller<'_>, claimed: &Claimed, left: Left, error: ApiError) -> ApiError {
    metrics::count("InvoiceFailed");
    if let Err(error) = leave(deps, caller, claimed, left).await {
        let cause = error.causes();
        tracing::warn!(target: "invoice", invoice_id = %claimed.id, cause, "the row stays leased until its time is up");
    }
    error
}

async fn leave(deps: &Deps, caller: &Caller<'_>, claimed: &Claimed, left: Left) -> Result<(), ApiError> {
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    deps.auth.enter(&tx, &caller.bearer, caller.now).await?;
    invoice::leave(&tx, claimed, left, deps.clock.now()).await?;
    Ok(db::commit(tx).await?)
}

fn answer(invoice: &Invoice) -> Result<Reply, ApiError> {
    let answer = Answer {
        invoice_id: invoice.id,
        bolt11: &invoice.bolt11,
        payment_hash: HEXLOWER.encode(&invoice.payment_hash),
        amount_msat: invoice.amount_msat,
        expires_at: invoice.expires_at.format(&Rfc3339).map_err(ApiError::internal)?,
    };
    Ok(Reply::json(StatusCode::CREATED, &answer))
}
