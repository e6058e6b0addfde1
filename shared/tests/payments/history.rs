//! What may happen to one payment, drawn by lot: as the events that tell of it, and as what comes of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::story::{BEGIN, event, payment_id};

/// Where our own id stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reference {
    Session,
    Intent,
    Both,
}

/// How the payer pays.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// In a session, which makes an intent.
    Session,
    Intent,
    /// A charge made directly, as long ago.
    Charge,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Paid,
    Canceled,
    Expired,
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Pending,
    Succeeded,
    Failed,
    Canceled,
}

/// How far the bank goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bank {
    Inquires,
    Drops,
    Disputes,
    Reviews,
    PayerWins,
    SellerWins,
    Appealed,
    AppealLost,
    AppealWon,
}

#[derive(Clone, Debug)]
pub struct History {
    pub amount: i64,
    way: Way,
    reference: Reference,
    failures: usize,
    slow: bool,
    end: End,
    /// In percent of the payment; and whether it ends only when all have begun.
    refunds: Vec<(i64, Fate, bool)>,
    bank: Option<Bank>,
    /// Charges bring their refunds along, and refunds name no intent.
    old_shape: bool,
    /// Seconds between one event and the next.
    gaps: Vec<i64>,
}

pub fn history() -> impl Strategy<Value = History> {
    use prop::sample::select;
    let fates = [Fate::Pending, Fate::Succeeded, Fate::Failed, Fate::Canceled];
    let banks = [
        Bank::Inquires,
        Bank::Drops,
        Bank::Disputes,
        Bank::Reviews,
        Bank::PayerWins,
        Bank::SellerWins,
        Bank::Appealed,
        Bank::AppealLost,
        Bank::AppealWon,
    ];
    let ways = select(&[Way::Session, Way::Session, Way::Session, Way::Intent, Way::Intent, Way::Charge][..]);
    let begin = (100_i64..1_000_000, ways, any::<bool>());
    let references = select(&[Reference::Session, Reference::Intent, Reference::Both][..]);
    let ends =
        select(&[End::Paid, End::Paid, End::Paid, End::Paid, End::Canceled, End::Expired, End::Waiting][..]);
    let middle = (references, 0_usize..3, any::<bool>(), ends);
    let after =
        (vec((1_i64..=50, select(fates.to_vec()), any::<bool>()), 0..=4), option::of(select(banks.to_vec())));
    (begin, middle, after, vec(0_i64..3, 1..12)).prop_map(|(begin, middle, (refunds, bank), gaps)| {
        let (amount, way, old_shape) = begin;
        let (reference, failures, slow, end) = middle;
        let reference = if way == Way::Session { reference } else { Reference::Intent };
        let end = match (way, end) {
            (Way::Charge, _) => End::Paid,
            (Way::Intent, End::Expired) => End::Waiting,
            (_, end) => end,
        };
        History { amount, way, reference, failures, slow, end, refunds, bank, old_shape, gaps }
    })
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub state: &'static str,
    pub received: i64,
    pub refunded: i64,
    /// Taken by banks and not given back, fees aside.
    pub disputed: i64,
}

/// The one who tells.
struct Teller<'a> {
    history: &'a History,
    name: &'a str,
    events: Vec<Value>,
    at: i64,
    refunds: Vec<(String, i64, &'static str)>,
}

impl History {
    /// The events in the order in which they happened, and their end.
    pub fn tell(&self, name: &str) -> (Vec<Value>, Outcome) {
        let mut teller = Teller { history: self, name, events: Vec::new(), at: 0, refunds: Vec::new() };
        let mut outcome = Outcome { state: teller.pay(), received: 0, refunded: 0, disputed: 0 };
        // Only a session that is complete or expired is ever told of.
        let is_told = |event: &Value| event["data"]["object"]["object"] == "checkout.session";
        if self.reference == Reference::Session && !teller.events.iter().any(is_told) {
            outcome.state = "created";
        }
        if self.end == End::Paid {
            outcome.received = self.amount;
            outcome.refunded = teller.refund();
            outcome.state = match outcome.refunded {
                0 => "paid",
                all if all == self.amount => "refunded",
                _ => "partially_refunded",
            };
            teller.dispute(&mut outcome);
        }
        (teller.events, outcome)
    }
}

