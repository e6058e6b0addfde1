//! What a user asks for when they ask for an invoice.

/// What the length of a BOLT11 field leaves for its description.
const MAX_MEMO_BYTES: usize = 639;
const LEAST_EXPIRY_SECONDS: u32 = 60;
const MOST_EXPIRY_SECONDS: u32 = 86_400;
const DEFAULT_EXPIRY_SECONDS: u32 = 900;
const MSAT_PER_SAT: u64 = 1_000;

/// An invoice as asked for, every field read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub amount_msat: u64,
    pub memo: String,
    /// BTCPay counts in these.
    pub expiry_minutes: u32,
}

impl Order {
    /// The error names the field, as callers spell it. BTCPay knows whole satoshis and whole minutes: an amount with a
    /// fraction is refused, because nobody may be paid another amount than they asked for; a time is rounded up.
    pub fn parse(
        (amount_msat, memo, expiry_seconds): (i64, Option<String>, Option<u32>),
        most_sats: u32,
    ) -> Result<Self, (&'static str, String)> {
        let most_msat = u64::from(most_sats) * MSAT_PER_SAT;
        let whole =
            |amount: &u64| (MSAT_PER_SAT..=most_msat).contains(amount) && amount.is_multiple_of(MSAT_PER_SAT);
        let amount_msat = u64::try_from(amount_msat).ok().filter(whole).ok_or_else(|| {
            ("amount_msat", format!("must be whole satoshis: a multiple of 1000 from 1000 to {most_msat}"))
        })?;
        let memo = memo.unwrap_or_default();
        if memo.len() > MAX_MEMO_BYTES || memo.chars().any(char::is_control) {
            return Err((
                "memo",
                format!("must be at most {MAX_MEMO_BYTES} bytes without control characters"),
            ));
        }
        let expiry_seconds = expiry_seconds.unwrap_or(DEFAULT_EXPIRY_SECONDS);
        if !(LEAST_EXPIRY_SECONDS..=MOST_EXPIRY_SECONDS).contains(&expiry_seconds) {
            let range = format!("must be from {LEAST_EXPIRY_SECONDS} to {MOST_EXPIRY_SECONDS}");
            return Err(("expiry_seconds", range));
        }
        Ok(Self { amount_msat, memo, expiry_minutes: expiry_seconds.div_ceil(60) })
    }

    pub fn expiry_seconds(&self) -> u32 {
        self.expiry_minutes * 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(amount: i64, memo: Option<&str>, expiry: Option<u32>) -> &'static str {
        Order::parse((amount, memo.map(str::to_owned), expiry), 1_000_000).unwrap_err().0
    }

    #[test]
    fn an_amount_is_whole_satoshis_up_to_the_most() {
        let amount = |msat| Order::parse((msat, None, None), 1_000_000).unwrap().amount_msat;
        for good in [1_000, 2_000, 250_000, 1_000_000_000] {
            assert_eq!(i64::try_from(amount(good)), Ok(good));
        }
        for bad in [0, 1, 999, 1_001, 1_500, -1_000, 1_000_001_000, i64::MIN, i64::MAX] {
            assert_eq!(refused(bad, None, None), "amount_msat", "{bad}");
        }
    }

    #[test]
    fn a_memo_fits_into_an_invoice() {
        let memo = |text: &str| Order::parse((1_000, Some(text.to_owned()), None), 1).unwrap().memo;
        for good in ["", "two beers", "für dich ☕", &"m".repeat(639)] {
            assert_eq!(memo(good), good);
        }
        // 639 bytes, not characters.
        for bad in ["a\0b", "a\nb", "\u{1b}[31m", &"m".repeat(640), &"ü".repeat(320)] {
            assert_eq!(refused(1_000, Some(bad), None), "memo", "{bad:?}");
        }
    }

    #[test]
    fn a_time_to_live_is_rounded_up_to_whole_minutes() {
        let minutes = |seconds| Order::parse((1_000, None, seconds), 1).unwrap().expiry_minutes;
        let whole = [
            (None, 15),
            (Some(60), 1),
            (Some(61), 2),
            (Some(120), 2),
            (Some(899), 15),
            (Some(86_400), 1_440),
        ];
        for (seconds, expected) in whole {
            assert_eq!(minutes(seconds), expected, "{seconds:?}");
        }
        for bad in [0, 1, 59, 86_401, u32::MAX] {
            assert_eq!(refused(1_000, None, Some(bad)), "expiry_seconds", "{bad}");
        }
    }
}
