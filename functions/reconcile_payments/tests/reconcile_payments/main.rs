//! Every hour — what no webhook told.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod btcpay;
mod racing;
mod runtime;
mod stripe;

use std::time::{Duration, Instant};

use reconcile_payments::{Deps, Part, Report, run};
use shared::runtime::Invocation;
use testing::sell::{self, Invoice};
use testing::{Result, SignedIn, Store, World};
use uuid::Uuid;

const NAME: &str = "reconcile_payments";
/// More than any run here takes, and what is kept back of it.
const A_RUN: Duration = Duration::from_mins(2);
const PRICE: i64 = 21_000;
const NONE: Part = Part { seen: 0, found: 0, failed: 0 };

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn reconcile(deps: &Deps) -> Result<Report> {
    reconcile_for(deps, A_RUN).await
}

/// As if the platform gave it this long.
async fn reconcile_for(deps: &Deps, time: Duration) -> Result<Report> {
    let invocation = Invocation { id: String::from("an-invocation"), ends_at: Instant::now() + time };
    run(deps, &invocation).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

/// Whether to take the time (`cargo xtask test --full`).
fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1")
}

/// Somebody who sells, with a store of their own.
struct Shop {
    user: SignedIn,
    store: Store,
}

/// A world at the machine's time, which is the sandbox's.
async fn open() -> Result<(World, Shop)> {
    let world = World::start().await?;
    world.catch_up();
    let node = world.node("seller")?;
    let user = world.sign_in("did:mnemonic:9f86d081884c7d65", &node.pubkey).await?;
    let store = world.give_store(&user, &node).await?;
    Ok((world, Shop { user, store }))
}

impl Shop {
    /// Open at BTCPay, and nobody has told us anything.
    async fn invoice(&self, world: &World) -> Result<Invoice> {
        world.invoice(&self.user, PRICE).await
    }

    /// Paid at Stripe, with a checkout session; nobody has told us anything. The payment and the session.
    async fn checkout(&self, world: &World, account: Option<&str>) -> Result<(Uuid, String)> {
        let payment = sell::payment(&world.db.admin().await?, self.user.user_id, account, PRICE).await?;
        let session = sell::checkout(&world.sandbox.stripe(), account, payment, PRICE).await?;
        world.sandbox.stripe().pay(&session)?;
        Ok((payment, session))
    }
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// State, what arrived, what went back, whether it came late, and whether it is the payer's to have.
async fn standing(world: &World, payment: Uuid) -> Result<String> {
    let sql = format!(
        "SELECT concat_ws(' ', state, received_minor, refunded_minor, late, entitled) FROM payments WHERE id = '{payment}'"
    );
    Ok(world.db.admin().await?.query_typed_one(&sql, &[]).await?.get(0))
}

/// The invoice's money is there exactly once, whoever told of it how often.
async fn settled_once(world: &World, invoice: &Invoice) -> Result<()> {
    anyhow::ensure!(standing(world, invoice.id).await? == format!("paid {PRICE} 0 f t"), "{invoice:?}");
    for (what, table) in [
        (
            "line of the ledger",
            format!("ledger WHERE object_id = '{}' AND amount_minor = {PRICE}", invoice.btcpay_id),
        ),
        ("message", format!("outbox WHERE key = '{}' AND topic = 'entitlement.granted'", invoice.id)),
        ("object", format!("payment_objects WHERE payment_id = '{}'", invoice.id)),
    ] {
        let found = rows(world, &table).await?;
        anyhow::ensure!(found == 1, "{found} times the {what} of {invoice:?}");
    }
    Ok(())
}