impl Teller<'_> {
    fn say(&mut self, kind: &str, object: Value) {
        let nth = self.events.len();
        let gap = self.history.gaps[nth % self.history.gaps.len()];
        self.at += gap;
        let mut event = event(self.name, self.at, kind, object);
        event["id"] = json!(format!("evt_{nth}_{}", self.name));
        self.events.push(event);
    }

    /// What follows takes back what was said last: Stripe does not do that within a second.
    fn wait(&mut self) {
        self.at += 1;
    }

    fn ours(&self, there: bool) -> Value {
        if there { json!({ "payment_id": payment_id(self.name) }) } else { json!({}) }
    }

    fn intent(&self, status: &str, failed: bool) -> Value {
        let History { amount, reference, .. } = self.history;
        json!({
            "id": format!("pi_{}", self.name), "object": "payment_intent", "status": status, "amount": amount,
            "amount_received": if status == "succeeded" { *amount } else { 0 }, "currency": "usd", "created": BEGIN,
            "metadata": self.ours(*reference != Reference::Session),
            "last_payment_error": if failed { json!({ "code": "card_declined" }) } else { Value::Null },
        })
    }

    fn session(&self, status: &str, payment_status: &str) -> Value {
        let reference = self.history.reference != Reference::Intent;
        json!({
            "id": format!("cs_{}", self.name), "object": "checkout.session", "mode": "payment", "status": status,
            "payment_status": payment_status, "amount_total": self.history.amount, "currency": "usd",
            "client_reference_id": if reference { json!(payment_id(self.name)) } else { Value::Null },
            "metadata": {}, "subscription": null,
            "payment_intent": format!("pi_{}", self.name),
        })
    }

    fn charge(&self) -> Value {
        let History { amount, way, .. } = self.history;
        let mut charge = json!({
            "id": format!("ch_{}", self.name), "object": "charge", "status": "succeeded", "paid": true, "captured": true,
            "amount": amount, "amount_captured": amount, "amount_refunded": self.gone(),
            "currency": "usd", "created": BEGIN, "metadata": self.ours(*way == Way::Charge),
            "payment_intent": if *way == Way::Charge { Value::Null } else { json!(format!("pi_{}", self.name)) },
        });
        if self.history.old_shape {
            let refunds: Vec<Value> = (0..self.refunds.len()).map(|nth| self.refund_object(nth)).collect();
            charge["refunds"] = json!({ "object": "list", "data": refunds });
        }
        charge
    }

    fn refund_object(&self, nth: usize) -> Value {
        let (id, amount, status) = &self.refunds[nth];
        let intent = self.history.way != Way::Charge && !self.history.old_shape;
        json!({
            "id": id, "object": "refund", "status": status, "amount": amount, "currency": "usd", "created": BEGIN + 1,
            "charge": format!("ch_{}", self.name), "metadata": {},
            "payment_intent": if intent { json!(format!("pi_{}", self.name)) } else { Value::Null },
        })
    }

    /// How far it comes before it is paid, or that it is.
    fn pay(&mut self) -> &'static str {
        let History { way, failures, slow, end, .. } = *self.history;
        if way == Way::Charge {
            self.say("charge.succeeded", self.charge());
            return "paid";
        }
        self.say("payment_intent.requires_action", self.intent("requires_action", false));
        let mut state = "open";
        for _ in 0..failures {
            self.wait();
            self.say("payment_intent.requires_action", self.intent("requires_action", false));
            self.say("payment_intent.payment_failed", self.intent("requires_payment_method", true));
            state = "failed";
        }
        if slow && matches!(end, End::Paid | End::Waiting) {
            self.wait();
            self.say("payment_intent.processing", self.intent("processing", false));
            if way == Way::Session {
                self.say("checkout.session.completed", self.session("complete", "unpaid"));
            }
            state = "processing";
        }
        match end {
            End::Waiting => state,
            End::Canceled => {
                self.say("payment_intent.canceled", self.intent("canceled", failures > 0));
                "failed"
            }
            End::Expired => {
                self.say("checkout.session.expired", self.session("expired", "unpaid"));
                "expired"
            }
            End::Paid => {
                self.say("payment_intent.succeeded", self.intent("succeeded", false));
                self.say("charge.succeeded", self.charge());
                let kind = if slow {
                    "checkout.session.async_payment_succeeded"
                } else {
                    "checkout.session.completed"
                };
                if way == Way::Session {
                    self.say(kind, self.session("complete", "paid"));
                }
                "paid"
            }
        }
    }

    /// One refund after the other; some end only when all have begun. Returns what is gone for good.
    fn refund(&mut self) -> i64 {
        let History { amount, ref refunds, .. } = *self.history;
        let mut late = Vec::new();
        for (percent, fate, ends_late) in refunds {
            let part = (amount * percent / 100).max(1);
            if self.gone() + part > amount {
                continue;
            }
            let nth = self.refunds.len();
            self.refunds.push((format!("re_{nth}_{}", self.name), part, "pending"));
            self.say("refund.created", self.refund_object(nth));
            self.say("charge.refunded", self.charge());
            if *ends_late {
                late.push((nth, *fate));
            } else {
                self.end_refund(nth, *fate);
            }
        }
        for (nth, fate) in late {
            self.end_refund(nth, fate);
        }
        self.gone()
    }

    fn end_refund(&mut self, nth: usize, fate: Fate) {
        let steps: &[&'static str] = match fate {
            Fate::Pending => &[],
            Fate::Succeeded => &["succeeded"],
            Fate::Failed => &["succeeded", "failed"],
            Fate::Canceled => &["canceled"],
        };
        for status in steps {
            self.refunds[nth].2 = status;
            let kind = if *status == "failed" { "refund.failed" } else { "refund.updated" };
            self.say(kind, self.refund_object(nth));
        }
    }

    fn gone(&self) -> i64 {
        self.refunds.iter().filter(|(_, _, status)| stands(status)).map(|(_, amount, _)| amount).sum()
    }

    fn dispute_object(&self, status: &str, moved: &[(&str, i64)]) -> Value {
        let lines = moved.iter().map(|(which, amount)| {
            json!({
                "id": format!("txn_{which}_{}", self.name), "object": "balance_transaction", "amount": amount,
                "currency": "usd", "fee": if *amount < 0 { 1_500 } else { 0 }, "created": BEGIN + 2,
            })
        });
        let intent = self.history.way != Way::Charge && !self.history.old_shape;
        json!({
            "id": format!("dp_{}", self.name), "object": "dispute", "status": status, "amount": self.history.amount,
            "currency": "usd", "charge": format!("ch_{}", self.name), "reason": "fraudulent", "created": BEGIN + 2,
            "payment_intent": if intent { json!(format!("pi_{}", self.name)) } else { Value::Null },
            "balance_transactions": lines.collect::<Vec<_>>(),
        })
    }

    fn dispute(&mut self, outcome: &mut Outcome) {
        let Some(bank) = self.history.bank else { return };
        let amount = self.history.amount;
        let (none, gone, returned) = ([], [("out", -amount)], [("out", -amount), ("in", amount)]);
        if matches!(bank, Bank::Inquires | Bank::Drops) {
            self.say("charge.dispute.created", self.dispute_object("warning_needs_response", &none));
            if bank == Bank::Drops {
                self.say("charge.dispute.updated", self.dispute_object("warning_under_review", &none));
                self.say("charge.dispute.closed", self.dispute_object("warning_closed", &none));
            }
            return;
        }
        self.say("charge.dispute.created", self.dispute_object("needs_response", &none));
        self.say("charge.dispute.funds_withdrawn", self.dispute_object("needs_response", &gone));
        (outcome.state, outcome.disputed) = ("disputed", amount);
        if bank == Bank::Disputes {
            return;
        }
        self.say("charge.dispute.updated", self.dispute_object("under_review", &gone));
        let before = if outcome.refunded == 0 { "paid" } else { "partially_refunded" };
        let before = if outcome.refunded == amount { "refunded" } else { before };
        let appeal = matches!(bank, Bank::Appealed | Bank::AppealLost | Bank::AppealWon);
        if appeal || bank == Bank::PayerWins {
            self.say("charge.dispute.closed", self.dispute_object("lost", &gone));
            outcome.state = "dispute_lost";
        }
        if appeal {
            self.say("charge.dispute.updated", self.dispute_object("appeal_under_review", &gone));
            outcome.state = "disputed";
        }
        if bank == Bank::AppealLost {
            self.wait();
            self.say("charge.dispute.closed", self.dispute_object("lost", &gone));
            outcome.state = "dispute_lost";
        }
        if matches!(bank, Bank::SellerWins | Bank::AppealWon) {
            self.say("charge.dispute.closed", self.dispute_object("won", &gone));
            self.say("charge.dispute.funds_reinstated", self.dispute_object("won", &returned));
            (outcome.state, outcome.disputed) = (before, 0);
        }
    }
}

/// Whether a refund is gone, or on its way.
fn stands(status: &str) -> bool {
    !matches!(status, "failed" | "canceled")
}
