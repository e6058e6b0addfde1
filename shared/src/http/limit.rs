//! Rate limits at the edge: counted before the work, answered with when to come back.

use std::net::IpAddr;

use super::{ApiError, ErrorCode, HeaderName, HeaderValue, Request, header};
use crate::config::Config;
use crate::db::GenericClient;
use crate::lightning::Did;
use crate::rate_limit::{self, Exceeded, Limit, WINDOW};
use time::OffsetDateTime;

/// The limits on what anybody may ask without a session: so often for one address, and much less often for
/// one address and one DID.
pub struct SignInLimits {
    per_did: u32,
    per_address: u32,
}

impl SignInLimits {
    /// Wires `RATE_LIMIT_SIGN_IN_PER_DID` (10) and `RATE_LIMIT_SIGN_IN_PER_ADDRESS` (300).
    pub fn wire(config: &mut Config) -> Self {
        Self {
            per_did: config.number("RATE_LIMIT_SIGN_IN_PER_DID", 10, 1..=1_000_000),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
        }
    }

    /// Counts the request. `scope` keeps the endpoints' counts apart.
    pub async fn check(
        &self,
        client: &impl GenericClient,
        (scope, request, did): (&str, &Request, &Did),
        now: OffsetDateTime,
    ) -> Result<(), ApiError> {
        let address = address(request);
        let limits = [
            Limit::new(&format!("{scope}:did"), &format!("{address}\n{did}"), self.per_did),
            Limit::new(scope, &address, self.per_address),
        ];
        check(client, &limits, now).await
    }
}

/// So many requests a minute from one address, whoever sends them.
pub fn per_address(scope: &str, request: &Request, quota: u32) -> Limit {
    Limit::new(scope, &address(request), quota)
}

/// Where a request counts as coming from.
pub fn address(request: &Request) -> String {
    request.source_ip.map_or_else(String::new, network)
}

/// Whom an address stands for: an IPv6 caller has a /64 of them to choose from.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counts the request and refuses it when a limit is passed. Call it outside the transaction of the work, so
/// that a request that fails is counted all the same.
pub async fn check(
    client: &impl GenericClient,
    limits: &[Limit],
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    rate_limit::count(client, limits, now).await?.map_err(refusal)
}

/// Counts one failure of `whose`, and says whether it is one to write down: the first of a minute. Trying on fills
/// nobody's disk.
pub async fn is_noted(
    client: &impl GenericClient,
    (scope, whose): (&str, &str),
    now: OffsetDateTime,
) -> Result<bool, ApiError> {
    Ok(rate_limit::count(client, &[Limit::new(scope, whose, 1)], now).await?.is_ok())
}

/// How a request over a limit is answered.
pub fn refusal(exceeded: Exceeded) -> ApiError {
    let Exceeded { quota, retry_after_seconds: seconds } = exceeded;
    let policy = format!("\"default\";q={quota};w={}", WINDOW.whole_seconds());
    let state = format!("\"default\";r=0;t={seconds}");
    let mut error = ApiError::new(ErrorCode::RateLimited, "too many requests; wait for Retry-After seconds")
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            error = error.with_header(HeaderName::from_static(name), value);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn an_ipv6_caller_has_one_count_for_all_addresses_of_its_network() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
    }
}
