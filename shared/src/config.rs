//! The environment, read once at start. Every problem is collected, so that one start names them all, and
//! no problem ever repeats a value.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::crypto::Secret;
use crate::random::Random;
use crate::secrets::{self, Check, Checked, Manager, SecretHandle};

/// Region, access key id and secret access key: what it takes to ask Secrets Manager.
const AWS: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// What a function is wired from: its environment, the clock, randomness, and the secrets it names.
pub struct Config {
    environment: BTreeMap<String, String>,
    problems: Vec<String>,
    checks: Vec<Check>,
    manager: Option<Manager>,
    has_documents: bool,
    clock: Clock,
    random: Random,
}

/// What calls to AWS are signed with.
pub struct Aws {
    pub region: String,
    pub key_id: String,
    pub key: String,
    pub token: Option<String>,
}

/// Everything that keeps a function from starting.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s): {}", self.0.len(), self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The process's own environment, clock and randomness.
    pub fn from_process() -> Self {
        let environment =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::new(environment.collect(), Clock::system(), Random::system())
    }

    pub fn new(environment: BTreeMap<String, String>, clock: Clock, random: Random) -> Self {
        let (problems, checks) = (Vec::new(), Vec::new());
        Self { environment, problems, checks, manager: None, has_documents: false, clock, random }
    }

    /// With a variable that the process was not given, or was given another value of.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// With another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// With these secret documents, by id, in place of Secrets Manager's.
    #[must_use]
    pub fn with_documents(self, documents: BTreeMap<String, Secret<String>>) -> Self {
        Self { manager: Some(Manager::given(documents)), has_documents: true, ..self }
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub fn random(&self) -> Random {
        self.random.clone()
    }

    /// Notes something that keeps the function from starting; say what is wrong, never the value. What two modules
    /// read is one problem.
    pub fn problem(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }

    /// A variable that may be absent; an empty one counts as absent.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.environment.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// A variable that must be there.
    pub fn text(&mut self, name: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name} is missing"));
        }
        value.unwrap_or_default()
    }

    /// A whole number, or `default` when absent.
    pub fn number(&mut self, name: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(text) = self.optional(name) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.problem(format!("{name} is not a number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    /// A whole number of seconds, or `default` when absent.
    pub fn seconds(&mut self, name: &str, default: u32, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(self.number(name, default, range).into())
    }

    /// `true` or `false`; absent is `false`.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.optional(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.problem(format!("{name} is neither true nor false"));
                false
            }
        }
    }

    /// One of the choices; the first when absent.
    pub fn choice(&mut self, name: &str, choices: &[&'static str]) -> &'static str {
        let first = choices.first().copied().unwrap_or_default();
        let Some(text) = self.optional(name) else { return first };
        choices.iter().find(|choice| **choice == text).copied().unwrap_or_else(|| {
            self.problem(format!("{name} is none of {}", choices.join(", ")));
            first
        })
    }

    /// The secret document whose name the variable holds. It is fetched when used, and checked at start.
    pub fn secret<D, T>(&mut self, name: &str) -> SecretHandle<T>
    where
        D: DeserializeOwned + Send + 'static,
        T: TryFrom<D, Error = &'static str> + Send + Sync + 'static,
    {
        let id = self.text(name);
        let manager = self.manager();
        let handle = SecretHandle::new::<D>(id, manager, self.clock());
        self.checks.push(handle.check(name));
        handle
    }

    /// As [`Config::secret`], or nothing when the variable is absent.
    pub fn optional_secret<D, T>(&mut self, name: &str) -> Option<SecretHandle<T>>
    where
        D: DeserializeOwned + Send + 'static,
        T: TryFrom<D, Error = &'static str> + Send + Sync + 'static,
    {
        self.optional(name).map(|_| self.secret::<D, T>(name))
    }

    /// Fetches every secret named, and says all that is wrong. A Secrets Manager out of reach is not a
    /// problem of the configuration: the function starts, and answers 503 until it is back.
    pub async fn finish(mut self) -> Result<(), ConfigError> {
        // Without region and credentials every look would fail, and say no more than is known.
        let has_credentials = || AWS.iter().all(|name| self.optional(name).is_some());
        let reachable = self.has_documents || (self.manager.is_some() && has_credentials());
        for check in std::mem::take(&mut self.checks).into_iter().filter(|_| reachable) {
            match check.run().await {
                Checked::Good => {}
                Checked::Problem(problem) => self.problem(problem),
                // The others would wait as long, and Lambda gives a start ten seconds in all.
                Checked::Away => break,
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }

    /// Who the function is to AWS, and where.
    pub fn aws(&mut self) -> Aws {
        let [region, key_id, key] = AWS.map(|name| self.text(name));
        Aws { region, key_id, key, token: self.optional("AWS_SESSION_TOKEN") }
    }

    fn manager(&mut self) -> Manager {
        if let Some(manager) = &self.manager {
            return manager.clone();
        }
        let Aws { region, key_id, key, token } = self.aws();
        let endpoint = self.optional("AWS_ENDPOINT_URL_SECRETS_MANAGER");
        let in_clear = endpoint.as_ref().is_some_and(|url| !url.starts_with("https://"));
        if in_clear && !self.flag("ALLOW_HTTP_PROVIDERS") {
            self.problem(
                "AWS_ENDPOINT_URL_SECRETS_MANAGER is not https, and ALLOW_HTTP_PROVIDERS is not true",
            );
        }
        let manager = Manager::new(secrets::client(region, key_id, key, token, endpoint));
        self.manager = Some(manager.clone());
        manager
    }
}

#[cfg(test)]
mod tests;
