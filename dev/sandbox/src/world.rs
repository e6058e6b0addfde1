//! What the services share, and the handle tests hold.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle as Runtime, sync::watch};

use crate::{
    Service,
    btcpay::{Btcpay, BtcpayState},
    counts::{Call, Connections, Counts, Objects},
    discord::{Discord, DiscordState},
    fault::{FaultState, Faults},
    lnd::{Nodes, NodesState, Tls, TlsState},
    mail::{Mail, MailState},
    privy::{Privy, PrivyState},
    secrets_manager::{Secrets, SecretsState},
    seed::Seed,
    stripe::{Stripe, StripeState},
    voltage::{Voltage, VoltageState},
};

pub(crate) struct World {
    pub(crate) base_url: String,
    pub(crate) seed: Seed,
    pub(crate) counts: Mutex<Counts>,
    pub(crate) faults: Mutex<FaultState>,
    pub(crate) secrets: Mutex<SecretsState>,
    pub(crate) nodes: Mutex<NodesState>,
    pub(crate) btcpay: Mutex<BtcpayState>,
    pub(crate) voltage: Mutex<VoltageState>,
    pub(crate) stripe: Mutex<StripeState>,
    pub(crate) discord: Mutex<DiscordState>,
    pub(crate) privy: Mutex<PrivyState>,
    pub(crate) mail: Mutex<MailState>,
    pub(crate) tls: Arc<TlsState>,
    /// Where work goes on that nobody waits for; it ends when `stopped` changes.
    pub(crate) runtime: Runtime,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl World {
    /// Within a runtime.
    pub(crate) fn new(
        base_url: String,
        tls: Arc<TlsState>,
        seed: u64,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Arc<Self>> {
        let seed = Seed(seed);
        Ok(Arc::new(Self {
            base_url,
            seed,
            counts: Mutex::default(),
            faults: Mutex::default(),
            secrets: Mutex::default(),
            nodes: Mutex::default(),
            btcpay: Mutex::new(BtcpayState::new(seed)),
            voltage: Mutex::default(),
            stripe: Mutex::new(StripeState::new(seed)),
            discord: Mutex::new(DiscordState::new(seed)),
            privy: Mutex::new(PrivyState::new(seed)?),
            mail: Mutex::default(),
            tls,
            runtime: Runtime::current(),
            stopped,
        }))
    }
}

/// A panic elsewhere must not turn every later answer into another panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sandbox as a test sees it: cheap to clone, valid for as long as anybody holds it.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<World>);

impl Handle {
    /// `http://127.0.0.1:PORT`, which is also what `AWS_ENDPOINT_URL_SECRETS_MANAGER` is to be.
    pub fn base_url(&self) -> &str {
        &self.0.base_url
    }

    pub fn secrets(&self) -> Secrets {
        Secrets(Arc::clone(&self.0))
    }

    pub fn nodes(&self) -> Nodes {
        Nodes(Arc::clone(&self.0))
    }

    pub fn btcpay(&self) -> Btcpay {
        Btcpay(Arc::clone(&self.0))
    }

    pub fn voltage(&self) -> Voltage {
        Voltage(Arc::clone(&self.0))
    }

    pub fn stripe(&self) -> Stripe {
        Stripe(Arc::clone(&self.0))
    }

    pub fn discord(&self) -> Discord {
        Discord(Arc::clone(&self.0))
    }

    pub fn privy(&self) -> Privy {
        Privy(Arc::clone(&self.0))
    }

    pub fn mail(&self) -> Mail {
        Mail(Arc::clone(&self.0))
    }

    /// The same services over TLS.
    pub fn tls(&self) -> Tls {
        Tls(Arc::clone(&self.0))
    }

    pub fn faults(&self) -> Faults {
        Faults(Arc::clone(&self.0))
    }

    /// Every request received so far, faulty ones included; `/sandbox/…` is not counted.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0.counts).calls()
    }

    /// Requests of one service whose path begins so. For Secrets Manager the path is the operation:
    /// `/GetSecretValue`.
    pub fn calls_to(&self, service: Service, path_prefix: &str) -> u64 {
        let calls = self.calls();
        calls
            .iter()
            .filter(|c| c.service == service && c.path.starts_with(path_prefix))
            .map(|c| c.count)
            .sum()
    }

    /// What was really created and deleted, whatever the answers said.
    pub fn objects(&self) -> Vec<Objects> {
        lock(&self.0.counts).objects()
    }

    /// Connections to the listener.
    pub fn connections(&self) -> Connections {
        lock(&self.0.counts).connections
    }

    pub(crate) fn calls_under(&self, prefix: &str) -> BTreeMap<String, u64> {
        let mut paths = BTreeMap::new();
        for call in self.calls() {
            if let Some(path) = call.path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')) {
                *paths.entry(path.to_owned()).or_default() += call.count;
            }
        }
        paths
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.base_url).finish()
    }
}
