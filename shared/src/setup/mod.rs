//! Lightning setup: a store at BTCPay, a node at Voltage or the user's own, connected, and the database saying
//! exactly what the outside says, whatever crashes on the way.
//!
//! ```text
//! intent, ask what a user asks for, and its audit     status     what they are told
//! steps       the table: do, find, undo               handover   the seed, once
//! run, stop   one run: step after step, and its end   settle     a second store or node, deleted
//! record      what a run reads and writes besides     orphans    what no setup owns, reported
//! row         the rows, and how they change           unlock     a node that was restarted, opened
//! keys        what must not be lost, sealed           repair     addresses brought over with ids missing
//! marker      the mark on everything we make          undo       a setup taken back, when somebody says so
//! queue       how much is due
//! node, wallet, store, activation    the steps themselves
//! ```
//!
//! No call to the outside is made in a transaction: an intent is committed, the call made, its outcome committed
//! together with the next intent. docs/setup.md tells operators what each state means.

mod activation;
pub mod ask;
mod error;
pub mod handover;
mod intent;
mod keys;
mod marker;
mod node;
pub mod orphans;
pub mod queue;
mod record;
pub mod repair;
pub mod row;
mod run;
pub mod settle;
pub mod status;
mod steps;
mod stop;
mod store;
pub mod undo;
pub mod unlock;
mod wallet;

pub use error::SetupError;
pub use intent::{Intent, LightningAddress, NodeSource, Username};
pub use keys::{BtcpayConfig, NodeConfig, btcpay_config_field, node_config_field};
pub use marker::{Marked, Marker, MarkerDocument, MarkerKey, MarkerMaker, Markers};
pub use row::{BeginError, Claimed, LEASE, Setup, State};
pub use steps::Step;

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::audit::{Auditor, Entry, Origin};
use crate::breaker::Breaker;
use crate::btcpay::Btcpay;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::{KeyRing, SealingKeys};
use crate::db::{self, Db, Transaction};
use crate::random::Random;
use crate::secrets::SecretHandle;
use crate::upstream::{Circuit, Provider, Upstream, UpstreamError};
use crate::voltage::Voltage;

/// Every sealed column of a setup.
const SECRET_COLUMNS: [&str; 5] =
    ["password_sealed", "root_key_sealed", "seed_sealed", "macaroon_sealed", "webhook_secret_sealed"];

/// Whether a wallet's password and root key may be read back. What faces the internet only writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletAccess {
    Write,
    Read,
}

/// Everything a setup runs on.
pub struct Saga {
    pub db: Db,
    pub audit: Auditor,
    pub clock: Clock,
    pub random: Random,
    pub markers: Markers,
    pub switch: Switch,
    pub sealing: SecretHandle<KeyRing>,
    breaker: Breaker,
    upstream: Upstream,
    btcpay: Option<Btcpay>,
    voltage: Option<Voltage>,
    rules: Rules,
    wallet_access: WalletAccess,
}

/// What an intent needs, wherever it is written down.
pub struct Switch {
    /// Off: nothing new begins, and what runs goes on.
    pub enabled: bool,
    /// Of the Lightning addresses given out.
    pub domain: String,
}

struct Rules {
    /// Host of the app, for the store's website.
    app_domain: String,
    webhook_base_url: String,
    ambiguity_window: Duration,
    poll: Duration,
}

impl Switch {
    /// Wires `SETUP_ENABLED` (true) and `LIGHTNING_ADDRESS_DOMAIN`.
    pub fn wire(config: &mut Config) -> Self {
        Self {
            enabled: config.choice("SETUP_ENABLED", &["true", "false"]) == "true",
            domain: config.text("LIGHTNING_ADDRESS_DOMAIN").to_ascii_lowercase(),
        }
    }
}

