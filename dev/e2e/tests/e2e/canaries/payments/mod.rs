//! Payers in everything that Stripe and BTCPay tell, and the secrets by which they tell it: through webhooks good and
//! forged, through the jobs, and past a database that refuses.

mod btcpay;
mod jobs;
mod life;
mod stripe;

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::client::Request;
use e2e::{Answer, Owner, Result, Stack, Tokens};
use serde_json::json;
use shared::webhook::body_field;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::canary::Canaries;
use super::corpus::Corpus;
use super::payers::Payer;
use super::wallets;

const JOBS: [&str; 2] = ["process_webhook_events", "reconcile_payments"];

/// By which the endpoints' deliveries are signed: now, and before that.
struct Secrets {
    platform: [String; 2],
    connect: [String; 2],
}

struct Scene {
    stack: Stack,
    canaries: Canaries,
    corpus: Corpus,
    payer: Payer,
    secrets: Secrets,
    key: String,
    owner: Owner,
    tokens: Tokens,
    user_id: Uuid,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_payer_and_no_secret_of_a_webhook_is_seen_in_any_log_answer_or_readable_column()
-> Result<()> {
    let mut scene = Scene::set().await?;
    let events = scene.life().await?;
    scene.told(&events).await?;
    scene.forged(&events).await?;
    scene.malformed(&events).await?;
    scene.where_it_does_not_belong(&events).await?;
    scene.refused_by_the_database(&events).await?;
    scene.invoices().await?;
    scene.quoted().await?;
    scene.reconciled().await?;
    scene.judge().await
}

impl Scene {
    async fn set() -> Result<Self> {
        let mut canaries = Canaries::default();
        let mut options = super::full_of_secrets(&mut canaries)?;
        let mut secret = |name: &str| format!("whsec_{}", canaries.plant(name));
        let secrets = Secrets {
            platform: [secret("platform secret"), secret("previous platform secret")],
            connect: [secret("connect secret"), secret("previous connect secret")],
        };
        let key = format!("sk_test_{}", canaries.plant("key to Stripe"));
        let endpoints = json!({ "platform": secrets.platform, "connect": secrets.connect });
        options.secrets.insert("satchel/stripe-webhooks".to_owned(), endpoints);
        options.secrets.insert("satchel/stripe".to_owned(), json!({ "api_key": key }));
        let stack = Stack::start_with(options).await?;
        super::configured(&stack, &mut canaries)?;
        stack.sandbox.stripe().add_key(&key);
        stack.sandbox.stripe().revoke_key(sandbox::STRIPE_KEY);
        let owner = Owner::new(&stack)?;
        let tokens = owner.sign_in().await?;
        let user_id = stack.admin().await?.query_typed_one("SELECT id FROM users", &[]).await?.get(0);
        let (payer, corpus) = (Payer::new(&mut canaries), Corpus::default());
        Ok(Self { stack, canaries, corpus, payer, secrets, key, owner, tokens, user_id })
    }

    async fn heard(&mut self, of: &str, request: Request) -> Result<Answer> {
        let answer = request.send().await?;
        self.corpus.answer(of, &answer);
        Ok(answer)
    }

    /// Everything is due, and some of each kind is in doubt.
    async fn run_jobs(&mut self) -> Result<()> {
        for due in [
            "UPDATE webhook_events SET due_at = now() WHERE state = 'received'",
            "UPDATE payments SET poll_at = now() WHERE provider = 'btcpay'",
        ] {
            // Not while the table is mislaid, or refuses.
            let _ = self.stack.admin().await?.batch_execute(due).await;
        }
        for (table, of) in [
            ("payment_objects", "provider = 'stripe'"),
            ("subscriptions", "true"),
            ("payouts", "true"),
            ("connected_accounts", "true"),
        ] {
            let some = format!(
                "UPDATE {table} SET refetch_at = now()
                 WHERE ctid IN (SELECT ctid FROM {table} WHERE {of} ORDER BY random() LIMIT 2)"
            );
            let _ = self.stack.admin().await?.batch_execute(&some).await;
        }
        for job in JOBS {
            if let Ok(report) = self.stack.gateway.run_schedule(job).await {
                self.corpus.report(job, &serde_json::from_slice(&report)?);
            }
        }
        Ok(())
    }

