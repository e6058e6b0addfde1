//! Connected accounts: each sees its own, and the platform hears of all.

use sandbox::stripe::{AccountState, NewEndpoint};
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    stripe::{SESSION, made, text, world},
};

#[tokio::test]
async fn objects_of_one_account_are_invisible_to_another() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let (one, other) = (stripe.add_account(), stripe.add_account());
    let (at_one, at_other) = (api.with("stripe-account", &one), api.with("stripe-account", &other));
    let session = at_one.session().await?;
    stripe.pay(&session)?;
    let intent = text(&stripe.object(&session).unwrap_or_default()["payment_intent"]);
    for path in [format!("/v1/checkout/sessions/{session}"), format!("/v1/payment_intents/{intent}")] {
        assert_eq!(at_one.ask("GET", &path, "").await?.0, 200);
        for stranger in [&at_other, &api] {
            assert_eq!(stranger.ask("GET", &path, "").await?.0, 404, "{path}");
        }
    }
    let refund = format!("payment_intent={intent}");
    assert_eq!(at_other.ask("POST", "/v1/refunds", &refund).await?.0, 400);
    let listed = |page: Value| page["data"].as_array().map(Vec::len);
    assert_eq!(listed(at_one.get("/v1/events").await?), Some(4));
    assert_eq!(listed(at_other.get("/v1/events").await?), Some(0));
    assert_eq!(listed(api.get("/v1/events").await?), Some(0));
    let (status, refused) = api.with("stripe-account", "acct_none").ask("GET", "/v1/events", "").await?;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("account_invalid")));
    stripe.deauthorize(&one)?;
    assert_eq!(at_one.ask("GET", "/v1/events", "").await?.0, 403, "it has taken its leave");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_destination_charge_shares_and_a_refund_takes_the_shares_back() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let seller = stripe.add_account();
    let data = format!(
        "{SESSION}&payment_intent_data[application_fee_amount]=150\
         &payment_intent_data[transfer_data][destination]={seller}"
    );
    let session = api.make("/v1/checkout/sessions", &data).await?;
    stripe.pay(&session)?;
    stripe.refund(&session, Some(1000))?;
    let about = |kind: &str| {
        let found = stripe.events_of(&session).into_iter().rfind(|event| event.kind == kind);
        found.and_then(|event| serde_json::from_slice::<Value>(&event.body).ok()).unwrap_or_default()
    };
    let transfer = &about("transfer.reversed")["data"]["object"];
    assert_eq!((&transfer["amount"], &transfer["amount_reversed"]), (&json!(2000), &json!(1000)));
    assert_eq!(transfer["reversals"]["data"][0]["amount"], json!(1000));
    let fee = &about("application_fee.refunded")["data"]["object"];
    assert_eq!((&fee["amount"], &fee["amount_refunded"]), (&json!(150), &json!(75)));
    assert_eq!((&fee["refunds"]["data"][0]["amount"], &fee["account"]), (&json!(75), &json!(seller)));
    let charge = &about("charge.refunded")["data"]["object"];
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&json!(1000), &json!(false)));
    for kind in ["transfer", "transfer_reversal", "application_fee", "fee_refund", "refund"] {
        assert_eq!(made(&sandbox, kind), (1, 0), "{kind}");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_account_goes_through_its_states_in_both_apis() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let (snapshots, thin) = (Receiver::start().await?, Receiver::start().await?);
    stripe.add_connect_endpoint(&snapshots.url)?;
    let thin_one = NewEndpoint { url: thin.url.clone(), connect: true, thin: true, ..NewEndpoint::default() };
    stripe.add_endpoint(thin_one)?;
    let v2 = api.with("stripe-version", "2026-10-28.endive");
    assert_eq!(api.ask("POST", "/v2/core/accounts", "{}").await?.0, 400, "the version is not optional");
    let new = json!({"contact_email": "a@b.test", "configuration": {"recipient": {}}});
    let account = v2.make("/v2/core/accounts", &new.to_string()).await?;
    let path = format!(
        "/v2/core/accounts/{account}?include[0]=configuration.recipient&include[1]=requirements\
         &include[2]=identity"
    );
    for (state, status, enabled, disabled) in [
        (AccountState::PendingVerification, "pending", false, json!("requirements.pending_verification")),
        (AccountState::Restricted, "restricted", false, json!("requirements.past_due")),
        (AccountState::Active, "active", true, Value::Null),
    ] {
        stripe.set_account(&account, state)?;
        let shown = v2.get(&path).await?;
        let capability = &shown["configuration"]["recipient"]["capabilities"]["stripe_balance"];
        assert_eq!(capability["stripe_transfers"]["status"], json!(status));
        let attested = &shown["identity"]["attestations"]["terms_of_service"]["account"];
        assert!(attested["date"].is_string(), "{shown}");
        assert_eq!(shown["requirements"]["entries"] == json!([]), disabled != "requirements.past_due");
        let own = api.with("stripe-account", &account).get(&format!("/v1/accounts/{account}")).await?;
        let v1 = api.get(&format!("/v1/accounts/{account}")).await?;
        assert_eq!(own, v1);
        assert_eq!((&v1["charges_enabled"], &v1["payouts_enabled"]), (&json!(enabled), &json!(enabled)));
        assert_eq!(v1["requirements"]["disabled_reason"], disabled);
    }
    let bare = v2.get(&format!("/v2/core/accounts/{account}")).await?;
    assert_eq!(bare["requirements"], Value::Null, "what is not asked for is null");
    for one in snapshots.wait_for(3).await? {
        let event = one.json();
        assert_eq!((&event["type"], &event["account"]), (&json!("account.updated"), &json!(account)));
    }
    for one in thin.wait_for(6).await? {
        let event = one.json();
        assert_eq!((&event["object"], &event["context"]), (&json!("v2.core.event"), &json!(account)));
        assert_eq!(event["related_object"]["id"], json!(account));
        assert!(event["created"].as_str().is_some_and(|at| at.ends_with('Z')) && event.get("data").is_none());
        assert_eq!(v2.get(&format!("/v2/core/events/{}", text(&event["id"]))).await?, event);
    }
    sandbox.stop().await;
    Ok(())
}
