//! What Stripe holds: objects, events, endpoints, and how it behaves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    delivery::{Parcel, StoredDelivery},
    endpoint::Endpoint,
    event::StoredEvent,
    idempotency::Replays,
    kind::Kind,
    version::API_VERSION,
};
use crate::{clock, seed::Seed};

pub(crate) const DEFAULT_KEY: &str = "sk_test_sandbox";

/// More connections at once would take the receiver's sockets, and this process's.
const LINES: usize = 64;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    /// Whose it is; `None` is the platform's own.
    pub(crate) account: Option<String>,
    /// With the members of every API version.
    pub(crate) value: Value,
    /// What the sandbox needs to know and nobody is shown.
    pub(crate) hidden: Value,
}

/// How Stripe behaves; a test may change it at any time.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What requests without `Stripe-Version` and endpoints without a version get.
    pub(crate) api_version: String,
    pub(crate) livemode: bool,
    /// Between the tries of a delivery.
    pub(crate) waits: Vec<Duration>,
    pub(crate) wait_factor: f64,
    pub(crate) answer_within: Duration,
    /// Before the first try of every delivery.
    pub(crate) delay: Duration,
    /// And up to so much longer, drawn for each: nobody promises an order.
    pub(crate) scatter: Duration,
    /// The next so many deliveries are never sent.
    pub(crate) drop_next: u64,
    /// The next so many deliveries are sent twice, both at once.
    pub(crate) double_next: u64,
    /// The next so many deliveries are held, and let go in another order when all are there.
    pub(crate) hold_next: u64,
    /// The next so many tries are signed as of so many seconds ago.
    pub(crate) stale_next: (u64, i64),
}

impl Default for Settings {
    fn default() -> Self {
        // Ever longer, and three days in all.
        let hours = [1, 2, 4, 8, 12, 12, 12, 12, 9].map(Duration::from_hours);
        let mut waits = vec![Duration::from_mins(5), Duration::from_mins(30)];
        waits.extend(hours);
        Self {
            api_version: API_VERSION.to_owned(),
            livemode: false,
            waits,
            wait_factor: 1.0,
            answer_within: Duration::from_secs(10),
            delay: Duration::ZERO,
            scatter: Duration::from_millis(10),
            drop_next: 0,
            double_next: 0,
            hold_next: 0,
            stale_next: (0, 0),
        }
    }
}

pub(crate) struct StripeState {
    pub(crate) seed: Seed,
    drawn: u64,
    pub(crate) settings: Settings,
    pub(crate) keys: BTreeSet<String>,
    pub(crate) platform: String,
    /// Connected accounts that took their leave.
    pub(crate) deauthorized: BTreeSet<String>,
    pub(crate) objects: Vec<Stored>,
    numbers: HashMap<String, usize>,
    /// By the object they were made of, oldest first.
    children: HashMap<String, Vec<usize>>,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) deliveries: Vec<StoredDelivery>,
    pub(crate) held: Vec<Parcel>,
    /// Deliveries somebody works on, those that wait for their next try included.
    pub(crate) under_way: usize,
    /// As many deliveries as are sent at one time.
    pub(crate) lines: Arc<Semaphore>,
    pub(crate) replays: Replays,
    /// Stands still at this second until it is stepped.
    pub(crate) stopped_at: Option<i64>,
    /// Seconds ahead of the real time.
    pub(crate) ahead: i64,
}

impl StripeState {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut state = Self {
            seed,
            drawn: 0,
            settings: Settings::default(),
            keys: BTreeSet::from([DEFAULT_KEY.to_owned()]),
            platform: String::new(),
            deauthorized: BTreeSet::new(),
            objects: Vec::new(),
            numbers: HashMap::new(),
            children: HashMap::new(),
            events: Vec::new(),
            endpoints: Vec::new(),
            deliveries: Vec::new(),
            held: Vec::new(),
            under_way: 0,
            lines: Arc::new(Semaphore::new(LINES)),
            replays: Replays::default(),
            stopped_at: None,
            ahead: 0,
        };
        state.platform = state.new_id("acct_1", 15);
        state
    }

    /// Whole seconds since 1970 on Stripe's own clock.
    pub(crate) fn now(&self) -> i64 {
        self.stopped_at.unwrap_or_else(|| clock::now().unix_timestamp() + self.ahead)
    }

    pub(crate) fn new_id(&mut self, prefix: &str, characters: usize) -> String {
        let mut id = prefix.to_owned();
        while id.len() < prefix.len() + characters {
            self.drawn += 1;
            let bytes = self.seed.bytes(&format!("stripe {prefix} {}", self.drawn));
            let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
            id.extend(letters.take(prefix.len() + characters - id.len()).map(|byte| char::from(*byte)));
        }
        id
    }

    pub(crate) fn insert(&mut self, id: String, stored: Stored) {
        let number = self.objects.len();
        if let Some(parent) = stored.kind.parent().and_then(|name| stored.value[name].as_str()) {
            self.children.entry(parent.to_owned()).or_default().push(number);
        }
        self.numbers.insert(id, number);
        self.objects.push(stored);
    }

    pub(crate) fn any(&self, id: &str) -> Option<&Stored> {
        self.objects.get(*self.numbers.get(id)?)
    }

    pub(crate) fn any_mut(&mut self, id: &str) -> Option<&mut Stored> {
        self.objects.get_mut(*self.numbers.get(id)?)
    }

    /// Oldest first.
    pub(crate) fn of_kind<'a>(
        &'a self,
        kind: Kind,
        account: Option<&'a str>,
    ) -> impl DoubleEndedIterator<Item = &'a Stored> {
        self.objects.iter().filter(move |one| one.kind == kind && one.account.as_deref() == account)
    }

    /// What was made of an object and is listed in it, newest first.
    pub(crate) fn children(&self, id: &str) -> impl Iterator<Item = &Stored> {
        let numbers = self.children.get(id).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().rev().filter_map(|number| self.objects.get(*number))
    }

    /// A connected account the platform may act for.
    pub(crate) fn is_connected(&self, account: &str) -> bool {
        self.any(account).is_some_and(|one| one.kind == Kind::Account) && !self.deauthorized.contains(account)
    }
}
