//! Somebody who sells over Stripe, and what must hold of what they sold.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::{Owner, Result, Stack, StackOptions, Tokens};
use sandbox::stripe::Stripe;
use testing::sell;
use tokio_postgres::types::Type;
use uuid::Uuid;

pub const PRICE: i64 = 2_000;
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Shop {
    pub stack: Stack,
    pub stripe: Stripe,
    pub owner: Owner,
    pub tokens: Tokens,
    pub user_id: Uuid,
}

impl Shop {
    /// Stripe delivers to both addresses, twice, in any order, and again within moments when it is not answered well.
    pub async fn open() -> Result<Self> {
        let stack = Stack::start_with(StackOptions { max_processes: 2, ..StackOptions::default() }).await?;
        let stripe = stack.sandbox.stripe();
        let url = format!("{}/v1/webhooks/stripe", stack.gateway.base_url());
        stripe.add_platform_endpoint(&url)?;
        stripe.add_connect_endpoint(&format!("{url}/connect"))?;
        stripe.deliver_twice(u64::MAX);
        stripe.scatter_deliveries(Duration::from_millis(80));
        stripe.set_retry_waits(&[Duration::from_millis(60); 200]);
        let owner = Owner::new(&stack)?;
        let tokens = owner.sign_in().await?;
        let found = "SELECT user_id FROM identities WHERE subject = $1";
        let row = stack.admin().await?.query_typed_one(found, &[(&owner.did, Type::TEXT)]).await?;
        Ok(Self { stripe, owner, tokens, user_id: row.get(0), stack })
    }

    /// Something to be paid for, and the session that it can be paid in.
    pub async fn checkout(&self, account: Option<&str>) -> Result<(Uuid, String)> {
        let payment = sell::payment(&self.stack.admin().await?, self.user_id, account, PRICE).await?;
        Ok((payment, sell::checkout(&self.stripe, account, payment, PRICE).await?))
    }

    /// What is on record of the payment: state, what arrived, what went back, and whether it is the payer's to have.
    pub async fn standing(&self, payment: Uuid) -> Result<String> {
        let sql = "SELECT concat_ws(' ', state, received_minor, refunded_minor, entitled) FROM payments WHERE id = $1";
        Ok(self.stack.admin().await?.query_typed_one(sql, &[(&payment, Type::UUID)]).await?.get(0))
    }

    /// Waits until the payment stands like this.
    pub async fn becomes(&self, payment: Uuid, expected: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let standing = self.standing(payment).await?;
            if standing == expected {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "it stays {standing:?}, and is to be {expected:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until nobody delivers anything any more.
    pub async fn quiet(&self) -> Result<()> {
        self.stripe.quiet(PATIENCE).await
    }

    /// Once every delivery was answered: each event of Stripe's is on record once and done, and nothing is in the
    /// ledger or told twice.
    pub async fn nothing_lost_nothing_doubled(&self) -> Result<()> {
        self.quiet().await?;
        let count = async |sql: &str| self.stack.db.count(sql).await;
        let told = self.stripe.events().iter().filter(|event| !event.thin).count();
        ensure!(
            count("SELECT count(*) FROM webhook_events").await? == i64::try_from(told)?,
            "of {told} events"
        );
        let undone = "SELECT count(*) FROM webhook_events WHERE state NOT IN ('done', 'ignored')
                      OR state = 'ignored' AND last_error_code <> 'UNKNOWN_TYPE'";
        ensure!(count(undone).await? == 0, "some are not done");
        let doubled =
            "SELECT count(*) FROM (SELECT 1 FROM ledger GROUP BY source_object, kind HAVING count(*) > 1) d";
        ensure!(count(doubled).await? == 0, "something moved twice");
        // What is told of one payment takes turns: granted, revoked, granted …
        let repeated = "SELECT count(*) FROM (
                SELECT topic = lag(topic) OVER (PARTITION BY key ORDER BY version) AS again FROM outbox) told
            WHERE again";
        ensure!(count(repeated).await? == 0, "something was told twice");
        let balance = "SELECT (SELECT sum(received_minor - refunded_minor) FROM payments)::bigint
                - (SELECT COALESCE(sum(amount_minor), 0) FROM ledger
                   WHERE kind IN ('payment', 'refund', 'refund_reversed'))::bigint";
        ensure!(count(balance).await? == 0, "the ledger and the payments do not agree");
        Ok(())
    }

    /// The ledger's sum of these kinds.
    pub async fn moved(&self, kinds: &str) -> Result<i64> {
        let sql =
            format!("SELECT COALESCE(sum(amount_minor), 0)::bigint FROM ledger WHERE kind LIKE '{kinds}'");
        self.stack.db.count(&sql).await
    }

    /// Kills every process that serves Stripe's webhooks.
    pub async fn kill(&self) -> Result<()> {
        while !self.stack.gateway.process_ids("stripe_webhook").is_empty() {
            self.stack.gateway.kill("stripe_webhook").await.context("it was gone already")?;
        }
        Ok(())
    }
}
