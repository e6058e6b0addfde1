//! What every test here stands on: providers wired as functions wire them, keys from the sandbox's Secrets Manager.

use std::collections::BTreeMap;

use anyhow::Context;
use sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use shared::btcpay::Btcpay;
use shared::clock::Clock;
use shared::config::{Config, ConfigError};
use shared::lightning::Macaroon;
use shared::lightning::macaroon::{ADMIN_OPS, mint};
use shared::lnd::Lnd;
use shared::random::Random;
use shared::upstream::{Failure, Pins, Upstream, UpstreamError};
use shared::voltage::Voltage;
use testing::Result;
use time::macros::datetime;

/// For tests of silence: short enough to wait for.
pub const IMPATIENT: (&str, &str) = ("UPSTREAM_TIMEOUT_MILLISECONDS", "400");
pub const BTCPAY_KEY: &str = "canary-btcpay-key-77";
pub const VOLTAGE_KEY: &str = "canary-voltage-key-88";

pub struct Ground {
    pub sandbox: Sandbox,
    pub environment: BTreeMap<String, String>,
}

impl Ground {
    pub async fn new() -> Result<Self> {
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        for (name, key) in [("btcpay", BTCPAY_KEY), ("voltage", VOLTAGE_KEY)] {
            sandbox.secrets().put(&format!("satchel/{name}"), &format!(r#"{{"api_key":"{key}"}}"#));
        }
        let mut environment = environment();
        environment.insert("AWS_ENDPOINT_URL_SECRETS_MANAGER".into(), sandbox.base_url().into());
        Ok(Self { sandbox, environment })
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn config(&self) -> Config {
        config(self.environment.clone())
    }

    /// A BTCPay at `url`, and the configuration it was read from.
    pub async fn btcpay(&self, url: &str) -> Result<Btcpay> {
        let mut environment = self.environment.clone();
        environment.insert("BTCPAY_URL".into(), url.into());
        environment.insert("BTCPAY_SECRET".into(), "satchel/btcpay".into());
        let mut config = config(environment);
        let upstream = Upstream::wire(&mut config);
        let btcpay = Btcpay::wire(&mut config, &upstream).context("no BTCPay")?;
        config.finish().await?;
        Ok(btcpay)
    }

    pub async fn voltage(&self, url: &str) -> Result<Voltage> {
        let mut environment = self.environment.clone();
        environment.insert("VOLTAGE_URL".into(), url.into());
        environment.insert("VOLTAGE_SECRET".into(), "satchel/voltage".into());
        environment.entry("EGRESS_ADDRESSES".into()).or_insert("192.0.2.1".into());
        let mut config = config(environment);
        let upstream = Upstream::wire(&mut config);
        let voltage = Voltage::wire(&mut config, &upstream).context("no Voltage")?;
        config.finish().await?;
        Ok(voltage)
    }
}

fn environment() -> BTreeMap<String, String> {
    let given = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("ALLOW_HTTP_PROVIDERS", "true"),
        // Time enough for a busy machine to answer itself.
        ("UPSTREAM_TIMEOUT_MILLISECONDS", "5000"),
        ("UPSTREAM_RETRY_MILLISECONDS", "1"),
    ];
    given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub fn config(environment: BTreeMap<String, String>) -> Config {
    let clock = Clock::from_fn(|| datetime!(2026-01-09 12:00 UTC));
    Config::new(environment, clock, Random::system())
}

/// A client that needs no secrets, with some variables changed.
pub fn upstream_with(changed: &[(&str, &str)]) -> Upstream {
    let mut environment = environment();
    environment.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Upstream::wire(&mut config(environment))
}

pub fn lnd(url: &str) -> Result<Lnd> {
    Ok(Lnd::at(&upstream_with(&[]), url, &Pins::public())?)
}

pub fn impatient_lnd(url: &str) -> Result<Lnd> {
    Ok(Lnd::at(&upstream_with(&[IMPATIENT]), url, &Pins::public())?)
}

/// Of no node in particular.
pub fn admin() -> Macaroon {
    mint(&[7; 32], 0, ADMIN_OPS, [9; 16])
}

/// What a problem at start says.
pub async fn problems(config: Config) -> Result<String> {
    let problems: ConfigError = config.finish().await.err().context("nothing is wrong")?;
    Ok(problems.to_string())
}

/// What a caller decides by.
pub fn verdict<T>(outcome: Result<T, UpstreamError>) -> (&'static str, Failure) {
    match outcome {
        Ok(_) => ("OK", Failure::Final),
        Err(error) => (error.code, error.failure),
    }
}

pub const RETRY: Failure = Failure::Retry { after: None };

/// An object with some members replaced.
pub fn overlay(mut object: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().into_iter().flatten() {
        object[name.as_str()] = value.clone();
    }
    object
}
