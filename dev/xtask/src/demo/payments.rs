//! Money: a checkout at Stripe that is paid, refunded and disputed, and two invoices at BTCPay, of whose second the
//! webhook is lost.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testing::deployment;
use tokio_postgres::Client as Database;
use tokio_postgres::types::Type;

use super::client::{Client, text};
use crate::stack::Addresses;

const POLL: Duration = Duration::from_millis(200);
const POLLS: u32 = 100;
const AMOUNT: &str = "1000";

/// One payment at Stripe, from the first click to the chargeback. Every webhook comes twice.
pub async fn checkout(client: &Client, addresses: &Addresses, did: &str) -> Result<()> {
    let database = deployment::connect(&addresses.database_url).await?;
    let control = Control { client, base: format!("{}/sandbox/stripe", addresses.sandbox) };
    client.say("Stripe is told where our webhook is, and from here on delivers everything twice.");
    let url = format!("{}/v1/webhooks/stripe", addresses.api);
    let secret = sandbox::STRIPE_PLATFORM_SECRET;
    control.post("/endpoints", &json!({ "url": url, "secret": secret })).await?;
    client.put_quietly(&control.base, &json!({ "deliver_twice": 1_000_000 })).await?;

    client.say("Something to be paid for is on record, and a checkout session at Stripe carries its id.");
    let payment_id = begin(&database, did).await?;
    let session = new_session(client, addresses, &payment_id).await?;
    println!("payment {payment_id}\nsession {session}");

    client.say("The customer pays.");
    control.act(&session, "pay", &json!({})).await?;
    becomes(&database, &payment_id, "paid").await?;

    client.say("Two fifths are refunded.");
    control.act(&session, "refund", &json!({ "amount": 400 })).await?;
    becomes(&database, &payment_id, "partially_refunded").await?;

    client.say("The customer disputes the rest with their bank: the money is withdrawn, and a fee.");
    let dispute = control.act(&session, "dispute", &json!({ "amount": 600 })).await?;
    becomes(&database, &payment_id, "disputed").await?;

    client.say("The dispute is lost.");
    let dispute = text(&dispute, "/id")?;
    control.act(dispute, "move_dispute", &json!({ "status": "lost" })).await?;
    becomes(&database, &payment_id, "dispute_lost").await?;
    client.put_quietly(&control.base, &json!({ "deliver_twice": 0 })).await
}

/// An invoice settled by its webhook, and one whose webhook never came.
pub async fn invoices(client: &Client, addresses: &Addresses, session: &[(&str, &str)]) -> Result<()> {
    let database = deployment::connect(&addresses.database_url).await?;
    client.say("An invoice is paid by Lightning, and BTCPay's webhook tells.");
    let told = new_invoice(client, &database, session).await?;
    pay(client, addresses, &told).await?;
    becomes(&database, &told.payment_id, "paid").await?;

    client.say("Another is paid, and its webhooks are lost on the way.");
    let btcpay = format!("{}/sandbox/btcpay", addresses.sandbox);
    client.put_quietly(&btcpay, &json!({ "drop_deliveries": 1_000 })).await?;
    let lost = new_invoice(client, &database, session).await?;
    pay(client, addresses, &lost).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.put_quietly(&btcpay, &json!({ "drop_deliveries": 0 })).await?;
    let state = state(&database, &lost.payment_id).await?;
    ensure!(state != "paid", "a webhook came that was to be lost");
    println!("payment {} is still {state}", lost.payment_id);

    client.say("It is time to ask BTCPay: reconcile_payments is run, as it is every hour.");
    let due = "UPDATE payments SET poll_at = now() WHERE id = CAST($1 AS uuid)";
    database.execute_typed(due, &[(&lost.payment_id, Type::TEXT)]).await?;
    let invoke = format!("{}/2015-03-31/functions/reconcile_payments/invocations", addresses.api);
    client.send(&Method::POST, &invoke, &[], Some(&json!({})), StatusCode::OK).await?;
    becomes(&database, &lost.payment_id, "paid").await
}

struct Control<'a> {
    client: &'a Client,
    base: String,
}

impl Control<'_> {
    async fn act(&self, object: &str, act: &str, details: &Value) -> Result<Value> {
        self.post(&format!("/objects/{object}/{act}"), details).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let answer = self.client.http.send(&Method::POST, &url, &[], Some(body)).await?;
        let json = answer.json()?;
        if answer.status.is_success() { Ok(json) } else { bail!("POST {url} was answered {json}") }
    }
}

