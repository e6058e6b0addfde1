//! `POST /v1/invoices`

mod answers;
mod idempotency;
mod lost;
mod payments;
mod races;
mod refused;
mod runtime;

use create_invoice::{Deps, handle};
use sandbox::lnd::Node;
use serde_json::{Value, json};
use shared::lightning::bolt11::Description;
use shared::lightning::{Bolt11, Network};
use testing::{Call, Outcome, Result, SignedIn, Store, World};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const ROUTE: &str = "POST /v1/invoices";
const NAME: &str = "create_invoice";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// A world in step with the sandbox, which keeps the machine's time.
async fn start() -> Result<World> {
    let world = World::start().await?;
    world.catch_up();
    Ok(world)
}

/// Somebody signed in whose Lightning setup is done.
struct Owner {
    user: SignedIn,
    node: Node,
    store: Store,
}

impl Owner {
    async fn new(world: &World, did: &str, name: &str) -> Result<Self> {
        let node = world.node(name)?;
        let user = world.sign_in(did, &node.pubkey).await?;
        let store = world.give_store(&user, &node).await?;
        Ok(Self { user, node, store })
    }

    fn call(&self, body: &Value) -> Call {
        Call::new(ROUTE).json(body).bearer(&self.user.access_token)
    }

    /// Invoices BTCPay made for the store, whatever it answered.
    fn at_btcpay(&self, world: &World) -> usize {
        world.sandbox.btcpay().invoices(&self.store.id).len()
    }
}

