//! Secret documents from AWS Secrets Manager, parsed once and kept for at most [`KEPT_FOR`].
//!
//! A document holds what is current and what was current before, so a value that was rotated away stays
//! good for as long as some function may still hold it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::pin::Pin;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Region, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde::de::DeserializeOwned;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::crypto::Secret;

const KEPT_FOR: Duration = Duration::seconds(300);
/// How long a kept copy is used before Secrets Manager, found away, is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::seconds(30);
/// How long a request waits for a newer copy than the one it has.
const WAIT_WITH_A_COPY: std::time::Duration = std::time::Duration::from_secs(1);
const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Why a secret cannot be used. The text names the secret and never quotes it.
#[derive(Debug)]
pub enum SecretError {
    /// Secrets Manager did not answer; it may later.
    Unavailable { id: String, source: String },
    /// The secret is missing, not ours to read, or not what it should be.
    Invalid { id: String, problem: String },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { id, source } => write!(f, "secret {id} could not be fetched: {source}"),
            Self::Invalid { id, problem } => write!(f, "secret {id} {problem}"),
        }
    }
}

impl Error for SecretError {}

/// Where documents come from.
#[derive(Clone)]
pub struct Manager(Source);

#[derive(Clone)]
enum Source {
    Aws(aws_sdk_secretsmanager::Client),
    /// By id: what the operator's tool read already, wherever it keeps them.
    Given(Arc<BTreeMap<String, Secret<String>>>),
}

/// A client of Secrets Manager. Credentials come from the environment of the function, which Lambda replaces together
/// with the process, so nothing here needs to refresh them.
pub fn client(
    region: String,
    key_id: String,
    key: String,
    token: Option<String>,
    endpoint: Option<String>,
) -> aws_sdk_secretsmanager::Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
    let mut config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(Credentials::new(key_id, key, token, None, "environment"))
        .timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    aws_sdk_secretsmanager::Client::from_conf(config.build())
}

impl Manager {
    pub fn new(client: aws_sdk_secretsmanager::Client) -> Self {
        Self(Source::Aws(client))
    }

    pub fn given(documents: BTreeMap<String, Secret<String>>) -> Self {
        Self(Source::Given(Arc::new(documents)))
    }

    async fn fetch(&self, id: &str) -> Result<String, SecretError> {
        let invalid = |problem: &str| SecretError::Invalid { id: id.to_owned(), problem: problem.to_owned() };
        let client = match &self.0 {
            Source::Aws(client) => client,
            Source::Given(documents) => {
                return documents
                    .get(id)
                    .map(|text| text.expose().clone())
                    .ok_or_else(|| invalid("does not exist"));
            }
        };
        // Boxed and without its name: the SDK's futures nest deeper than the compiler looks.
        let sent: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(client.get_secret_value().secret_id(id).send());
        let answer = sent.await.map_err(|error| match error.as_service_error() {
            Some(GetSecretValueError::ResourceNotFoundException(_)) => invalid("does not exist"),
            Some(refusal) if refusal.meta().code() == Some("AccessDeniedException") => {
                invalid("may not be read by this function")
            }
            _ => SecretError::Unavailable { id: id.to_owned(), source: causes(&error) },
        })?;
        answer.secret_string.ok_or_else(|| invalid("has no text value"))
    }
}

/// An error of the SDK and what caused it. Not as `DisplayErrorContext` has it: that ends in the whole answer when
/// it could not be read, and the secret stands in the answer.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

type Parse<T> = fn(&str) -> Result<T, String>;

/// A secret document of type `T`, fetched on first use.
pub struct SecretHandle<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    id: String,
    manager: Manager,
    clock: Clock,
    parse: Parse<T>,
    kept: Mutex<Option<Kept<T>>>,
}

struct Kept<T> {
    value: Arc<T>,
    fetched_at: OffsetDateTime,
    /// When it was last tried to get a newer one, whatever came of it.
    looked_at: OffsetDateTime,
}

impl<T> Kept<T> {
    fn new(value: &Arc<T>, now: OffsetDateTime) -> Self {
        Self { value: Arc::clone(value), fetched_at: now, looked_at: now }
    }
}

