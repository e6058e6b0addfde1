//! Stripe's webhooks.

use anyhow::{Context, ensure};
use e2e::client::Request;
use e2e::{Answer, Result};
use http::Method;
use sandbox::stripe::{Event, sign};
use serde_json::{Value, json};

use super::Scene;
use crate::canaries::payers::Payer;

const PLATFORM: &str = "/v1/webhooks/stripe";
const CONNECT: &str = "/v1/webhooks/stripe/connect";

impl Scene {
    /// The body of an event, with the payer in it.
    pub(super) fn body(&self, event: &Event) -> Result<Value> {
        let mut body: Value = serde_json::from_slice(&event.body)?;
        if !event.thin {
            body["data"]["object"] = self.payer.in_object(&body["data"]["object"]);
            body["data"]["previous_attributes"] = self.payer.in_object(&json!({}));
        }
        Ok(body)
    }

    pub(super) fn path(event: &Event) -> &'static str {
        if event.account.is_some() && !event.thin { CONNECT } else { PLATFORM }
    }

    fn secret(&self, path: &str) -> &str {
        if path == CONNECT { &self.secrets.connect[0] } else { &self.secrets.platform[0] }
    }

    /// Everything by which a delivery could be told again is a secret, too.
    fn signature(&mut self, secret: &str, body: &[u8], ago: i64) -> String {
        let signature = sign(body, secret, shared::clock::Clock::system().now().unix_timestamp() - ago);
        let value = signature.split("v1=").nth(1).and_then(|rest| rest.split(',').next());
        self.canaries.text("signature", value.unwrap_or_default());
        signature
    }

    fn signed(&mut self, path: &str, secret: &str, body: &[u8], ago: i64) -> Request {
        let signature = self.signature(secret, body, ago);
        self.stack
            .client
            .request(&Method::POST, path)
            .header("stripe-signature", &signature)
            .body(body.to_vec())
    }

    pub(super) async fn tell(&mut self, of: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let secret = self.secret(path).to_owned();
        let request = self.signed(path, &secret, body, 0);
        self.heard(of, request).await
    }

    /// Each twice, the second time by the secret from before.
    pub(super) async fn told(&mut self, events: &[Event]) -> Result<()> {
        ensure!(events.len() > 60, "{} events are no life", events.len());
        for event in events {
            let (path, body) = (Self::path(event), self.body(event)?.to_string());
            let answer = self.tell(&event.kind, path, body.as_bytes()).await?;
            ensure!(answer.status == 200, "{}: {answer}", event.kind);
            let before = if path == CONNECT { &self.secrets.connect[1] } else { &self.secrets.platform[1] };
            let again = self.signed(path, &before.clone(), body.as_bytes(), 0);
            let answer = self.heard("a repeat", again).await?;
            ensure!(answer.status == 200, "{} again: {answer}", event.kind);
        }
        Ok(())
    }

    pub(super) async fn forged(&mut self, events: &[Event]) -> Result<()> {
        for event in events.iter().step_by(8) {
            let (path, body) = (Self::path(event), self.body(event)?.to_string().into_bytes());
            let secret = self.secret(path).to_owned();
            let strange = self.canaries.plant("a signature that is none");
            let good = self.signature(&secret, &body, 0);
            let other = self.secret(if path == CONNECT { PLATFORM } else { CONNECT }).to_owned();
            let post = || self.stack.client.request(&Method::POST, path).body(body.clone());
            let mut forgeries =
                vec![post(), post().header("stripe-signature", &good).body([&body[..], b" "].concat())];
            for header in [
                strange.clone(),
                format!("t={strange},v1={strange}"),
                format!("t=1,v1={strange}"),
                good.replace("v1=", "v0="),
                good.replace("t=", &format!("t={strange}")),
            ] {
                forgeries.push(post().header("stripe-signature", &header));
            }
            forgeries.push(post().header("stripe-signature", &good).header("stripe-signature", &good));
            for (secret, ago) in [(&other, 0), (&secret, 400), (&secret, -400), (&strange, 0)] {
                forgeries.push(self.signed(path, secret, &body, ago));
            }
            for forgery in forgeries {
                let answer = self.heard("a forgery", forgery).await?;
                ensure!(answer.status == 400, "{}: {answer}", event.kind);
            }
        }
        Ok(())
    }

    /// Signed, and no event; or an event whose object is not what it is called.
    pub(super) async fn malformed(&mut self, events: &[Event]) -> Result<()> {
        let Payer { no_number, email, .. } = &self.payer;
        let bodies = [
            email.clone(),
            format!("\"{email}\""),
            format!("{{\"{email}\":"),
            format!("{{\"object\":\"event\",\"id\":{{\"{email}\":1}},\"type\":\"charge.succeeded\"}}"),
            json!({"id": "evt_1", "object": no_number, "type": "charge.succeeded"}).to_string(),
            json!({"id": "evt_1", "object": "event", "type": "charge.succeeded", "created": no_number,
                "livemode": false, "data": {"object": {"object": "charge"}}}).to_string(),
            json!({"id": "evt_1", "object": "event", "type": "charge.succeeded", "created": 1, "livemode": no_number,
                "data": {"object": {"object": "charge"}}}).to_string(),
            json!({"id": "evt_1", "object": "event", "type": "charge.succeeded", "created": 1, "livemode": false,
                "data": no_number}).to_string(),
        ];
        for body in bodies {
            let answer = self.tell("no event", PLATFORM, body.as_bytes()).await?;
            ensure!(answer.status == 400, "{body}: {answer}");
        }
        let charge = events.iter().find(|event| event.kind == "charge.succeeded").context("no charge")?;
        let body = self.body(charge)?;
        for object in self.payer.in_the_wrong_place(&body["data"]["object"]) {
            let mut body = fresh(&body);
            body["data"]["object"] = object;
            let answer = self.tell("an unreadable object", PLATFORM, body.to_string().as_bytes()).await?;
            ensure!(answer.status == 200, "{body}: {answer}");
        }
        Ok(())
    }

    /// By the wrong endpoint, and of the wrong mode.
    pub(super) async fn where_it_does_not_belong(&mut self, events: &[Event]) -> Result<()> {
        for event in events.iter().filter(|event| !event.thin).step_by(5) {
            let body = fresh(&self.body(event)?).to_string();
            let elsewhere = if Self::path(event) == CONNECT { PLATFORM } else { CONNECT };
            let answer = self.tell("an event elsewhere", elsewhere, body.as_bytes()).await?;
            ensure!(answer.status == 200, "{answer}");
            let mut live = fresh(&self.body(event)?);
            live["livemode"] = json!(true);
            let answer = self.tell("a live event", Self::path(event), live.to_string().as_bytes()).await?;
            ensure!(answer.status == 200, "{answer}");
        }
        Ok(())
    }

    /// Postgres tells what it could not write.
    pub(super) async fn refused_by_the_database(&mut self, events: &[Event]) -> Result<()> {
        let admin = self.stack.admin().await?;
        let event = events.iter().find(|event| event.kind == "charge.refunded").context("no refund")?;
        let body = self.body(event)?;
        for (away, back, status) in [
            (
                "ALTER TABLE webhook_events RENAME TO mislaid",
                "ALTER TABLE mislaid RENAME TO webhook_events",
                500,
            ),
            (
                "ALTER TABLE webhook_events ADD CONSTRAINT none CHECK (id IS NULL) NOT VALID",
                "ALTER TABLE webhook_events DROP CONSTRAINT none",
                500,
            ),
            (
                "ALTER TABLE payment_objects ADD CONSTRAINT none CHECK (provider IS NULL) NOT VALID",
                "ALTER TABLE payment_objects DROP CONSTRAINT none",
                200,
            ),
        ] {
            admin.batch_execute(away).await?;
            let mut body = fresh(&body);
            body["data"]["object"]["amount_refunded"] = json!(301);
            let answer = self.tell("an event without tables", PLATFORM, body.to_string().as_bytes()).await?;
            ensure!(answer.status == status, "{away}: {answer}");
            if status == 200 {
                let left = "SELECT count(*) FROM webhook_events WHERE last_error_code = 'NOT_APPLIED'";
                ensure!(self.stack.db.count(left).await? == 1, "it was applied");
            }
            self.run_jobs().await?;
            admin.batch_execute(back).await?;
        }
        self.stack.cut_connections().await?;
        let answer = self.tell("an event after a cut", PLATFORM, fresh(&body).to_string().as_bytes()).await?;
        ensure!([200, 503].contains(&answer.status), "{answer}");
        Ok(())
    }
}

/// The same told as another event.
fn fresh(body: &Value) -> Value {
    let mut body = body.clone();
    body["id"] = json!(e2e::owner::unique("evt_"));
    body
}
