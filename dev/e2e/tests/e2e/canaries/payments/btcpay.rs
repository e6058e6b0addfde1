//! BTCPay's webhooks.

use anyhow::{Context, ensure};
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use e2e::{Answer, Result};
use http::Method;
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::json;

use super::Scene;
use crate::canaries::wallets::Harvest;

const NAME: &str = "seller";

impl Scene {
    /// BTCPay's, with a memo and a buyer: told, forged, and read again while BTCPay quotes what it was sent.
    pub(super) async fn invoices(&mut self) -> Result<()> {
        self.owner.set_up(&self.tokens, NAME, "voltage").ok().await?;
        Harvest::default().gather(&self.stack, NAME, &mut self.canaries).await?;
        let faults = self.stack.sandbox.faults();
        let troubles = [
            None,
            Some(Misbehaviour::Quote { status: 422 }),
            Some(Misbehaviour::Quote { status: 401 }),
            Some(Misbehaviour::Garbage),
        ];
        for trouble in troubles {
            let answer = self.order().await?;
            ensure!(answer.status == 201, "{answer}");
            if let Some(trouble) = trouble {
                faults.add(Route::service(Service::Btcpay).method("GET"), When::Always, trouble)?;
            }
            self.settle().await?;
            self.run_jobs().await?;
            faults.clear();
        }
        // The memo is what BTCPay is sent, and so what it quotes.
        let making = Route::service(Service::Btcpay).method("POST");
        faults.add(making, When::Times(1), Misbehaviour::Quote { status: 422 })?;
        let answer = self.order().await?;
        ensure!(answer.status == 502, "{answer}");
        faults.clear();
        Ok(())
    }

    async fn order(&mut self) -> Result<Answer> {
        let memo = self.canaries.plant("memo of /v1/invoices");
        let order = json!({ "amount_msat": 42_000, "memo": memo, "expiry_seconds": 600 });
        let request = self.stack.client.post("/v1/invoices", &order).bearer(&self.tokens.access);
        self.heard("an invoice", request).await
    }

    /// The newest invoice is paid, and we are told.
    async fn settle(&mut self) -> Result<()> {
        let setup = self.stack.setup(NAME).await?;
        let store = setup.btcpay_store_id.context("no store")?;
        let btcpay = self.stack.sandbox.btcpay();
        let webhook =
            btcpay.store(&store).and_then(|store| store.webhooks.first().cloned()).context("no webhook")?;
        let invoice =
            btcpay.store(&store).and_then(|store| store.invoices.last().cloned()).context("no invoice")?;
        btcpay.pay_invoice(&store, &invoice)?;
        for kind in ["InvoiceReceivedPayment", "InvoiceSettled", "InvoiceUnheardOf"] {
            let delivery = e2e::owner::unique("");
            let order = btcpay.invoices(&store).pop().context("no invoice")?.order_id;
            let body = json!({
                "deliveryId": delivery, "webhookId": webhook.id, "originalDeliveryId": delivery, "isRedelivery": false,
                "type": kind, "timestamp": 1_767_960_000, "storeId": store, "invoiceId": invoice,
                "metadata": self.payer.at_btcpay(&json!({ "orderId": order })),
                "payment": { "id": self.payer.note, "destination": self.payer.email },
            })
            .to_string();
            let broken = format!("{body}{}", self.payer.email);
            for (body, secret, status) in [
                (&body, webhook.secret.as_str(), 200),
                (&body, webhook.secret.as_str(), 200),
                (&body, "another", 400),
                (&broken, webhook.secret.as_str(), 400),
            ] {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                let signature = HEXLOWER.encode(hmac::sign(&key, body.as_bytes()).as_ref());
                self.canaries.text("signature of BTCPay's", &signature);
                let request =
                    self.stack.client.request(&Method::POST, &format!("/v1/webhooks/btcpay/{store}"));
                let request = request.header("btcpay-sig", &format!("sha256={signature}")).body(body.clone());
                let answer = self.heard("a delivery of BTCPay's", request).await?;
                ensure!(answer.status == status, "{kind}: {answer}");
            }
        }
        Ok(())
    }
}
