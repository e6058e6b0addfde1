//! The real binary, killed with SIGKILL at each point of a delivery, and what BTCPay and the next minute make of it.
//!
//! Where a transaction is to wait, the test holds what it needs. A `COMMIT` waits in a deferred trigger: whoever sent it
//! is dead by the time it succeeds, which is how an answer gets lost after all was done.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::btcpay::Delivery;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;
use shared::btcpay::Btcpay;
use shared::crypto::Secret;
use shared::runtime::Invocation;
use shared::upstream::Upstream;
use shared::webhook::queue::LEASE;
use testing::sell::Invoice;
use testing::{Call, Result, SignedIn, Store, World, binary};

use super::{DID, NAME, ROUTE, hmac, rows};

const BINARY: &str = env!("CARGO_BIN_EXE_btcpay_webhook");
const JOB: &str = "process_webhook_events";
const PATIENCE: Duration = Duration::from_secs(20);
const A_RUN: Duration = Duration::from_secs(80);
const PRICE: i64 = 250_000;

/// What the process does not live to see.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// The delivery is good, and its row waits to be written.
    Row,
    /// The row's commit was sent; it succeeds afterwards.
    RowKept,
    /// BTCPay was asked, and has not looked.
    Call,
    /// BTCPay has looked, and its answer is on the way.
    Answer,
    /// The answer is there; its transaction is begun and waits.
    Effect,
    /// The effect's commit was sent; it succeeds afterwards, and BTCPay hears nothing.
    Ok,
}

const MOMENTS: [Before; 6] =
    [Before::Row, Before::RowKept, Before::Call, Before::Answer, Before::Effect, Before::Ok];

/// A commit of either kind waits for whoever holds the lock of its number.
const GATES: &str = "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
         $$BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::int, 0); RETURN NULL; END$$;
     CREATE CONSTRAINT TRIGGER row_gate AFTER INSERT ON webhook_events DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION wait_at_commit(1);
     CREATE CONSTRAINT TRIGGER effect_gate AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION wait_at_commit(2)";

impl Before {
    /// What the test holds, and the statement that waits for it.
    fn held(self, invoice: &Invoice) -> Option<(String, &'static str)> {
        Some(match self {
            Self::Row => {
                (String::from("LOCK TABLE webhook_events IN SHARE MODE"), "%INSERT INTO webhook_events%")
            }
            Self::RowKept => (String::from("SELECT pg_advisory_xact_lock(1, 0)"), "COMMIT%"),
            Self::Call | Self::Answer => return None,
            Self::Effect => {
                (format!("SELECT FROM payments WHERE id = '{}' FOR UPDATE", invoice.id), "%payments%")
            }
            Self::Ok => (String::from("SELECT pg_advisory_xact_lock(2, 0)"), "COMMIT%"),
        })
    }

    fn misbehaviour(self) -> Option<Misbehaviour> {
        match self {
            Self::Call => Some(Misbehaviour::Hang),
            Self::Answer => Some(Misbehaviour::StallAfter { millis: 60_000 }),
            Self::Row | Self::RowKept | Self::Effect | Self::Ok => None,
        }
    }

    /// Whether the row is there and its effect is not: nothing but the job helps then.
    fn is_half_done(self) -> bool {
        !matches!(self, Self::Row | Self::Ok)
    }
}

/// Somebody whose store tells an address where nobody listens: what BTCPay wrote is taken from its own records.
struct Shop {
    world: World,
    user: SignedIn,
    store: Store,
}

