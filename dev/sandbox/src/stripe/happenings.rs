//! What customers, banks and sellers do, in a test's hands. Each act emits the events Stripe emits for it.

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    accounts::AccountState, act::Act, checkout::Way, handle::Stripe, kind::Kind, refunds::NewRefund,
};

impl Stripe {
    /// An account connected to the platform, as API v1 makes one.
    pub fn add_account(&self) -> String {
        self.act("", |mut act| act.new_account(json!({"email": "seller@example.com"}), &Value::Null))
    }

    /// The same as API v2 makes one: it tells of itself in thin events too.
    pub fn add_account_v2(&self) -> String {
        let wanted = json!({"configuration": {"recipient": {}}, "contact_email": "seller@example.com"});
        self.act("", |mut act| act.new_account(json!({"email": "seller@example.com"}), &wanted))
    }

    /// How far its owner has come: `account.updated`, and thin events of an account made through v2.
    pub fn set_account(&self, account: &str, state: AccountState) -> anyhow::Result<()> {
        self.act("", |mut act| act.set_account(account, state))
    }

    /// The seller cuts the connection: `account.application.deauthorized`, and 403 from now on.
    pub fn deauthorize(&self, account: &str) -> anyhow::Result<()> {
        self.act("", |mut act| act.deauthorize(account))
    }

    /// A checkout session, a payment intent or an open invoice is paid, here and now.
    pub fn pay(&self, id: &str) -> anyhow::Result<()> {
        self.by_way(id, Way::Now)
    }

    /// Paid by bank debit: the session is complete and unpaid, the intent is processing, until
    /// [`succeed`](Self::succeed) or [`fail`](Self::fail).
    pub fn pay_later(&self, id: &str) -> anyhow::Result<()> {
        self.by_way(id, Way::Later)
    }

    /// The card is declined; the customer may try again.
    pub fn decline(&self, id: &str) -> anyhow::Result<()> {
        self.by_way(id, Way::Declined)
    }

    /// The money is held, to be captured.
    pub fn hold(&self, id: &str) -> anyhow::Result<()> {
        self.by_way(id, Way::Held)
    }