impl Saga {
    /// Wires the database, the providers that are configured, and `SEALING_SECRET`, `AUDIT_SECRET`, `MARKER_SECRET`,
    /// `APP_DOMAIN`, `WEBHOOK_BASE_URL` (else `ISSUER_URL`), `AMBIGUITY_WINDOW_SECONDS`, `SETUP_POLL_MILLISECONDS`.
    pub fn wire(config: &mut Config, wallet_access: WalletAccess) -> Self {
        let db = Db::wire(config);
        let upstream = Upstream::wire(config);
        Self {
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
            markers: Markers::wire(config),
            switch: Switch::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            breaker: Breaker::wire(config, &db),
            btcpay: Btcpay::wire(config, &upstream),
            voltage: Voltage::wire(config, &upstream),
            rules: Rules::wire(config),
            db,
            upstream,
            wallet_access,
        }
    }

    /// Takes the lease of a setup that is due: the one named, or whichever has waited longest. Its run will use the
    /// providers' keys, and that is audited here.
    pub async fn take_up(&self, id: Option<Uuid>, origin: Origin<'_>) -> Result<Option<Claimed>, SetupError> {
        let mut connection = self.db.connection_for_job().await?;
        let tx = connection.transaction().await?;
        let claimed = self.take_up_in(&tx, id, origin).await?;
        db::commit(tx).await?;
        Ok(claimed)
    }

    /// As [`Saga::take_up`], in the caller's transaction.
    pub async fn take_up_in(
        &self,
        tx: &Transaction<'_>,
        id: Option<Uuid>,
        origin: Origin<'_>,
    ) -> Result<Option<Claimed>, SetupError> {
        let now = self.clock.now();
        let Some(claimed) = row::take_up(tx, id, now).await? else { return Ok(None) };
        let setup = &claimed.setup;
        let id = setup.id.to_string();
        let entry = Entry {
            user_id: Some(setup.user_id),
            action: "provider_keys.read",
            resource: ("lightning_setup", &id),
            details: json!({ "step": setup.step.name(), "run": setup.runs }),
            origin,
            now,
        };
        self.audit.append(tx, &entry).await?;
        Ok(Some(claimed))
    }

    /// Whether every provider a setup needs is configured; the first that is not.
    pub fn missing_provider(&self, source: NodeSource) -> Option<Provider> {
        match (&self.btcpay, &self.voltage, source) {
            (None, ..) => Some(Provider::Btcpay),
            (_, None, NodeSource::Voltage) => Some(Provider::Voltage),
            _ => None,
        }
    }

    /// Whether the account at this provider is ours to use.
    pub fn is_configured(&self, provider: Provider) -> bool {
        match provider {
            Provider::Btcpay => self.btcpay.is_some(),
            Provider::Voltage => self.voltage.is_some(),
            Provider::Lnd => true,
            // No setup uses it.
            Provider::Stripe => false,
        }
    }

    fn btcpay(&self) -> Result<&Btcpay, SetupError> {
        self.btcpay.as_ref().ok_or(SetupError::NotConfigured(Provider::Btcpay))
    }

    fn voltage(&self) -> Result<&Voltage, SetupError> {
        self.voltage.as_ref().ok_or(SetupError::NotConfigured(Provider::Voltage))
    }

    /// A call to a provider, unless its breaker is open.
    async fn call<T>(
        &self,
        circuit: impl Into<Circuit>,
        call: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, SetupError> {
        Ok(self.breaker.call(circuit, call).await?)
    }
}

impl Rules {
    fn wire(config: &mut Config) -> Self {
        let webhook_base_url = match config.optional("WEBHOOK_BASE_URL") {
            Some(url) => url,
            None => config.text("ISSUER_URL"),
        };
        if !webhook_base_url.starts_with("https://") && !config.flag("ALLOW_HTTP_PROVIDERS") {
            config.problem("WEBHOOK_BASE_URL is not https, and ALLOW_HTTP_PROVIDERS is not true");
        }
        Self {
            app_domain: config.text("APP_DOMAIN"),
            webhook_base_url: webhook_base_url.trim_end_matches('/').to_owned(),
            ambiguity_window: config.seconds("AMBIGUITY_WINDOW_SECONDS", 60, 1..=3600),
            poll: Duration::from_millis(config.number("SETUP_POLL_MILLISECONDS", 3_000, 1..=60_000).into()),
        }
    }
}
