//! How often somebody may try: nobody guesses a password here, and nobody locks its owner out by trying.

use std::time::Duration;

use shared::account;
use shared::config::Config;
use shared::db::GenericClient;
use shared::email::Email;
use shared::http::{ApiError, Request, limit};
use shared::rate_limit::{self, Limit};
use time::OffsetDateTime;

/// How long somebody waits who comes from where the account was signed in to before, while others flood it.
const DELAY: Duration = Duration::from_secs(1);

/// What may happen in a minute.
pub struct Limits {
    /// From one address at one account.
    pair: u32,
    account: u32,
    address: u32,
}

impl Limits {
    /// Wires `RATE_LIMIT_LOGIN_PER_ADDRESS_AND_ACCOUNT` (10), `RATE_LIMIT_LOGIN_PER_ACCOUNT` (60) and
    /// `RATE_LIMIT_SIGN_IN_PER_ADDRESS` (300).
    pub fn wire(config: &mut Config) -> Self {
        let mut number = |name, default| config.number(name, default, 1..=1_000_000);
        Self {
            pair: number("RATE_LIMIT_LOGIN_PER_ADDRESS_AND_ACCOUNT", 10),
            account: number("RATE_LIMIT_LOGIN_PER_ACCOUNT", 60),
            address: number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300),
        }
    }

    /// What any login from the request's address counts against.
    pub fn address(&self, request: &Request) -> Limit {
        limit::per_address("login", request, self.address)
    }

    /// Counts one try of the account, whether or not there is one, and says how long to wait with it.
    pub async fn check(
        &self,
        client: &impl GenericClient,
        (request, email): (&Request, &Email),
        now: OffsetDateTime,
    ) -> Result<Option<Duration>, ApiError> {
        let (address, account) = (limit::address(request), email.as_str());
        let limits = [
            Limit::new("login:address:account", &format!("{address}\n{account}"), self.pair),
            self.address(request),
        ];
        limit::check(client, &limits, now).await?;
        // By itself: what one address may not try any more uses up nothing of the account's.
        let by_account = Limit::new("login:account", account, self.account);
        match rate_limit::count(client, &[by_account], now).await? {
            Ok(()) => Ok(None),
            Err(_) if account::is_known_from(client, email, &address).await? => Ok(Some(DELAY)),
            Err(exceeded) => Err(limit::refusal(exceeded)),
        }
    }
}