    async fn judge(self) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Self { stack, canaries, mut corpus, .. } = self;
        corpus.log(&stack.log);
        corpus.database(&stack).await?;
        let count = |place: &str| corpus.count(place);
        println!(
            "{} canaries; {} answers, {} lines, {} values",
            canaries.len(),
            count("answer"),
            count("log"),
            count("column")
        );
        for (metric, of) in
            [("WebhookReceived", "stripe"), ("WebhookRefused", "stripe"), ("WebhookReceived", "btcpay")]
        {
            let log = stack.log.lines();
            let is = |(function, line): &(String, String)| {
                *function == format!("{of}_webhook") && line.contains(metric)
            };
            assert!(log.iter().any(is), "no {metric} of {of}_webhook");
        }
        for function in JOBS {
            for place in ["log", "report"] {
                assert!(count(&format!("{place} of {function}")) > 5, "too little of {function}");
            }
        }
        for table in [
            "payments",
            "payment_objects",
            "subscriptions",
            "payouts",
            "connected_accounts",
            "ledger",
            "outbox",
        ] {
            assert!(count(&format!("column {table}.created_at")) > 0, "{table} is empty");
        }
        let leaks = corpus.leaks(&canaries);
        assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
        everything_is_sealed(&stack, &canaries).await?;
        would_be_seen(&stack, &canaries).await?;
        stack.stop().await
    }
}

/// Every body is sealed, opens, and of most it is true that the payer is in it.
async fn everything_is_sealed(stack: &Stack, canaries: &Canaries) -> Result<()> {
    let ring = wallets::ring(stack)?;
    let all = "SELECT id, body, body_sealed, state, coalesce(last_error_code, '') FROM webhook_events";
    let (mut states, mut codes, mut private) = (BTreeSet::new(), BTreeSet::new(), 0);
    let rows = stack.admin().await?.query_typed(all, &[]).await?;
    for row in &rows {
        assert_eq!(row.get::<_, Option<Vec<u8>>>("body"), None, "a body in clear");
        let opened = ring.open(body_field(&row.get("id")), row.get("body_sealed"))?;
        private += usize::from(canaries.in_text(&String::from_utf8_lossy(opened.expose())).next().is_some());
        states.insert(row.get::<_, String>(3));
        codes.insert(row.get::<_, String>(4));
    }
    println!("{} events, {private} of them with something private: {states:?}, {codes:?}", rows.len());
    assert!(rows.len() > 100 && private * 2 > rows.len(), "{private} of {} bodies are private", rows.len());
    for code in ["UNKNOWN_TYPE", "WRONG_LIVEMODE", "WRONG_ENDPOINT", "UNREADABLE"] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    Ok(())
}

/// One body in clear, and it is found.
async fn would_be_seen(stack: &Stack, canaries: &Canaries) -> Result<()> {
    let (admin, ring) = (stack.admin().await?, wallets::ring(stack)?);
    let one = "SELECT id, body_sealed FROM webhook_events WHERE type = 'charge.refunded' LIMIT 1";
    let row = admin.query_typed_one(one, &[]).await?;
    let id: Uuid = row.get(0);
    let opened = ring.open(body_field(&id), row.get(1))?;
    let clear = "UPDATE webhook_events SET body = $1, body_sealed = NULL WHERE id = $2";
    admin.execute_typed(clear, &[(opened.expose(), Type::BYTEA), (&id, Type::UUID)]).await?;
    let mut corpus = Corpus::default();
    corpus.database(stack).await?;
    let leaks = corpus.leaks(canaries);
    assert!(!leaks.is_empty() && leaks.iter().all(|leak| leak.contains("webhook_events.body")), "{leaks:?}");
    Ok(())
}
