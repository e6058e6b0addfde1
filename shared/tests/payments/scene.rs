//! A deployment that is told things.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Db;
use shared::db::roles::Role;
use shared::payment::{self, NewPayment, Source};
use shared::random::Random;
use shared::stripe;
use shared::webhook::stripe::{Delivery, plan, take_in};
use shared::webhook::{Recorded, claim};
use testing::{Result, World};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

pub struct Scene {
    pub world: World,
    pub db: Db,
    pub ring: std::sync::Arc<KeyRing>,
    pub random: Random,
    pub user_id: Uuid,
    pub admin: Client,
    jobs: Client,
}

impl Scene {
    /// As the role that webhooks have, over `connections` at once.
    pub async fn start(connections: u32) -> Result<Self> {
        let world = World::start().await?;
        let node = world.node("seller")?;
        let user = world.sign_in("did:mnemonic:9f86d081884c7d65", &node.pubkey).await?;
        let mut environment = testing::deployment::local_environment(world.sandbox.base_url());
        let given = [
            ("DATABASE_SECRET", "satchel/database/webhooks"),
            ("SEALING_SECRET", "satchel/sealing"),
            ("DATABASE_POOL_SIZE", &connections.to_string()),
        ];
        environment.extend(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut config = world.config(environment);
        let db = Db::wire(&mut config);
        let sealing = config.secret::<SealingKeys, KeyRing>("SEALING_SECRET");
        config.finish().await?;
        let (admin, jobs) = (world.db.admin().await?, world.db.connect(Role::Jobs).await?);
        let ring = sealing.get().await?;
        Ok(Self { db, ring, random: Random::system(), user_id: user.user_id, admin, jobs, world })
    }

    /// A row of ours, as the part that sells writes it.
    pub async fn payment(&self, id: Uuid, amount_minor: i64) -> Result<()> {
        self.payment_of(id, ("stripe", ""), ("usd", amount_minor)).await
    }

    /// With this provider and account, of this currency and amount.
    pub async fn payment_of(
        &self,
        id: Uuid,
        (provider, account): (&str, &str),
        (currency, amount_minor): (&str, i64),
    ) -> Result<()> {
        let new = NewPayment {
            id,
            user_id: self.user_id,
            source: Source { provider, account },
            currency,
            amount_minor,
            expires_at: None,
            poll_at: None,
        };
        Ok(payment::create(&self.jobs, &new, self.world.now()).await?)
    }

    pub async fn tell(&self, event: &Value) -> Result<Recorded> {
        let body = serde_json::to_vec(event)?;
        let event = stripe::Event::parse(&body)?;
        let plan = plan(&event, false);
        let (ring, random, now) = (&*self.ring, &self.random, self.world.now());
        let delivery = Delivery { event: &event, body: &body, plan: &plan, ring, random, now };
        let mut connection = self.db.connection().await?;
        let taken = take_in(&mut connection, &delivery).await;
        taken.map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    /// Nothing of what was told is left to be done, or was given up.
    pub async fn all_done(&self) -> Result<()> {
        let sql = "SELECT concat_ws(' ', type, state, last_error_code) FROM webhook_events WHERE state <> 'done' LIMIT 1";
        let left = self.admin.query_typed(sql, &[]).await?;
        anyhow::ensure!(left.is_empty(), "{}", left[0].get::<_, &str>(0));
        Ok(())
    }

    /// What `process_webhook_events` does about objects that came before our own row.
    pub async fn claim(&self) -> Result<u64> {
        let mut connection = self.db.connection().await?;
        Ok(claim::claim(&mut connection, &self.random, self.world.now()).await?)
    }

    pub async fn count(&self, sql: &str) -> Result<i64> {
        Ok(self.admin.query_typed_one(sql, &[]).await?.get(0))
    }

    /// What the tables say once `name` stands for everything whose id ends in it; in an order of its own.
    pub async fn books(&self, name: &str) -> Result<Books> {
        let mut books = BTreeMap::new();
        for (table, sql) in BOOKS {
            let rows = self.admin.query_typed(sql, &[(&format!("%{name}"), Type::TEXT)]).await?;
            let mut rows: Vec<String> =
                rows.iter().map(|row| row.get::<_, String>(0).replace(name, "")).collect();
            rows.sort();
            books.insert(table, rows);
        }
        Ok(books)
    }
}

pub type Books = BTreeMap<&'static str, Vec<String>>;

/// Whether to take the time (`cargo xtask test --full`).
pub fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1")
}

/// Everything that is to come out the same, and nothing of when it was written.
const BOOKS: [(&str, &str); 6] = [
    (
        "payments",
        "SELECT concat_ws(' ', state, received_minor, refunded_minor, late, manually_marked, entitled) FROM payments
         WHERE replace(id::text, '-', '') LIKE $1",
    ),
    (
        "objects",
        "SELECT concat_ws(' ', kind, object_id, root_id, payment_id IS NOT NULL, status, amount_minor, refunded_minor,
                          currency, was_expired, finality, seen_at, rank, refetch_at IS NOT NULL)
         FROM payment_objects WHERE object_id LIKE $1",
    ),
    (
        "ledger",
        "SELECT concat_ws(' ', source_object, kind, object_id, amount_minor, currency, occurred_at) FROM ledger
         WHERE source_object LIKE $1",
    ),
    (
        "subscriptions",
        "SELECT concat_ws(' ', subscription_id, user_id IS NOT NULL, status, cancel_at_period_end, entitled, finality,
                          seen_at, rank, refetch_at IS NOT NULL)
         FROM subscriptions WHERE subscription_id LIKE $1",
    ),
    (
        "payouts",
        "SELECT concat_ws(' ', payout_id, status, amount_minor, failure_code, finality, seen_at, rank,
                          refetch_at IS NOT NULL)
         FROM payouts WHERE payout_id LIKE $1",
    ),
    // Never told is as good as told and taken back.
    (
        "entitled",
        "SELECT key FROM (
             SELECT DISTINCT ON (key) key, topic FROM outbox WHERE key LIKE $1 OR replace(key, '-', '') LIKE $1
             ORDER BY key, version DESC) last
         WHERE topic = 'entitlement.granted'",
    ),
];
