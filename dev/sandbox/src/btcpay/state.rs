//! What the server holds: users, keys, stores with their webhooks and invoices, and what was delivered.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    delivery::{Queued, StoredDelivery},
    invoice::StoredInvoice,
    permission::{self, Permission},
};
use crate::seed::Seed;

pub(crate) const DEFAULT_KEY: &str = "sandbox-btcpay-key";

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: Option<String>,
    pub(crate) administrator: bool,
    pub(crate) created: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) secret: String,
    pub(crate) label: String,
    pub(crate) user: String,
    pub(crate) permissions: Vec<Permission>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMethod {
    pub(crate) enabled: bool,
    pub(crate) connection_string: String,
}

#[derive(Debug)]
pub(crate) struct StoredWebhook {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) automatic_redelivery: bool,
    pub(crate) url: String,
    /// `None` is every event.
    pub(crate) events: Option<Vec<String>>,
    pub(crate) secret: String,
    /// In memory, in order; lost when the server restarts.
    pub(crate) queue: VecDeque<Queued>,
    /// Whether somebody works on the queue.
    pub(crate) busy: bool,
    pub(crate) deliveries: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct StoredStore {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) settings: Map<String, Value>,
    /// The answer about it, written once.
    pub(crate) text: String,
    pub(crate) method: Option<StoredMethod>,
    pub(crate) webhooks: Vec<StoredWebhook>,
    pub(crate) invoices: Vec<String>,
}

impl StoredStore {
    pub(crate) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn write(&mut self) {
        let mut whole = self.settings.clone();
        whole.insert("id".into(), json!(self.id));
        self.text = Value::Object(whole).to_string();
    }
}

/// How the server behaves; a test may change it at any time.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Stores per user who is no administrator.
    pub(crate) store_quota: Option<usize>,
    pub(crate) loopback_allowed: bool,
    pub(crate) synchronized: bool,
    /// Between the tries of a delivery.
    pub(crate) waits: Vec<Duration>,
    pub(crate) wait_factor: f64,
    /// How long a receiver may take.
    pub(crate) answer_within: Duration,
    /// The next so many events are lost, as when the server dies with them in memory.
    pub(crate) drop_next: u64,
    /// The next so many deliveries are sent twice.
    pub(crate) double_next: u64,
    /// The next so many deliveries are held, and queued in another order when all are there.
    pub(crate) hold_next: u64,
    /// Before the first try of every delivery.
    pub(crate) delay: Duration,
    /// Stores and webhooks are listed so, else the oldest first.
    pub(crate) newest_first: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let mut waits = vec![Duration::from_secs(10), Duration::from_mins(1)];
        waits.extend([Duration::from_mins(10); 6]);
        Self {
            store_quota: None,
            loopback_allowed: true,
            synchronized: true,
            waits,
            wait_factor: 1.0,
            answer_within: Duration::from_secs(10),
            drop_next: 0,
            double_next: 0,
            hold_next: 0,
            delay: Duration::ZERO,
            newest_first: false,
        }
    }
}

pub(crate) struct BtcpayState {
    pub(crate) seed: Seed,
    drawn: u64,
    pub(crate) settings: Settings,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) keys: HashMap<String, Key>,
    /// In the order of making.
    stores: BTreeMap<u64, StoredStore>,
    numbers: HashMap<String, u64>,
    owned: HashMap<String, usize>,
    /// The list of a user's stores as it is answered, until one changes.
    pub(crate) lists: HashMap<String, Bytes>,
    /// Webhook to store.
    pub(crate) webhook_stores: HashMap<String, String>,
    pub(crate) invoices: HashMap<String, StoredInvoice>,
    /// Payment hash to invoice.
    pub(crate) by_hash: HashMap<[u8; 32], String>,
    pub(crate) deliveries: Vec<StoredDelivery>,
    pub(crate) delivery_numbers: HashMap<String, usize>,
    /// For which webhook, and what; in memory, too.
    pub(crate) held: Vec<(String, Queued)>,
    /// Who works on a delivery gives up when this changes.
    pub(crate) restarted: watch::Sender<()>,
}