/// What the part that sells does before it sends anybody to Stripe.
async fn begin(database: &Database, did: &str) -> Result<String> {
    let row = database
        .query_typed_one(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             SELECT gen_random_uuid(), user_id, 'stripe', '', 'usd', CAST($2 AS bigint), now(), now()
             FROM identities WHERE subject = $1
             RETURNING id::text",
            &[(&did, Type::TEXT), (&AMOUNT, Type::TEXT)],
        )
        .await?;
    Ok(row.get(0))
}

async fn new_session(client: &Client, addresses: &Addresses, payment_id: &str) -> Result<String> {
    let url = format!("{}/stripe/v1/checkout/sessions", addresses.sandbox);
    let key = format!("Bearer {}", sandbox::STRIPE_KEY);
    let fields = [
        ("mode", "payment"),
        ("success_url", "https://shop.example.com/thanks"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", AMOUNT),
        ("line_items[0][price_data][product_data][name]", "Coffee"),
        ("line_items[0][quantity]", "1"),
        ("client_reference_id", payment_id),
        ("payment_intent_data[metadata][payment_id]", payment_id),
    ];
    let answer = client.http.post_form(&url, &[("authorization", &key)], &fields).await?.json()?;
    Ok(text(&answer, "/id").with_context(|| answer.to_string())?.to_owned())
}

struct Invoice {
    payment_id: String,
    store: String,
    btcpay_id: String,
}

async fn new_invoice(client: &Client, database: &Database, session: &[(&str, &str)]) -> Result<Invoice> {
    let order = json!({ "amount_msat": 42_000, "memo": "another coffee" });
    let made = client.post("/v1/invoices", session, &order, StatusCode::CREATED).await?;
    let payment_id = text(&made, "/invoice_id")?.to_owned();
    let row = database
        .query_typed_one(
            "SELECT btcpay_store_id, btcpay_invoice_id FROM invoices WHERE id = CAST($1 AS uuid)",
            &[(&payment_id, Type::TEXT)],
        )
        .await?;
    Ok(Invoice { payment_id, store: row.get(0), btcpay_id: row.get(1) })
}

async fn pay(client: &Client, addresses: &Addresses, invoice: &Invoice) -> Result<()> {
    let Invoice { store, btcpay_id, .. } = invoice;
    let url = format!("{}/sandbox/btcpay/stores/{store}/invoices/{btcpay_id}/pay", addresses.sandbox);
    let answer = client.http.send(&Method::POST, &url, &[], None).await?;
    ensure!(answer.status.is_success(), "POST {url} was answered {}", answer.status);
    Ok(())
}

async fn state(database: &Database, payment_id: &str) -> Result<String> {
    let row = database
        .query_typed_one(
            "SELECT state FROM payments WHERE id = CAST($1 AS uuid)",
            &[(&payment_id, Type::TEXT)],
        )
        .await?;
    Ok(row.get(0))
}

/// Waits for the state, and shows the payment and what of it moved.
async fn becomes(database: &Database, payment_id: &str, expected: &str) -> Result<()> {
    for _ in 0..POLLS {
        if state(database, payment_id).await? == expected {
            return show(database, payment_id).await;
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("payment {payment_id} is {}, not {expected}", state(database, payment_id).await?)
}

async fn show(database: &Database, payment_id: &str) -> Result<()> {
    let payment = database
        .query_typed_one(
            "SELECT state, received_minor, refunded_minor, currency, entitled FROM payments
             WHERE id = CAST($1 AS uuid)",
            &[(&payment_id, Type::TEXT)],
        )
        .await?;
    let (state, currency): (&str, &str) = (payment.get(0), payment.get(3));
    let (received, refunded, entitled): (i64, i64, bool) = (payment.get(1), payment.get(2), payment.get(4));
    println!("payment {payment_id}  {state}  received {received}  refunded {refunded}  entitled {entitled}");
    let ledger = database
        .query_typed(
            "SELECT l.kind, l.source_object, l.amount_minor
             FROM ledger l JOIN payment_objects o ON o.object_id = l.object_id
             WHERE o.payment_id = CAST($1 AS uuid)
             ORDER BY l.id",
            &[(&payment_id, Type::TEXT)],
        )
        .await?;
    let mut sum = 0;
    for row in &ledger {
        let (kind, source, amount): (&str, &str, i64) = (row.get(0), row.get(1), row.get(2));
        println!("  {kind:<16} {amount:>8} {currency}  {source}");
        sum += amount;
    }
    println!("  {:<16} {sum:>8} {currency}", "sum");
    Ok(())
}