impl<T> Clone for SecretHandle<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + Sync + 'static> SecretHandle<T> {
    pub(crate) fn new<D>(id: String, manager: Manager, clock: Clock) -> Self
    where
        D: DeserializeOwned,
        T: TryFrom<D, Error = &'static str>,
    {
        let parse = |text: &str| {
            // serde's message may quote the value it choked on; its position does not.
            let document: D = serde_json::from_str(text)
                .map_err(|error| format!("is not the document expected (column {})", error.column()))?;
            T::try_from(document).map_err(ToOwned::to_owned)
        };
        Self { inner: Arc::new(Inner { id, manager, clock, parse, kept: Mutex::new(None) }) }
    }

    /// The document, at most [`KEPT_FOR`] old; when Secrets Manager is away, the last one fetched.
    pub async fn get(&self) -> Result<Arc<T>, SecretError> {
        let mut kept = self.inner.kept.lock().await;
        let now = self.inner.clock.now();
        if let Some(kept) = kept.as_ref()
            && now - kept.fetched_at < KEPT_FOR
        {
            return Ok(Arc::clone(&kept.value));
        }
        match self.refetch(kept.is_some()).await {
            Ok(value) => {
                *kept = Some(Kept::new(&value, now));
                Ok(value)
            }
            Err(error) => match kept.as_mut() {
                Some(kept) => {
                    tracing::warn!(%error, "an earlier copy of the secret is used");
                    // Good for a while, or every request would wait for an answer that does not come.
                    kept.fetched_at = now - KEPT_FOR + TRY_AGAIN_AFTER;
                    Ok(Arc::clone(&kept.value))
                }
                None => Err(error),
            },
        }
    }

    /// The document as it is now, for a caller whom the kept one has just failed.
    pub async fn get_fresh(&self) -> Result<Arc<T>, SecretError> {
        let mut kept = self.inner.kept.lock().await;
        let value = self.fetch().await?;
        *kept = Some(Kept::new(&value, self.inner.clock.now()));
        Ok(value)
    }

    /// The document as it is now, for a caller whom the kept one has just failed and who may have lied; `None` when the
    /// kept one is younger than `age`, or no other is to be had.
    pub async fn get_if_older(&self, age: Duration) -> Option<Arc<T>> {
        let mut kept = self.inner.kept.lock().await;
        let now = self.inner.clock.now();
        if let Some(kept) = kept.as_mut() {
            if now - kept.looked_at < age {
                return None;
            }
            kept.looked_at = now;
        }
        let value = self.refetch(true).await.ok()?;
        *kept = Some(Kept::new(&value, now));
        Some(value)
    }

    /// Waits for the answer only as long as there is nothing else to go by.
    async fn refetch(&self, has_copy: bool) -> Result<Arc<T>, SecretError> {
        if !has_copy {
            return self.fetch().await;
        }
        let late =
            |_| SecretError::Unavailable { id: self.inner.id.clone(), source: String::from("no answer yet") };
        tokio::time::timeout(WAIT_WITH_A_COPY, self.fetch()).await.map_err(late)?
    }

    async fn fetch(&self) -> Result<Arc<T>, SecretError> {
        let text = self.inner.manager.fetch(&self.inner.id).await?;
        (self.inner.parse)(&text)
            .map(Arc::new)
            .map_err(|problem| SecretError::Invalid { id: self.inner.id.clone(), problem })
    }

    pub(crate) fn check(&self, variable: &str) -> Check {
        let handle = self.clone();
        let variable = variable.to_owned();
        Check(Box::pin(async move {
            if handle.inner.id.is_empty() {
                return Checked::Good;
            }
            match handle.get().await {
                Ok(_) => Checked::Good,
                Err(error @ SecretError::Invalid { .. }) => Checked::Problem(format!("{variable}: {error}")),
                Err(error @ SecretError::Unavailable { .. }) => {
                    tracing::warn!(%error, "starting without the secret");
                    Checked::Away
                }
            }
        }))
    }
}

/// A look at one secret at start.
pub(crate) struct Check(Pin<Box<dyn Future<Output = Checked> + Send>>);

/// What the look found.
pub(crate) enum Checked {
    Good,
    Problem(String),
    /// Secrets Manager did not answer.
    Away,
}

impl Check {
    pub(crate) async fn run(self) -> Checked {
        self.0.await
    }
}
