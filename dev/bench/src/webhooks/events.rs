//! What Stripe delivers: `payment_intent.succeeded`, each of a payment of ours that waits.
//!
//! Everything follows from a number and the second of its batch, so that `pgbench` can name the same rows.

use super::ground::{Ground, USERS};
use anyhow::{Context, Result};
use bytes::Bytes;
use gateway::http_event;
use sandbox::STRIPE_PLATFORM_SECRET;
use sandbox::stripe::sign;
use serde_json::Value;
use shared::clock::Clock;
use std::ops::Range;
use testing::request::event_text;

pub const PATH: &str = "/v1/webhooks/stripe";
const AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";
/// Stripe's ids are the time in base 62, something of the account's, and something by lot.
const ACCOUNT: &str = "BenchAcct";
pub const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Numbers below the second, times the first, give each of them once, in no order.
pub const SCATTER: (u64, u64) = (7_654_321, 99_999_989);

/// One event, as every contender gets it.
#[derive(Clone)]
pub struct Delivery {
    pub body: Bytes,
    pub signature: String,
    /// The same as Lambda hands it over.
    pub event: Bytes,
}

/// Events of one second.
pub struct Batch {
    pub numbers: Range<u64>,
    pub deliveries: Vec<Delivery>,
    /// What their ids have in common, after `evt_1`, and the time that begins with.
    pub stem: String,
    pub second: i64,
}

/// The event's id, its intent's, its payment's, and that of whose payment it is.
pub struct Ids {
    pub event: String,
    pub intent: String,
    pub payment: String,
    pub user: String,
}

impl Ids {
    pub fn new(stem: &str, n: u64) -> Result<Self> {
        let tail = n * SCATTER.0 % SCATTER.1;
        let of = |kind: &str| format!("{kind}{stem}{tail:08}");
        let uuid = |n: u64| Ok::<_, anyhow::Error>(format!("{n:032}").parse::<uuid::Uuid>()?.to_string());
        Ok(Self { event: of("evt_1"), intent: of("pi_3"), payment: uuid(n)?, user: uuid(n % USERS)? })
    }
}

impl Batch {
    /// Their payments are there from now on.
    pub async fn new(ground: &Ground, numbers: Range<u64>) -> Result<Self> {
        ground.payments(&numbers).await?;
        let second = Clock::system().now().unix_timestamp();
        let stem = format!("{}{ACCOUNT}", base62(second.unsigned_abs()));
        let whole: Value = serde_json::from_str(&event_text("stripe_webhook")?)?;
        let template = whole["body"].as_str().context("the example has no body")?;
        let mut bodies = Vec::new();
        for n in numbers.clone() {
            let ids = Ids::new(&stem, n)?;
            let body = template
                .replace("evt_3SatchelEvent0008", &ids.event)
                .replace("pi_3SatchelPayment0001", &ids.intent)
                .replace("019ba2a0-b600-7000-8000-000000000001", &ids.payment)
                .replace("1767960000", &second.to_string());
            bodies.push(Bytes::from(body));
        }
        Ok(Self { numbers, deliveries: signed(bodies.into_iter())?, stem, second })
    }

    /// The same, as Stripe delivers them again.
    pub fn again(&self) -> Result<Vec<Delivery>> {
        signed(self.deliveries.iter().map(|delivery| delivery.body.clone()))
    }
}

/// Signed in this second.
fn signed(bodies: impl Iterator<Item = Bytes>) -> Result<Vec<Delivery>> {
    let at = Clock::system().now().unix_timestamp();
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", AGENT),
        ("accept", "*/*; q=0.5, application/xml"),
        ("host", "api.example.com"),
        ("stripe-signature", "t=0"),
    ];
    let mut event = http_event("POST", PATH, "{}", &headers)?;
    let mut deliveries = Vec::new();
    for body in bodies {
        let signature = sign(&body, STRIPE_PLATFORM_SECRET, at);
        event["headers"]["stripe-signature"] = signature.clone().into();
        event["body"] = std::str::from_utf8(&body)?.into();
        deliveries.push(Delivery { body, signature, event: serde_json::to_vec(&event)?.into() });
    }
    Ok(deliveries)
}

/// In six digits that sort as the numbers do.
fn base62(mut number: u64) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.as_bytes()[usize::try_from(number % 62).unwrap_or_default()];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ids, base62};

    #[test]
    fn ids_are_as_long_as_stripes_and_sort_by_their_second() {
        let [early, late] = [1_767_960_000, 1_767_960_001].map(base62);
        assert!(early < late, "{early} {late}");
        let ids = Ids::new(&format!("{early}BenchAcct"), 10_000_000).unwrap();
        assert_eq!(ids.event.len(), "evt_1NG8Du2eZvKYlo2CUI79vXWy".len());
        assert_eq!(ids.payment, "00000000-0000-0000-0000-000010000000");
    }
}
