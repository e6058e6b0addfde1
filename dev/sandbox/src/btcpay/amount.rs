//! Money: decimal text on one side, millisatoshi on the other, never a binary fraction between them.

use serde_json::Value;

/// The two currencies the sandbox knows a rate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Currency {
    Btc,
    Sats,
}

impl Currency {
    pub(crate) fn parse(code: &str) -> Option<Self> {
        match code.to_ascii_uppercase().as_str() {
            "BTC" => Some(Self::Btc),
            "SATS" => Some(Self::Sats),
            _ => None,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Btc => "BTC",
            Self::Sats => "SATS",
        }
    }

    /// Of this currency in one bitcoin.
    pub(crate) fn rate(self) -> &'static str {
        match self {
            Self::Btc => "1",
            Self::Sats => "100000000",
        }
    }

    /// Decimal places of a millisatoshi.
    fn places(self) -> usize {
        match self {
            Self::Btc => 11,
            Self::Sats => 3,
        }
    }

    /// Parts of a millisatoshi are rounded up; `None` for what is no amount or too much of it.
    pub(crate) fn msat(self, text: &str) -> Option<u64> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return None;
        }
        let (kept, rest) = part.split_at(part.len().min(self.places()));
        let whole: u64 = whole.parse().ok()?;
        let kept: u64 = format!("{kept:0<places$}", places = self.places()).parse().ok()?;
        let up = u64::from(rest.bytes().any(|b| b != b'0'));
        whole
            .checked_mul(10_u64.checked_pow(u32::try_from(self.places()).ok()?)?)?
            .checked_add(kept)?
            .checked_add(up)
    }

    /// As many places as it takes, and in bitcoin at least the usual eight.
    pub(crate) fn text(self, msat: u64) -> String {
        let places = self.places();
        let digits = format!("{msat:0>width$}", width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        let part = part.strip_suffix("000").unwrap_or(part);
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

/// An amount as callers write it, text or number.
pub(crate) fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Currency::{Btc, Sats};

    #[test]
    fn amounts_keep_every_millisatoshi() {
        for (currency, text, msat) in [
            (Btc, "0.00050000", Some(50_000_000)),
            (Btc, "0.00000000001", Some(1)),
            (Btc, "0.000000000011", Some(2)),
            (Btc, "21", Some(2_100_000_000_000)),
            (Sats, "1000", Some(1_000_000)),
            (Sats, "0.5", Some(500)),
            (Sats, "", None),
            (Sats, "-1", None),
            (Btc, "1e-3", None),
            (Btc, "99999999999999999999", None),
        ] {
            assert_eq!(currency.msat(text), msat, "{text}");
        }
        assert_eq!(Btc.text(50_000_000), "0.00050000");
        assert_eq!(Btc.text(1), "0.00000000001");
        assert_eq!(Sats.text(1_000_000), "1000");
        assert_eq!(Sats.text(1_500), "1.500");
    }
}