fn order() -> Value {
    json!({ "amount_msat": 250_000, "memo": "two beers", "expiry_seconds": 600 })
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

/// For every invoice on record. The sandbox keeps the machine's time, so the world's clock stays where it is.
async fn ten_minutes_pass(world: &World) -> Result<()> {
    let moved = "UPDATE invoices SET created_at = created_at - interval '10 minutes'";
    Ok(world.db.admin().await?.batch_execute(moved).await?)
}

/// The invoice of a 201, read and compared with the answer that holds it.
fn paid_by(answer: &Outcome) -> Result<Bolt11> {
    anyhow::ensure!(answer.status == 201, "{answer:?}");
    let bolt11 = Bolt11::parse(answer.text("/bolt11")?)?;
    let hash = data_encoding::HEXLOWER.encode(&bolt11.payment_hash);
    anyhow::ensure!(answer.text("/payment_hash")? == hash, "{answer:?}");
    anyhow::ensure!(bolt11.amount_msat == answer.body["amount_msat"].as_u64(), "{answer:?}");
    let expires_at = OffsetDateTime::parse(answer.text("/expires_at")?, &Rfc3339)?;
    anyhow::ensure!(bolt11.expires_at == expires_at, "{answer:?}");
    anyhow::ensure!(answer.text("/expires_at")?.ends_with('Z'), "{answer:?}");
    Ok(bolt11)
}

/// Nothing of an invoice stands in the answer, or in any row.
async fn nothing_is_shown(world: &World, answer: &Outcome) -> Result<()> {
    for part in ["lnbc", "lntb", "bolt11", "payment_hash"] {
        assert!(!answer.reply.body.contains(part), "{answer:?}");
    }
    assert_eq!(
        rows(world, "invoices WHERE num_nonnulls(bolt11, payment_hash, btcpay_invoice_id) > 0").await?,
        0
    );
    assert_eq!(rows(world, "audit_logs WHERE action = 'invoice.created'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_event_file_makes_an_invoice_on_the_caller_s_own_node() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let event = Call::from_event(NAME)?.bearer(&owner.user.access_token);
    let answer = send(&wire(&world).await?, &event).await?;

    let bolt11 = paid_by(&answer)?;
    assert_eq!((bolt11.network, bolt11.amount_msat), (Network::Regtest, Some(250_000)));
    assert_eq!(bolt11.payee.to_string(), owner.node.pubkey);
    let lives = bolt11.expires_at - world.now();
    assert!((590..=620).contains(&lives.whole_seconds()), "{lives}");
    let fields: Vec<&str> =
        answer.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["amount_msat", "bolt11", "expires_at", "invoice_id", "payment_hash"]);
    Ok(())
}

#[tokio::test]
async fn the_payer_reads_the_memo() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for memo in ["two beers", "für dich ☕"] {
        let answer = send(&deps, &owner.call(&json!({ "amount_msat": 1_000, "memo": memo }))).await?;
        assert_eq!(paid_by(&answer)?.description, Description::Text(memo.to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn the_row_says_what_was_asked_and_what_was_made() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &owner.call(&order())).await?;

    let made = world.sandbox.btcpay().invoices(&owner.store.id);
    let [made] = made.as_slice() else { anyhow::bail!("{made:?}") };
    assert_eq!(made.order_id, answer.text("/invoice_id")?);
    assert_eq!(made.bolt11.as_deref(), Some(answer.text("/bolt11")?));
    let kept = format!(
        "invoices WHERE id = '{}' AND user_id = '{}' AND btcpay_store_id = '{}' AND amount_msat = 250000
         AND memo = 'two beers' AND expiry_seconds = 600 AND state = 'open' AND btcpay_invoice_id = '{}'
         AND bolt11 = '{}' AND encode(payment_hash, 'hex') = '{}' AND expires_at = '{}'
         AND idempotency_key IS NULL AND fingerprint IS NULL AND lease_token = 1",
        made.order_id,
        owner.user.user_id,
        owner.store.id,
        made.id,
        answer.text("/bolt11")?,
        answer.text("/payment_hash")?,
        answer.text("/expires_at")?,
    );
    assert_eq!((rows(&world, &kept).await?, rows(&world, "invoices").await?), (1, 1));
    let audited = format!(
        "audit_logs WHERE action = 'invoice.created' AND resource_type = 'invoice' AND resource_id = '{}'
         AND user_id = '{}' AND chain = user_id::text AND request_id = 'request-under-test'
         AND details ->> 'btcpay_invoice_id' = '{}' AND details::text NOT LIKE '%beers%'",
        made.order_id, owner.user.user_id, made.id
    );
    assert_eq!((rows(&world, &audited).await?, rows(&world, "audit_logs").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_amount_is_enough_and_a_time_is_rounded_up() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for (asked, seconds) in [(None, 900), (Some(60), 60), (Some(61), 120), (Some(86_399), 86_400)] {
        let mut body = json!({ "amount_msat": 1_000, "memo": null, "something_else": 1 });
        body["expiry_seconds"] = json!(asked);
        let bolt11 = paid_by(&send(&deps, &owner.call(&body)).await?)?;
        let lives = (bolt11.expires_at - world.now()).whole_seconds();
        assert!((seconds - 10..=seconds + 30).contains(&lives), "{asked:?}: {lives}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_key_every_request_makes_another() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let (one, other) = (send(&deps, &owner.call(&order())).await?, send(&deps, &owner.call(&order())).await?);
    assert_ne!(paid_by(&one)?.payment_hash, paid_by(&other)?.payment_hash);
    assert_eq!((owner.at_btcpay(&world), rows(&world, "invoices").await?), (2, 2));
    assert_eq!(other.header("idempotent-replayed"), None);
    Ok(())
}

#[tokio::test]
async fn everybody_is_paid_on_their_own_store_and_node() -> Result<()> {
    let world = start().await?;
    let (alice, bob) = (Owner::new(&world, DID, "alice").await?, Owner::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    for owner in [&alice, &bob, &alice] {
        let answer = send(&deps, &owner.call(&order())).await?;
        assert_eq!(paid_by(&answer)?.payee.to_string(), owner.node.pubkey);
    }
    assert_eq!((alice.at_btcpay(&world), bob.at_btcpay(&world)), (2, 1));
    Ok(())
}
