//! The jobs, and providers that trouble them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use e2e::Result;
use sandbox::stripe::Event;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};

use super::Scene;

/// A breaker stays open for a while.
const RUNS: usize = 200;

impl Scene {
    /// Stripe refuses what the jobs ask it, and repeats what it was sent; or answers what is no answer.
    pub(super) async fn quoted(&mut self) -> Result<()> {
        let stripe = self.stack.sandbox.stripe();
        let seller = stripe.add_account();
        let private = self.payer.in_object(&json!({"id": seller, "object": "account"}));
        let quote = |status| Misbehaviour::Quote { status };
        let answer = |body: Value| Misbehaviour::FailBefore { status: 200, body: body.to_string() };
        let troubles = [
            quote(401),
            quote(500),
            Misbehaviour::Garbage,
            answer(private.clone()),
            quote(400),
            quote(403),
            quote(404),
            quote(429),
            Misbehaviour::CutBody { bytes: 300 },
            answer(json!({ "data": private })),
        ];
        for trouble in troubles.into_iter().take(if e2e::full() { 10 } else { 4 }) {
            stripe.emit_thin("v2.core.account[requirements].updated", &seller);
            stripe.emit(Some(&seller), "person.updated", json!({"id": "person_2", "object": "person"}));
            for event in stripe.events().iter().rev().take(2) {
                let body = self.body(event)?.to_string();
                let answer = self.tell("an event to ask about", Self::path(event), body.as_bytes()).await?;
                ensure!(answer.status == 200, "{event:?}: {answer}");
            }
            self.stack.sandbox.faults().add(Route::service(Service::Stripe), When::Always, trouble)?;
            self.run_jobs().await?;
            self.stack.sandbox.faults().clear();
        }
        Ok(())
    }

    /// What nobody told us, from Stripe's own list; until nothing waits any more.
    pub(super) async fn reconciled(&mut self) -> Result<()> {
        let stripe = self.stack.sandbox.stripe();
        let known = stripe.events().len();
        let paid = self.checkout("").await?;
        stripe.pay(&paid)?;
        stripe.refund(&paid, Some(100))?;
        let charge = self.payer.in_object(&json!({"id": "ch_1", "object": "charge", "created": 1}));
        for object in self.payer.in_the_wrong_place(&charge) {
            stripe.emit(None, "charge.succeeded", object);
        }
        let new = stripe.events().split_off(known);
        for _ in 0..RUNS {
            self.run_jobs().await?;
            let waiting = "SELECT count(*) FROM webhook_events WHERE state = 'received'";
            let missing = self.missing(&new).await?;
            if self.stack.db.count(waiting).await? == 0 && missing.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("still not there: {:?}", self.missing(&new).await?)
    }

    /// Kinds of events that are subscribed to and not in the inbox.
    async fn missing(&self, events: &[Event]) -> Result<Vec<String>> {
        let rows = self.stack.admin().await?.query_typed("SELECT event_id FROM webhook_events", &[]).await?;
        let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let wanted = events.iter().filter(|event| shared::stripe::EVENT_TYPES.contains(&event.kind.as_str()));
        Ok(wanted.filter(|event| !there.contains(&event.id)).map(|event| event.kind.clone()).collect())
    }
}
