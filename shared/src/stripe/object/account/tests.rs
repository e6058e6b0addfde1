use serde_json::{Value, json};

use super::super::super::tests::object;
use super::super::{Account, AccountStatus, Object};

fn read(account: &Value) -> Account {
    let Object::Account(account) = Object::read(account).unwrap() else { panic!("no account") };
    account
}

/// An account of API v1; `enabled` is for charges, payouts and whether its details were submitted.
fn v1(enabled: [bool; 3], requirements: &Value, future: &Value) -> AccountStatus {
    let [charges, payouts, submitted] = enabled;
    read(&json!({"id": "acct_1", "object": "account", "charges_enabled": charges, "payouts_enabled": payouts,
        "details_submitted": submitted, "capabilities": {"transfers": "active"},
        "requirements": requirements, "future_requirements": future}))
    .status
}

#[test]
fn the_status_of_an_account_follows_from_its_flags_and_requirements() {
    const OPEN: [bool; 3] = [true; 3];
    const SHUT: [bool; 3] = [false, false, true];
    const NEW: [bool; 3] = [false; 3];
    let reason = |reason: &str| json!({"disabled_reason": reason});
    for (enabled, requirements, future, expected) in [
        (NEW, reason("requirements.past_due"), json!(null), AccountStatus::Onboarding),
        (NEW, json!(null), json!(null), AccountStatus::Onboarding),
        (NEW, reason("rejected.fraud"), json!(null), AccountStatus::Restricted),
        (SHUT, reason("requirements.pending_verification"), json!(null), AccountStatus::PendingVerification),
        (SHUT, json!({"pending_verification": ["x"]}), json!(null), AccountStatus::PendingVerification),
        ([true, false, true], json!({}), json!(null), AccountStatus::PendingVerification),
        (SHUT, reason("requirements.past_due"), json!(null), AccountStatus::Restricted),
        (SHUT, reason("under_review"), json!(null), AccountStatus::Restricted),
        (SHUT, reason("platform_paused"), json!(null), AccountStatus::Restricted),
        (SHUT, reason("rejected.listed"), json!(null), AccountStatus::Restricted),
        (SHUT, reason("a_new_reason"), json!(null), AccountStatus::Restricted),
        (OPEN, json!({"past_due": ["x"]}), json!(null), AccountStatus::Restricted),
        (OPEN, json!({"past_due": [], "pending_verification": ["x"]}), json!(null), AccountStatus::Active),
        (OPEN, json!(null), json!(null), AccountStatus::Active),
        (OPEN, json!({"current_deadline": null}), json!({"currently_due": []}), AccountStatus::Active),
        (OPEN, json!({"current_deadline": 1_767_960_000}), json!(null), AccountStatus::ActionSoon),
        (OPEN, json!({}), json!({"current_deadline": 1_767_960_000}), AccountStatus::ActionSoon),
        (OPEN, json!({}), json!({"currently_due": ["x"]}), AccountStatus::ActionSoon),
    ] {
        assert_eq!(v1(enabled, &requirements, &future), expected, "{enabled:?} {requirements} {future}");
    }
}

#[test]
fn a_recorded_account_is_read() {
    let expected = Account {
        id: "acct_1SatchelSeller0001".into(),
        status: AccountStatus::Active,
        charges_enabled: true,
        payouts_enabled: true,
        details_submitted: true,
    };
    assert_eq!(object("account.updated"), Object::Account(expected.clone()));
    let old = Account {
        status: AccountStatus::Restricted,
        charges_enabled: false,
        payouts_enabled: false,
        ..expected
    };
    assert_eq!(object("account.updated.old"), Object::Account(old), "before there were requirements");
}

fn v2(members: &Value) -> Account {
    let mut account = json!({"id": "acct_1", "object": "v2.core.account", "closed": null, "livemode": false});
    account.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    read(&account)
}

fn recipient(transfers: &str) -> Value {
    json!({"recipient": {"applied": true, "capabilities": {"stripe_balance": {
        "stripe_transfers": {"status": transfers, "status_details": []}}}}, "merchant": null})
}

#[test]
fn the_status_of_a_v2_account_follows_from_the_capability_it_was_made_for() {
    let terms = json!({"attestations": {"terms_of_service": {"account": {"date": "2026-01-09T12:00:00Z"}}}});
    let asked = json!({"entries": [{"description": "identity"}], "summary": {"minimum_deadline": {"status": "past_due"}}});
    let soon = json!({"entries": [], "summary": {"minimum_deadline": {"status": "eventually_due", "time": "2026-02-09T12:00:00.000Z"}}});
    let some_day =
        json!({"entries": [{}], "summary": {"minimum_deadline": {"status": "eventually_due", "time": null}}});
    let nothing = json!({"entries": [], "summary": {"minimum_deadline": null}});
    for (configuration, identity, requirements, expected) in [
        (json!(null), json!(null), json!(null), AccountStatus::Onboarding),
        (recipient("restricted"), json!(null), asked.clone(), AccountStatus::Onboarding),
        (recipient("pending"), json!({"attestations": null}), asked.clone(), AccountStatus::Onboarding),
        (recipient("restricted"), terms.clone(), asked.clone(), AccountStatus::Restricted),
        (recipient("restricted"), json!(null), nothing.clone(), AccountStatus::Restricted),
        (recipient("rejected"), terms.clone(), nothing.clone(), AccountStatus::Restricted),
        (recipient("unsupported"), terms.clone(), nothing.clone(), AccountStatus::Restricted),
        (recipient("pending"), terms.clone(), nothing.clone(), AccountStatus::PendingVerification),
        (recipient("active"), terms.clone(), nothing.clone(), AccountStatus::Active),
        (recipient("active"), json!(null), json!(null), AccountStatus::Active),
        (recipient("active"), terms.clone(), some_day, AccountStatus::Active),
        (recipient("active"), terms.clone(), asked, AccountStatus::ActionSoon),
        (recipient("active"), terms, soon, AccountStatus::ActionSoon),
    ] {
        let account =
            json!({"configuration": configuration, "identity": identity, "requirements": requirements});
        assert_eq!(v2(&account).status, expected, "{account}");
        let mut closed = account;
        closed["closed"] = json!(true);
        let is_new = closed["configuration"].is_null();
        assert!(is_new || v2(&closed).status == AccountStatus::Restricted, "{closed}");
    }
}

#[test]
fn the_flags_of_a_v2_account_are_its_capabilities() {
    let flags = |configuration: Value| {
        let account = v2(&json!({"configuration": configuration}));
        (account.status, account.charges_enabled, account.payouts_enabled)
    };
    assert_eq!(flags(recipient("active")), (AccountStatus::Active, false, true));
    let held = json!({"recipient": {"capabilities": {"stripe_balance": {
        "stripe_transfers": {"status": "active"}, "payouts": {"status": "restricted"}}}}});
    assert_eq!(flags(held), (AccountStatus::Active, false, false));
    let merchant =
        json!({"merchant": {"capabilities": {"card_payments": {"status": "active"}}}, "recipient": null});
    assert_eq!(flags(merchant), (AccountStatus::Active, true, false));
}

#[test]
fn every_status_has_a_name_of_its_own() {
    let names = [
        AccountStatus::Onboarding,
        AccountStatus::PendingVerification,
        AccountStatus::Restricted,
        AccountStatus::Active,
        AccountStatus::ActionSoon,
    ]
    .map(AccountStatus::name);
    assert_eq!(names, ["onboarding", "pending_verification", "restricted", "active", "action_soon"]);
}
