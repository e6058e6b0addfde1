//! Times as an operator gives them.

use anyhow::{Context, Result, bail};
use shared::db::{self, GenericClient};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// A moment, or how long ago it was.
#[derive(Clone, Copy, Debug)]
pub enum When {
    At(OffsetDateTime),
    Ago(Duration),
}

/// `2026-01-09T12:00:00Z`, or `90s`, `15m`, `2h`, `3d` ago.
pub fn when(text: &str) -> Result<When> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(When::At(time));
    }
    match ago(text) {
        Some(ago) => Ok(When::Ago(ago)),
        None => bail!("a time is like 2026-01-09T12:00:00Z, or like 90s, 15m, 2h or 3d ago"),
    }
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number = &text[..text.len() - unit.len_utf8()];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    Some(Duration::seconds(number.parse::<i64>().ok()?.checked_mul(seconds)?))
}

impl When {
    pub fn before(self, now: OffsetDateTime) -> Result<OffsetDateTime> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(ago) => now.checked_sub(ago).context("that was before there were years"),
        }
    }
}

/// The time by the database, which functions are close to: this machine's may be anywhere.
pub async fn now(client: &impl GenericClient) -> Result<OffsetDateTime> {
    Ok(db::query_one(client, "SELECT clock_timestamp() AS now", &[]).await?.get("now"))
}
