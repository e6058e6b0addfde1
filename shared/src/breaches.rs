//! Whether a password is known from a breach, asked without telling it: the service gets five hexadecimal digits of its
//! SHA-1, and answers with the rest of all it knows that begin so.
//!
//! Off unless `BREACHED_PASSWORDS_URL` is given. While the service is away every password is taken, and counted.

use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::HEXUPPER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::metrics;
use crate::upstream::{Asked, BaseUrl, Got, Repeat, Upstream};

/// What the service is told.
const PREFIX_DIGITS: usize = 5;
/// Somebody waits for it.
const WITHIN: Duration = Duration::from_secs(2);

/// Knows who knows.
#[derive(Clone)]
pub struct Breaches {
    service: Option<(Upstream, BaseUrl)>,
}

impl Breaches {
    /// Reads `BREACHED_PASSWORDS_URL`, behind which the five digits are put: `https://api.pwnedpasswords.com/range`.
    pub fn wire(config: &mut Config) -> Self {
        let Some(url) = config.optional("BREACHED_PASSWORDS_URL") else { return Self { service: None } };
        let upstream = Upstream::wire(config);
        let base = BaseUrl::read(config, "BREACHED_PASSWORDS_URL", &url, upstream.scheme());
        Self { service: base.map(|base| (upstream, base)) }
    }

    /// Whether the service knows the password. It does not when nobody can be asked.
    pub async fn know(&self, password: &str) -> bool {
        let Some((upstream, base)) = &self.service else { return false };
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let digits = Zeroizing::new(HEXUPPER.encode(sha1.as_ref()));
        let (prefix, rest) = digits.split_at(PREFIX_DIGITS);
        let mut headers = HeaderMap::new();
        // So that the length of the answer does not tell the prefix.
        headers.insert(HeaderName::from_static("add-padding"), HeaderValue::from_static("true"));
        let asked = Asked {
            method: Method::GET,
            url: base.with(&format!("/{prefix}")),
            headers,
            body: None,
            repeat: Repeat::Safe,
            metric: "BreachesMilliseconds",
            within: Some(WITHIN),
        };
        match upstream.once(&asked).await {
            Ok(Got { status: StatusCode::OK, body, .. }) => lists(&body, rest),
            Ok(Got { status, .. }) => away(status.as_str()),
            Err(missed) => away(&missed.to_string()),
        }
    }
}

/// Whether one of the lines `rest:times` is this one. Padding is listed as seen no times.
fn lists(body: &[u8], rest: &str) -> bool {
    let found = body.split(|byte| *byte == b'\n').find_map(|line| {
        let (digits, times) = line.trim_ascii().split_at_checked(rest.len())?;
        digits.eq_ignore_ascii_case(rest.as_bytes()).then_some(times)
    });
    found.is_some_and(|times| times.starts_with(b":") && times != b":0")
}

fn away(why: &str) -> bool {
    metrics::count("BreachCheckSkipped");
    tracing::warn!(target: "breaches", why, "a password was not looked up");
    false
}

#[cfg(test)]
mod tests {
    use super::lists;

    #[test]
    fn a_line_is_the_rest_of_the_digest_and_how_often_it_was_seen() {
        let rest = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
        let answer = format!("0018A45C4D1DEF81644B54AB7F969B88D65:10\r\n{rest}:9659365\r\n");
        assert!(lists(answer.as_bytes(), rest));
        assert!(lists(answer.to_lowercase().as_bytes(), rest));
        assert!(!lists(answer.as_bytes(), "2E4C9B93F3F0682250B6CF8331B7EE68FD8"));
        assert!(!lists(format!("{rest}:0").as_bytes(), rest), "padding");
        assert!(!lists(rest.as_bytes(), rest) && !lists(b"", rest) && !lists(b"\xff\n:\n", rest));
    }
}
