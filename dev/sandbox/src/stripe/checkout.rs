//! What happens to a checkout session: it is paid, paid later, declined, or runs out.

use anyhow::ensure;
use serde_json::json;

use super::{act::Act, kind::Kind, payments::NewIntent};

/// How somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Now,
    /// The money arrives, or does not, later.
    Later,
    Declined,
    /// Held, to be captured.
    Held,
}

impl Act<'_> {
    pub(crate) fn pay_session(&mut self, session: &str, way: Way) -> anyhow::Result<()> {
        self.known(Kind::Session, session)?;
        self.age_session(session);
        let status = self.status(session);
        ensure!(status == "open", "the session is {status}");
        if self.number(session, "amount_total") == 0 {
            self.change(session, json!({"status": "complete", "payment_status": "no_payment_required"}));
            self.emit("checkout.session.completed", session);
            return Ok(());
        }
        let intent = self.intent_of_session(session);
        match way {
            Way::Now => self.succeed(&intent),
            Way::Declined => self.decline(&intent, "card_declined"),
            Way::Held => {
                self.hold(&intent)?;
                self.complete(session);
                Ok(())
            }
            Way::Later => {
                self.process(&intent)?;
                self.complete(session);
                Ok(())
            }
        }
    }

    /// The customer is through; whether money has come is another matter.
    fn complete(&mut self, session: &str) {
        self.change(session, json!({"status": "complete"}));
        self.emit("checkout.session.completed", session);
    }

    /// Made when the customer first tries to pay.
    fn intent_of_session(&mut self, session: &str) -> String {
        let known = self.hidden(session, "intent");
        if let Some(known) = known.as_str() {
            return known.to_owned();
        }
        let intent = if self.text(session, "mode") == "subscription" {
            self.start_subscription(session)
        } else {
            let data = self.hidden(session, "payment_intent_data");
            let intent = self.new_intent(NewIntent {
                amount: self.number(session, "amount_total"),
                currency: self.text(session, "currency"),
                metadata: data["metadata"].clone(),
                application_fee_amount: data["application_fee_amount"].as_i64(),
                destination: data["destination"].as_str().map(str::to_owned),
                manual: data["manual"] == true,
                customer: self.member(session, "customer").as_str().map(str::to_owned),
                description: data["description"].as_str().map(str::to_owned),
            });
            self.change(session, json!({"payment_intent": intent}));
            intent
        };
        self.hide(session, json!({"intent": intent}));
        self.hide(&intent, json!({"session": session}));
        intent
    }

    /// Time passes when somebody looks.
    pub(crate) fn age_session(&mut self, session: &str) {
        let over = self.status(session) == "open" && self.number(session, "expires_at") <= self.now();
        if over && self.find(Kind::Session, session).is_some() {
            self.change(session, json!({"status": "expired", "url": null}));
            self.emit("checkout.session.expired", session);
        }
    }

    pub(crate) fn expire_session(&mut self, session: &str) -> anyhow::Result<()> {
        self.known(Kind::Session, session)?;
        let status = self.status(session);
        ensure!(status == "open", "the session is {status}");
        let now = self.now();
        let ends = self.number(session, "expires_at").min(now);
        self.change(session, json!({"status": "expired", "url": null, "expires_at": ends}));
        self.emit("checkout.session.expired", session);
        Ok(())
    }

    /// The intent has its money: so have its invoice and its session.
    pub(crate) fn after_success(&mut self, intent: &str) {
        if let Some(invoice) = self.hidden(intent, "invoice").as_str() {
            self.invoice_paid(invoice);
        }
        let session = self.hidden(intent, "session");
        let Some(session) = session.as_str().filter(|_| self.text_of(&session, "payment_status") == "unpaid")
        else {
            return;
        };
        let late = self.status(session) == "complete";
        self.change(session, json!({"status": "complete", "payment_status": "paid", "url": null}));
        let kind =
            if late { "checkout.session.async_payment_succeeded" } else { "checkout.session.completed" };
        self.emit(kind, session);
    }

    pub(crate) fn after_failure(&mut self, intent: &str, was_processing: bool) {
        if let Some(invoice) = self.hidden(intent, "invoice").as_str() {
            self.invoice_failed(invoice);
        }
        let session = self.hidden(intent, "session");
        if let Some(session) = session.as_str().filter(|_| was_processing) {
            self.emit("checkout.session.async_payment_failed", session);
        }
    }

    fn text_of(&self, id: &serde_json::Value, name: &str) -> String {
        self.text(id.as_str().unwrap_or_default(), name)
    }
}
