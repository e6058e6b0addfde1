//! `Stripe-Version`: the same objects in older shapes.

use sandbox::stripe::{API_VERSION, NewEndpoint};
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    stripe::{text, world},
};

const SUBSCRIPTION: &str = "mode=subscription&success_url=https%3A%2F%2Fshop.test%2Fok\
    &subscription_data[metadata][payment_id]=p-1&line_items[0][price_data][currency]=usd\
    &line_items[0][price_data][unit_amount]=1000&line_items[0][price_data][product_data][name]=Tea\
    &line_items[0][price_data][recurring][interval]=month&line_items[0][quantity]=1";

#[tokio::test]
async fn an_old_version_shows_the_old_members_and_a_new_one_the_new() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let session = api.make("/v1/checkout/sessions", SUBSCRIPTION).await?;
    stripe.pay(&session)?;
    let session = api.get(&format!("/v1/checkout/sessions/{session}")).await?;
    let subscription = text(&session["subscription"]);
    let invoice = text(&session["invoice"]);
    let old = api.with("stripe-version", "2024-06-20");
    let (sub, inv) = (format!("/v1/subscriptions/{subscription}"), format!("/v1/invoices/{invoice}"));
    let (new_sub, old_sub) = (api.get(&sub).await?, old.get(&sub).await?);
    let end = &new_sub["items"]["data"][0]["current_period_end"];
    assert!(end.is_i64() && new_sub.get("current_period_end").is_none(), "{new_sub}");
    assert_eq!(&old_sub["current_period_end"], end);
    assert!(old_sub["items"]["data"][0].get("current_period_end").is_none(), "{old_sub}");
    assert_eq!((&new_sub["status"], &new_sub["metadata"]), (&json!("active"), &json!({"payment_id": "p-1"})));
    let (new_inv, old_inv) = (api.get(&inv).await?, old.get(&inv).await?);
    for name in ["subscription", "payment_intent", "charge", "paid", "payments"] {
        assert!(new_inv.get(name).is_none(), "{name}: {new_inv}");
    }
    assert_eq!(new_inv["parent"]["subscription_details"]["subscription"], json!(subscription));
    assert_eq!((&old_inv["subscription"], &old_inv["paid"]), (&json!(subscription), &json!(true)));
    assert!(old_inv.get("parent").is_none());
    let expanded = api.get(&format!("{inv}?expand[]=payments")).await?;
    assert_eq!(expanded["payments"]["data"][0]["payment"]["payment_intent"], old_inv["payment_intent"]);
    let refund = stripe.refund(&invoice, Some(100))?;
    let charge = format!("/v1/charges/{}", text(&old_inv["charge"]));
    assert!(old.get(&charge).await?.get("refunds").is_none(), "from 2022-11-15 on they are asked for");
    let asked = api.get(&format!("{charge}?expand[]=refunds")).await?;
    let older = api.with("stripe-version", "2022-08-01").get(&charge).await?;
    for shown in [asked, older] {
        assert_eq!(shown["refunds"]["data"][0]["id"], json!(refund));
    }
    assert_eq!(api.with("stripe-version", "2023-13-01").ask("GET", &charge, "").await?.0, 400);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_endpoint_is_told_in_its_own_version() -> anyhow::Result<()> {
    let (sandbox, stripe, api) = world().await?;
    let (old, new) = (Receiver::start().await?, Receiver::start().await?);
    let events = Some(vec!["invoice.paid".to_owned()]);
    for (receiver, version) in [(&old, Some("2024-06-20".to_owned())), (&new, None)] {
        let (url, events) = (receiver.url.clone(), events.clone());
        stripe.add_endpoint(NewEndpoint { url, events, api_version: version, ..NewEndpoint::default() })?;
    }
    let session = api.make("/v1/checkout/sessions", SUBSCRIPTION).await?;
    stripe.pay(&session)?;
    let old: Value = old.wait_for(1).await?[0].json();
    let new: Value = new.wait_for(1).await?[0].json();
    assert_eq!((&old["id"], &old["api_version"]), (&new["id"], &json!("2024-06-20")));
    assert_eq!(new["api_version"], json!(API_VERSION));
    assert!(old["data"]["object"]["subscription"].is_string());
    assert!(new["data"]["object"].get("subscription").is_none());
    let found =
        api.with("stripe-version", "2024-06-20").get(&format!("/v1/events/{}", text(&new["id"]))).await?;
    assert_eq!(found, new, "asked for, it is as it was written down");
    let unknown = NewEndpoint {
        url: "http://127.0.0.1:9/".into(),
        api_version: Some("1".into()),
        ..Default::default()
    };
    assert!(stripe.add_endpoint(unknown).is_err());
    sandbox.stop().await;
    Ok(())
}