    pub fn capture(&self, id: &str) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            let intent = intent(&act, id)?;
            act.capture(&intent, None)
        })
    }

    /// The customer's bank asks him something first.
    pub fn require_action(&self, id: &str) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            let intent = intent(&act, id)?;
            act.require_action(&intent)
        })
    }

    /// The money of [`pay_later`](Self::pay_later) arrives. By session, intent or invoice.
    pub fn succeed(&self, id: &str) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            let intent = intent(&act, id)?;
            act.succeed(&intent)
        })
    }

    /// The money of [`pay_later`](Self::pay_later) does not arrive.
    pub fn fail(&self, id: &str) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            let intent = intent(&act, id)?;
            act.decline(&intent, "payment_method_provider_decline")
        })
    }

    pub fn cancel_intent(&self, id: &str) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            let intent = intent(&act, id)?;
            act.cancel_intent(&intent, Some("abandoned"))
        })
    }

    pub fn expire_session(&self, session: &str) -> anyhow::Result<()> {
        self.act(session, |mut act| act.expire_session(session))
    }

    /// All that is left, or so much. By session, intent, invoice or charge; gives the refund's id.
    pub fn refund(&self, id: &str, amount: Option<i64>) -> anyhow::Result<String> {
        self.make_refund(id, amount, false)
    }

    /// A refund that stays `pending` until [`finish_refund`](Self::finish_refund) or
    /// [`fail_refund`](Self::fail_refund).
    pub fn refund_later(&self, id: &str, amount: Option<i64>) -> anyhow::Result<String> {
        self.make_refund(id, amount, true)
    }

    fn make_refund(&self, id: &str, amount: Option<i64>, pending: bool) -> anyhow::Result<String> {
        self.act(id, |mut act| {
            let charge = charge(&act, id)?;
            act.refund(NewRefund {
                charge,
                amount,
                pending,
                reverse_transfer: true,
                refund_application_fee: true,
                ..NewRefund::default()
            })
        })
    }

    pub fn finish_refund(&self, refund: &str) -> anyhow::Result<()> {
        self.act(refund, |mut act| act.finish_refund(refund))
    }

    /// The money comes back to us, even after the refund had succeeded.
    pub fn fail_refund(&self, refund: &str) -> anyhow::Result<()> {
        self.act(refund, |mut act| act.fail_refund(refund))
    }

    /// A chargeback, which takes the money at once. By session, intent, invoice or charge; gives the dispute's id.
    pub fn dispute(&self, id: &str) -> anyhow::Result<String> {
        self.open_dispute(id, None, false)
    }

    /// An inquiry, which takes no money yet: `warning_needs_response`.
    pub fn inquire(&self, id: &str) -> anyhow::Result<String> {
        self.open_dispute(id, None, true)
    }

    pub fn open_dispute(&self, id: &str, amount: Option<i64>, inquiry: bool) -> anyhow::Result<String> {
        self.act(id, |mut act| {
            let charge = charge(&act, id)?;
            act.open_dispute(&charge, amount, inquiry)
        })
    }

    /// To `needs_response`, `under_review`, `won`, `lost`, `warning_under_review`, `warning_closed`, with the money
    /// that goes or comes back.
    pub fn move_dispute(&self, dispute: &str, status: &str) -> anyhow::Result<()> {
        self.act(dispute, |mut act| act.move_dispute(dispute, status))
    }

    /// `radar.early_fraud_warning.created`. By session, intent, invoice or charge.
    pub fn warn_of_fraud(&self, id: &str) -> anyhow::Result<String> {
        self.act(id, |mut act| {
            let charge = charge(&act, id)?;
            act.warn_of_fraud(&charge)
        })
    }

    /// An automatic payout of an account, or of the platform; gives its id.
    pub fn add_payout(&self, account: Option<&str>, amount: i64, currency: &str) -> String {
        let account = account.map(str::to_owned);
        self.act("", |mut act| act.on(account).new_payout(amount, currency, &json!({}), true))
    }

    /// To `in_transit`, `paid`, `failed` (after `paid`, too) or `canceled`.
    pub fn move_payout(&self, payout: &str, status: &str) -> anyhow::Result<()> {
        self.act(payout, |mut act| act.move_payout(payout, status))
    }

    /// The next period begins, and its invoice is paid or declined.
    pub fn renew(&self, subscription: &str, paid: bool) -> anyhow::Result<()> {
        self.act(subscription, |mut act| act.renew(subscription, paid))
    }

    /// Into any status Stripe has.
    pub fn set_subscription(&self, subscription: &str, status: &str) -> anyhow::Result<()> {
        self.act(subscription, |mut act| act.set_subscription(subscription, status))
    }

    /// An open invoice becomes `void` or `uncollectible`.
    pub fn close_invoice(&self, invoice: &str, status: &str) -> anyhow::Result<()> {
        self.act(invoice, |mut act| act.close_invoice(invoice, status))
    }

    /// An event of any type about any object, unheard-of ones included; gives its id.
    pub fn emit(&self, account: Option<&str>, kind: &str, object: Value) -> String {
        let account = account.map(str::to_owned);
        self.act("", |mut act| act.on(account).tell(kind, object, Value::Null))
    }

    /// A thin event of any type about an account.
    pub fn emit_thin(&self, kind: &str, account: &str) -> String {
        self.act("", |mut act| act.thin(kind, account))
    }

    fn by_way(&self, id: &str, way: Way) -> anyhow::Result<()> {
        self.act(id, |mut act| {
            if act.find(Kind::Session, id).is_some() {
                return act.pay_session(id, way);
            }
            let intent = intent(&act, id)?;
            match way {
                Way::Now => act.succeed(&intent),
                Way::Later => act.process(&intent),
                Way::Declined => act.decline(&intent, "card_declined"),
                Way::Held => act.hold(&intent),
            }
        })
    }
}

/// The intent of a session or an invoice, or itself.
fn intent(act: &Act<'_>, id: &str) -> anyhow::Result<String> {
    let stored = act.state.any(id).with_context(|| format!("there is no object {id:?}"))?;
    let found = match stored.kind {
        Kind::Intent => Some(id),
        Kind::Session => stored.hidden["intent"].as_str(),
        _ => stored.value["payment_intent"].as_str(),
    };
    found.map(str::to_owned).with_context(|| format!("{id} has no payment intent"))
}

fn charge(act: &Act<'_>, id: &str) -> anyhow::Result<String> {
    if act.find(Kind::Charge, id).is_some() {
        return Ok(id.to_owned());
    }
    let charge = act.text(&intent(act, id)?, "latest_charge");
    anyhow::ensure!(!charge.is_empty(), "{id} has no charge");
    Ok(charge)
}
