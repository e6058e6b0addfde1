//! A webhook endpoint: where events go, which, and under which secrets.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    /// Hears of connected accounts, else of the platform's own objects.
    pub(crate) connect: bool,
    /// Hears of API v2, else of v1: one style for one endpoint.
    pub(crate) thin: bool,
    /// `None` is every event.
    pub(crate) events: Option<Vec<String>>,
    pub(crate) api_version: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) created: i64,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Value,
}

#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) text: String,
    /// Real seconds since 1970, in milliseconds; `None` is for good.
    pub(crate) until_millis: Option<i128>,
}

impl Endpoint {
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.events.as_ref().is_none_or(|events| events.iter().any(|one| one == kind))
    }

    /// The newest first.
    pub(crate) fn live_secrets(&self, now_millis: i128) -> Vec<&str> {
        let live = |secret: &&Secret| secret.until_millis.is_none_or(|until| now_millis < until);
        self.secrets.iter().filter(live).map(|secret| secret.text.as_str()).collect()
    }

    /// What there was stays good until then.
    pub(crate) fn rotate(&mut self, text: &str, old_until_millis: i128) {
        for secret in &mut self.secrets {
            secret.until_millis = Some(secret.until_millis.unwrap_or(i128::MAX).min(old_until_millis));
        }
        self.secrets.insert(0, Secret { text: text.to_owned(), until_millis: None });
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": null,
            "created": self.created,
            "description": self.description,
            "enabled_events": self.events.clone().unwrap_or_else(|| vec!["*".to_owned()]),
            "livemode": false,
            "metadata": self.metadata,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "url": self.url,
        })
    }
}
