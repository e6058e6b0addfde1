//! AWS Secrets Manager: versions and their stages, and the AWS JSON 1.1 protocol over them.
//!
//! `AWS_ENDPOINT_URL_SECRETS_MANAGER` is the sandbox's base URL. A request must be signed in form (Signature
//! Version 4, service `secretsmanager`); the signature itself is not checked, for nobody shares a key with us.

mod api;
mod store;

use std::sync::Arc;

use hyper::{Method, http::request::Parts};

pub(crate) use api::answer;
pub(crate) use store::SecretsState;

use crate::{
    Service,
    world::{World, lock},
};

const PREFIX: &str = "secretsmanager.";

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == "/" && parts.headers.contains_key("x-amz-target")
}

/// `GetSecretValue` and the like; empty when the target is another service's.
pub(crate) fn operation(parts: &Parts) -> &str {
    let target = parts.headers.get("x-amz-target").and_then(|v| v.to_str().ok());
    target.and_then(|t| t.strip_prefix(PREFIX)).unwrap_or_default()
}

/// The secrets, as their owner sees them.
#[derive(Clone)]
pub struct Secrets(pub(crate) Arc<World>);

impl Secrets {
    /// A new version becomes `AWSCURRENT`, the one before it `AWSPREVIOUS`. Returns the version's id.
    pub fn put(&self, name: &str, value: &str) -> String {
        let mut secrets = lock(&self.0.secrets);
        let mut counts = lock(&self.0.counts);
        if secrets.find(name).is_none() {
            secrets.create(name, self.0.seed);
            counts.created(Service::SecretsManager, "secret");
        }
        counts.created(Service::SecretsManager, "secret_version");
        secrets.add_version(name, value, None, self.0.seed)
    }

    pub fn remove(&self, name: &str) -> bool {
        let removed = lock(&self.0.secrets).remove(name);
        if removed {
            lock(&self.0.counts).deleted(Service::SecretsManager, "secret");
        }
        removed
    }

    /// The `AWSCURRENT` value; does not count as a read.
    pub fn get(&self, name: &str) -> Option<String> {
        let secrets = lock(&self.0.secrets);
        secrets.find(name)?.staged("AWSCURRENT").map(|version| version.value.clone())
    }

    /// How often `GetSecretValue` handed out this secret's value.
    pub fn reads(&self, name: &str) -> u64 {
        lock(&self.0.secrets).reads(name)
    }
}
