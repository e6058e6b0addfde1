//! Connected accounts, in both generations of the API: one account, two ways to look at it.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    act::Act,
    event::{Related, StoredEvent, written},
    kind::Kind,
};

/// How far its owner has come, or how deep he has sunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Nothing handed in yet.
    Onboarding,
    /// Handed in, and Stripe is still looking.
    PendingVerification,
    /// Something is overdue.
    Restricted,
    Active,
    /// Active, with a deadline for something more.
    ActionSoon,
    Rejected,
}

impl AccountState {
    /// What v1 shows: submitted, charges and payouts enabled, disabled reason.
    fn v1(self) -> (bool, bool, Option<&'static str>) {
        match self {
            Self::Onboarding => (false, false, Some("requirements.past_due")),
            Self::PendingVerification => (true, false, Some("requirements.pending_verification")),
            Self::Restricted => (true, false, Some("requirements.past_due")),
            Self::Active | Self::ActionSoon => (true, true, None),
            Self::Rejected => (true, false, Some("rejected.fraud")),
        }
    }

    /// The status of a capability in v2.
    fn v2(self) -> &'static str {
        match self {
            Self::Onboarding | Self::Restricted => "restricted",
            Self::PendingVerification => "pending",
            Self::Active | Self::ActionSoon => "active",
            Self::Rejected => "rejected",
        }
    }
}

