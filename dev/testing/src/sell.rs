//! Something to be paid for, as the part that sells makes it: a row of ours, and a checkout session or an invoice.

use anyhow::{Context, ensure};
use sandbox::STRIPE_KEY;
use sandbox::stripe::Stripe;
use serde_json::Value;
use shared::db::Db;
use shared::invoice::{self, Begun, Maker, Order};
use shared::payment::{self, NewPayment, Source};
use shared::random::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;
use url::Url;
use uuid::Uuid;

use crate::{SignedIn, World};

/// An invoice at BTCPay, and the payment of the same id.
#[derive(Clone, Debug)]
pub struct Invoice {
    pub id: Uuid,
    pub btcpay_id: String,
}

impl World {
    /// On the user's own store, payable for ten minutes.
    pub async fn invoice(&self, user: &SignedIn, amount_msat: i64) -> anyhow::Result<Invoice> {
        let (now, admin) = (self.now(), self.db.admin().await?);
        let order = Order::parse((amount_msat, None, Some(600)), u32::MAX);
        let order = order.map_err(|(field, why)| anyhow::anyhow!("{field} {why}"))?;
        let id = Random::system().id(now);
        let begun = invoice::begin(&admin, (id, user.user_id), &order, None, now).await;
        let Begun::Ours(claimed) = begun.map_err(|error| anyhow::anyhow!("{error:?}"))? else {
            anyhow::bail!("it was there")
        };
        let wire = |config: &mut _| {
            let db = Db::wire(config);
            Maker::wire(config, &db)
        };
        let maker = self.wire("create_invoice", wire).await?;
        let made = maker.make(&claimed).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let btcpay_id = made.btcpay_id.as_str().to_owned();
        let finished = invoice::finish(&admin, &claimed, (&btcpay_id, &made.invoice), now).await;
        finished.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(Invoice { id, btcpay_id })
    }
}

/// A row of ours over so many US cents, to be paid at Stripe.
pub async fn payment(
    client: &Client,
    user_id: Uuid,
    account: Option<&str>,
    amount_minor: i64,
) -> anyhow::Result<Uuid> {
    let now = shared::clock::Clock::system().now();
    let new = NewPayment {
        id: Random::system().id(now),
        user_id,
        source: Source { provider: "stripe", account: account.unwrap_or_default() },
        currency: "usd",
        amount_minor,
        expires_at: None,
        poll_at: None,
    };
    payment::create(client, &new, now).await?;
    Ok(new.id)
}

/// A checkout session at the sandbox's Stripe, over so many US cents; it and its intent carry our id.
pub async fn checkout(
    stripe: &Stripe,
    account: Option<&str>,
    payment_id: Uuid,
    amount_minor: i64,
) -> anyhow::Result<String> {
    let form = format!(
        "mode=payment&success_url=https%3A%2F%2Fshop.example.com%2Fthanks&client_reference_id={payment_id}\
         &payment_intent_data[metadata][payment_id]={payment_id}&line_items[0][quantity]=1\
         &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]={amount_minor}\
         &line_items[0][price_data][product_data][name]=Coffee"
    );
    session(stripe, account, &form).await
}

/// A checkout session of mode subscription; only the session carries our id.
pub async fn subscribe(stripe: &Stripe, payment_id: Uuid, amount_minor: i64) -> anyhow::Result<String> {
    let form = format!(
        "mode=subscription&success_url=https%3A%2F%2Fshop.example.com%2Fthanks&client_reference_id={payment_id}\
         &line_items[0][quantity]=1&line_items[0][price_data][recurring][interval]=month\
         &line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]={amount_minor}\
         &line_items[0][price_data][product_data][name]=Coffee"
    );
    session(stripe, None, &form).await
}

async fn session(stripe: &Stripe, account: Option<&str>, form: &str) -> anyhow::Result<String> {
    let url = Url::parse(&format!("{}/v1/checkout/sessions", stripe.base_url()))?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
    let account = account.map(|account| format!("stripe-account: {account}\r\n")).unwrap_or_default();
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {STRIPE_KEY}\r\nconnection: close\r\n{account}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        url.path(),
        form.len()
    );
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let body =
        body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to)).unwrap_or_default();
    let id = serde_json::from_str::<Value>(body)?["id"].as_str().map(str::to_owned);
    id.with_context(|| answer.clone())
}