impl BtcpayState {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut state = Self {
            seed,
            drawn: 0,
            settings: Settings::default(),
            users: BTreeMap::new(),
            keys: HashMap::new(),
            stores: BTreeMap::new(),
            numbers: HashMap::new(),
            owned: HashMap::new(),
            lists: HashMap::new(),
            webhook_stores: HashMap::new(),
            invoices: HashMap::new(),
            by_hash: HashMap::new(),
            deliveries: Vec::new(),
            delivery_numbers: HashMap::new(),
            held: Vec::new(),
            restarted: watch::Sender::new(()),
        };
        for (name, administrator) in [("merchant", false), ("administrator", true)] {
            let email = format!("{name}@sandbox.test");
            let id = seed.uuid(&format!("btcpay user {email}"));
            let user = User { id, email, name: Some(name.into()), administrator, created: 0 };
            state.users.insert(user.id.clone(), user);
        }
        state.add_key(DEFAULT_KEY, false, permission::DEFAULT.iter().filter_map(|p| Permission::parse(p)));
        state
    }

    /// For the merchant or the administrator there is from the beginning.
    pub(crate) fn add_key(
        &mut self,
        secret: &str,
        administrator: bool,
        permissions: impl Iterator<Item = Permission>,
    ) {
        let user = self.first_user(administrator);
        let key =
            Key { secret: secret.into(), label: String::new(), user, permissions: permissions.collect() };
        self.keys.insert(secret.to_owned(), key);
    }

    /// The merchant or the administrator there is from the beginning.
    pub(crate) fn first_user(&self, administrator: bool) -> String {
        let first = |user: &&User| user.administrator == administrator && user.created == 0;
        self.users.values().find(first).map(|user| user.id.clone()).unwrap_or_default()
    }

    pub(crate) fn draw(&mut self, what: &str) -> [u8; 32] {
        self.drawn += 1;
        self.seed.bytes(&format!("btcpay {what} {}", self.drawn))
    }

    /// As `BTCPay` makes ids: so many random bytes (32 at most) in base58.
    pub(crate) fn new_id<const BYTES: usize>(&mut self, what: &str) -> String {
        let bytes = self.draw(what);
        bs58::encode(bytes.get(..BYTES).unwrap_or(&bytes)).into_string()
    }

    /// What was in memory only is lost.
    pub(crate) fn restart(&mut self) {
        self.restarted.send_replace(());
        self.held.clear();
        for webhook in self.stores.values_mut().flat_map(|store| &mut store.webhooks) {
            webhook.queue.clear();
        }
    }

    pub(crate) fn store(&self, id: &str) -> Option<&StoredStore> {
        self.stores.get(self.numbers.get(id)?)
    }

    /// To change what its own answer does not show; otherwise [`Self::rewrite`] it afterwards.
    pub(crate) fn store_mut(&mut self, id: &str) -> Option<&mut StoredStore> {
        self.stores.get_mut(self.numbers.get(id)?)
    }

    pub(crate) fn all_stores(&self) -> impl Iterator<Item = &StoredStore> {
        self.stores.values()
    }

    pub(crate) fn owned_by(&self, user: &str) -> usize {
        self.owned.get(user).copied().unwrap_or_default()
    }

    pub(crate) fn insert_store(&mut self, mut store: StoredStore) {
        store.write();
        let number = self.stores.last_key_value().map_or(0, |(last, _)| last + 1);
        self.lists.remove(&store.owner);
        *self.owned.entry(store.owner.clone()).or_default() += 1;
        self.numbers.insert(store.id.clone(), number);
        self.stores.insert(number, store);
    }

    pub(crate) fn rewrite(&mut self, id: &str) {
        let Some(store) = self.store_mut(id) else { return };
        store.write();
        let owner = store.owner.clone();
        self.lists.remove(&owner);
    }

    /// With its webhooks and invoices.
    pub(crate) fn remove_store(&mut self, id: &str) -> Option<StoredStore> {
        let store = self.stores.remove(&self.numbers.remove(id)?)?;
        self.lists.remove(&store.owner);
        if let Some(owned) = self.owned.get_mut(&store.owner) {
            *owned -= 1;
        }
        for webhook in &store.webhooks {
            self.webhook_stores.remove(&webhook.id);
        }
        for invoice in &store.invoices {
            if let Some(prompt) = self.invoices.remove(invoice).and_then(|invoice| invoice.prompt) {
                self.by_hash.remove(&prompt.payment_hash);
            }
        }
        Some(store)
    }

    pub(crate) fn webhook(&self, id: &str) -> Option<&StoredWebhook> {
        self.store(self.webhook_stores.get(id)?)?.webhooks.iter().find(|webhook| webhook.id == id)
    }

    pub(crate) fn webhook_mut(&mut self, id: &str) -> Option<&mut StoredWebhook> {
        let number = self.numbers.get(self.webhook_stores.get(id)?)?;
        self.stores.get_mut(number)?.webhooks.iter_mut().find(|webhook| webhook.id == id)
    }
}
