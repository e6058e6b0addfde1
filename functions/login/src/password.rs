use shared::account::{self, IdentityKind};
use shared::crypto::Secret;
use shared::db;
use shared::email::Email;
use shared::http::by_mail::until_a_whole_second;
use shared::http::signed_in::{Arrival, SignedIn};
use shared::http::{ApiError, ErrorCode, Request, account_deleted};
use shared::password::{self, HashError, NewPassword, Password, Verdict};
use shared::session::Device;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Deps, audit};

/// A password may be hashed anew, or changed, by another request between its being read and being used.
const ATTEMPTS: u32 = 3;

/// A password that is right.
struct Verified {
    user_id: Uuid,
    hash: Secret<String>,
    /// The same password in the form of today, where the one kept is older.
    anew: Option<Secret<String>>,
}

pub async fn sign_in(
    deps: &Deps,
    request: &Request,
    (email, password): (&Email, &Password),
    device: Device<'_>,
) -> Result<SignedIn, ApiError> {
    let came = Instant::now();
    let counting = deps.db.connection().await?;
    let delay = deps.limits.check(counting.client(), (request, email), deps.clock.now()).await?;
    // Hashing takes long: nothing waits for that with a connection in hand.
    drop(counting);
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    let now = deps.clock.now();
    for _ in 0..ATTEMPTS {
        let verified = match verify(deps, (email, password)).await? {
            Ok(verified) => verified,
            Err(user_id) => {
                audit::failed(deps, request, (email, user_id), now).await?;
                // Whatever it took to know, and to write it down.
                until_a_whole_second(came).await;
                return Err(refused());
            }
        };
        if let Some(signed_in) = open(deps, request, (email, &verified, device), now).await? {
            return Ok(signed_in);
        }
    }
    Err(ApiError::unavailable("the password changed each time it was read"))
}

/// Whether the password is the account's; if not, whose account it was tried at.
async fn verify(
    deps: &Deps,
    (email, password): (&Email, &Password),
) -> Result<Result<Verified, Option<Uuid>>, ApiError> {
    let connection = deps.db.connection().await?;
    let account = password::find_by_email(connection.client(), email).await?;
    drop(connection);
    let (user_id, hash) = account.map(|account| (account.user_id, account.hash)).unzip();
    let hash = hash.flatten();
    let verdict = match password::verify(password, hash.as_ref()).await {
        // To be told from any other refusal it would have to be answered otherwise: the operator alone is told.
        Err(error @ (HashError::Unreadable | HashError::Refused(_))) => {
            tracing::error!(target: "login", ?user_id, %error, "a password cannot be checked");
            Verdict::Wrong
        }
        verdict => verdict?,
    };
    let (Some(user_id), Some(hash), true) = (user_id, hash, verdict != Verdict::Wrong) else {
        return Ok(Err(user_id));
    };
    let anew = match verdict {
        Verdict::RightButOutdated => {
            Some(password::hash(&NewPassword::from(password.clone()), &deps.random).await?)
        }
        _ => None,
    };
    Ok(Ok(Verified { user_id, hash, anew }))
}

/// Opens a session, unless the password is another one by now.
async fn open(
    deps: &Deps,
    request: &Request,
    (email, verified, device): (&Email, &Verified, Device<'_>),
    now: OffsetDateTime,
) -> Result<Option<SignedIn>, ApiError> {
    let user_id = verified.user_id;
    let mut connection = deps.db.connection().await?;
    let tx = connection.transaction().await?;
    // The account's row first, as whoever unlinks the address locks it.
    let standing = account::note_sign_in(&tx, user_id, now).await?.ok_or_else(account_deleted)?;
    let stands = match &verified.anew {
        Some(anew) => password::replace(&tx, user_id, (&verified.hash, anew), None).await?,
        None => password::hold(&tx, user_id, &verified.hash).await?,
    };
    if !stands {
        return Ok(None);
    }
    let arrival = Arrival {
        user_id,
        identity: (IdentityKind::Email, email.as_str()),
        pubkey: None,
        device,
        admin: standing.admin,
    };
    let signed_in = deps.vouched.sign_ins.open(&tx, request, &arrival, now).await?;
    audit::succeeded(deps, &tx, (request, &signed_in), now).await?;
    db::commit(tx).await?;
    Ok(Some(signed_in))
}

fn refused() -> ApiError {
    ApiError::new(ErrorCode::InvalidCredentials, "the e-mail address or the password is wrong")
}
