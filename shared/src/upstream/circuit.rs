//! What fails together.

use super::Provider;

/// A provider, or one host of it when its hosts have nothing to do with each other: a circuit breaker has this much
/// to protect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Circuit {
    provider: Provider,
    host: String,
}

impl Circuit {
    pub(crate) fn of_host(provider: Provider, host: &str) -> Self {
        Self { provider, host: host.to_owned() }
    }

    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// With its port; empty for a provider as a whole.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl From<Provider> for Circuit {
    fn from(provider: Provider) -> Self {
        Self { provider, host: String::new() }
    }
}
