//! What is answered by mail. Whoever asks learns nothing of whether there is anybody to get one: the answer is the same,
//! the statements are, and so is the time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{ApiError, ErrorCode, Reply, Request, StatusCode, limit};
use crate::audit::{Auditor, Entry};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{self, Db};
use crate::email::Email;
use crate::mail::{Kind, NewMail, Sender, Written};
use crate::one_time_token::{self, Purpose};
use crate::password::{self, Account};
use crate::random::Random;
use crate::rate_limit::Limit;

/// Takes requests for mails with a token in them.
pub struct ByMail {
    pub sender: Sender,
    pub audit: Auditor,
    clock: Clock,
    random: Random,
    per_address: u32,
    per_email: u32,
}

#[derive(Deserialize)]
struct Body {
    email: Email,
}

#[derive(Serialize)]
struct Accepted {
    accepted: bool,
}

/// Waits until a whole number of seconds has passed since `came`, so that time does not tell what they were spent on.
/// Sending a mail has its place in one, and so has a hash.
pub async fn until_a_whole_second(came: Instant) {
    tokio::time::sleep_until(came + rounded_up(came.elapsed())).await;
}

fn rounded_up(elapsed: Duration) -> Duration {
    Duration::from_secs(elapsed.as_secs() + 1)
}

impl ByMail {
    /// Wires the [`Sender`], the [`Auditor`], `RATE_LIMIT_MAIL_PER_ADDRESS` (10) and `RATE_LIMIT_MAIL_PER_EMAIL` (3).
    pub fn wire(config: &mut Config) -> Self {
        Self {
            sender: Sender::wire(config),
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
            per_address: config.number("RATE_LIMIT_MAIL_PER_ADDRESS", 10, 1..=1_000_000),
            per_email: config.number("RATE_LIMIT_MAIL_PER_EMAIL", 3, 1..=1_000_000),
        }
    }

    /// Mails a token to the address in the body, if it is one of an account that may have it.
    pub async fn ask(&self, db: &Db, request: &Request, purpose: Purpose) -> Result<Reply, ApiError> {
        let started = Instant::now();
        let Body { email } = request.json()?;
        let now = self.clock.now();
        let written = self.write(db, (request, &email, purpose), now).await?;
        self.sender.send_now(db, written).await;
        until_a_whole_second(started).await;
        Ok(Reply::json(StatusCode::ACCEPTED, &Accepted { accepted: true }))
    }

    async fn write(
        &self,
        db: &Db,
        (request, email, purpose): (&Request, &Email, Purpose),
        now: OffsetDateTime,
    ) -> Result<Option<Written>, ApiError> {
        let mut connection = db.connection().await?;
        let limits = [
            // Not the scope in which the tokens that come back are counted.
            limit::per_address(&format!("{}:asked", purpose.name()), request, self.per_address),
            Limit::new(&format!("{}:email", purpose.name()), email.as_str(), self.per_email),
        ];
        limit::check(connection.client(), &limits, now).await?;
        let account = password::find_by_email(connection.client(), email).await?;
        let account = account.filter(|account| may_have(account, purpose));
        // Nobody's: what is written for it is nothing, by the statements that would write it for somebody.
        let user_id = account.as_ref().map_or_else(|| self.random.id(now), |account| account.user_id);
        let tx = connection.transaction().await?;
        let token = one_time_token::issue(&tx, (user_id, purpose, email), &self.random, now).await?;
        let kind = if purpose == Purpose::ResetPassword { Kind::ResetPassword } else { Kind::VerifyEmail };
        let mail = NewMail { user_id, kind, to: email, token: Some(&token), about: None };
        let written = self.sender.mails.put(&tx, &mail, now).await?;
        let entry = Entry {
            user_id: account.as_ref().map(|account| account.user_id),
            action: "mail.asked",
            resource: ("request", &request.id),
            details: json!({ "kind": kind.name(), "known": account.is_some() }),
            origin: request.origin(),
            now,
        };
        self.audit.append(&tx, &entry).await?;
        db::commit(tx).await?;
        Ok(written)
    }
}

/// The answer to a token that is not good, whatever the reason.
pub fn token_gone() -> ApiError {
    ApiError::new(ErrorCode::TokenGone, "the token is unknown, used or expired; ask for another one")
}

/// An address that was never proven, on an account that has no password, was written down by somebody else: whoever
/// reads its mailbox has no claim to the account.
fn may_have(account: &Account, purpose: Purpose) -> bool {
    let is_open = account.deleted_at.is_none();
    let is_proven = account.verified_at.is_some();
    let has_password = account.hash.is_some();
    match purpose {
        Purpose::ResetPassword => is_open && (is_proven || has_password),
        Purpose::VerifyEmail => is_open && !is_proven && has_password,
        Purpose::LinkEmail => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::rounded_up;

    #[test]
    fn what_takes_longer_is_answered_a_whole_second_later() {
        for (elapsed, answered) in [(0, 1), (999, 1), (1_000, 2), (1_001, 2), (4_321, 5)] {
            assert_eq!(
                rounded_up(Duration::from_millis(elapsed)),
                Duration::from_secs(answered),
                "{elapsed}"
            );
        }
    }
}
