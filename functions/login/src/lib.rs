//! `POST /v1/auth/login` — a password or a Privy token becomes a session.
//!
//! Takes JSON, or the form of an `OAuth` password grant, which is answered in the names of RFC 6749. An account nobody
//! has, a wrong password and an account without one are one refusal, after the same hash, the same statements and the
//! same time.

mod audit;
mod body;
mod limits;
mod password;

use shared::account::{External, IdentityKind};
use shared::clock::Clock;
use shared::config::Config;
use shared::db::{self, Db};
use shared::http::limit;
use shared::http::signed_in::{self, SignedIn};
use shared::http::vouched::{Vouched, proven_email};
use shared::http::{ApiError, Reply, Request, StatusCode, sign_in_not_configured};
use shared::privy::Privy;
use shared::random::Random;
use shared::session::Device;
use shared::upstream::Upstream;
use shared::wallet;

use body::{Body, PrivyTokens, Proof};
use limits::Limits;

pub struct Deps {
    db: Db,
    vouched: Vouched,
    privy: Option<Privy>,
    limits: Limits,
    clock: Clock,
    random: Random,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        let upstream = Upstream::wire(config);
        Self {
            db: Db::wire(config),
            vouched: Vouched::wire(config),
            privy: Privy::wire(config, &upstream),
            limits: Limits::wire(config),
            clock: config.clock(),
            random: config.random(),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let outcome = sign_in(deps, request).await;
    signed_in::count(&outcome);
    outcome
}

async fn sign_in(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let body = Body::of(request)?;
    let device = body.device()?;
    let signed_in = match &body.proof {
        Proof::Password(email, password) => {
            password::sign_in(deps, request, (email, password), device).await?
        }
        Proof::Privy(tokens) => by_privy(deps, request, tokens, device).await?,
    };
    Ok(if body.is_oauth { signed_in.oauth_reply() } else { signed_in.reply(StatusCode::OK) })
}

async fn by_privy(
    deps: &Deps,
    request: &Request,
    tokens: &PrivyTokens,
    device: Device<'_>,
) -> Result<SignedIn, ApiError> {
    let privy = deps.privy.as_ref().ok_or_else(|| sign_in_not_configured("privy"))?;
    let now = deps.clock.now();
    let counting = deps.db.connection().await?;
    limit::check(counting.client(), &[deps.limits.address(request)], now).await?;
    // Privy may have to be asked for its keys: nothing waits for that with a connection in hand.
    drop(counting);
    let user = privy.verify(tokens.access.expose(), tokens.identity(), now).await?;

    let email = proven_email(user.email.as_deref(), user.email_verified);
    let external =
        External { kind: IdentityKind::Privy, subject: &user.id, label: None, proven_email: email.as_ref() };
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    let signed_in = deps.vouched.sign_in(&tx, request, (&external, device), now).await?;
    let wallets = user.wallets.iter().map(|wallet| &*wallet.address);
    wallet::prove(&tx, signed_in.user_id, wallets, now).await?;
    db::commit(tx).await?;
    Ok(signed_in)
}