/// BTCPay's words, as they come in.
struct Told {
    invoice: Invoice,
    first: Delivery,
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so().await? {
        ensure!(started.elapsed() < PATIENCE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

impl Shop {
    async fn open() -> Result<Self> {
        let world = World::start().await?;
        world.catch_up();
        let node = world.node("node12")?;
        let user = world.sign_in(DID, &node.pubkey).await?;
        let store = world.give_store(&user, &node).await?;
        let mut config = world.config(world.environment(NAME)?);
        let upstream = Upstream::wire(&mut config);
        let btcpay = Btcpay::wire(&mut config, &upstream).context("no BTCPay")?;
        let deaf = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let secret = Secret::new(store.webhook_secret.clone());
        btcpay.create_webhook(&store.id.parse()?, &format!("http://{deaf}/"), &secret).await?;
        world.sandbox.btcpay().set_retry_waits(&[]);
        world.db.admin().await?.batch_execute(GATES).await?;
        Ok(Self { world, user, store })
    }

    async fn delivery(&self, is_meant: impl Fn(&Delivery) -> bool) -> Result<Delivery> {
        let mut found = None;
        let tried = async || {
            found = self.world.sandbox.btcpay().deliveries().into_iter().find(&is_meant);
            Ok(found.is_some())
        };
        until("the delivery", tried).await?;
        found.context("no delivery")
    }

    /// An invoice that was paid, and the first delivery that says so.
    async fn paid(&self) -> Result<Told> {
        let invoice = self.world.invoice(&self.user, PRICE).await?;
        self.world.sandbox.btcpay().pay_invoice(&self.store.id, &invoice.btcpay_id)?;
        let is_meant =
            |tried: &Delivery| tried.invoice == invoice.btcpay_id && tried.event == "InvoiceSettled";
        let first = self.delivery(is_meant).await?;
        Ok(Told { invoice, first })
    }

    async fn again(&self, told: &Told) -> Result<Delivery> {
        let id = self.world.sandbox.btcpay().redeliver(&told.first.id)?;
        let again = self.delivery(|tried| tried.id == id).await?;
        ensure!(again.id != told.first.id && again.original == told.first.id, "{again:?}");
        Ok(again)
    }

    fn call(&self, delivery: &Delivery) -> Call {
        let mac = hmac(&self.store.webhook_secret, &delivery.body);
        Call::new(ROUTE)
            .path("store_id", &self.store.id)
            .body(delivery.body.to_vec())
            .header("btcpay-sig", &format!("sha256={mac}"))
    }

    /// Runs the binary on the first delivery and kills it at this moment.
    async fn dies(&self, told: &Told, moment: Before) -> Result<()> {
        let world = &self.world;
        let path = format!("/btcpay/api/v1/stores/{}/invoices/{}", self.store.id, told.invoice.btcpay_id);
        let asked = world.sandbox.calls_to(Service::Btcpay, &path);
        let faults = world.sandbox.faults();
        if let Some(misbehaviour) = moment.misbehaviour() {
            let route = Route::service(Service::Btcpay).method("GET").path(&path);
            faults.add(route, When::Always, misbehaviour)?;
        }
        let held = moment.held(&told.invoice);
        let mut admin = world.db.admin().await?;
        let holding = admin.transaction().await?;
        if let Some((hold, _)) = &held {
            holding.batch_execute(hold).await?;
        }
        let api = world.binary(BINARY, NAME).await?;
        let event = binary::event(&self.call(&told.first))?;
        let ready = async {
            let Some((_, statement)) = held else {
                let called = async || Ok(world.sandbox.calls_to(Service::Btcpay, &path) > asked);
                until("the call", called).await?;
                // The work is done by then, if it is done at all.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return anyhow::Ok(());
            };
            let waiting = format!(
                "pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '{statement}'"
            );
            until("its statement", async || Ok(rows(world, &waiting).await? == 1)).await
        };
        tokio::select! {
            done = api.invoke(&event) => anyhow::bail!("it lived past {moment:?}: {done:?}\n{:#?}", api.logs()),
            ready = ready => ready?,
        }
        api.kill().await;
        holding.rollback().await?;
        faults.clear();
        self.is_gone().await
    }

    /// Postgres goes on with what it was sent last, and notices the death afterwards.
    async fn is_gone(&self) -> Result<()> {
        let left = "pg_stat_activity WHERE datname = current_database() AND usename = 'satchel_webhooks'";
        until("the end of its session", async || Ok(rows(&self.world, left).await? == 0)).await
    }

    /// BTCPay tells a new process the same again.
    async fn redelivers(&self, told: &Told) -> Result<()> {
        let api = self.world.binary(BINARY, NAME).await?;
        let answer = binary::call(&api, &self.call(&self.again(told).await?)).await?;
        ensure!(answer.status == 200 && answer.body == json!({ "received": true }), "{answer:?}");
        api.kill().await;
        self.is_gone().await
    }

    /// The lease is over, and the next minute's run does what is left. Gives how many rows it finished.
    async fn goes_on(&self) -> Result<u64> {
        self.world.catch_up();
        self.world.advance(LEASE);
        let deps = self.world.wire(JOB, process_webhook_events::Deps::wire).await?;
        let invocation = Invocation { id: String::from("an-invocation"), ends_at: Instant::now() + A_RUN };
        let run = process_webhook_events::run(&deps, &invocation).await;
        let report = run.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))?;
        self.world.catch_up();
        let done = report.done;
        let only = process_webhook_events::Report { done, ..process_webhook_events::Report::default() };
        ensure!(report == only, "{report:?}");
        Ok(done)
    }

    /// How often each of these is there.
    async fn are(&self, tables: &[(String, i64)]) -> Result<()> {
        for (table, expected) in tables {
            let found = rows(&self.world, table).await?;
            ensure!(found == *expected, "{found} times {table}");
        }
        Ok(())
    }

    /// Nothing became of the delivery, and its row is there or not.
    async fn untouched(&self, told: &Told, kept: bool) -> Result<()> {
        let Told { invoice, first } = told;
        let event = format!("webhook_events WHERE event_id = '{}'", first.id);
        self.are(&[
            (format!("{event} AND state = 'received' AND attempts = 1"), i64::from(kept)),
            (event, i64::from(kept)),
            (format!("payments WHERE id = '{}' AND state = 'created' AND version = 0", invoice.id), 1),
            (format!("ledger WHERE object_id = '{}'", invoice.btcpay_id), 0),
            (format!("outbox WHERE key = '{}'", invoice.id), 0),
        ])
        .await
    }

    /// One row that is done, one payment that is paid, its money once, and told of once.
    async fn settled_once(&self, told: &Told) -> Result<()> {
        let Told { invoice: Invoice { id, btcpay_id }, first } = told;
        self.are(&[
            (format!("webhook_events WHERE event_id = '{}' AND state = 'done'", first.id), 1),
            (format!("webhook_events WHERE object_id = '{btcpay_id}'"), 1),
            (
                format!(
                    "payments WHERE id = '{id}' AND state = 'paid' AND received_minor = {PRICE} AND entitled
                     AND version = 1"
                ),
                1,
            ),
            (
                format!(
                    "ledger WHERE source_object = '{btcpay_id}' AND kind = 'payment' AND amount_minor = {PRICE}
                     AND currency = 'btc'"
                ),
                1,
            ),
            (format!("ledger WHERE object_id = '{btcpay_id}'"), 1),
            (format!("outbox WHERE key = '{id}' AND topic = 'entitlement.granted'"), 1),
            (format!("outbox WHERE key = '{id}'"), 1),
        ])
        .await
    }
}

async fn once(shop: &Shop, moment: Before) -> Result<Told> {
    let told = shop.paid().await?;
    shop.dies(&told, moment).await?;
    match moment {
        Before::Ok => shop.settled_once(&told).await.context("after the death")?,
        _ => shop.untouched(&told, moment != Before::Row).await.context("after the death")?,
    }
    shop.redelivers(&told).await?;
    if moment.is_half_done() {
        // Whoever died holds the row until its lease is over.
        shop.untouched(&told, true).await.context("after the redelivery")?;
    } else {
        shop.settled_once(&told).await.context("after the redelivery")?;
    }
    let finished = shop.goes_on().await?;
    ensure!(finished == u64::from(moment.is_half_done()), "the job finished {finished}");
    shop.settled_once(&told).await.context("in the end")?;
    Ok(told)
}

#[tokio::test]
async fn killed_at_any_point_of_a_delivery_it_is_settled_once_after_a_redelivery_and_the_job() -> Result<()> {
    let shop = Shop::open().await?;
    let is_full = std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1");
    let rounds = if is_full { 20 } else { 2 };
    let mut settled = Vec::new();
    for round in 0..rounds {
        for moment in MOMENTS {
            // The binary's clock goes on.
            shop.world.catch_up();
            let context = || format!("killed before {moment:?}, round {round}");
            settled.push(once(&shop, moment).await.with_context(context)?);
        }
    }
    for told in &settled {
        shop.settled_once(told).await?;
    }
    let deaths = i64::try_from(settled.len())?;
    let tables = ["webhook_events WHERE state = 'done'", "webhook_events", "ledger", "outbox"];
    shop.are(&tables.map(|table| (table.to_owned(), deaths))).await?;
    println!("{deaths} processes killed, {deaths} payments, 0 lost, 0 doubled");
    Ok(())
}