impl Act<'_> {
    /// An account of the platform's, made through v1 or v2.
    pub(crate) fn new_account(&mut self, members: Value, v2: &Value) -> String {
        let account = self.make(Kind::Account, members);
        self.hide(&account, json!({"v2": v2}));
        self.show_state(&account, AccountState::Onboarding);
        account
    }

    /// Gives what v1 showed before.
    fn show_state(&mut self, account: &str, state: AccountState) -> Value {
        let (submitted, enabled, disabled) = state.v1();
        let due = |when: bool| if when { json!(["individual.verification.document"]) } else { json!([]) };
        let soon = (state == AccountState::ActionSoon).then(|| self.now() + 14 * 86_400);
        let overdue = state == AccountState::Restricted;
        let needed = due(overdue || soon.is_some() || state == AccountState::Onboarding);
        let capability = if enabled { "active" } else { "inactive" };
        let members = json!({
            "capabilities": {"card_payments": capability, "transfers": capability},
            "charges_enabled": enabled,
            "payouts_enabled": enabled,
            "details_submitted": submitted,
            "requirements": {
                "alternatives": [],
                "current_deadline": soon,
                "currently_due": needed,
                "disabled_reason": disabled,
                "errors": [],
                "eventually_due": needed,
                "past_due": due(overdue),
                "pending_verification": due(state == AccountState::PendingVerification),
            },
        });
        self.hide(account, json!({"state": state}));
        self.change(account, members)
    }

    pub(crate) fn set_account(&mut self, account: &str, state: AccountState) -> anyhow::Result<()> {
        ensure!(self.state.is_connected(account), "there is no connected account {account:?}");
        let before = self.show_state(account, state);
        self.on(Some(account.to_owned())).emit_changed("account.updated", account, before);
        if self.hidden(account, "v2").is_object() {
            self.thin("v2.core.account[requirements].updated", account);
            let configuration = self.configuration(account);
            let kind = format!("v2.core.account[configuration.{configuration}].capability_status_updated");
            self.thin(&kind, account);
        }
        Ok(())
    }

    /// The platform has no business with it any more.
    pub(crate) fn deauthorize(&mut self, account: &str) -> anyhow::Result<()> {
        ensure!(self.state.is_connected(account), "there is no connected account {account:?}");
        let application = json!({"id": "ca_sandbox", "object": "application", "name": "Sandbox"});
        self.state.deauthorized.insert(account.to_owned());
        self.on(Some(account.to_owned())).tell("account.application.deauthorized", application, Value::Null);
        if self.hidden(account, "v2").is_object() {
            self.thin("v2.core.account.closed", account);
        }
        Ok(())
    }

    /// Word that something happened to the account, and no more than that.
    pub(crate) fn thin(&mut self, kind: &str, account: &str) -> String {
        let event = StoredEvent {
            id: self.state.new_id("evt_test_6", 40),
            kind: kind.to_owned(),
            account: Some(account.to_owned()),
            created: self.now(),
            livemode: self.state.settings.livemode,
            object: json!({"id": account}),
            before: Value::Null,
            request: None,
            thin: Some(Related {
                id: account.to_owned(),
                kind: "v2.core.account",
                url: format!("/v2/core/accounts/{account}"),
            }),
            pending: BTreeSet::new(),
            told: 0,
        };
        self.publish(event)
    }

    fn configuration(&self, account: &str) -> &'static str {
        let merchant = self.hidden(account, "v2")["configuration"]["merchant"].is_object();
        if merchant { "merchant" } else { "recipient" }
    }

    /// As v2 shows it: what is not asked for is null.
    pub(crate) fn account_v2(&self, account: &str, include: &[String]) -> Value {
        let wanted = self.hidden(account, "v2");
        let state: AccountState =
            serde_json::from_value(self.hidden(account, "state")).unwrap_or(AccountState::Onboarding);
        let asked = |name: &str| include.iter().any(|one| one == name);
        let status = json!({"requested": true, "status": state.v2(), "status_details": []});
        let merchant = self.configuration(account) == "merchant";
        let recipient = json!({
            "applied": true,
            "capabilities": {"stripe_balance": {"stripe_transfers": status, "payouts": status}},
        });
        let merchant_part = json!({"applied": true, "capabilities": {"card_payments": status}});
        let configuration = json!({
            "customer": null,
            "merchant": Some(merchant_part).filter(|_| merchant && asked("configuration.merchant")),
            "recipient": Some(recipient).filter(|_| !merchant && asked("configuration.recipient")),
        });
        let created = written(self.number(account, "created"));
        let deadline = (state == AccountState::ActionSoon).then(|| written(self.now() + 14 * 86_400));
        json!({
            "id": account,
            "object": "v2.core.account",
            "applied_configurations": [self.configuration(account)],
            "closed": self.state.deauthorized.contains(account),
            "configuration": configuration,
            "contact_email": wanted["contact_email"],
            "created": created,
            "dashboard": wanted["dashboard"],
            "defaults": Some(&wanted["defaults"]).filter(|_| asked("defaults")),
            "display_name": wanted["display_name"],
            "identity": Some(identity(&wanted, state, &created)).filter(|_| asked("identity")),
            "livemode": self.state.settings.livemode,
            "metadata": self.member(account, "metadata"),
            "requirements": Some(requirements(state, deadline.as_deref())).filter(|_| asked("requirements")),
        })
    }
}

/// What is asked of its owner, in v2.
fn requirements(state: AccountState, deadline: Option<&str>) -> Value {
    let status = match state {
        AccountState::Onboarding | AccountState::Restricted => "past_due",
        AccountState::ActionSoon => "currently_due",
        AccountState::PendingVerification | AccountState::Active | AccountState::Rejected => {
            return json!({"entries": [], "summary": null});
        }
    };
    let due = json!({"status": status, "time": deadline});
    let entry = json!({"description": "individual.verification.document", "minimum_deadline": due});
    json!({"entries": [entry], "summary": {"minimum_deadline": due}})
}

/// With the moment the terms were accepted, once they were.
fn identity(wanted: &Value, state: AccountState, at: &str) -> Value {
    let mut identity = wanted["identity"].clone();
    if identity.is_null() {
        identity = json!({"country": "us"});
    }
    let (submitted, ..) = state.v1();
    let date = submitted.then_some(at);
    identity["attestations"] = json!({"terms_of_service": {"account": {"date": date, "ip": null}}});
    identity
}
