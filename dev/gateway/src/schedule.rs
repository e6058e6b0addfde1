//! The schedules of a template, and the event one sends.

use crate::{ACCOUNT, REGION, clock};
use anyhow::Context;
use serde_json::json;
use serde_yaml_ng::Value;
use std::time::Duration;

/// A `Schedule` or `ScheduleV2` event of a function.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub name: String,
    /// `rate(5 minutes)` or `cron(…)`, as written.
    pub expression: String,
    /// Only a rate is run by the gateway; a `cron(…)` is `None`.
    pub every: Option<Duration>,
    pub enabled: bool,
    /// Sent in place of the event AWS would make.
    pub input: Option<String>,
    source: &'static str,
}

impl Schedule {
    pub(crate) fn read(kind: &str, name: &str, properties: &Value) -> anyhow::Result<Self> {
        let expression = properties.get("ScheduleExpression").or_else(|| properties.get("Schedule"));
        let expression =
            expression.and_then(Value::as_str).with_context(|| format!("{name} has no expression"))?;
        let disabled = properties["State"] == "DISABLED" || properties["Enabled"] == false;
        Ok(Self {
            name: name.to_owned(),
            every: rate(expression),
            expression: expression.to_owned(),
            enabled: !disabled,
            input: properties["Input"].as_str().map(str::to_owned),
            source: if kind == "Schedule" { "aws.events" } else { "aws.scheduler" },
        })
    }

    /// What the function receives.
    pub fn event(&self) -> String {
        let event = || {
            json!({
                "version": "0",
                "id": clock::new_id(),
                "detail-type": "Scheduled Event",
                "source": self.source,
                "account": ACCOUNT,
                "time": clock::rfc3339(clock::now()),
                "region": REGION,
                "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", self.name)],
                "detail": {},
            })
        };
        self.input.clone().unwrap_or_else(|| event().to_string())
    }
}

/// `rate(5 minutes)`.
fn rate(expression: &str) -> Option<Duration> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.trim().split_once(' ')?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    count.parse::<u64>().ok().filter(|count| *count > 0).map(|count| Duration::from_secs(count * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_duration_and_a_cron_is_only_kept() {
        assert_eq!(rate("rate(5 minutes)"), Some(Duration::from_mins(5)));
        assert_eq!(rate("rate(1 hour)"), Some(Duration::from_hours(1)));
        for other in ["cron(0 3 * * ? *)", "rate(0 minutes)", "rate(5 parsecs)", "rate(5 minutes"] {
            assert_eq!(rate(other), None, "{other}");
        }
    }
}
